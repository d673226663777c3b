"""EDGED_RECORD=copy in a daemon, of real streams that end, come back and are cut off."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import av
import pytest
from daemon import Daemon, edged, until
from film import complaints, lines, play, segments
from source_clips import make, number_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def camera(clip: Path, port: int, *, again_and_again: bool = False) -> Iterator[None]:
    """Serves a clip once, as fast as it would come from a camera, to the one who connects."""
    url = f"tcp://127.0.0.1:{port}?listen=1"
    loop = ["-stream_loop", "-1"] if again_and_again else []
    command = ["ffmpeg", "-v", "error", "-re", *loop, "-i", str(clip), "-c", "copy", "-f", "mpegts", url]
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        yield
    finally:
        server.kill()
        server.wait()


def numbers(path: Path) -> list[int]:
    """What the pictures of a file show."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    return [number_of(frame.to_ndarray(format="bgr24").astype("uint8")) for frame in frames]


def has_lines(path: Path) -> bool:
    beside = path.with_suffix(".jsonl")
    return beside.exists() and beside.read_bytes().endswith(b"\n")


@pytest.fixture
def settings(demo_model: Path, tmp_path: Path) -> dict[str, str]:
    """A camera at 25 pictures a second, of which the model gets two."""
    return {
        "EDGED_MODEL": str(demo_model),
        "EDGED_THREADS": "1",
        "EDGED_OUTPUT": str(tmp_path / "out"),
        "EDGED_DISK_FREE_GB": "0",
        "EDGED_RECORD": "copy",
        "EDGED_SEGMENT": "2",
        "EDGED_FPS": "2",
        "EDGED_LOG_FORMAT": "json",
    }


def test_a_camera_is_recorded_until_it_is_lost_again_when_it_is_back_and_up_to_a_kill(
    settings: dict[str, str], tmp_path: Path
) -> None:
    """What a kill costs is seen by the last picture that was looked at: that one had come."""
    clip = make(tmp_path / "clip.ts", frames=200, b_frames=0)
    out, port, looked_at = tmp_path / "out", free_port(), tmp_path / "looked_at.jsonl"
    settings |= {"EDGED_SOURCE": f"tcp://127.0.0.1:{port}", "EDGED_JSONL": str(looked_at)}
    with Daemon(tmp_path, settings) as daemon:
        with camera(clip, port):
            daemon.until_told("source_lost")
        until(lambda: segments(out) and numbers(segments(out)[-1])[-1] == 199)
        before = segments(out)
        shown = [number for path in before for number in numbers(path)]
        assert shown == list(range(shown[0], 200)), "every packet since the first keyframe"
        assert shown[0] < 150
        assert max(play(path).times[-1] for path in before) < 3
        assert [complaints(path) for path in before] == [""] * len(before)

        with camera(clip, port):
            # Detections come twice a second: a segment has none beside it when it begins.
            daemon.until(lambda: len(segments(out)) > len(before) + 1 and has_lines(segments(out)[-1]))
            daemon.send(signal.SIGKILL)
            daemon.wait()
    last = segments(out)[-1]
    assert complaints(last) == ""
    first = lines(last)[0]
    shows_to = first["ts_capture"] - first["at"] + play(last).times[-1]
    came = json.loads(looked_at.read_bytes().split(b"\n")[-2])  # what may follow is no whole line
    assert came["ts_capture"] - shows_to < 2.5


