"""How large the packets of a quiet scene are, and which one stands out: something has begun to move.

The encoder has compared the pictures already, and a packet is as large as what it found. Compared are
logarithms: noise and rate control change sizes by factors.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_REMEMBERED = 240
"""Packets of which the largest is known: 8 s of 30 a second."""
_RECENT = 60
"""Packets of which the median is what is usual: it follows a slow drift."""
_ENOUGH = 30
"""Packets before anything is known."""
_HEADERS = 64
"""Bytes added to every size: what a packet has of headers says nothing."""
_OPENING = 6
"""Packets after a keyframe that differ from all others, each in its own way: the keyframe was sharper."""
_OPENINGS = 9
"""Groups of pictures from which that is learned."""
_LEAST, _MOST = 0.05, 0.25
"""Bounds of the spread. A smaller one is taken for chance; where it is larger sizes tell nothing, as of a
camera that fills a constant bit rate with the noise of its sensor."""
_PEAK = 5.0
"""What stands out by itself, in spreads, if it is also larger than all that are remembered,"""
_MARGIN = 0.15
"""by so much of a logarithm."""
_CLIPPED = 3.0
_ALLOWED = 0.75
_SUM = 8.0
"""What stands out together: deviations, in spreads, each clipped and less what is allowed, add up to this."""
_WIDEST = 40.0
_WIDENED = 1.5
"""By what the sum may be larger after a false alarm,"""
_NARROWED = 0.999
"""and what stays of that from one packet to the next: half of it after half a minute."""
_UNSURE = 8
"""Packets before an alarm that may be part of what moves: they are learned only later."""


class Sizes:
    """Learns from the packets that are shown to it while nothing moves. Not thread-safe."""

    def __init__(self) -> None:
        self._known: deque[float] = deque(maxlen=_REMEMBERED)
        self._opening: list[deque[float]] = [deque(maxlen=_OPENINGS) for _ in range(_OPENING)]
        self._unsure: deque[tuple[int, float]] = deque()
        self._place = 0
        """Packets since the keyframe."""
        self._usual = self._spread = self._largest = 0.0
        self._sum = 0.0
        self._limit = _SUM
        self._learned = 0
        self._alarmed = False

    @property
    def tell(self) -> bool:
        """Whether enough is known, and sizes mean anything."""
        return len(self._known) >= _ENOUGH and self._spread <= _MOST

    def passed(self, *, key: bool) -> None:
        """A packet came while something moves, or a keyframe: nothing is learned of its size."""
        self._place = 0 if key else self._place + 1

    def stands_out(self, size: int) -> bool:
        """Whether this inter-coded packet is larger than those of a quiet scene; it is learned, if not."""
        self._place += 1
        self._settle_alarm()
        value = math.log(size + _HEADERS) - self._offset(self._place)
        self._unsure.append((self._place, math.log(size + _HEADERS)))
        alarm = self.tell and self._judge(value)
        if alarm:
            self._alarmed = True
            self._sum = 0.0
        elif len(self._unsure) > _UNSURE:
            self._learn(*self._unsure.popleft())
        self._limit = max(_SUM, self._limit * _NARROWED)
        return alarm

    def moved(self) -> None:
        """What came last was something that moves, whether it stood out or not: it is not learned."""
        self._unsure.clear()
        self._alarmed = False
        self._sum = 0.0

    def _settle_alarm(self) -> None:
        """Nobody said that something moved: it was a false alarm, and such sizes are usual."""
        if self._alarmed:
            self._alarmed = False
            self._limit = min(_WIDEST, self._limit * _WIDENED)
            while self._unsure:
                self._learn(*self._unsure.popleft())
            self._refresh()

    def _judge(self, value: float) -> bool:
        deviation = (value - self._usual) / max(self._spread, _LEAST)
        self._sum = max(0.0, self._sum + max(-_CLIPPED, min(deviation, _CLIPPED)) - _ALLOWED)
        return self._sum > self._limit or (deviation > _PEAK and value > self._largest + _MARGIN)

    def _offset(self, place: int) -> float:
        """By what a packet in this place after the keyframe differs from all others."""
        if place > _OPENING or not (seen := self._opening[place - 1]):
            return 0.0
        return _median(sorted(seen))

    def _learn(self, place: int, value: float) -> None:
        if place <= _OPENING and self._known:
            self._opening[place - 1].append(value - self._usual)
            value -= self._offset(place)
        self._known.append(value)
        self._learned += 1
        if self._learned % _UNSURE == 0 or len(self._known) < _ENOUGH:
            self._refresh()

    def _refresh(self) -> None:
        recent = sorted(list(self._known)[-_RECENT:])
        usual = self._usual = _median(recent)
        high = recent[-len(recent) // 10]
        around = 1.4826 * _median(sorted([abs(value - usual) for value in recent]))
        # Where sizes come in two heaps, the median knows only one.
        self._spread = max(around, (high - usual) / 1.2816)
        self._largest = max(self._known)


def _median(ordered: Sequence[float]) -> float:
    """The middle one of values in their order. The library sorts them once more."""
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2
