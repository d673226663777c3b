"""Standard input and FIFOs, written by real programs."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import cameras
import cv2
import pytest
from source_clips import make, nothing_left_to_the_collector, number_of, numbered

from edged import sources
from edged.errors import ConfigError, SourceError
from edged.settings.declared import Settings
from edged.sources.file import FileSource
from edged.sources.pipe import PipeSource

if TYPE_CHECKING:
    from collections.abc import Iterator

STREAMS = {
    "clip.ts": "libx264",
    "clip.mkv": "libx264",
    "clip.mjpeg": "mjpeg",
    "clip.h264": "libx264",
    "clip.y4m": "rawvideo",
}


@contextlib.contextmanager
def fifo(folder: Path, data: bytes, *, delay_s: float = 0.0) -> Iterator[str]:
    """The path of a FIFO into which a thread writes ``data``."""
    path = folder / "fifo"
    os.mkfifo(path)

    def write() -> None:
        time.sleep(delay_s)
        with contextlib.suppress(BrokenPipeError):
            path.write_bytes(data)

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    yield str(path)
    writer.join(60)
    assert not writer.is_alive()


def numbers(source: PipeSource) -> list[int]:
    """What the frames of a source show, from its opening to its closing."""
    source.open()
    try:
        return [number_of(frame.image) for frame in source.frames()]
    finally:
        source.close()


def settings(source: str, **more: object) -> Settings:
    return Settings.model_validate({"source": source, "model": Path("none.tflite"), **more})


@pytest.mark.parametrize("name", sorted(STREAMS))
def test_every_frame_of_a_stream_comes(tmp_path: Path, name: str) -> None:
    data = make(tmp_path / name, codec=STREAMS[name], b_frames=0).read_bytes()
    with fifo(tmp_path, data) as path:
        source = sources.create(settings(path))
        assert isinstance(source, PipeSource)
        assert numbers(source) == list(range(50))
        assert source.properties()["kind"] == "pipe"
        assert source.properties()["width"] == 160


def test_pictures_one_after_the_other_are_frames(tmp_path: Path) -> None:
    """Whole JPEGs, those with a thumbnail inside included, and a single one."""
    small = cv2.imencode(".jpg", numbered(99)[:32, :32])[1].tobytes()
    thumbnail = b"\xff\xe1" + (len(small) + 2).to_bytes(2, "big") + small
    pictures = []
    for number in range(5):
        jpeg = cv2.imencode(".jpg", numbered(number))[1].tobytes()
        pictures.append(jpeg[:2] + thumbnail + jpeg[2:])
    with fifo(tmp_path, b"".join(pictures)) as path:
        assert numbers(PipeSource(path)) == list(range(5))
    Path(path).unlink()
    with fifo(tmp_path, pictures[3]) as path:
        assert numbers(PipeSource(path)) == [3]


def test_frames_are_those_of_the_same_file(tmp_path: Path) -> None:
    """Pixels and media times do not depend on how the bytes come."""
    clip = make(tmp_path / "clip.ts", frames=20)
    whole = FileSource(str(clip))
    whole.open()
    expected = [(frame.pts, frame.image.tobytes()) for frame in whole.frames()]
    with fifo(tmp_path, clip.read_bytes()) as path:
        source = PipeSource(path)
        source.open()
        assert [(frame.pts, frame.image.tobytes()) for frame in source.frames()] == expected
        source.close()


def test_rate_limit_skips_and_counts(tmp_path: Path) -> None:
    with fifo(tmp_path, make(tmp_path / "clip.ts").read_bytes()) as path:
        source = PipeSource(path, fps=5)
        assert numbers(source) == list(range(0, 50, 5))
        assert source.skipped["rate"] == 40


@pytest.mark.parametrize("spec", ["-", "pipe:0", "pipe:", "/dev/stdin", "/dev/fd/0"])
def test_standard_input_has_many_names(spec: str) -> None:
    assert settings(spec).source == "/dev/stdin"
    assert settings("pipe:7").source == "/dev/fd/7"


@pytest.mark.parametrize("how", ["pipe", "file", "nothing"])
def test_standard_input_of_a_process(tmp_path: Path, how: str) -> None:
    """A pipe and a redirected file come whole; no input at all is said to be empty."""
    clip = make(tmp_path / "clip.ts")
    program = (
        "import sys; from pathlib import Path; from edged import sources;"
        "from edged.settings.declared import Settings\n"
        "source = sources.create(Settings(source='-', model=Path('none.tflite')))\n"
        "try:\n source.open(); print(sum(1 for _ in source.frames())); source.close()\n"
        "except Exception as error: print(error)"
    )
    command = [sys.executable, "-c", program]
    if how == "pipe":
        said = subprocess.run(command, input=clip.read_bytes(), capture_output=True, check=True).stdout
    else:
        with clip.open("rb") if how == "file" else open(os.devnull, "rb") as stdin:  # noqa: PTH123
            said = subprocess.run(command, stdin=stdin, capture_output=True, check=True).stdout
    assert said.strip().startswith(b"50" if how != "nothing" else b"the source '/dev/stdin' is empty")


def test_a_late_writer_is_waited_for(tmp_path: Path) -> None:
    """Whoever starts first: the FIFO is no empty file while nobody writes into it."""
    with fifo(tmp_path, make(tmp_path / "clip.ts", frames=5).read_bytes(), delay_s=0.5) as path:
        assert numbers(PipeSource(path)) == list(range(5))


def test_no_writer_is_told_in_time(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    source = PipeSource(str(tmp_path / "fifo"), open_s=0.2)
    with pytest.raises(SourceError, match=r"nobody has written .* 0\.2 s"):
        source.open()
    source.close()


def silent_writer(path: str, data: bytes) -> int:
    """Write ``data`` and keep the FIFO open."""
    fd = os.open(path, os.O_RDWR)
    os.set_blocking(fd, False)
    assert os.write(fd, data) == len(data)
    return fd


def test_stop_does_not_wait_for_the_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    writer = silent_writer(
        str(tmp_path / "fifo"), make(tmp_path / "clip.mjpeg", codec="mjpeg", frames=8).read_bytes()
    )
    source = PipeSource(str(tmp_path / "fifo"))
    opened = threading.Thread(target=lambda: numbers(source), daemon=True)
    opened.start()
    time.sleep(0.3)
    assert opened.is_alive(), "the writer has not closed its end"
    source.stop()
    opened.join(30)
    assert not opened.is_alive()
    os.close(writer)


def test_two_readers_do_not_share_a_stream(tmp_path: Path) -> None:
    """Each would get half of the bytes."""
    data = make(tmp_path / "clip.ts", frames=10).read_bytes()
    with fifo(tmp_path, data) as path:
        one, two = PipeSource(path), PipeSource(path)
        one.open()
        with pytest.raises(SourceError, match="somebody else is reading"):
            two.open()
        assert len(list(one.frames())) == 10
        one.close()
        two.close()


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"\x00\xff\x17" * 1000, "cannot be opened.*ffprobe"),
        (b"mind the gap\n" * 1000, "is text, and no video. Pipe a video"),
        (b"", "is empty"),
    ],
)
def test_what_is_no_video_is_told(tmp_path: Path, data: bytes, problem: str) -> None:
    with fifo(tmp_path, data) as path:
        source = PipeSource(path)
        with pytest.raises(SourceError, match=problem):
            source.open()
        source.close()


def test_mp4_with_its_index_at_the_end_says_what_to_do(tmp_path: Path) -> None:
    with fifo(tmp_path, make(tmp_path / "clip.mp4").read_bytes()) as path:
        source = PipeSource(path)
        with pytest.raises(SourceError, match="faststart"):
            source.open()
        source.close()
    Path(path).unlink()
    data = make(tmp_path / "fast.mp4", options={"movflags": "+faststart"}).read_bytes()
    with fifo(tmp_path, data) as path:
        assert numbers(PipeSource(path)) == list(range(50))


def test_a_pipe_cannot_be_replayed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(ConfigError, match="EDGED_LOOP"):
        sources.create(settings(str(tmp_path / "fifo"), loop=True))


def test_nothing_is_left_open_or_in_circles(tmp_path: Path) -> None:
    data = make(tmp_path / "clip.ts", frames=10).read_bytes()
    before = cameras.descriptors()
    with nothing_left_to_the_collector():
        for _ in range(3):
            with fifo(tmp_path, data) as path:
                assert len(numbers(PipeSource(path))) == 10
            Path(path).unlink()
    assert cameras.descriptors() <= before
