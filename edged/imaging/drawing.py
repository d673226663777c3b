"""Drawing detections into pictures. Pure functions on pixels."""

from __future__ import annotations

import colorsys
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING

import cv2

from edged.imaging.canvas import FONT, Canvas

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edged.imaging.canvas import Colour
    from edged.pixels import Pixels
    from edged.records import Box, Detection


_VISIBLE = 0.5
"""Visibility from which on a point of a pose is drawn."""


@lru_cache(maxsize=512)
def class_colour(class_id: int) -> Colour:
    """A bright colour (blue, green, red) that stays with the class and is far from its neighbours'."""
    hue = (0.33 + class_id * 0.618034) % 1.0
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.85 if class_id % 2 else 0.65, 1.0)
    return round(blue * 255), round(green * 255), round(red * 255)


def annotate(pixels: Pixels, detections: Iterable[Detection]) -> None:
    """Draw boxes with label and score into ``pixels``, in place; the best score is drawn last, on top.

    Below them goes the way of every object that has moved.
    """
    canvas = Canvas(pixels)
    height, width = canvas.height, canvas.width
    unit = max(1.0, min(width, height) / 360)
    line = max(1, round(1.5 * unit))
    scale, weight = 0.42 * unit, max(1, round(unit))
    best_first = sorted(detections, key=lambda detection: -detection.score)
    stacked: Counter[Box] = Counter()
    rows = []
    for found in best_first:  # several classes of one box have their tags below each other
        rows.append(stacked[found.box])
        stacked[found.box] += 1
    for found in best_first:
        _path(canvas, found, line)
    for found, row in reversed(list(zip(best_first, rows, strict=True))):
        colour = _colour(found)
        x1, y1, x2, y2 = (round(corner) for corner in found.box)
        canvas.box((x1, y1), (x2 - 1, y2 - 1), colour, line)
        _shape(canvas, found, colour, line)
        text = f"{found.sub_label or found.label} {found.score:.2f}"
        (text_width, text_height), below = cv2.getTextSize(text, FONT, scale, weight)
        margin = line + 1
        tag_width, tag_height = text_width + 2 * margin, text_height + below + 2 * margin
        left = max(0, min(x1 - line // 2, width - tag_width))
        # Above the box, or inside it where the frame ends.
        top = y1 - tag_height if y1 >= tag_height else max(0, min(y1, height - tag_height))
        top += row * tag_height
        canvas.box((left, top), (left + tag_width, top + tag_height), colour, cv2.FILLED)
        canvas.text(text, (left + margin, top + margin + text_height), scale, _ink(colour), weight)


def _colour(found: Detection) -> Colour:
    """An object keeps its colour for as long as it is followed."""
    return class_colour(found.class_id if found.track is None else found.track)


def _path(canvas: Canvas, found: Detection, line: int) -> None:
    """The way of an object to where it stands now."""
    if len(found.path) > 1:
        x1, _, x2, y2 = found.box
        places = [(x * canvas.width, y * canvas.height) for x, y in found.path] + [((x1 + x2) / 2, y2)]
        canvas.way(places, _colour(found), line, closed=False)


def _shape(canvas: Canvas, found: Detection, colour: Colour, line: int) -> None:
    """What is known of an object beyond its box: outline, visible points and what joins them."""
    if found.outline:
        canvas.way(found.outline, colour, line, closed=True)
    seen = {
        index: (round(point.x), round(point.y))
        for index, point in enumerate(found.keypoints)
        if point.visibility >= _VISIBLE
    }
    for one, other in found.skeleton:
        if one in seen and other in seen:
            canvas.line(seen[one], seen[other], colour, line)
    for place in seen.values():
        canvas.dot(place, line + 1, _ink(colour))
        canvas.dot(place, line, colour)


def _ink(background: Colour) -> Colour:
    """Black or white, whichever is read more easily on ``background``."""
    blue, green, red = background
    return (0, 0, 0) if 0.114 * blue + 0.587 * green + 0.299 * red > 110 else (255, 255, 255)  # noqa: PLR2004
