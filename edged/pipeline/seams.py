"""What several looks at one frame have found, brought together: nothing twice, and nothing in halves.

A box is cut where it ends at the edge of a region that is not the edge of the frame. Cut boxes are put
together across the seam where they are two ends of one object, and give way to what saw the object whole.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from edged.decoders.boxes import MOST_DETECTIONS
from edged.records import Box

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

    from edged.imaging.geometry import Region
    from edged.records import Detection, Keypoint

    Floats = npt.NDArray[np.floating[Any]]
    Sides = tuple[bool, bool, bool, bool]
    """Left, top, right, bottom."""

_AT_THE_SEAM = 0.015
"""Part of a region's size within which a box that ends there is taken for cut: a model is not exact."""
_LEAST_AT_THE_SEAM = 3.0
"""The same in pixels, at the least."""
_SAME = 0.35
"""Overlap (intersection over union) of two boxes of one label, from two looks, that are one object."""
_WITHIN = 0.6
"""Part of a cut box inside another one that makes it a piece of that object."""
_IN_LINE = 0.6
"""Common part of two cut boxes along the seam, of the shorter one, that makes them ends of one object."""
_CORNERS = 4


@dataclass(slots=True)
class _Piece:
    """What one look found, or what was put together of two."""

    found: Detection
    look: int
    """Number of the look; below 0 of what was put together, each its own."""
    cut: Sides

    @property
    def whole(self) -> bool:
        return not any(self.cut)


def merged(
    looks: Sequence[tuple[Region, Sequence[Detection]]],
    base: Region,
    *,
    exact: bool = False,
    known: Sequence[Box] | None = None,
) -> list[Detection]:
    """The objects of a frame, best score first, of the detections of each look.

    Args:
        looks: each region in pixels of the frame with what was found in it, in pixels of the frame, too.
        base: what could be looked at: its edges are no seams.
        exact: whether outlines of four corners are oriented boxes: they overlap less than what encloses them.
        known: where objects are expected, if the looks leave parts of the frame out: what is cut and at none
            of these places is a piece of something that nobody has seen whole. None: pieces are kept.

    Returns:
        At most ``MOST_DETECTIONS``.
    """
    by_label: dict[str, list[_Piece]] = {}
    for number, (region, detections) in enumerate(looks):
        for found in detections:
            piece = _Piece(found, number, _cut(found.box, region.box, base.box))
            by_label.setdefault(f"{found.class_id} {found.label}", []).append(piece)
    kept: list[Detection] = []
    for of_label in by_label.values():
        pieces = _united(of_label, exact=exact)
        if known is not None:
            pieces = [piece for piece in pieces if piece.whole or _is_known(piece.found.box, known)]
        kept += _distinct(pieces, exact=exact)
    kept.sort(key=lambda found: -found.score)
    return kept[:MOST_DETECTIONS]


def _is_known(box: Box, known: Sequence[Box]) -> bool:
    if not known:
        return False
    common = _common(np.array([box, *known], np.float64))
    sizes = common.diagonal()
    return bool((common[0, 1:] > _SAME * (sizes[0] + sizes[1:] - common[0, 1:])).any())


def _cut(box: Box, region: Box, base: Box) -> Sides:
    """On which sides the box ends at a seam."""
    wide, high = region.x2 - region.x1, region.y2 - region.y1
    near = [max(_LEAST_AT_THE_SEAM, _AT_THE_SEAM * size) for size in (wide, high)] * 2
    left, top, right, bottom = (
        abs(edge - seam) <= close and abs(seam - end) >= 1
        for edge, seam, end, close in zip(box, region, base, near, strict=True)
    )
    return left, top, right, bottom


def _united(pieces: list[_Piece], *, exact: bool) -> list[_Piece]:
    """The pieces, with the two ends of an object that lies across a seam put together, again and again."""
    whole = [piece for piece in pieces if piece.whole]
    cut = sorted((piece for piece in pieces if not piece.whole), key=lambda piece: -piece.found.score)
    cut = cut[:MOST_DETECTIONS]
    done: list[_Piece] = []
    numbers = itertools.count(-1, -1)
    while cut:
        one = cut.pop(0)
        other = next((other for other in cut if _are_ends(one, other)), None)
        if other is None:
            done.append(one)
        else:
            cut.remove(other)
            cut.insert(0, _together(one, other, next(numbers), exact=exact))
    return whole + done


