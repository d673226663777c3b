"""What can be drawn into, BGR or planes: who draws says where and in which colour, once."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import cv2
import numpy as np

from edged.pixels import Planes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from edged.imaging.words import Written
    from edged.pixels import Pixels
    from edged.records import Image

    Colour: TypeAlias = tuple[int, int, int]
    """Blue, green, red."""
    Place: TypeAlias = tuple[int, int]
    """x, y in pixels of the picture."""


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

    def text(self, text: Written, origin: Place, colour: Colour) -> None:
        """A line of text, which begins on its base line at ``origin``."""
        x, y = origin[0] - text.margin, origin[1] - text.height - text.margin
        height, width = text.mask.shape
        left, right = _even(x, x + width, self.width)
        top, bottom = _even(y, y + height, self.height)
        if right <= left or bottom <= top:
            return
        mask = np.zeros((bottom - top, right - left), np.uint8)
        x1, y1, x2, y2 = max(left, x), max(top, y), min(right, x + width), min(bottom, y + height)
        mask[y1 - top : y2 - top, x1 - left : x2 - left] = text.mask[y1 - y : y2 - y, x1 - x : x2 - x]
        # Half as large it would have other letters, which would not lie on these.
        half = ((right - left) // 2, (bottom - top) // 2)
        for layer, by, ink in self._each(colour):
            under = layer[top // by : bottom // by, left // by : right // by]
            cover = mask if by == 1 else cv2.resize(mask, half, interpolation=cv2.INTER_AREA)
            cover = cover.astype(np.int32).reshape(*under.shape[:2], *(1,) * (under.ndim - 2))
            # What is added may overflow, and comes round to where it belongs.
            inks = np.array(ink if under.ndim > 2 else ink[0], np.int32)  # noqa: PLR2004  # rows, columns, colours
            under += ((inks - under.astype(np.int32)) * cover // 255).astype(np.uint8)

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
