"""What real cameras and web servers answer over HTTP: streams with faults, pictures by request, files."""

from __future__ import annotations

import contextlib
import hashlib
import re
import threading
import time
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import pytest
from source_clips import make, nothing_left_to_the_collector, number_of, numbered

from edged import sources
from edged.errors import SourceError
from edged.settings.declared import Settings
from edged.sources.cameras.reader import Deadlines
from edged.sources.file import FileSource
from edged.sources.stream import StreamCamera, StreamSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edged.records import Frame
    from edged.sources import Source

    Reply = Callable[[BaseHTTPRequestHandler, int], None]
    """Answers one request, the n-th."""


class Handler(BaseHTTPRequestHandler):
    """Has every request answered by the test."""

    protocol_version = "HTTP/1.1"

    def __init__(self, *arguments: Any, reply: Reply, asked: list[float]) -> None:
        self._reply = reply
        self._asked = asked
        super().__init__(*arguments)

    def do_GET(self) -> None:
        self._asked.append(time.monotonic())
        self.close_connection = True
        with contextlib.suppress(OSError):
            self._reply(self, len(self._asked) - 1)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """Takes it when a client hangs up."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes is no error."""


@contextlib.contextmanager
def serving(handler: Any) -> Iterator[str]:
    server = Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=partial(server.serve_forever, 0.05), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def answering(reply: Reply) -> Iterator[tuple[str, list[float]]]:
    """A server's URL, and the times of requests."""
    asked: list[float] = []
    with serving(partial(Handler, reply=reply, asked=asked)) as url:
        yield url, asked


@contextlib.contextmanager
def source_of(url: str, **more: object) -> Iterator[Source]:
    given = {"source": url, "model": Path("none.tflite"), "read_timeout": 2, **more}
    source = sources.create(Settings.model_validate(given))
    try:
        source.open()
        yield source
    finally:
        source.stop()
        source.close()


def rising(numbers: list[int]) -> bool:
    """Whether each picture came once, in order; a machine under load may have lost some."""
    return numbers == sorted(set(numbers))


def jpeg(number: int) -> bytes:
    return cv2.imencode(".jpg", numbered(number))[1].tobytes()


def head(handler: BaseHTTPRequestHandler, kind: str, *, length: int | None = None) -> None:
    handler.send_response(200)
    if kind:
        handler.send_header("Content-Type", kind)
    if length is not None:
        handler.send_header("Content-Length", str(length))
    handler.send_header("Connection", "close")
    handler.end_headers()


def part(
    number: int, before: bytes = b"--frame\r\n", length: int | None = None, after: bytes = b"\r\n"
) -> bytes:
    picture = jpeg(number)
    size = len(picture) if length is None else length
    said = b"Content-Length: %d\r\n" % size if size >= 0 else b""
    return before + b"Content-Type: image/jpeg\r\n" + said + b"\r\n" + picture + after


def esp32(number: int) -> bytes:
    """Old ESP32-CAM, Tasmota: the boundary follows the picture, and none comes first."""
    return part(number, before=b"", after=b"\r\n--frame\r\n")


STREAMS: dict[str, Callable[[int], bytes]] = {
    "as it should be": part,
    "no first boundary": esp32,
    "no length": lambda number: part(number, length=-1),
    "length too small": lambda number: part(number, length=100),
    "length too large": lambda number: part(number, length=10**6),
    "length 0": lambda number: part(number, length=0),
    "boundary without dashes": lambda number: part(number, before=b"frame\r\n"),
    "bare line feeds": lambda number: part(number).replace(b"\r\n", b"\n", 3),
    "no head at all": jpeg,
    "no line between": lambda number: part(number, after=b""),
}


@pytest.mark.parametrize("how", STREAMS)
def test_motion_jpeg_comes_whatever_its_frame_says(how: str) -> None:
    """The pictures themselves say where they begin and end."""

    def reply(handler: BaseHTTPRequestHandler, _: int) -> None:
        head(handler, "multipart/x-mixed-replace; boundary=frame")
        for number in range(250):
            handler.wfile.write(STREAMS[how](number))
            time.sleep(0.02)

    with answering(reply) as (url, asked), source_of(url) as source:
        frames = source.frames()
        numbers = [number_of(next(frames).image) for _ in range(20)]
        assert rising(numbers)
        assert len(asked) == 1
        assert source.skipped["corrupt"] == 0
        assert source.live
        assert source.properties()["width"] == 160


def snapshots(kind: str, encode: Callable[[int], bytes] = jpeg, length: int | None = None) -> Reply:
    def reply(handler: BaseHTTPRequestHandler, number: int) -> None:
        picture = encode(number)
        head(handler, kind, length=len(picture) if length is None else length)
        handler.wfile.write(picture)

    return reply


def png(number: int) -> bytes:
    return cv2.imencode(".png", numbered(number))[1].tobytes()


@pytest.mark.parametrize(
    ("kind", "encode"),
    [
        ("image/jpeg", jpeg),
        ("image/jpg;x=y", jpeg),
        ("", jpeg),
        ("application/octet-stream", jpeg),
        ("image/png", png),
    ],
)
def test_a_picture_by_request_is_asked_for_again(kind: str, encode: Callable[[int], bytes]) -> None:
    """At the rate of EDGED_FPS, and for ever."""
    with answering(snapshots(kind, encode)) as (url, asked), source_of(f"{url}/snap", fps=10) as source:
        frames = source.frames()
        assert rising([number_of(next(frames).image) for _ in range(8)])
        assert asked[7] - asked[0] >= 0.6
        assert source.live
        assert source.reconnects == 0
        assert source.properties()["fps"] == 10


