"""Streams from real servers that freeze, die, come back, send noise and change their size."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import closing, contextmanager
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Any

import cameras
import pytest
import structlog
from source_clips import nothing_left_to_the_collector

from edged.backoff import Backoff
from edged.errors import SourceError
from edged.sources.cameras.reader import Deadlines
from edged.sources.stream import StreamCamera, StreamSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edged.records import Frame

DEADLINES = Deadlines(8.0, 1.0)
BACKOFF_S = 0.5
BACK_S = BACKOFF_S + 5.0
"""What the project promises: back within backoff + 5 s of the camera's return."""

PATIENCE_S = 60.0
"""What pictures may take on a busy machine where nothing is promised."""

SERVERS = ["mjpeg", "rtsp-tcp", "rtsp-udp", "ffmpeg-mpjpeg", "ffmpeg-mpegts"]


def server_of(kind: str) -> cameras.Server:
    """A stand-in for a camera, not started."""
    if kind.startswith("rtsp"):
        return cameras.rtsp()
    return cameras.mjpeg() if kind == "mjpeg" else cameras.ffmpeg(kind.removeprefix("ffmpeg-"))


@contextmanager
def stream(
    url: str, *, transport: str = "tcp", deadlines: Deadlines = DEADLINES, **options: Any
) -> Iterator[StreamSource]:
    """A source with short deadlines."""
    source = StreamSource(
        lambda: StreamCamera(url, transport=transport, deadlines=deadlines),
        deadlines=deadlines,
        backoff=Backoff(BACKOFF_S, BACKOFF_S),
        **options,
    )
    try:
        yield source
    finally:
        source.close()


class Watch:
    """Takes all frames in a thread and knows when the last one came."""

    def __init__(self, source: StreamSource) -> None:
        self.source = source
        self.frames: list[Frame] = []
        self.thread = threading.Thread(target=self._look, daemon=True)
        self.thread.start()

    def _look(self) -> None:
        for frame in self.source.frames():
            self.frames = [*self.frames[-200:], frame]

    def more(self, count: int, within_s: float = PATIENCE_S) -> float:
        """Wait for ``count`` more frames; how long the first of them took."""
        begun = time.monotonic()
        last = self.frames[-1].frame_id if self.frames else -1
        first: float | None = None
        while self.frames[-1].frame_id < last + count if self.frames else True:
            if first is None and self.frames and self.frames[-1].frame_id > last:
                first = time.monotonic() - begun
            assert time.monotonic() - begun < within_s, f"no frames for {within_s} s: {self.source.problem!r}"
            time.sleep(0.01)
        return time.monotonic() - begun if first is None else first

    def problem(self, within_s: float = PATIENCE_S) -> str:
        """Wait until the source says that something is wrong."""
        begun = time.monotonic()
        while not self.source.problem:
            assert time.monotonic() - begun < within_s, "the loss was not noticed"
            time.sleep(0.01)
        return self.source.problem


@pytest.mark.parametrize("kind", SERVERS)
def test_frozen_and_killed_camera_comes_back(kind: str) -> None:
    """A frozen server is noticed after the read deadline, a dead one at once; both come back in time."""
    transport = "udp" if kind.endswith("udp") else "tcp"
    # What a busy machine loses of UDP is not sent again: pictures wait for another keyframe.
    back_s = BACK_S + (5.0 if transport == "udp" else 0.0)
    with cameras.running(server_of(kind)) as server, stream(server.url, transport=transport) as source:
        source.open()
        assert source.properties()["kind"] == "stream"
        assert (source.properties()["width"], source.properties()["height"]) == (320, 240)
        watch = Watch(source)
        watch.more(10)

        server.freeze()
        watch.problem(within_s=DEADLINES.read_s + 1.5)
        if kind.startswith("ffmpeg"):
            server.start()  # it serves one client only, and that one has hung up
        else:
            server.thaw()
        watch.more(10, within_s=back_s)
        assert source.problem == ""

        server.kill()
        watch.problem(within_s=DEADLINES.read_s + 1.5)
        time.sleep(0.5)
        server.start()
        watch.more(10, within_s=back_s)
        assert source.reconnects == 2
        assert sum(thread.name == "camera" for thread in threading.enumerate()) == 1


