"""Which parts of a frame the model looks at, so that small and far things are seen at their own size."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Protocol

from edged.imaging.geometry import Region
from edged.records import Box
from edged.scene.motion import Change

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edged.records import Frame
    from edged.scene.motion import Background

OVERLAP = 0.2
"""Part of a tile that it has in common with the next one: what is smaller is whole in one of them."""

_MOST_CROPS = 4
"""Crops of a frame; more become one, larger and coarser, until they are so few."""
_EVERY_S = 1.0
"""Seconds after which all of a frame is looked at, and one tile more."""
_MARGIN = 0.2
"""Part of a box that is looked at on each side of it: it moves, and surroundings help the model."""
_NEARLY_ALL = 0.6
"""A crop of more than this part of what may be looked at is replaced by a look at all of it."""
_MOST_WANTED = 200


class Regions(Protocol):
    """Chooses the parts of every frame that the model gets."""

    least: int
    most: int
    """Looks at a frame."""
    complete: bool
    """Whether they show every part of it."""

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
        self.least = self.most = columns * rows + 1
        self.complete = True

    def of(
        self, frame: Frame, base: Region, size: tuple[int, int], tracked: Sequence[Box]
    ) -> Sequence[Region | None]:
        """The whole and every tile; all frames have the same."""
        del frame, size, tracked
        return None, *grid(base, self._columns, self._rows)


class Attention:
    """Crops around what moves and what is known, in the size of the model's input if they fit into it.

    All of the frame is looked at when nothing else is, when it is another picture altogether, and every
    second; then also at one tile of it in turn, so that small things that never move are found in the end.

    Args:
        background: knows what moves.
        watches: whether it is shown the frames here; otherwise somebody else has done so before.
    """

    def __init__(self, background: Background, *, watches: bool) -> None:
        self._background = background
        self._watches = watches
        self._all_s = -math.inf
        self._turns = itertools.count()
        self.least, self.most = 1, _MOST_CROPS + 2
        self.complete = False

    def of(
        self, frame: Frame, base: Region, size: tuple[int, int], tracked: Sequence[Box]
    ) -> Sequence[Region | None]:
        """All of it first, if it is due, then crops."""
        now = frame.pts
        if self._watches:
            self._background.look(frame.pixels, now)
        wanted = [*self._background.things, *tracked]
        found = crops(wanted, base, size)
        most = _NEARLY_ALL * base.width * base.height
        parts = [crop for crop in found if crop.width * crop.height <= most]
        due = not self._all_s <= now < self._all_s + _EVERY_S or self._background.change is Change.ALL
        if not due and parts and len(parts) == len(found):
            return parts
        if due:
            self._all_s = now
            parts += self._tile(base, size)
        return None, *parts

    def _tile(self, base: Region, size: tuple[int, int]) -> list[Region]:
        """The next one, of tiles no larger than the model's input."""
        columns, rows = (
            max(1, math.ceil((length / side - OVERLAP) / (1 - OVERLAP)))
            for length, side in zip((base.width, base.height), size, strict=True)
        )
        if columns * rows == 1:
            return []
        return [grid(base, columns, rows)[next(self._turns) % (columns * rows)]]


def crops(wanted: Sequence[Box], base: Region, size: tuple[int, int]) -> list[Region]:
    """At most ``_MOST_CROPS`` regions within ``base`` that show all boxes with something around them.

    Args:
        wanted: what is to be seen.
        base: what may be looked at.
        size: width and height of the model's input: a region is no smaller, and in these proportions.
    """
    groups: list[Box] = []
    boxes = sorted((_grown(box) for box in wanted), key=lambda box: _scale(box, size), reverse=True)
    for box in boxes[:_MOST_WANTED]:
        for number, group in enumerate(groups):
            both = _around(group, box)
            if _scale(both, size) <= max(1.0, _scale(group, size)):
                groups[number] = both
                break
        else:
            groups.append(box)
            if len(groups) > 2 * _MOST_CROPS:
                _join(groups, size)
    while len(groups) > _MOST_CROPS:
        _join(groups, size)
    return list(dict.fromkeys(_region(group, base, size) for group in groups))


def _join(groups: list[Box], size: tuple[int, int]) -> None:
    """Make one of the two groups whose common region is the smallest."""
    pairs = itertools.combinations(range(len(groups)), 2)
    one, other = min(pairs, key=lambda pair: _scale(_around(groups[pair[0]], groups[pair[1]]), size))
    groups[one] = _around(groups[one], groups.pop(other))


def _grown(box: Box) -> Box:
    across, down = _MARGIN * (box.x2 - box.x1), _MARGIN * (box.y2 - box.y1)
    return Box(box.x1 - across, box.y1 - down, box.x2 + across, box.y2 + down)


def _around(one: Box, other: Box) -> Box:
    return Box(min(one.x1, other.x1), min(one.y1, other.y1), max(one.x2, other.x2), max(one.y2, other.y2))


def _scale(box: Box, size: tuple[int, int]) -> float:
    """How many inputs of the model a region around it is wide, and high."""
    return max((box.x2 - box.x1) / size[0], (box.y2 - box.y1) / size[1])


def _region(group: Box, base: Region, size: tuple[int, int]) -> Region:
    """The region in the proportions of the input with the group in its middle, moved into ``base``."""
    scale = max(1.0, _scale(group, size))
    left, width = _span((group.x1 + group.x2) / 2, scale * size[0], base.left, base.width)
    top, height = _span((group.y1 + group.y2) / 2, scale * size[1], base.top, base.height)
    return Region(left, top, width, height)


def _span(middle: float, length: float, begin: int, most: int) -> tuple[int, int]:
    """Begin and length, even where it can be."""
    whole = min(2 * math.ceil(length / 2), most)
    return min(max(2 * round((middle - whole / 2) / 2), begin), begin + most - whole), whole


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
