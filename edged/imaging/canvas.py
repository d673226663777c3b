"""What can be drawn into, BGR or planes: who draws says where and in which colour, once."""

from __future__ import annotations

from functools import lru_cache
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
                lineType=_edge(by),
            )

    def line(self, first: Place, last: Place, colour: Colour, line: int) -> None:
        """A line between two places."""
        for layer, by, ink in self._each(colour):
            cv2.line(layer, _at(first, by), _at(last, by), ink, _thick(line, by), _edge(by))

    def dot(self, middle: Place, radius: int, colour: Colour) -> None:
        """A filled circle."""
        for layer, by, ink in self._each(colour):
            cv2.circle(layer, _at(middle, by), _thick(radius, by), ink, cv2.FILLED, _edge(by))

    def tag(self, text: Written, place: Place, ground: Colour, ink: Colour) -> None:
        """A line of text on a ground of one colour, whose upper left corner lies at ``place``."""
        for (layer, by, under), (_, _, over) in zip(self._each(ground), self._each(ink), strict=True):
            # Half as large the text would have other letters, which would not lie on these.
            cover = text.mask if by == 1 else text.half
            (x, y), (height, width) = _at(place, by), cover.shape
            onto = layer[max(0, y) : max(0, y + height), max(0, x) : max(0, x + width)]
            if not onto.size:
                continue
            top, left = max(0, -y), max(0, -x)
            cover = cover[top : top + onto.shape[0], left : left + onto.shape[1]]
            shades = _shades(under, over)
            if len(under) == 1:
                cv2.LUT(cover, shades, dst=onto)
            else:
                onto[...] = shades[cover]

    def _each(self, colour: Colour) -> Iterator[tuple[Image, int, tuple[int, ...]]]:
        """Every layer, by what its size is divided, and the colour there."""
        if self._planes is None:
            inks: list[tuple[int, ...]] = [colour]
        else:
            inks = [(level,) for level in self._planes.levels(colour)]
        for (layer, by), ink in zip(self._layers, inks, strict=True):
            yield layer, by, ink


@lru_cache(maxsize=512)
def _shades(ground: tuple[int, ...], ink: tuple[int, ...]) -> Image:
    """What a ground becomes under so much ink, 0..255: shape (256, colours)."""
    under, over = np.array(ground), np.array(ink)
    shades: Image = (under + (over - under) * np.arange(256)[:, np.newaxis] // 255).astype(np.uint8)
    return shades


def _at(place: Place, by: int) -> Place:
    return place[0] // by, place[1] // by


def _thick(line: int, by: int) -> int:
    """A line that covers, in a layer of this size, what it covers in the picture."""
    return line if line < 0 else -(-line // by)


def _edge(by: int) -> int:
    """Smooth edges take three times as long, and nobody sees those of colours alone."""
    return cv2.LINE_AA if by == 1 else cv2.LINE_8
