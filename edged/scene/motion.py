"""Whether anything moves in front of a camera that stands still, by the pixels.

A picture is compared with a background that learns. Both are small, and the logarithm of the luminance, where
light that grows by a tenth adds the same everywhere but in the dark. What a pixel has in common with its
surroundings is light and is taken away; what its neighbours had before is a camera on a mast, or a leaf. What
is left and hangs together is a thing.
"""

from __future__ import annotations

import math
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias, cast

import cv2
import numpy as np

from edged.pixels import Planes, full_luminance
from edged.records import Box

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from edged.pixels import Pixels
    from edged.records import Image
    from edged.settings.areas import Area

    _Plane: TypeAlias = npt.NDArray[np.float32]
    _Mask: TypeAlias = npt.NDArray[np.uint8]

_LONGEST = 255
"""Pixels of the longer side of the small picture at the most: an eighth of 720p. It averages noise away."""
_DARK = 32.0
"""Added before the logarithm, in levels of 0..255: below it a camera gives more noise than picture."""
_LEARNS_S = 1.0
"""Time constant with which the background becomes what is seen."""
_LEAST, _MOST = 0.05, 0.15
"""Bounds of the change that counts, as the logarithm of a ratio: 7 and 20 of 100 levels."""
_NOISE = 9.0
"""What counts, in medians of what changes anyway: 6 standard deviations of noise."""
_NOISE_S = 5.0
"""Time constant with which the noise is learned."""
_AROUND = (11, 11)
"""Size of the surroundings whose common change is one of the light, in blocks"""
_BLOCK = 4
"""of so many small pixels each way: light is smooth."""
_LIGHT = 0.15
"""More than this of a change is no drift of the light: a thing must not make its surroundings move."""
_NEAR = np.ones((3, 3), np.uint8)
"""Neighbours whose earlier values are as good as a pixel's own."""
_THING = 6
"""Small pixels that hang together in the least thing that moves: a person 40 pixels tall in 720p."""
_ALL = 0.4
"""Part of the picture that does not move at once: the light was switched, or the camera turned."""
_SOFT = (3, 3)
"""Small pixels over which what is left of the noise is spread."""


class Change(Enum):
    """What has changed since what is known."""

    NONE = "none"
    PART = "part"
    """Something moves."""
    ALL = "all"
    """It is another picture altogether."""


