"""What is drawn of what was found, whoever draws it: into pixels, or a browser over the camera's video."""

from __future__ import annotations

import colorsys
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edged.imaging.canvas import Colour
    from edged.records import Box, Detection

    Point = tuple[float, float]

_VISIBLE = 0.5
"""Visibility from which on a point of a pose is drawn."""
_BRIGHT = 110
"""Of 255; on what is brighter black is read more easily than white."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """What is drawn of one object, in pixels of the frame. What is not known of it is empty."""

    colour: Colour
    ink: Colour
    """Black or white, whichever is read more easily on ``colour``."""
    text: str
    """For its tag."""
    row: int
    """How many tags of the same box lie above its own: a box may have several classes."""
    box: Box
    way: tuple[Point, ...]
    """Where it went, to where it stands now."""
    outline: tuple[Point, ...]
    """Corners of a polygon around it."""
    limbs: tuple[tuple[Point, Point], ...]
    """Visible points of its pose that are joined."""
    points: tuple[Point, ...]
    """All that are visible."""


@lru_cache(maxsize=512)
def class_colour(class_id: int) -> Colour:
    """A bright colour (blue, green, red) that stays with the class and is far from its neighbours'."""
    hue = (0.33 + class_id * 0.618034) % 1.0
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.85 if class_id % 2 else 0.65, 1.0)
    return round(blue * 255), round(green * 255), round(red * 255)


def marks(detections: Iterable[Detection], width: int, height: int) -> list[Drawn]:
    """What to draw of each, the best score first: it is to be drawn last, on top.

    Args:
        detections: with places in pixels.
        width: of the frame, in pixels.
        height: likewise.
    """
    stacked: Counter[Box] = Counter()
    made = []
    for found in sorted(detections, key=lambda detection: -detection.score):
        made.append(_mark(found, stacked[found.box], width, height))
        stacked[found.box] += 1
    return made


def _mark(found: Detection, row: int, width: int, height: int) -> Drawn:
    # An object keeps its colour for as long as it is followed.
    colour = class_colour(found.class_id if found.track is None else found.track)
    x1, _, x2, y2 = found.box
    way: tuple[Point, ...] = ()
    if len(found.path) > 1:
        way = (*((x * width, y * height) for x, y in found.path), ((x1 + x2) / 2, y2))
    seen = {
        index: (point.x, point.y)
        for index, point in enumerate(found.keypoints)
        if point.visibility >= _VISIBLE
    }
    return Drawn(
        colour,
        _ink(colour),
        f"{found.sub_label or found.label} {found.score:.2f}",
        row,
        found.box,
        way,
        found.outline,
        tuple((seen[one], seen[other]) for one, other in found.skeleton if one in seen and other in seen),
        tuple(seen.values()),
    )


def _ink(background: Colour) -> Colour:
    blue, green, red = background
    return (0, 0, 0) if 0.114 * blue + 0.587 * green + 0.299 * red > _BRIGHT else (255, 255, 255)
