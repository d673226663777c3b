"""Which parts of a frame the model looks at, so that small and far things are seen at their own size."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

from edged.imaging.geometry import Region

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edged.records import Box, Frame

OVERLAP = 0.2
"""Part of a tile that it has in common with the next one: what is smaller is whole in one of them."""


class Regions(Protocol):
    """Chooses the parts of every frame that the model gets."""

    most: int
    """Looks at a frame at the most."""

    def of(
        self, frame: Frame, base: Region, size: tuple[int, int], tracked: Sequence[Box]
    ) -> Sequence[Region | None]:
        """The parts, at least one; None is all that may be looked at.

        Args:
            frame: the newest; each is asked for once, in their order.
            base: what of it may be looked at.
            size: width and height of the model's input.
            tracked: where the objects that are known should be.
        """
        ...


class Tiles:
    """Fixed tiles, and the whole: what is larger than a tile is found there.

    Args:
        columns: beside each other.
        rows: below each other.
    """

    def __init__(self, columns: int, rows: int) -> None:
        self._columns, self._rows = columns, rows
        self.most = columns * rows + 1

    def of(
        self, frame: Frame, base: Region, size: tuple[int, int], tracked: Sequence[Box]
    ) -> Sequence[Region | None]:
        """The whole and every tile; all frames have the same."""
        del frame, size, tracked
        return None, *grid(base, self._columns, self._rows)


def grid(base: Region, columns: int, rows: int) -> list[Region]:
    """Tiles of one size that cover ``base`` and overlap by ``OVERLAP``, row by row."""
    across = _spans(base.width, columns)
    down = _spans(base.height, rows)
    return [
        Region(base.left + left, base.top + top, width, height)
        for top, height in down
        for left, width in across
    ]


def _spans(length: int, count: int) -> list[tuple[int, int]]:
    """Begin and length of each of ``count`` pieces of a length; even where it is, as colours are."""
    piece = min(length, 2 * math.ceil(length / (count - (count - 1) * OVERLAP) / 2))
    last = length - piece
    return [
        *((2 * round(last * number / (count - 1) / 2), piece) for number in range(count - 1)),
        (last, piece),
    ]


__all__ = ["OVERLAP", "Regions", "Tiles", "grid"]