class Background:
    """What a camera sees while nothing moves. Not thread-safe.

    Args:
        masks: where nothing is looked for; those for some labels only do not count.
        region: left, top, width and height, in pixels, of the only part of a picture that counts; None, or
            none of it within the picture: all.
    """

    def __init__(self, masks: Sequence[Area] = (), region: tuple[int, int, int, int] | None = None) -> None:
        self._masks = [mask for mask in masks if not mask.labels]
        self._region = region
        self._shape: tuple[int, ...] = ()
        # The first look, for which every shape is another one, sets these.
        self._known: _Plane
        self._counts: _Mask
        """1 where something may move,"""
        self._weights: _Plane
        """and the same to multiply by."""
        self._noise = 0.0
        self._now = 0.0
        self.change = Change.NONE
        """What the last look came to."""
        self._moved: list[Box] = []
        """Where that look saw it, in small pixels."""

    @property
    def things(self) -> tuple[Box, ...]:
        """What moved in the last picture, in its pixels."""
        if self.change is not Change.PART:
            return ()
        height, width = self._shape[0] / self._known.shape[0], self._shape[1] / self._known.shape[1]
        return tuple(Box(x1 * width, y1 * height, x2 * width, y2 * height) for x1, y1, x2, y2 in self._moved)

    def look(self, pixels: Pixels, now: float) -> Change:
        """Compare a picture with what is known, and learn it; ``now`` is its time in seconds."""
        self.change = self._look(pixels, now)
        return self.change

    def _look(self, pixels: Pixels, now: float) -> Change:
        luminance = _small(pixels)
        levels, reaches = _tables(full_range=not isinstance(pixels, Planes) or pixels.full_range)
        seen = cast("_Plane", cv2.GaussianBlur(cv2.LUT(luminance, levels), _SOFT, 0))
        # Less depends on this one: softened as bytes, in a third of the time.
        reach = cast("_Plane", cv2.LUT(cv2.GaussianBlur(luminance, _SOFT, 0), reaches))
        elapsed_s, self._now = max(0.0, now - self._now), now
        if pixels.shape != self._shape:
            self._shape, self._noise = pixels.shape, 0.0
            self._counts = self._where(pixels.shape, luminance)
            self._weights = self._counts.astype(np.float32)
            self._known = seen
            return Change.ALL
        light = _light((seen - self._known) * self._weights, reach * self._weights)
        expected = cast("_Plane", self._known + light * reach)
        change = self._judge(seen, expected)
        if change is Change.ALL:
            self._known = seen
            return change
        usual = _middle(np.abs(seen[::2, ::2] - expected[::2, ::2]))
        self._noise += (usual - self._noise) * _share(elapsed_s, _NOISE_S)
        cv2.accumulateWeighted(seen, self._known, _share(elapsed_s, _LEARNS_S))
        return change

    def _judge(self, seen: _Plane, expected: _Plane) -> Change:
        least = min(max(_NOISE * self._noise, _LEAST), _MOST)
        brighter, darker = seen - cv2.dilate(expected, _NEAR), cv2.erode(expected, _NEAR) - seen
        moved = (np.maximum(brighter, darker) > least).view(np.uint8) & self._counts
        pixels = cv2.countNonZero(moved)
        if pixels < _THING:
            return Change.NONE
        if pixels > _ALL * cv2.countNonZero(self._counts):
            return Change.ALL
        _, _, stats, _ = cv2.connectedComponentsWithStats(moved, connectivity=8)
        things = stats[1:][stats[1:, cv2.CC_STAT_AREA] >= _THING].tolist()
        self._moved = [Box(x, y, x + width, y + height) for x, y, width, height, _ in things]
        return Change.PART if things else Change.NONE

    def _where(self, full: tuple[int, ...], small: _Mask) -> _Mask:
        height, width = small.shape
        counts = np.ones((height, width), np.uint8)
        # The model, too, gets all of a frame that has nothing of the region.
        if self._region is not None and self._region[0] < full[1] and self._region[1] < full[0]:
            left, top, across, down = (round(edge * width / full[1]) for edge in self._region)
            counts[:] = 0
            counts[top : top + down, left : left + across] = 1
        for mask in self._masks:
            corners = np.rint(np.array(mask.points) * (width, height)).astype(np.int32)
            cv2.fillPoly(counts, [corners], (0,))
        # What happens in a mask is softened one pixel beyond it.
        return cast("_Mask", cv2.erode(counts, _NEAR))


def _small(pixels: Pixels) -> _Mask:
    """The luminance, halved until it is small: nothing else is as quick in OpenCV."""
    image = pixels.y if isinstance(pixels, Planes) else pixels
    while max(image.shape) > _LONGEST:
        height, width = max(1, image.shape[0] // 2), max(1, image.shape[1] // 2)
        even = image[: 2 * height, : 2 * width]
        image = cast("Image", cv2.resize(even, (width, height), interpolation=cv2.INTER_AREA))
    return image if isinstance(pixels, Planes) else cast("_Mask", cv2.cvtColor(image, cv2.COLOR_BGR2GRAY))


@lru_cache
def _tables(*, full_range: bool) -> tuple[_Plane, _Plane]:
    """The logarithm of each luminance, and how much of a change of the light arrives there: less in the dark.

    The second is the slope of the first. Shape (1, 256) each.
    """
    levels = np.arange(256, dtype=np.uint8).reshape(1, -1)
    values = (levels if full_range else full_luminance(levels)).astype(np.float32)
    return np.log(values + np.float32(_DARK)), values / (values + np.float32(_DARK))


def _light(difference: _Plane, reach: _Plane) -> _Plane:
    """By what the light around every pixel has changed, as the logarithm of a ratio."""
    height, width = reach.shape
    across, down = max(1, width // _BLOCK), max(1, height // _BLOCK)
    whole = slice(_BLOCK * down), slice(_BLOCK * across)
    common, most = (
        cv2.boxFilter(cv2.resize(plane[whole], (across, down), interpolation=cv2.INTER_AREA), -1, _AROUND)
        for plane in (np.clip(difference, -_LIGHT, _LIGHT), reach)
    )
    return cast("_Plane", cv2.resize(common / np.maximum(most, 1e-3), (width, height)))


def _middle(values: _Plane) -> float:
    """The median, of an even number the upper one. NumPy's own brings 46 ms of imports for masked arrays."""
    half = values.size // 2
    return float(np.partition(values, half, axis=None)[half])


def _share(elapsed_s: float, constant: float) -> float:
    """How much of the new takes the place of the old within ``elapsed_s`` seconds."""
    return 1.0 - math.exp(-elapsed_s / constant)
