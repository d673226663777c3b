"""Drawing detections into pictures. Pure functions on pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edged.imaging.canvas import Canvas
from edged.imaging.marks import marks
from edged.imaging.words import written

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edged.imaging.marks import Drawn
    from edged.pixels import Pixels
    from edged.records import Detection


def annotate(pixels: Pixels, detections: Iterable[Detection]) -> None:
    """Draw boxes with label and score into ``pixels``, in place; the best score is drawn last, on top.

    Below them goes the way of every object that has moved.
    """
    canvas = Canvas(pixels)
    unit = max(1.0, min(canvas.width, canvas.height) / 360)
    line = max(1, round(1.5 * unit))
    best_first = marks(detections, canvas.width, canvas.height)
    for mark in best_first:
        if mark.way:
            canvas.way(mark.way, mark.colour, line, closed=False)
    for mark in reversed(best_first):
        x1, y1, x2, y2 = (round(corner) for corner in mark.box)
        canvas.box((x1, y1), (x2 - 1, y2 - 1), mark.colour, line)
        _shape(canvas, mark, line)
        _tag(canvas, mark, unit, line)


def _tag(canvas: Canvas, mark: Drawn, unit: float, line: int) -> None:
    """What it is called: above the box, or inside it where the frame ends."""
    x1, y1 = round(mark.box.x1), round(mark.box.y1)
    text = written(mark.text, 0.42 * unit, max(1, round(unit)), line + 1)
    height, width = text.mask.shape
    left = max(0, min(x1 - line // 2, canvas.width - width))
    top = y1 + y1 % 2 - height
    if top < 0:
        top = max(0, min(y1, canvas.height - height))
    # On even places colours of half the size lie where they belong.
    canvas.tag(text, (left // 2 * 2, top // 2 * 2 + mark.row * height), mark.colour, mark.ink)


def _shape(canvas: Canvas, mark: Drawn, line: int) -> None:
    """What is known of an object beyond its box: outline, visible points and what joins them."""
    if mark.outline:
        canvas.way(mark.outline, mark.colour, line, closed=True)
    for (x1, y1), (x2, y2) in mark.limbs:
        canvas.line((round(x1), round(y1)), (round(x2), round(y2)), mark.colour, line)
    for x, y in mark.points:
        canvas.dot((round(x), round(y)), line + 1, mark.ink)
        canvas.dot((round(x), round(y)), line, mark.colour)
