"""When packets came from a camera, though they are read only when the decoder has time for them.

What waits in the kernel's buffer, or at the server because that is full, has grown old when it is read. By
how much the stream's own times tell: the packet that was read soonest after its time was not late.
"""

from __future__ import annotations

import math
from typing import NamedTuple

_OPENING_S = 2.0
"""What comes at the beginning comes in a burst, and earlier than it will: nothing is learned of it."""
_BLOCK_S = 2.0
"""Packets of so long are compared with those before: a lag that neither grows nor shrinks is none of ours,
for a decoder that is fast enough makes it shrink, and one that is not makes it grow. It is how the camera's
clock and ours differ now."""
_STEADY_S = 0.005
"""By so much the lag of two blocks may differ."""
_AT_EASE = 0.25
"""Who has waited for so much of a block was on time now and then, however the lag seems to grow: it is the
camera that counts more frames a second than it sends, or whose clock stood still."""
_JUMP_S = 1.0
"""Who sends a packet so much too early has set its clock."""
_IDLE = 0.5
"""Who has waited so much of the time from one packet to the next has found nothing to read: none was late."""
_GAP = 0.2
"""And so much of the time between them by the stream, for what is drained at once is not waited for."""
_STRETCH_S = 1.0
"""So far apart at the least are packets that were not late, which tell the rate of the camera's clock;"""
_LONGEST_S = 30.0
"""and so far where it seems to be what it was."""
_UNSURE_S = 0.06
"""By so much each may have been late. Two stretches have to say the same: the next one is shorter by that."""
_RATES = (0.2, 5.0)
"""Between these is a clock's rate; all else is none."""
_LEAST_S = 0.0001
"""From one picture to the next, at the least."""


class Arrival(NamedTuple):
    """How a packet was found."""

    lag_s: float
    """Seconds that it was there, or might have been, before it was read."""
    waited_s: float
    """Seconds that the reader waited for it."""


class Arrivals:
    """Learns how the times of one connection's packets and ours go together. Not thread-safe."""

    def __init__(self) -> None:
        self._began: float | None = None
        self._came = 0.0
        """When the last packet was read."""
        self._stamp: float | None = None
        """The time it has of its own."""
        self._floor: float | None = None
        """Our time less the stream's, of a packet that is not late; None: not known yet."""
        self._rate = 1.0
        """Our seconds in one of the stream's: some cameras count twice, or half as fast."""
        self._anchor: tuple[float, float] | None = None
        """When a packet came that was not late, and its time: where a stretch begins."""
        self._measured: tuple[float, float] | None = None
        """The rate over the last stretch, and by how much that may be wrong."""
        self._idle = (-math.inf, -math.inf)
        """When there was nothing to read, and the time of the packet that came then."""
        self._block = self._block_before = math.inf
        """The least difference of this block, and of the one before."""
        self._block_began = 0.0
        self._waited = 0.0
        """Seconds of this block in which there was nothing to read."""
        self._last = -math.inf

    def read(self, asked: float, now: float, stamp: float | None) -> Arrival:
        """A packet was read.

        Args:
            asked: when the reader began to wait for it, monotonic seconds.
            now: when it had it.
            stamp: the time that it has of its own, in the order in which packets come; None: it has none.
        """
        waited, passed = now - asked, now - self._came
        self._came = now
        if stamp is None:
            return Arrival(0.0, waited)
        before, self._stamp = self._stamp, stamp
        difference = now - self._rate * stamp
        if self._began is None or before is None or stamp < before or self._is_early(difference):
            self._begin(now)
        else:
            gap = self._rate * (stamp - before)
            self._waited += min(waited, gap)  # of a long silence the network may be the cause
            if waited >= max(_IDLE * min(passed, gap), _GAP * gap):
                self._idle = (now, stamp)
                self._measure(now, stamp)
        self._learn(now, now - self._rate * stamp)
        return Arrival(now - self._time_of(stamp), waited)

    def picture(self, shown: float | None) -> float:
        """When the picture came that is shown at this time of the stream; monotonic seconds that rise."""
        self._last = max(self._came if shown is None else self._time_of(shown), self._last + _LEAST_S)
        return self._last

    def _time_of(self, stamp: float) -> float:
        if self._floor is None:
            return self._came
        idle, first = self._idle
        came = self._rate * stamp + self._floor
        return min(self._came, max(came, idle) if stamp >= first else came)

    def _is_early(self, difference: float) -> bool:
        return self._floor is not None and difference < self._floor - _JUMP_S

    def _begin(self, now: float) -> None:
        self._began = now
        self._floor = None
        self._idle = (-math.inf, -math.inf)
        self._rate = 1.0
        self._anchor = self._measured = None

    def _measure(self, now: float, stamp: float) -> None:
        """Compare the two clocks between packets that came when they were read."""
        if self._anchor is None:
            self._anchor = now, stamp
        if (passed := now - self._anchor[0]) < _STRETCH_S or stamp <= self._anchor[1]:
            return
        rate = passed / (stamp - self._anchor[1])
        unsure = rate * _UNSURE_S / passed
        other = abs(rate - self._rate) > 2 * unsure
        if not other and passed < _LONGEST_S:
            return
        before, self._measured, self._anchor = self._measured, (rate, unsure), (now, stamp)
        agreed = before is not None and abs(rate - before[0]) <= unsure + before[1]
        if other and agreed and _RATES[0] < rate < _RATES[1]:
            # Rather too late than too soon: who catches up in vain waits then, and it is learned better.
            self._rate = rate - unsure
            self._floor = None if self._floor is None else now - self._rate * stamp
            self._begin_block(now, math.inf, now - self._rate * stamp)

    def _learn(self, now: float, difference: float) -> None:
        assert self._began is not None  # noqa: S101  # the first packet begins
        if now - self._began < _OPENING_S:
            return
        if self._floor is None:
            self._floor = difference
            self._begin_block(now, math.inf, difference)
        elif (passed := now - self._block_began) >= _BLOCK_S:
            if abs(self._block - self._block_before) <= _STEADY_S or self._waited >= _AT_EASE * passed:
                self._floor = self._block
            self._begin_block(now, self._block, difference)
        self._block = min(self._block, difference)
        self._floor = min(self._floor, difference)

    def _begin_block(self, now: float, before: float, difference: float) -> None:
        self._block_before, self._block = before, difference
        self._block_began, self._waited = now, 0.0