def _are_ends(one: _Piece, other: _Piece) -> bool:
    """Whether one goes beyond the seam of the other, and the other way round, in line with each other."""
    if one.look == other.look:
        return False
    for axis in (0, 1):
        for first, second in ((one, other), (other, one)):
            if not (first.cut[axis + 2] and second.cut[axis]):
                continue
            ahead, behind = first.found.box, second.found.box
            if not (ahead[axis] <= behind[axis] + 1 and ahead[axis + 2] <= behind[axis + 2] + 1):
                continue
            if behind[axis] >= ahead[axis + 2]:
                continue
            across = 1 - axis
            common = min(ahead[across + 2], behind[across + 2]) - max(ahead[across], behind[across])
            shorter = min(ahead[across + 2] - ahead[across], behind[across + 2] - behind[across])
            if common >= _IN_LINE * shorter:
                return True
    return False


def _together(one: _Piece, other: _Piece, number: int, *, exact: bool) -> _Piece:
    """Two ends of one object as one."""
    a, b = one.found, other.found
    better = a if a.score >= b.score else b
    box = Box(*map(min, a.box[:2], b.box[:2]), *map(max, a.box[2:], b.box[2:]))
    # Cut where that end is cut which reaches further.
    cut = tuple(
        first if reach(mine, theirs) == mine else second
        for mine, theirs, first, second, reach in zip(
            a.box, b.box, one.cut, other.cut, (min, min, max, max), strict=True
        )
    )
    found = better._replace(
        box=box,
        keypoints=_better_points(a.keypoints, b.keypoints),
        outline=_hull(a.outline, b.outline, exact=exact),
    )
    return _Piece(found, number, (cut[0], cut[1], cut[2], cut[3]))


def _better_points(one: Sequence[Keypoint], other: Sequence[Keypoint]) -> tuple[Keypoint, ...]:
    """For each point of a pose the one that is seen more surely."""
    if len(one) != len(other):
        return tuple(one or other)
    return tuple(max(pair, key=lambda point: point.visibility) for pair in zip(one, other, strict=True))


def _hull(
    one: Sequence[tuple[float, float]], other: Sequence[tuple[float, float]], *, exact: bool
) -> tuple[tuple[float, float], ...]:
    """What encloses both outlines; ``exact``: the least oriented box that does."""
    points = [*one, *other]
    if not one or not other:
        return tuple(points)
    corners = np.array(points, np.float32)
    around = cv2.boxPoints(cv2.minAreaRect(corners)) if exact else cv2.convexHull(corners).reshape(-1, 2)
    return tuple((x, y) for x, y in around.tolist())


def _distinct(pieces: list[_Piece], *, exact: bool) -> Iterable[Detection]:
    """Each object once: whole ones before cut ones, then the best score first."""
    if not pieces:
        return
    pieces = sorted(pieces, key=lambda piece: (not piece.whole, -piece.found.score))
    boxes = np.array([piece.found.box for piece in pieces], np.float64)
    looks = np.array([piece.look for piece in pieces])
    whole = np.array([piece.whole for piece in pieces])
    common = _common(boxes)
    if exact:
        _refine(common, [piece.found for piece in pieces])
    sizes = common.diagonal()
    over_union = common / np.maximum(sizes[:, None] + sizes - common, 1e-9)
    within = common / np.maximum(sizes, 1e-9)
    # Row by row: what a piece makes superfluous of those behind it.
    same = (looks[:, None] != looks) & ((over_union > _SAME) | (~whole & (within > _WITHIN)))
    kept: list[int] = []
    scores = [piece.found.score for piece in pieces]
    for number in range(len(pieces)):
        over = next((before for before in kept if same[before, number]), None)
        if over is None:
            kept.append(number)
        else:
            scores[over] = max(scores[over], scores[number])
    for number in kept:
        found = pieces[number].found
        yield found if found.score == scores[number] else found._replace(score=scores[number])


def _common(boxes: Floats) -> Floats:
    """The area that all pairs of boxes ``[n, 4]`` have in common, ``[n, n]``; of each its own."""
    wide = np.minimum(boxes[:, None, 2], boxes[:, 2]) - np.maximum(boxes[:, None, 0], boxes[:, 0])
    high = np.minimum(boxes[:, None, 3], boxes[:, 3]) - np.maximum(boxes[:, None, 1], boxes[:, 1])
    area: Floats = np.maximum(wide, 0) * np.maximum(high, 0)
    return area


def _refine(common: Floats, found: Sequence[Detection]) -> None:
    """The same of oriented boxes, where what encloses them has something in common."""
    corners = [np.array(one.outline, np.float32) for one in found]
    for one, other in zip(*np.nonzero(np.triu(common)), strict=True):
        if len(corners[one]) == len(corners[other]) == _CORNERS:
            area = cv2.intersectConvexConvex(corners[one], corners[other])[0]
            common[one, other] = common[other, one] = area