def test_a_reload_that_changes_only_how_is_recorded_keeps_the_camera(
    settings: dict[str, str], tmp_path: Path
) -> None:
    """The camera takes one connection, and both kinds of video come of it."""
    clip = make(tmp_path / "clip.ts", frames=100, b_frames=0)
    out, port = tmp_path / "out", free_port()
    settings["EDGED_SOURCE"] = f"tcp://127.0.0.1:{port}"
    annotated = settings | {"EDGED_RECORD": "annotated"}
    with camera(clip, port, again_and_again=True), Daemon(tmp_path, annotated) as daemon:
        daemon.until_told("encoder")
        daemon.configure(settings)
        daemon.send(signal.SIGHUP)
        daemon.until_told("reloaded")
        before = segments(out)
        daemon.until(lambda: len(segments(out)) > len(before) + 1)
        daemon.configure(annotated)
        daemon.send(signal.SIGHUP)
        daemon.until_told("encoder", 2)
        assert daemon.told("source_lost") == []
        daemon.stop()
    sizes = [
        len(play(path).times) / play(path).times[-1] for path in segments(out) if play(path).times[-1] > 1
    ]
    assert max(sizes) > 20, "the camera's own rate"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"EDGED_SOURCE": "synthetic:?fps=5"},
            "EDGED_RECORD=copy cannot record the source 'synthetic:?fps=5'",
        ),
        ({"EDGED_OUTPUT": "out.mp4"}, "EDGED_RECORD=copy records into a folder"),
    ],
)
def test_what_cannot_be_copied_is_refused(
    settings: dict[str, str], tmp_path: Path, changed: dict[str, str], said: str
) -> None:
    clip = make(tmp_path / "clip.ts", frames=25, b_frames=0)
    port = free_port()
    with camera(clip, port):
        settings |= {"EDGED_SOURCE": f"tcp://127.0.0.1:{port}"} | changed
        for command in ("check", "run"):
            done = edged(command, settings=settings, cwd=tmp_path)
            assert done.returncode == 78
            assert said in done.stdout + done.stderr
            if "EDGED_OUTPUT" in changed:
                return


@pytest.mark.parametrize("beside", [True, False])
def test_a_codec_that_cannot_be_copied_is_told_by_check(
    settings: dict[str, str], tmp_path: Path, *, beside: bool
) -> None:
    """A run would look at its pictures, and record nothing."""
    clip = make(tmp_path / "clip.ts", frames=100, b_frames=0, codec="mpeg2video")
    port = free_port()
    settings["EDGED_SOURCE"] = f"tcp://127.0.0.1:{port}"
    if beside:
        settings["EDGED_DETECT_SOURCE"] = "synthetic:?fps=5"
    with camera(clip, port, again_and_again=True):
        done = edged("check", settings=settings, cwd=tmp_path)
    assert done.returncode == 78
    assert "WRONG source: EDGED_RECORD=copy cannot keep mpeg2video: it takes h264, hevc, mjpeg" in done.stdout


def test_a_small_stream_is_looked_at_and_the_large_one_recorded(
    settings: dict[str, str], tmp_path: Path
) -> None:
    """Each is lost and found by itself, and boxes are in the pixels of what is recorded."""
    large = make(tmp_path / "large.ts", frames=150, b_frames=0, size=(320, 192))
    small = make(tmp_path / "small.ts", frames=50, b_frames=0)
    ports, out, told = (free_port(), free_port()), tmp_path / "out", tmp_path / "lines.jsonl"
    settings |= {
        "EDGED_SOURCE": f"tcp://127.0.0.1:{ports[0]}",
        "EDGED_DETECT_SOURCE": f"tcp://127.0.0.1:{ports[1]}",
        "EDGED_JSONL": str(told),
    }
    with camera(small, ports[1], again_and_again=True), Daemon(tmp_path, settings) as daemon:
        lost = daemon.until_told("recorded_stream_lost")
        assert str(ports[0]) in lost["problem"]
        with camera(large, ports[0]):
            daemon.until(lambda: segments(out) and play(segments(out)[0]).times[-1] > 1)
            daemon.until(lambda: '"image":{"w":320,"h":192}' in told.read_text().splitlines()[-1])
            daemon.until_told("recorded_stream_lost", 2)
        assert daemon.told("source_lost") == []
        daemon.stop()
    assert '"image":{"w":160,"h":96}' in told.read_text().splitlines()[0], "before its size was known"
    films = [play(path) for path in segments(out)]
    assert {(film.width, film.height) for film in films} == {(320, 192)}
    shown = [number for path in segments(out) for number in numbers(path)]
    assert shown == list(range(shown[0], 150))
    assert any(lines(path) for path in segments(out) if path.with_suffix(".jsonl").exists())


def test_a_small_stream_is_of_use_beside_a_recorded_one_only(
    settings: dict[str, str], tmp_path: Path
) -> None:
    settings |= {"EDGED_SOURCE": "tcp://127.0.0.1:9", "EDGED_DETECT_SOURCE": "synthetic:?fps=5"}
    del settings["EDGED_RECORD"]
    for command in ("check", "run"):
        done = edged(command, settings=settings, cwd=tmp_path)
        assert done.returncode == 78
        assert "EDGED_DETECT_SOURCE is for EDGED_RECORD=copy" in done.stdout + done.stderr
