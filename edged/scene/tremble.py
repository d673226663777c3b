"""How much the boxes of an object tremble: what a detector adds to where somebody stands."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

USUAL = 0.025
"""How much they do as long as nobody knows, in heights: as those of a small quantised detector."""
_SEEN = 20
"""Sightings over which the mean is taken."""
_STRAIGHT_S = 1.0
"""Within so many seconds an object goes straight on; what lies between longer ones is its own doing."""
_DEVIATION = 0.5 * math.sqrt(math.pi / 2)
"""Standard deviation by a mean of amounts, of two coordinates together."""


class Tremble:
    """Standard deviation of the place of an object's boxes, in heights.

    The place is the middle of the lower edge, across and down alike. The middle one of three in a row is
    compared with the straight way between the others: who walks is near to it, however fast, and what is
    left is the detector's.
    """

    __slots__ = ("_before", "_count", "_last", "heights")

    def __init__(self) -> None:
        self.heights = USUAL
        self._count = 1
        self._before: tuple[float, float, float] | None = None
        self._last: tuple[float, float, float] | None = None

    def take(self, now: float, box: Sequence[float]) -> None:
        """Take in a box as it was detected: x1, y1, x2, y2 in pixels, and when, in seconds."""
        x1, y1, x2, y2 = box
        x = (x1 + x2) / 2
        first, middle = self._before, self._last
        self._before, self._last = middle, (now, x, y2)
        if first is None or middle is None:
            return
        began, from_x, from_y = first
        then, there_x, there_y = middle
        taken = now - began
        if not 0.0 < taken <= _STRAIGHT_S:
            return
        part = (then - began) / taken
        rest = 1.0 - part
        across = from_x + part * (x - from_x) - there_x
        down = from_y + part * (y2 - from_y) - there_y
        # All three tremble, the outer ones by as much as they count.
        spread = math.sqrt(1.0 + part * part + rest * rest)
        high = y2 - y1
        heights = _DEVIATION * (abs(across) + abs(down)) / spread / (high if high > 1.0 else 1.0)  # noqa: FURB136  # quicker
        if self._count < _SEEN:
            self._count += 1
        self.heights += (heights - self.heights) / self._count

    def distance(self, box: Sequence[float]) -> float:
        """How far from where it was last detected another box of it stands, in pixels."""
        if self._last is None:
            return 0.0
        x1, _, x2, y2 = box
        _, x, y = self._last
        return math.hypot((x1 + x2) / 2 - x, y2 - y)
