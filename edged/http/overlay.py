"""What a browser draws over the camera's own video, as JSON: the same as edged draws into its pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edged.imaging.marks import marks

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edged.imaging.canvas import Colour
    from edged.imaging.marks import Drawn
    from edged.records import Detection


def overlay(detections: Iterable[Detection], width: int, height: int) -> list[dict[str, Any]]:
    """A mark for each, the best score first; places in pixels of the frame, colours as CSS has them."""
    return [_as_json(mark) for mark in marks(detections, width, height)]


def _as_json(mark: Drawn) -> dict[str, Any]:
    return {
        "colour": _css(mark.colour),
        "ink": _css(mark.ink),
        "text": mark.text,
        "row": mark.row,
        "box": _places(mark.box),
        "way": [_places(place) for place in mark.way],
        "outline": [_places(place) for place in mark.outline],
        "limbs": [[_places(one), _places(other)] for one, other in mark.limbs],
        "points": [_places(place) for place in mark.points],
    }


def _places(numbers: Iterable[float]) -> list[float]:
    return [round(float(number), 1) for number in numbers]


def _css(colour: Colour) -> str:
    blue, green, red = colour
    return f"#{red:02x}{green:02x}{blue:02x}"
