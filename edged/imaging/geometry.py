"""Where a frame lies in the input of a model, and the way back. Pure functions on numbers and arrays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from edged.errors import ModelError
from edged.records import Box

if TYPE_CHECKING:
    import numpy.typing as npt

    from edged.records import TensorSpec

_IMAGE_AXES = 4
CHANNELS = (3, 1)
"""A colour picture's, and a grey one's."""


class Region(NamedTuple):
    """A part of a frame, in its pixels."""

    left: int
    top: int
    width: int
    height: int

    @property
    def box(self) -> Box:
        """Its corners."""
        return Box(self.left, self.top, self.left + self.width, self.top + self.height)


@dataclass(frozen=True, slots=True)
class Geometry:
    """Where a source frame lies in the input of a model."""

    scale_x: float
    """Input pixels a source pixel."""
    scale_y: float
    pad_x: int
    """Input pixels left of the frame."""
    pad_y: int
    """Input pixels above the frame."""
    width: int
    """The part of the source frame that is looked at, pixels."""
    height: int
    left: int = 0
    """Where that part begins in the source frame, pixels."""
    top: int = 0

    @property
    def region(self) -> Region:
        """The part of the source frame that is looked at."""
        return Region(self.left, self.top, self.width, self.height)

    def to_source(self, boxes: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float64]:
        """Corners [n, 4] (x1, y1, x2, y2) in input pixels as source pixels, clipped to what was looked at."""
        pad, scale, edge = _of_corners(self)
        source: npt.NDArray[np.float64] = boxes - pad
        source /= scale
        np.maximum(source, 0.0, out=source)
        np.minimum(source, edge, out=source)
        if self.left or self.top:
            source += (self.left, self.top, self.left, self.top)
        return source

    def points_to_source(self, points: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float64]:
        """Points [..., 2] (x, y) in input pixels as source pixels, wherever they lie."""
        source = (points - (self.pad_x, self.pad_y)) / np.array((self.scale_x, self.scale_y), np.float64)
        source += (self.left, self.top)
        return source


@lru_cache(64)
def _of_corners(geometry: Geometry) -> tuple[npt.NDArray[np.float64], ...]:
    """Border, scale and size of what is looked at, each for x1, y1, x2, y2; not to be written into."""
    pairs = (
        (geometry.pad_x, geometry.pad_y),
        (geometry.scale_x, geometry.scale_y),
        (geometry.width, geometry.height),
    )
    return tuple(np.array(pair * 2, np.float64) for pair in pairs)


def letterbox(source: tuple[int, int], target: tuple[int, int]) -> tuple[int, int, int, int]:
    """Left, top, width, height of a ``source`` (width, height) that keeps its aspect ratio inside ``target``.

    The rounding is the one Ultralytics models are trained and validated with (``LetterBox``): an odd pixel of
    border goes to the right and to the bottom.
    """
    scale = min(target[0] / source[0], target[1] / source[1])
    width = max(1, round(source[0] * scale))
    height = max(1, round(source[1] * scale))
    left = round((target[0] - width) / 2 - 0.1)
    top = round((target[1] - height) / 2 - 0.1)
    return max(0, left), max(0, top), width, height


def corner_fit(source: tuple[int, int], target: tuple[int, int]) -> tuple[float, int, int]:
    """Scale, width and height of a ``source`` that keeps its aspect ratio in the corner of ``target``.

    The corner is the upper left one. The size is rounded down, and the scale is that of both directions all
    the same: so YOLOX is trained (``preproc``, ``TrainTransform``).
    """
    scale = min(target[0] / source[0], target[1] / source[1])
    return scale, max(1, int(source[0] * scale)), max(1, int(source[1] * scale))


def middle(source: tuple[int, int], target: tuple[int, int]) -> tuple[int, int, int, int]:
    """Left, top, width and height of the largest part in the middle of ``source`` shaped as ``target``."""
    scale = min(source[0] / target[0], source[1] / target[1])
    width, height = max(1, round(target[0] * scale)), max(1, round(target[1] * scale))
    return (source[0] - width) // 2, (source[1] - height) // 2, width, height


def input_size(spec: TensorSpec) -> tuple[int, int]:
    """Width and height of the picture that an input takes, shape [1, H, W, C] or [1, C, H, W], C 3 or 1.

    Raises:
        ModelError: the input takes no single picture.
    """
    shape = spec.shape
    if len(shape) == _IMAGE_AXES and shape[0] == 1:
        if shape[3] in CHANNELS:
            return shape[2], shape[1]
        if shape[1] in CHANNELS:
            return shape[3], shape[2]
    raise ModelError(
        f"the input {spec.name!r} of the model is {spec}, not one picture",
        hint="Export it with batch 1 and three channels or one: [1, height, width, 3], [1, 3, height, width]",
    )
