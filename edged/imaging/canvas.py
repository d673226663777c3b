"""What can be drawn into, BGR or planes: who draws says where and in which colour, once."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import cv2
import numpy as np

from edged.pixels import Planes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from edged.pixels import Pixels
    from edged.records import Image

    Colour: TypeAlias = tuple[int, int, int]
    """Blue, green, red."""
    Place: TypeAlias = tuple[int, int]
    """x, y in pixels of the picture."""

FONT = cv2.FONT_HERSHEY_SIMPLEX


class Canvas:
    """Draws into pixels, in place. Into planes everything is drawn three times: its colours in half the size.

    Args:
        pixels: with memory of their own.
    """

    def __init__(self, pixels: Pixels) -> None:
        self.height, self.width = pixels.shape[:2]
        self._planes = pixels if isinstance(pixels, Planes) else None
        self._layers: list[tuple[Image, int]] = (
            [(pixels.y, 1), (pixels.u, 2), (pixels.v, 2)] if isinstance(pixels, Planes) else [(pixels, 1)]
        )

    def box(self, first: Place, last: Place, colour: Colour, line: int) -> None:
        """A rectangle from corner to corner; ``line`` as in OpenCV, ``cv2.FILLED`` for all of it."""
        for layer, by, ink in self._each(colour):
            cv2.rectangle(layer, _at(first, by), _at(last, by), ink, _thick(line, by))

    def way(self, places: Iterable[Sequence[float]], colour: Colour, line: int, *, closed: bool) -> None:
        """Lines from place to place, at the end back to the first where it is closed."""
        corners = np.rint(np.asarray(places)).astype(np.int32)
        for layer, by, ink in self._each(colour):
            cv2.polylines(
                layer,
                [corners // by],
                isClosed=closed,
                color=ink,
                thickness=_thick(line, by),
                lineType=cv2.LINE_AA,
            )

    def line(self, first: Place, last: Place, colour: Colour, line: int) -> None:
        """A line between two places."""
        for layer, by, ink in self._each(colour):
            cv2.line(layer, _at(first, by), _at(last, by), ink, _thick(line, by), cv2.LINE_AA)

    def dot(self, middle: Place, radius: int, colour: Colour) -> None:
        """A filled circle."""
        for layer, by, ink in self._each(colour):
            cv2.circle(layer, _at(middle, by), _thick(radius, by), ink, cv2.FILLED, cv2.LINE_AA)

    def text(self, text: str, origin: Place, scale: float, colour: Colour, weight: int) -> None:
        """A line of text in :data:`FONT`, which begins on its base line at ``origin``."""
        if self._planes is None:
            cv2.putText(self._layers[0][0], text, origin, FONT, scale, colour, weight, cv2.LINE_AA)
            return
        # Written once: half as large it would have other letters, which would not lie on these.
        (width, height), below = cv2.getTextSize(text, FONT, scale, weight)
        left, right = _even(origin[0] - weight, origin[0] + width + weight, self.width)
        top, bottom = _even(origin[1] - height - weight, origin[1] + below + weight, self.height)
        if right <= left or bottom <= top:
            return
        mask = np.zeros((bottom - top, right - left), np.uint8)
        at = origin[0] - left, origin[1] - top
        cv2.putText(mask, text, at, FONT, scale, 255, weight, cv2.LINE_AA)
        half = cv2.resize(mask, ((right - left) // 2, (bottom - top) // 2), interpolation=cv2.INTER_AREA)
        for layer, by, (ink,) in self._each(colour):
            under = layer[top // by : bottom // by, left // by : right // by]
            cover = (mask if by == 1 else half).astype(np.int32)
            # What is added may overflow, and comes round to where it belongs.
            under += ((ink - under.astype(np.int32)) * cover // 255).astype(np.uint8)

    def _each(self, colour: Colour) -> Iterator[tuple[Image, int, tuple[int, ...]]]:
        """Every layer, by what its size is divided, and the colour there."""
        if self._planes is None:
            inks: list[tuple[int, ...]] = [colour]
        else:
            inks = [(level,) for level in self._planes.levels(colour)]
        for (layer, by), ink in zip(self._layers, inks, strict=True):
            yield layer, by, ink


def _even(first: int, last: int, end: int) -> tuple[int, int]:
    """The least even span within 0..``end`` that has all between ``first`` and ``last`` in it."""
    return max(0, first // 2 * 2), min(end, (last + 1) // 2 * 2)


def _at(place: Place, by: int) -> Place:
    return place[0] // by, place[1] // by


def _thick(line: int, by: int) -> int:
    """A line that covers, in a layer of this size, what it covers in the picture."""
    return line if line < 0 else -(-line // by)
