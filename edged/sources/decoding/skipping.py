"""Which pictures need not be decoded: source, connections and pipeline agree on it here."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import structlog

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from edged.sources.pace import Pace

log = structlog.get_logger()

_VERDICT_S = 5.0
"""How long a file waits to hear what a picture showed: a frame that was lost on its way gets no verdict."""

_AT_ONCE = 2
"""Pictures that are looked at without a wait once something moves: no model finds it in each of them."""

QUIET = "quiet"
"""Counts pictures that were left out because nothing moved."""
CORRUPT = "corrupt"
"""Counts pictures that were damaged."""
RATE = "rate"
"""Counts pictures that were left out because they were too many."""
BEHIND = "behind"
"""Counts pictures that were left out because the decoder had fallen behind the camera."""

_TOLD_S = 60.0
"""How long it is told that it has."""
_TOO_SLOW = (
    "decoding does not keep up with the camera, and pictures are left out; let the camera send smaller or "
    "fewer ones, or name its small stream (EDGED_DETECT_SOURCE)"
)


@runtime_checkable
class MotionAware(Protocol):
    """A source that is told whether anything moves, and decodes less while nothing does."""

    def rest(self, frame_id: int, *, quiet: bool) -> None:
        """Take note of what was found in a frame; from the thread that found it.

        Args:
            frame_id: number of the frame.
            quiet: nothing moves in it, and nothing that was seen is unsettled.
        """
        ...


class Skipping:
    """Lives as long as a source, through all its connections. Thread-safe.

    Args:
        pace: of the source; which pictures are given.
        skipped: of the source; counts what was left out. Only the reading thread counts.
        waits: whether the camera has to wait for who is slow; then nothing is left out for that.
        clock: seconds; only differences mean something.
    """

    def __init__(
        self,
        pace: Pace,
        skipped: Counter[str],
        *,
        waits: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.check_s: float | None = None
        """Seconds of a stream after which a quiet scene is decoded nevertheless; None: it always is."""
        self.live = False
        """Whether pictures come at their own time: only then is there any hurry."""
        self._waits = waits
        self._clock = clock
        self._behind: float | None = None
        """When a picture was left out the last time because the decoder had fallen behind."""
        self._pace = pace
        self._skipped = skipped
        self._quiet = False
        """Whether the last verdict was so."""
        self.moved = False
        """Whether something moved indeed, since :meth:`wake`."""
        self._resting = False
        """Whether it was, and nothing has stood out since."""
        self._judged = -1
        self._changed = threading.Condition()

    def watch_packets(self, check_s: float) -> None:
        """Have a quiet scene not decoded, but for a look every ``check_s`` seconds."""
        self.check_s = check_s
        self._skipped[QUIET] = 0  # another thread may read while the reader counts

    @property
    def may_leave_out(self) -> bool:
        """Whether a decoder that has fallen behind leaves out what it has no time for."""
        return self.live and not self._waits

    @property
    def problem(self) -> str:
        """What to do about a decoder that falls behind; empty when it has not for a while. Thread-safe."""
        behind = self._behind
        return "" if behind is None or self._clock() - behind > _TOLD_S else _TOO_SLOW

    def fell_behind(self, name: str) -> None:
        """Tell that pictures of a camera are left out, for the decoder has no time for them."""
        if not self.problem:
            log.warning("decoding_behind", source=name, problem=_TOO_SLOW)
        self._behind = self._clock()

    @property
    def resting(self) -> bool:
        """Whether nothing is decoded, for nothing moves as far as anybody knows."""
        return self._resting and self.check_s is not None

    @property
    def unhurried(self) -> bool:
        """Whether all is decoded though nothing moves before a camera: milliseconds do not matter then."""
        return self._resting and self.live and self.check_s is None

    def rest(self, frame_id: int, *, quiet: bool) -> None:
        """As :meth:`MotionAware.rest`."""
        with self._changed:
            self._judged = frame_id
            if self._quiet and not quiet:
                self.hurry(_AT_ONCE)
            self._quiet = self._resting = quiet
            self.moved = self.moved or not quiet
            self._changed.notify_all()

    def wake(self) -> None:
        """Something stands out: all is decoded, until a picture has been found quiet."""
        self.moved = False
        self._resting = False

    def hurry(self, count: int = 1) -> None:
        """Have the next pictures given at once, whatever their rate."""
        if self.live:
            self._pace.hurry(count)

    def await_verdict(self, frame_id: int) -> None:
        """Wait until it is known what a frame showed: who reads faster than the clock would read past it."""
        with self._changed:
            self._changed.wait_for(lambda: self._judged >= frame_id, _VERDICT_S)

    def is_wanted(self, later_s: float) -> bool:
        """Whether a picture so many seconds after the last that was read may be given."""
        return self._pace.may_be_due(later_s)

    def left_out(self, cause: str, count: int = 1) -> None:
        """Count pictures that were not read."""
        if count:  # or a cause that this source does not know would come up while another thread reads
            self._skipped[cause] += count
            self._pace.passed(count)


@runtime_checkable
class CanSkip(Protocol):
    """A camera that need not decode all that it gets."""

    skipping: Skipping | None
