"""Files and playlists of web servers: played once, as from disk, whatever the server cannot do."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from source_clips import make, number_of
from web_server import answering, head, serving, source_of

from edged.errors import SourceError
from edged.sources.cameras.reader import Deadlines
from edged.sources.file import FileSource
from edged.sources.stream import StreamCamera, StreamSource

if TYPE_CHECKING:
    from collections.abc import Callable

    from edged.records import Frame
    from edged.sources import Source

    Reply = Callable[[BaseHTTPRequestHandler, int], None]
    """Answers one request, the n-th."""


class Files(SimpleHTTPRequestHandler):
    """A web server of a folder, which cannot begin in the middle of a file."""

    def log_message(self, *args: object) -> None:
        """Say nothing."""


class Ranges(Files):
    """One that can."""

    def do_GET(self) -> None:
        data = Path(self.translate_path(self.path)).read_bytes()
        begin = int((re.findall(r"bytes=(\d+)-", self.headers.get("Range", "")) or ["0"])[0])
        self.send_response(206 if "Range" in self.headers else 200)
        self.send_header("Accept-Ranges", "bytes")
        if "Range" in self.headers:
            self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - begin))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(data[begin:])


def played(source: Source) -> list[Frame]:
    return list(source.frames())


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.ts", "clip.mjpeg"])
def test_a_file_is_played_once_as_from_disk(tmp_path: Path, name: str) -> None:
    """Every frame at its own time, however long each takes; then it is over, without an error."""
    clip = make(tmp_path / name, codec="mjpeg" if name.endswith("mjpeg") else "libx264", frames=30)
    disk = FileSource(str(clip))
    disk.open()
    expected = [(number_of(frame.image), round(frame.pts, 3)) for frame in disk.frames()]
    with serving(partial(Ranges, directory=str(tmp_path))) as url, source_of(f"{url}/{name}") as source:
        assert not source.live
        frames = []
        for frame in source.frames():
            frames.append((number_of(frame.image), round(frame.pts, 3)))
            time.sleep(0.01)
        assert frames == expected
        assert source.reconnects == 0


def test_a_server_that_cannot_seek_is_told(tmp_path: Path) -> None:
    """Where the index is at the end, FFmpeg has to go there and back; where it is not, nobody has to."""
    make(tmp_path / "clip.mp4", frames=50)
    make(tmp_path / "fast.mp4", frames=50, options={"movflags": "+faststart"})
    with serving(partial(Files, directory=str(tmp_path))) as url:
        with pytest.raises(SourceError, match="faststart"), source_of(f"{url}/clip.mp4"):
            pass
        with source_of(f"{url}/fast.mp4") as source:
            assert len(played(source)) == 50


def test_a_file_without_length_is_played_once(tmp_path: Path) -> None:
    """A server that does not say how much comes; the file does."""
    data = make(tmp_path / "clip.mp4", frames=20, options={"movflags": "+faststart"}).read_bytes()

    def reply(handler: BaseHTTPRequestHandler, _: int) -> None:
        head(handler, "video/mp4")
        handler.wfile.write(data)

    with answering(reply) as (url, asked), source_of(url) as source:
        assert [number_of(frame.image) for frame in played(source)] == list(range(20))
        assert len(asked) == 1


def test_a_playlist_with_an_end_is_played_once(tmp_path: Path) -> None:
    """HLS of a recording."""
    make(tmp_path / "clip.m3u8", frames=60, options={"hls_time": "1", "hls_list_size": "0"})
    assert "ENDLIST" in (tmp_path / "clip.m3u8").read_text()
    with serving(partial(Ranges, directory=str(tmp_path))) as url, source_of(f"{url}/clip.m3u8") as source:
        assert [number_of(frame.image) for frame in played(source)] == list(range(60))


def test_a_live_playlist_is_no_file(tmp_path: Path) -> None:
    """It has a length, which is not that of the video; what it names goes on."""
    make(tmp_path / "clip.m3u8", frames=60, options={"hls_time": "1", "hls_list_size": "0"})
    playlist = tmp_path / "clip.m3u8"
    playlist.write_text(playlist.read_text().replace("#EXT-X-ENDLIST\n", ""))
    with serving(partial(Files, directory=str(tmp_path))) as url, source_of(f"{url}/clip.m3u8") as source:
        assert source.live
        assert next(source.frames()).width == 160


def read_on(camera: StreamCamera) -> None:
    while True:
        camera.grab()


@pytest.mark.parametrize("name", ["a silence", "a lost connection"])
def test_what_breaks_off_while_ffmpeg_reads_is_told(tmp_path: Path, name: str) -> None:
    """Not as what a library makes of it."""
    data = make(tmp_path / "clip.ts", frames=60).read_bytes()
    over = threading.Event()

    def reply(handler: BaseHTTPRequestHandler, _: int) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "video/mp2t")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        if name == "a silence":
            over.wait(20)
        else:
            handler.wfile.write(b"ffff\r\nno more")

    reason = "no answer within 1 s" if name == "a silence" else "IncompleteRead"
    with answering(reply) as (url, _):
        read_s = 1.0 if name == "a silence" else 60.0
        camera = StreamCamera(url, transport="tcp", deadlines=Deadlines(60.0, read_s))
        try:
            camera.open()
            with pytest.raises(SourceError, match=f"breaks off: {reason}"):
                read_on(camera)
        finally:
            over.set()
            camera.close()


def test_a_file_that_breaks_off_is_an_error(tmp_path: Path) -> None:
    """Not the beginning of another round."""
    data = make(tmp_path / "clip.mp4", frames=60, options={"movflags": "+faststart"}).read_bytes()

    def reply(handler: BaseHTTPRequestHandler, _: int) -> None:
        head(handler, "video/mp4", length=len(data))
        handler.wfile.write(data[: len(data) // 2])

    frames: list[Frame] = []
    with (
        answering(reply) as (url, _),
        source_of(url) as source,
        pytest.raises(SourceError, match="breaks off"),
    ):
        frames.extend(source.frames())
    assert 10 < len(frames) < 50


def test_a_file_obeys_loop_rate_and_pace(tmp_path: Path) -> None:
    make(tmp_path / "clip.mp4", frames=25)
    with serving(partial(Ranges, directory=str(tmp_path))) as url:
        with source_of(f"{url}/clip.mp4", loop=True) as source:
            frames = source.frames()
            numbers = [number_of(next(frames).image) for _ in range(60)]
            assert numbers == [*range(25), *range(25), *range(10)]
        with source_of(f"{url}/clip.mp4", fps=5) as source:
            assert [number_of(frame.image) for frame in source.frames()] == [0, 5, 10, 15, 20]
        with source_of(f"{url}/clip.mp4", policy="latest") as source:
            begun = time.monotonic()
            assert played(source)[-1].pts == pytest.approx(24 / 25)
            assert time.monotonic() - begun > 0.5


def test_a_file_whose_next_picture_is_not_due_for_long_is_not_lost(tmp_path: Path) -> None:
    """At its own pace it is edged that waits, however little a camera may take."""
    make(tmp_path / "clip.mp4", frames=100)
    deadlines = Deadlines(10.0, 1.0)
    with serving(partial(Ranges, directory=str(tmp_path))) as url:
        source = StreamSource(
            lambda: StreamCamera(f"{url}/clip.mp4", transport="tcp", deadlines=deadlines),
            deadlines=deadlines,
            fps=0.5,
            paced=True,
        )
        try:
            source.open()
            assert [number_of(frame.image) for frame in source.frames()] == [0, 50]
            assert source.reconnects == 0
        finally:
            source.close()
