"""What a decoder that has fallen behind a live camera leaves out to catch up."""

from __future__ import annotations

import time
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from edged.sources.packets.arrivals import Arrival

_SPARING_S = 0.25
"""Behind by so much, it leaves out pictures that no other needs,"""
_SPARED_S = 0.05
"""until it is behind by no more than this."""
_BEHIND_S = 0.5
"""Behind by so much, it gets as long again to catch up; if it does not, all is left out up to a keyframe."""
_OURS = 0.25
"""Who has waited for more of that time than this is as fast as the packets come: leaving out is no use."""
_PATIENCE_S = 10.0
"""How long a keyframe is waited for; or twice as long as the last one let wait."""


class Order(Enum):
    """What becomes of a packet."""

    DECODE = "decode"
    SPARE = "spare"
    """Decode it if another picture needs it."""
    LEAVE = "leave"
    """Leave it out."""
    ANEW = "anew"
    """Begin with it: what came before is not needed."""
    GIVE_UP = "give up"
    """Leave it out; the keyframe that was counted on does not come."""


class Haste:
    """Judges one connection's packets, one after the other. Not thread-safe.

    Args:
        clock: seconds; only differences mean something.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._sparing = False
        self._since: float | None = None
        """When it fell behind; None: it is not."""
        self._limit_s = 0.0
        """By when it has to have caught up."""
        self._waited_s = 0.0
        """Seconds since then in which there was nothing to read."""
        self._leaving: float | None = None
        """Since when everything is left out."""
        self._key: float | None = None
        """When the last keyframe came from which decoding can begin,"""
        self._group_s: float | None = None
        """and how long after the one before; None: no two came, and who knows whether there is a next one."""

    def judge(self, arrival: Arrival, *, fresh: bool) -> Order:
        """What is to become of the next packet; ``fresh``: decoding can begin with it."""
        now = self._clock()
        if fresh:
            self._group_s = None if self._key is None else now - self._key
            self._key = now
        if self._leaving is not None:
            return self._left_out(self._leaving, now, fresh=fresh)
        if arrival.lag_s <= _BEHIND_S:
            self._since = None
        elif self._since is None:
            self._allow(now, arrival.lag_s)
        elif self._is_too_slow(now, arrival) and self._group_s is not None:
            if not fresh:
                self._leaving = now
                return Order.LEAVE
            self._allow(now, arrival.lag_s)
        self._sparing = arrival.lag_s > (_SPARED_S if self._sparing else _SPARING_S)
        return Order.SPARE if self._sparing else Order.DECODE

    def _left_out(self, since: float, now: float, *, fresh: bool) -> Order:
        if fresh:
            self._leaving = self._since = None
            return Order.ANEW
        patience_s = max(_PATIENCE_S, 2 * (self._group_s or 0.0))
        return Order.LEAVE if now - since < patience_s else Order.GIVE_UP

    def _allow(self, now: float, lag_s: float) -> None:
        self._since, self._limit_s, self._waited_s = now, lag_s, 0.0

    def _is_too_slow(self, now: float, arrival: Arrival) -> bool:
        assert self._since is not None  # noqa: S101  # it is behind
        self._waited_s += arrival.waited_s
        passed_s = now - self._since
        if passed_s < self._limit_s:
            return False
        if self._waited_s > _OURS * passed_s:
            self._allow(now, arrival.lag_s)
            return False
        return True
