"""Open, read, on failure back off and open again: in this one place, for all live sources."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import structlog

from edged.backoff import Backoff
from edged.channel import Closed
from edged.errors import SourceError
from edged.records import Frame
from edged.sources.cameras.reader import Deadlines, Reader
from edged.sources.connection import sought_again
from edged.sources.decoding.skipping import CanSkip, Skipping
from edged.sources.pace import Pace
from edged.sources.packets.tap import Tap, Tapped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edged.sources.cameras.reader import Shot
    from edged.sources.connection import Camera

_PATIENCE_S = 120.0
"""Longer than name servers that do not answer can hold up an opening."""
_CLOSE_S = 1.0

_SOUGHT = "no picture has come yet"

log = structlog.get_logger()


class LiveSource:
    """A camera that is looked for again whenever it is lost.

    There is never more than one thread at the camera. One that is stuck past its deadline is left behind, and
    no other is started before it has come back: a device that hangs would take it too, and so on until no
    thread is left. If it does not come back the source fails, for only a new process gets rid of a driver
    that hangs. A child process instead of the thread would gain little: one that sleeps uninterruptibly in a
    driver cannot be killed either, and every frame would have to be copied.

    Args:
        connect: makes the next connection, not yet open.
        deadlines: how long the camera may keep us waiting.
        fps: frames a second at the most, or None for all.
        rotate: degrees clockwise.
        waits: whether frames that nobody takes make the camera wait; otherwise they are lost, and counted.
        paced: whether a file is played at its own pace, as a camera would give it; else it waits.
        backoff: how long to wait between attempts.
        patience_s: seconds that a stuck thread gets to come back.
    """

    def __init__(
        self,
        connect: Callable[[], Camera],
        *,
        deadlines: Deadlines | None = None,
        fps: float | None = None,
        rotate: int = 0,
        waits: bool = False,
        paced: bool = False,
        backoff: Backoff | None = None,
        patience_s: float = _PATIENCE_S,
    ) -> None:
        self.live = True
        """False as soon as it turns out to be a file, which has an end, and time for us."""
        self.problem = ""
        self.seeking = False
        """Whether the first attempt to reach the camera is going on, while nobody waits for it."""
        self.reconnects = 0
        # With every key there from the start, another thread may read while the reader counts.
        self.skipped: Counter[str] = Counter({"rate": 0, "corrupt": 0, "superseded": 0, "behind": 0})
        self.tap = Tap()
        """Hands on the packets of cameras that have any, through all connections."""
        self._connect = connect
        self._deadlines = deadlines or Deadlines()
        self._pace = Pace(fps)
        self.skipping = Skipping(self._pace, self.skipped, waits=waits)
        """What cameras that give packets need not decode, through all connections."""
        self._rotate = rotate
        self._waits = waits
        self._paced = paced
        self._backoff = backoff or Backoff()
        self._patience_s = patience_s
        self._changed = threading.Condition()
        self._stopped = False
        self._hurried = False
        """Whether the next attempt is to come at once."""
        self._camera: Camera | None = None
        self._reader: Reader | None = None
        self._first: Shot | None = None
        self._properties: dict[str, Any] = {}
        self._lost_at = 0.0

    def open(self) -> None:
        """Reach the camera and wait for its first whole picture: nothing less is believed."""
        try:
            self._start()
            self._first = self._take()
        except Closed:
            raise SourceError("the source was stopped while it was being opened") from None
        except SourceError:
            self.stop()
            raise

    def begin(self) -> None:
        """Start to look for the camera and do not wait for it: it counts as lost until its first picture."""
        self._lost_at = time.monotonic()
        self.seeking = True
        self._paced = True  # nobody can know yet that it is a file, and wait for each of its frames
        self.problem = _SOUGHT
        self._start()

    def hurry(self) -> None:
        """Look for the camera at once if it is lost, also if the attempt that goes on now fails."""
        with self._changed:
            self._hurried = bool(self.problem)
            self._changed.notify_all()

    def frames(self) -> Iterator[Frame]:
        """Pictures as they arrive, through as many connections as it takes, until ``stop``; a file once."""
        begun: float | None = None
        try:
            for number in itertools.count():
                shot = self._next()
                begun = shot.captured if begun is None else begun
                live = shot.pts is None
                yield Frame(
                    number,
                    shot.pixels,
                    shot.ts,
                    shot.captured,
                    shot.captured - begun if shot.pts is None else shot.pts,
                    shot.capture_ms,
                    shot.pixel,
                    decoded=shot.decoded if live else None,
                )
        except Closed:
            return

    def properties(self) -> dict[str, Any]:
        """Kind, width, height and what the camera says: codec, frame rate."""
        return self._properties

    def rest(self, frame_id: int, *, quiet: bool) -> None:
        """Decode less while nothing moves."""
        self.skipping.rest(frame_id, quiet=quiet)

    def stop(self) -> None:
        """End now, whatever the camera does."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
            reader = self._reader
        if reader is not None:
            reader.leave()

    def close(self) -> None:
        """Hang up. A thread that is stuck closes the camera when it comes back."""
        self.stop()
        reader = self._reader
        if reader is not None:
            with self._changed:
                if not self._changed.wait_for(lambda: reader.ended, _CLOSE_S):
                    log.warning("camera_stuck", source=self._camera.name if self._camera else "")
        self._first = None

    def _start(self) -> None:
        with self._changed:
            if self._stopped:
                raise Closed
            self._camera = self._connect()
            if isinstance(self._camera, Tapped):
                self._camera.tap = self.tap
            if isinstance(self._camera, CanSkip):
                self._camera.skipping = self.skipping
            self._reader = Reader(
                self._camera,
                deadlines=self._deadlines,
                pace=self._pace,
                rotate=self._rotate,
                waits=self._waits,
                paced=self._paced,
                skipped=self.skipped,
                changed=self._changed,
            )

    def _next(self) -> Shot:
        """The first picture, which was waited for in ``open``, then all others."""
        shot, self._first = self._first, None
        while shot is None:
            try:
                shot = self._take()
            except SourceError as error:
                if not self.live:
                    raise  # a file would begin anew
                self._find_again(error)
        return shot

    def _take(self) -> Shot:
        assert self._reader is not None  # noqa: S101  # open() comes first
        assert self._camera is not None  # noqa: S101
        shot = self._reader.take()
        self.seeking = False
        self.live = self.skipping.live = shot.pts is None
        if self.problem:
            self.reconnects += bool(self._properties)  # else it was not there before
            with self._changed:
                self.problem, self._hurried = "", False
            log.info(
                "source_back", source=self._camera.name, lost_s=round(time.monotonic() - self._lost_at, 1)
            )
        self._properties = shot.properties
        return shot

    def _find_again(self, error: SourceError) -> None:
        """Wait, then start a new reader; the old one has failed.

        Raises:
            Closed: a stop came first.
            SourceError: the old one does not come back.
        """
        assert self._reader is not None  # noqa: S101
        assert self._camera is not None  # noqa: S101
        self.seeking = False
        reader = self._reader
        reader.leave()
        pause = self._backoff.after(reader.good_s)
        if not self.problem:
            self._lost_at = time.monotonic()
        problem = sought_again(error)
        # One line for each new reason, not one for each attempt of a year.
        tell = log.debug if problem == self.problem else log.warning
        tell("source_lost", source=self._camera.name, problem=error.problem, again_in_s=round(pause, 1))
        self.problem = problem
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self._hurried, pause)
            self._hurried = False
            self._changed.wait_for(lambda: self._stopped or reader.ended, self._patience_s)
            if not (reader.ended or self._stopped):
                raise SourceError(
                    f"{self._camera.name} hangs: a read has not returned for {self._patience_s:g} s "
                    f"after it was given up",
                    hint=f"{self._camera.hint}; systemd starts edged again, which frees a driver that hangs",
                )
            self._start()
