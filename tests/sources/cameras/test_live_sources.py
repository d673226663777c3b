"""Open, read, back off, open again: the live source with cameras that fail in every way a camera can."""

from __future__ import annotations

import os
import select
import threading
import time
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from structlog.testing import capture_logs

from edged.backoff import Backoff
from edged.errors import SourceError
from edged.sources.cameras.live import LiveSource
from edged.sources.cameras.reader import Deadlines
from edged.sources.connection import Damaged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edged.records import Frame, Image


LONG = Deadlines(60.0, 60.0)
"""Nobody waits so long for a picture."""
SHORT = Deadlines(60.0, 0.2)
"""For tests of cameras that say nothing."""


class Pipe:
    """A camera made of a pipe: one byte is one picture, and a read blocks beyond our reach, as in a driver.

    ``0`` is a picture, ``1`` one of another size, ``d`` a damaged one, ``n`` nothing yet, ``f`` the end.
    A picture shows how many bytes were read before it.
    """

    name = "the camera 'pipe'"
    hint = "Write into it"
    media_time: float | None = None
    pixel = Fraction(1)
    openings = 0

    def __init__(self, lens: Lens) -> None:
        self._lens = lens
        self._byte = b""
        self.closed = False

    def open(self) -> None:
        self._lens.openings += 1
        self._lens.cameras.append(self)
        if self._lens.refuses:
            raise SourceError("the camera 'pipe' refuses")
        if self._lens.opens_slowly:
            self._lens.opened.wait()

    def grab(self) -> bool:
        self._byte = os.read(self._lens.read_end, 1)
        self._lens.read += len(self._byte)
        if self._byte == b"d":
            raise Damaged
        if self._byte in {b"f", b""}:
            raise SourceError("the camera 'pipe' has failed")
        return self._byte != b"n"

    def retrieve(self) -> Image:
        return np.full((8, 8, 3) if self._byte == b"0" else (6, 12, 3), self._lens.read - 1, np.uint8)

    def properties(self) -> dict[str, Any]:
        return {"kind": "pipe"}

    def interrupt(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True


class Lens:
    """What happens in front of the camera."""

    def __init__(self) -> None:
        self.read_end, self._write_end = os.pipe()
        self.refuses = False
        self.opens_slowly = False
        self.opened = threading.Event()
        self.openings = 0
        self.read = 0
        self.cameras: list[Pipe] = []

    def show(self, what: bytes) -> None:
        os.write(self._write_end, what)

    @property
    def seen(self) -> bool:
        """Whether everything was read."""
        return not select.select([self.read_end], [], [], 0)[0]

    def close(self) -> None:
        self.opened.set()
        os.close(self._write_end)
        wait_for(lambda: all(camera.closed for camera in self.cameras))
        os.close(self.read_end)


def wait_for(condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


class Viewer:
    """Takes all frames of a source in a thread, as the pipeline does."""

    def __init__(self, source: LiveSource) -> None:
        self.frames: list[Frame] = []
        self.error: SourceError | None = None
        self._source = source
        self._thread = threading.Thread(target=self._view, daemon=True)
        self._thread.start()

    def _view(self) -> None:
        try:
            for frame in self._source.frames():
                self.frames.append(frame)
        except SourceError as error:
            self.error = error

    @property
    def ended(self) -> bool:
        return not self._thread.is_alive()

    def has(self, count: int) -> Callable[[], bool]:
        return lambda: len(self.frames) >= count

    @property
    def numbers(self) -> list[int]:
        """What the pictures show."""
        return [int(frame.image[0, 0, 0]) for frame in self.frames]


@contextmanager
def live(
    *, deadlines: Deadlines = LONG, most_s: float = 0.05, **options: Any
) -> Iterator[tuple[Lens, LiveSource]]:
    lens = Lens()
    backoff = Backoff(0.02, most_s)
    source = LiveSource(lambda: Pipe(lens), deadlines=deadlines, backoff=backoff, **options)
    try:
        yield lens, source
    finally:
        lens.show(b"f")
        source.close()
        lens.close()


def descriptors_open() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def cameras_alive() -> int:
    return sum(thread.name == "camera" for thread in threading.enumerate())


def test_frames_are_numbered_and_timed_without_gaps() -> None:
    """Frames have rising numbers and times over a reconnection, and the first one is not lost."""
    with live() as (lens, source):
        lens.show(b"0")
        source.open()
        viewer = Viewer(source)
        lens.show(b"0")
        wait_for(viewer.has(2))
        lens.show(b"f")
        wait_for(lambda: bool(source.problem))
        lens.show(b"0")
        wait_for(viewer.has(3))
        assert [frame.frame_id for frame in viewer.frames] == [0, 1, 2]
        assert viewer.frames[0].pts == 0.0
        assert viewer.frames[0].pts < viewer.frames[1].pts < viewer.frames[2].pts
        assert abs(viewer.frames[2].ts_capture - time.time()) < 5
        assert lens.openings == 2


def test_when_something_begins_to_move_the_next_two_pictures_come_at_once() -> None:
    """Those before and after them wait for their turn."""
    with live(deadlines=Deadlines(60.0, 60.0), fps=0.001) as (lens, source):
        lens.show(b"0")
        source.open()
        viewer = Viewer(source)
        wait_for(viewer.has(1))
        source.rest(0, quiet=True)
        lens.show(b"0")
        wait_for(lambda: source.skipped["rate"] == 1)
        source.rest(0, quiet=False)
        for count in (2, 3):
            lens.show(b"0")
            wait_for(viewer.has(count))
        lens.show(b"0")
        wait_for(lambda: source.skipped["rate"] == 2)
        source.rest(1, quiet=False)
        lens.show(b"0")
        wait_for(lambda: source.skipped["rate"] == 3)
        assert viewer.numbers == [0, 2, 3]


def test_lost_camera_is_told_and_looked_for_until_it_is_back() -> None:
    """``problem`` is a sentence while the camera is away and empty while frames come."""
    with live() as (lens, source):
        lens.show(b"0")
        source.open()
        viewer = Viewer(source)
        assert source.problem == ""
        lens.refuses = True
        lens.show(b"f")
        wait_for(lambda: "refuses" in source.problem)
        assert "looked for again" in source.problem
        wait_for(lambda: lens.openings >= 5)
        lens.refuses = False
        lens.show(b"0")
        wait_for(viewer.has(2))
        wait_for(lambda: source.problem == "")
        assert source.reconnects == 1
        assert not viewer.ended


def test_a_camera_that_was_found_is_not_hurried_when_it_is_lost_again() -> None:
    """It was asked for while it was being looked for: that wish is fulfilled by its first picture."""
    with live() as (lens, source):
        lens.opens_slowly = True
        source.begin()
        viewer = Viewer(source)
        wait_for(lambda: lens.openings == 1)
        source.hurry()
        lens.opened.set()
        lens.show(b"0")
        wait_for(viewer.has(1))
        source._backoff = Backoff(3600.0, 3600.0, spread=0.0)  # noqa: SLF001  # it is long from now on
        lens.show(b"f")
        wait_for(lambda: "has failed" in source.problem)
        time.sleep(0.1)
        assert lens.openings == 1


def test_camera_that_cannot_be_opened_at_start_is_an_error() -> None:
    """At the start there is nothing to go on with: exit 69, and systemd tries again."""
    with live() as (lens, source):
        lens.refuses = True
        with pytest.raises(SourceError, match="refuses") as caught:
            source.open()
        assert caught.value.exit_code == 69
        wait_for(lambda: cameras_alive() == 0)


def test_open_believes_only_a_first_picture() -> None:
    """A camera that opens and gives nothing, or damaged pictures only, is no camera."""
    with live(deadlines=Deadlines(1.0, 0.2)) as (lens, source):
        lens.show(b"dndnd")
        begun = time.monotonic()
        with pytest.raises(SourceError, match="no first picture"):
            source.open()
        assert time.monotonic() - begun < 20.0
        assert source.skipped["corrupt"] == 3


def test_stuck_open_ends_at_its_deadline() -> None:
    """An ``open`` that never returns is given up, and its thread left behind."""
    with live(deadlines=Deadlines(0.3, 0.2)) as (lens, source):
        lens.opens_slowly = True
        begun = time.monotonic()
        with pytest.raises(SourceError, match="no first picture"):
            source.open()
        assert time.monotonic() - begun < 20.0


def test_stuck_read_is_given_up_and_never_doubled() -> None:
    """A read that blocks is told after its deadline; no second thread follows it into the device."""
    with live(deadlines=SHORT) as (lens, source):
        lens.show(b"0")
        source.open()
        viewer = Viewer(source)
        wait_for(lambda: "no picture for 0.2 s" in source.problem)
        time.sleep(0.5)
        assert cameras_alive() == 1
        assert lens.openings == 1
        lens.show(b"0")  # the read comes back at last; its picture is too old to be of use
        wait_for(lambda: lens.openings == 2)
        wait_for(lambda: lens.cameras[0].closed)
        lens.show(b"0")
        wait_for(viewer.has(2))
        assert cameras_alive() == 1


def test_driver_that_hangs_for_good_fails_the_source() -> None:
    """What only a new process can free ends this one: exit 69 instead of waiting for ever."""
    with live(deadlines=SHORT, patience_s=0.3) as (lens, source):
        lens.show(b"0")
        source.open()
        viewer = Viewer(source)
        wait_for(lambda: viewer.ended)
        assert viewer.error is not None
        assert "hangs" in str(viewer.error)
        assert viewer.error.exit_code == 69
        assert lens.openings == 1


@pytest.mark.parametrize("when", ["reading", "stuck", "backing off", "opening"])
def test_stop_ends_the_frames_at_once(when: str) -> None:
    """A stop does not wait for the camera, whatever it does."""
    deadlines = SHORT if when == "stuck" else LONG
    with live(deadlines=deadlines, most_s=60.0) as (lens, source):
        if when == "opening":

            def open_in_vain() -> None:
                with pytest.raises(SourceError):
                    source.open()

            opening = threading.Thread(target=open_in_vain, daemon=True)
            opening.start()
            wait_for(lambda: lens.openings == 1)
            source.stop()
            opening.join(10)
            assert not opening.is_alive()
            return
        lens.show(b"0")
        source.open()
        viewer = Viewer(source)
        wait_for(viewer.has(1))
        if when == "backing off":
            lens.refuses = True
            lens.show(b"f")
        if when != "reading":
            wait_for(lambda: bool(source.problem))
        source.stop()
        wait_for(lambda: viewer.ended, 10.0)
        assert viewer.error is None


def test_stop_before_open_and_close_twice_are_harmless() -> None:
    """The daemon may be told to stop at any moment."""
    with live() as (_, source):
        source.stop()
        with pytest.raises(SourceError, match="stopped"):
            source.open()
        source.close()
        source.close()


def test_size_may_change_in_mid_stream() -> None:
    """A camera that changes its picture size goes on, and the properties follow."""
    with live() as (lens, source):
        lens.show(b"0")
        source.open()
        assert source.properties() == {"kind": "pipe", "width": 8, "height": 8}
        viewer = Viewer(source)
        lens.show(b"1")
        wait_for(viewer.has(2))
        assert viewer.frames[1].image.shape == (6, 12, 3)
        assert source.properties() == {"kind": "pipe", "width": 12, "height": 6}


def test_rotation_applies_and_shows_in_the_properties() -> None:
    """EDGED_ROTATE holds for cameras."""
    with live(rotate=90) as (lens, source):
        lens.show(b"1")
        source.open()
        assert source.properties() == {"kind": "pipe", "width": 6, "height": 12}


def test_damaged_pictures_are_counted_and_skipped() -> None:
    """Damage is neither a frame nor the end."""
    with live() as (lens, source):
        lens.show(b"0")
        source.open()
        viewer = Viewer(source)
        for _ in range(3):
            lens.show(b"dd0")
        wait_for(lambda: lens.seen and len(viewer.frames) + source.skipped["superseded"] == 4)
        assert source.skipped["corrupt"] == 6
        assert lens.openings == 1


def test_camera_that_gives_only_damage_is_lost() -> None:
    """Damaged pictures do not keep a connection alive."""
    with live(deadlines=SHORT) as (lens, source):
        lens.show(b"0")
        source.open()
        viewer = Viewer(source)
        wait_for(viewer.has(1))
        stop = threading.Event()

        def smear() -> None:
            while not stop.wait(0.02):
                lens.show(b"d")

        smears = threading.Thread(target=smear, daemon=True)
        smears.start()
        wait_for(lambda: bool(source.problem))
        stop.set()
        smears.join(30)


def test_rate_limit_is_no_silence() -> None:
    """Pictures over the limit are counted and keep the connection alive."""
    with live(deadlines=Deadlines(60.0, 1.0), fps=0.001) as (lens, source):
        lens.show(b"0")
        source.open()
        viewer = Viewer(source)
        for _ in range(25):
            lens.show(b"0")
            time.sleep(0.06)
        wait_for(lambda: source.skipped["rate"] == 25)
        assert source.problem == ""
        assert len(viewer.frames) == 1
        assert lens.openings == 1


def test_newest_pictures_win_while_nobody_takes_them() -> None:
    """A live source never lags: what is not taken in time gives way, counted."""
    with live() as (lens, source):
        lens.show(b"0")
        source.open()
        lens.show(b"0" * 10)
        wait_for(lambda: source.skipped["superseded"] == 8)
        viewer = Viewer(source)
        wait_for(viewer.has(3))
        assert viewer.numbers == [0, 9, 10]


def test_waiting_source_loses_nothing_and_does_not_blame_the_camera() -> None:
    """With the policy ``all`` the camera waits for us; that is not a camera that is silent."""
    with live(deadlines=Deadlines(60.0, 1.0), waits=True) as (lens, source):
        lens.show(b"0")
        source.open()
        lens.show(b"0" * 10)
        time.sleep(1.5)
        viewer = Viewer(source)
        wait_for(viewer.has(11))
        assert viewer.numbers == list(range(11))
        assert source.skipped["superseded"] == 0
        assert lens.openings == 1


def test_what_a_library_makes_of_garbage_is_one_more_lost_camera() -> None:
    """Nobody can foresee how every library fails; it is logged with its place, and the camera opened anew."""
    with live() as (lens, source), capture_logs() as logs:
        lens.show(b"0")
        source.open()
        lens.cameras[0].retrieve = lambda: 1 // 0  # type: ignore[assignment,method-assign,return-value]
        frames = source.frames()
        next(frames)
        lens.show(b"00")
        next(frames)
        assert lens.openings == 2
        assert source.reconnects == 1
    assert next(line for line in logs if line["event"] == "camera_failed")["error"].startswith(
        "ZeroDivisionError"
    )
    assert "ZeroDivisionError" in next(line for line in logs if line["event"] == "source_lost")["problem"]


def test_hundred_reconnections_leave_nothing_behind() -> None:
    """Threads and descriptors do not grow with the number of connections."""
    with live() as (lens, source):
        lens.show(b"0")
        source.open()
        viewer = Viewer(source)
        descriptors = descriptors_open()
        for number in range(100):
            lens.show(b"f0")
            wait_for(viewer.has(number + 2))
        assert source.reconnects == 100
        wait_for(lambda: cameras_alive() == 1)
        wait_for(lambda: descriptors_open() <= descriptors)