def test_a_camera_whose_packets_are_not_decoded_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edged.sources.decoding.decoder._BLIND_S", 1000.0)
    deadlines = Deadlines(8, 2)
    with (
        cameras.running(cameras.ffmpeg("mpegts", group=1000)) as server,
        stream(server.url, deadlines=deadlines) as source,
    ):
        source.skipping.watch_packets(1000.0)
        camera = StreamCamera(server.url, transport="tcp", deadlines=deadlines)
        source._connect = lambda: camera  # noqa: SLF001  # as create() does it
        source.open()
        assert source.properties()["motion"] == "packets"
        watch = Watch(source)
        watch.more(3)
        source.rest(watch.frames[-1].frame_id, quiet=True)
        time.sleep(deadlines.read_s + 1.5)  # no picture comes, and nothing else is to happen
        assert source.problem == ""
        last = watch.frames[-1].frame_id
        source.rest(last, quiet=False)
        watch.more(1)
        assert source.reconnects == 0
        assert source.skipped["quiet"] > 20 * deadlines.read_s


def test_stop_does_not_wait_for_a_frozen_camera() -> None:
    """The exit is not held up by a read that is under way."""
    with (
        cameras.running(cameras.mjpeg()) as server,
        stream(server.url, deadlines=Deadlines(60, 60)) as source,
    ):
        source.open()
        watch = Watch(source)
        watch.more(5)
        server.freeze()
        time.sleep(0.2)
        begun = time.monotonic()
        source.stop()
        watch.thread.join(30)
        source.close()
        assert time.monotonic() - begun < 20


def test_silent_listener_fails_the_start_at_its_deadline() -> None:
    """A server that takes the connection and says nothing is no camera."""
    with (
        cameras.running(cameras.mjpeg("--silent")) as server,
        stream(server.url, deadlines=Deadlines(1.0, 1.0)) as source,
    ):
        begun = time.monotonic()
        with pytest.raises(SourceError, match=server.url):
            source.open()
        assert time.monotonic() - begun < 20


@pytest.mark.parametrize("scheme", ["rtsp", "tcp"])
def test_who_answers_no_greeting_is_said_not_to_answer(scheme: str) -> None:
    """The kernel takes the call."""
    with (
        closing(socket.create_server(("127.0.0.1", 0))) as mute,
        stream(f"{scheme}://127.0.0.1:{mute.getsockname()[1]}/x", deadlines=Deadlines(2.0, 1.0)) as source,
        pytest.raises(SourceError, match="no answer within 1 s"),
    ):
        source.open()


@pytest.mark.parametrize("scheme", ["rtsp", "http", "tcp"])
def test_dead_port_fails_the_start_at_once(scheme: str) -> None:
    """Nobody there: said at once, with what to look after."""
    url = f"{scheme}://127.0.0.1:{cameras.free_port()}/x"
    with stream(url, deadlines=Deadlines(60, 60)) as source:
        begun = time.monotonic()
        with pytest.raises(SourceError, match="refused") as caught:
            source.open()
        assert time.monotonic() - begun < 20
        assert caught.value.hint


def test_garbage_is_a_loss_and_no_crash() -> None:
    """A server that begins to send noise is left and tried again."""
    with (
        cameras.running(cameras.mjpeg("--garbage", "20", "--fps", "50")) as server,
        stream(server.url) as source,
    ):
        source.open()
        watch = Watch(source)
        for _ in range(3):
            watch.problem()
            watch.more(5, within_s=BACK_S)
        assert source.reconnects >= 2


def test_damaged_pictures_are_counted_and_the_others_come() -> None:
    """Every fifth picture is broken: it is skipped, counted, and nothing else happens."""
    with (
        cameras.running(cameras.mjpeg("--corrupt", "5", "--fps", "50")) as server,
        stream(server.url) as source,
    ):
        source.open()
        watch = Watch(source)
        watch.more(40)
        source.stop()
        watch.thread.join(30)
        skipped = dict(source.skipped)  # others may be left out, too, where the machine is busy
        whole = watch.frames[-1].frame_id + 1 + sum(skipped.values()) - skipped["corrupt"]
        assert abs(skipped["corrupt"] - whole / 4) <= 2
        assert source.reconnects == 0


def test_camera_whose_every_picture_is_damaged_is_better_than_none() -> None:
    """Where a strict decoder refuses all, a lenient one takes what it can: other programs show it, too."""
    with (
        cameras.running(cameras.mjpeg("--corrupt", "1", "--fps", "50")) as server,
        stream(server.url) as source,
    ):
        source.open()
        Watch(source).more(10)
        assert source.skipped["corrupt"] == 10