def test_a_picture_by_request_is_asked_for_once_a_second() -> None:
    with answering(snapshots("image/jpeg")) as (url, asked), source_of(url) as source:
        frames = source.frames()
        assert [number_of(next(frames).image) for _ in range(3)] == [0, 1, 2]
        assert asked[2] - asked[0] > 1.9


def test_a_seldom_picture_is_no_lost_camera() -> None:
    """EDGED_FPS may ask for longer pauses than EDGED_READ_TIMEOUT allows a stream."""
    with answering(snapshots("image/jpeg")) as (url, _), source_of(url, fps=0.6, read_timeout=0.8) as source:
        frames = source.frames()
        assert [number_of(next(frames).image) for _ in range(3)] == [0, 1, 2]
        assert source.reconnects == 0


def test_a_picture_that_fails_once_comes_again() -> None:
    def reply(handler: BaseHTTPRequestHandler, number: int) -> None:
        if number == 1:
            handler.send_error(503)
        else:
            snapshots("image/jpeg")(handler, number)

    with answering(reply) as (url, _), source_of(url, fps=20) as source:
        frames = source.frames()
        numbers = [number_of(next(frames).image) for _ in range(3)]
        assert rising(numbers)
        assert 1 not in numbers
        assert source.reconnects == 1


def test_a_damaged_picture_is_counted_and_the_next_comes() -> None:
    def reply(handler: BaseHTTPRequestHandler, number: int) -> None:
        data = jpeg(number)
        data = data[: len(data) // 2] + bytes(60) + b"\xff\xd9" if number % 2 else data
        head(handler, "image/jpeg", length=len(data))
        handler.wfile.write(data)

    with answering(reply) as (url, _), source_of(url, fps=20) as source:
        frames = source.frames()
        numbers = [number_of(next(frames).image) for _ in range(3)]
        assert rising(numbers)
        assert not any(number % 2 for number in numbers)
        assert source.skipped["corrupt"] >= 2


def test_stop_does_not_wait_for_the_next_request() -> None:
    with answering(snapshots("image/jpeg")) as (url, _), source_of(url, fps=0.05) as source:
        frames = source.frames()
        next(frames)
        threads = threading.active_count()
        begun = time.monotonic()
        source.stop()
        assert list(frames) == []
        source.close()
        assert time.monotonic() - begun < 3
        assert threading.active_count() < threads


def challenge(handler: BaseHTTPRequestHandler, how: str) -> bool:
    """Ask for the login ``ann``, ``p@ss:w/d``; whether it is right."""
    said = handler.headers.get("Authorization", "")
    if how == "basic":
        if said == "Basic YW5uOnBAc3M6dy9k":
            return True
        asks = 'Basic realm="camera"'
    else:
        fields = dict(re.findall(r'(\w+)="?([^",]+)"?', said))

        def md5(text: str) -> str:
            return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

        if fields:
            secret, place = md5("ann:camera:p@ss:w/d"), md5(f"GET:{handler.path}")
            middle = f"{fields['nonce']}:{fields['nc']}:{fields['cnonce']}:auth"
            return bool(fields["response"] == md5(f"{secret}:{middle}:{place}"))
        asks = 'Digest realm="camera", nonce="abc", qop="auth"'
    handler.send_response(401)
    handler.send_header("WWW-Authenticate", asks)
    handler.send_header("Content-Length", "0")
    handler.end_headers()
    return False


@pytest.mark.parametrize("how", ["basic", "digest"])
def test_the_login_that_a_camera_wants_is_given(how: str) -> None:
    def reply(handler: BaseHTTPRequestHandler, number: int) -> None:
        if challenge(handler, how):
            snapshots("image/jpeg")(handler, number)

    with answering(reply) as (url, _):
        with source_of(url.replace("//", "//ann:p%40ss%3Aw%2Fd@") + "/snap?x=1", fps=10) as source:
            assert next(source.frames()).width == 160
        with pytest.raises(SourceError, match="401") as caught, source_of(f"{url}/snap?pw=hunter2"):
            pass
        assert "hunter2" not in str(caught.value)


def test_a_redirection_is_followed() -> None:
    def reply(handler: BaseHTTPRequestHandler, number: int) -> None:
        if handler.path == "/old":
            handler.send_response(302)
            handler.send_header("Location", "/new")
            handler.send_header("Content-Length", "0")
            handler.end_headers()
        else:
            snapshots("image/jpeg")(handler, number)

    with answering(reply) as (url, _), source_of(f"{url}/old") as source:
        assert number_of(next(source.frames()).image) == 1


def test_a_web_page_is_told() -> None:
    def reply(handler: BaseHTTPRequestHandler, _: int) -> None:
        head(handler, "text/html; charset=utf-8")
        handler.wfile.write(b"\n\n  <!doctype html><title>Camera</title>")

    with answering(reply) as (url, _), pytest.raises(SourceError, match="is a web page"), source_of(url):
        pass


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
        camera = StreamCamera(url, transport="tcp", deadlines=Deadlines(10.0, 1.0))
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


def test_nothing_is_left_in_circles() -> None:
    with answering(snapshots("image/jpeg")) as (url, _), nothing_left_to_the_collector():
        with source_of(url, fps=20) as source:
            frames = source.frames()
            for _ in range(5):
                next(frames)
        del frames, source
        time.sleep(0.2)
