"""Which boxes overlap, and by how much."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Corners = Sequence[float]

_FEW = 3
"""So few boxes are looked at one after the other."""


def overlaps(
    first: Sequence[Corners], second: Sequence[Corners], buffer: float = 0.0, least: float = 0.0
) -> Iterator[tuple[int, int, float]]:
    """Pairs of boxes that overlap, each box grown by ``buffer`` of its size on every side.

    A box meets few others, so all pairs need not be tried: those of ``second`` lie ready from left to right.

    Args:
        first: x1, y1, x2, y2 each.
        second: the same.
        buffer: 0 gives the plain intersection over union.
        least: pairs that do not overlap more are left out.

    Yields:
        Number in ``first``, number in ``second``, intersection over union.
    """
    if not first or not second:
        return
    near = there = sorted([(*box, column) for column, box in enumerate(_grown(second, buffer))])
    many = len(there) > _FEW
    if many:
        lefts = [one[0] for one in there]
        widest = max([one[2] - one[0] for one in there])
    for row, (x1, y1, x2, y2, area) in enumerate(_grown(first, buffer)):
        if many:
            near = there[bisect_right(lefts, x1 - widest) : bisect_left(lefts, x2)]
        for left, above, right, below, other, column in near:
            wide = (x2 if x2 < right else right) - (x1 if x1 > left else left)  # noqa: FURB136  # quicker
            if wide <= 0.0:
                continue
            high = (y2 if y2 < below else below) - (y1 if y1 > above else above)  # noqa: FURB136  # as above
            if high <= 0.0:
                continue
            both = wide * high
            either = area + other - both
            overlap = both / (either if either > 1e-9 else 1e-9)  # noqa: FURB136, PLR2004  # as above
            if overlap > least:
                yield row, column, overlap


def _grown(boxes: Sequence[Corners], buffer: float) -> list[tuple[float, float, float, float, float]]:
    """Corners and area of each."""
    if not buffer:
        return [(x1, y1, x2, y2, (x2 - x1) * (y2 - y1)) for x1, y1, x2, y2 in boxes]
    grown = []
    for x1, y1, x2, y2 in boxes:
        beside, above = (x2 - x1) * buffer, (y2 - y1) * buffer
        left, upper, right, lower = x1 - beside, y1 - above, x2 + beside, y2 + above
        grown.append((left, upper, right, lower, (right - left) * (lower - upper)))
    return grown