def test_size_may_change_in_mid_stream() -> None:
    """The frames change their size, and the properties follow."""
    with (
        cameras.running(
            cameras.mjpeg("--sizes", "320x240,640x480", "--change", "10", "--fps", "50")
        ) as server,
        stream(server.url) as source,
    ):
        source.open()
        watch = Watch(source)
        watch.more(45)
        assert {frame.image.shape for frame in watch.frames} == {(240, 320, 3), (480, 640, 3)}
        assert source.properties()["width"] == watch.frames[-1].width


def test_slow_camera_is_no_lost_camera() -> None:
    """A camera that gives one picture in half a second is slow, not lost."""
    with cameras.running(cameras.mjpeg("--fps", "2")) as server, stream(server.url) as source:
        source.open()
        watch = Watch(source)
        watch.more(5)
        assert source.reconnects == 0
        # Of all of them at once no machine has stalled.
        assert min(frame.capture_ms for frame in watch.frames) < 100, "waiting is not decoding"


def test_rate_limit_applies() -> None:
    """EDGED_FPS holds for streams: the camera is not slowed down, pictures are skipped and counted."""
    with cameras.running(cameras.mjpeg("--fps", "50")) as server, stream(server.url, fps=10) as source:
        source.open()
        watch = Watch(source)
        watch.more(3)
        begun = time.monotonic()
        watch.more(20)
        assert time.monotonic() - begun > 1.5
        between = [later.captured - one.captured for one, later in pairwise(watch.frames)]
        assert median(between) < 0.13, "one that is late does not delay those after it"
        assert source.skipped["rate"] > 60


def test_picture_is_fresh_however_long_the_stream_has_run() -> None:
    """Nothing piles up between camera and us: after a while of not looking, the newest picture comes."""
    with cameras.running(cameras.mjpeg("--fps", "50")) as server, stream(server.url) as source:
        source.open()
        time.sleep(1.5)
        frames = source.frames()
        next(frames)
        ages = [time.monotonic() - next(frames).captured for _ in range(10)]
        assert min(ages[3:]) < 0.1, "a single one may have met a pause of the machine"


def test_passwords_show_nowhere() -> None:
    """Neither messages nor logs nor properties know user or password."""
    with structlog.testing.capture_logs() as logs:
        server = cameras.rtsp(user="admin", password="hunter2")  # noqa: S106  # it is the test's
        with cameras.running(server), stream(server.url) as source:
            source.open()
            watch = Watch(source)
            watch.more(5)
            server.kill()
            problem = watch.problem()
            seen = [problem, str(source.properties())]
        with stream(server.url) as source, pytest.raises(SourceError) as caught:
            source.open()
    seen += [str(caught.value), repr(caught.value.__cause__), str(logs)]
    assert "127.0.0.1" in problem
    assert any(entry["event"] == "source_lost" for entry in logs)
    for text in seen:
        assert "hunter2" not in text
        assert "admin" not in text


def test_wrong_password_is_said() -> None:
    """A refused login is told as such."""
    with (
        cameras.running(cameras.mjpeg("--password")) as server,
        stream(server.url) as source,
        pytest.raises(SourceError, match="401"),
    ):
        source.open()
    with (
        cameras.running(cameras.mjpeg("--password")) as server,
        stream(server.url.replace("//", "//user:secret@")) as source,
    ):
        source.open()


def test_reconnections_leave_nothing_behind() -> None:
    """Twenty losses: back each time, and no thread or descriptor more than before."""
    with (
        cameras.running(cameras.mjpeg("--frames", "5", "--fps", "100")) as server,
        stream(server.url) as source,
    ):
        source._backoff = Backoff(0.05, 0.05)  # noqa: SLF001  # not to wait for what is not tested here
        source.open()
        watch = Watch(source)
        watch.more(5)
        descriptors = cameras.descriptors()
        deadline = time.monotonic() + PATIENCE_S
        while source.reconnects < 20:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert cameras.descriptors() <= descriptors + 1
        with nothing_left_to_the_collector():
            known = source.reconnects
            while source.reconnects < known + 5:
                assert time.monotonic() < deadline
                time.sleep(0.02)
        assert sum(thread.name == "camera" for thread in threading.enumerate()) <= 1
