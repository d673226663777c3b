"""Pictures into models: resizing, colour order, quantisation."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np

from edged.errors import ConfigError, ModelError
from edged.imaging.geometry import CHANNELS, Geometry, Region, corner_fit, input_size, letterbox, middle
from edged.pixels import Planes, fitted, part

if TYPE_CHECKING:
    import numpy.typing as npt

    from edged.pixels import Pixels
    from edged.records import Image, Tensor, TensorSpec

_CHANNELS = 3
_BLUE_GREEN_RED = (0, 1, 2)
"""Where a frame has its channels."""
_GREY = np.array([[0.114, 0.587, 0.299]], np.float32)
"""Shares of blue, green and red in the luminance that models without colours are trained with."""
_GEOMETRIES = 32
"""Source sizes and parts whose geometry is remembered; a camera has one, a folder of pictures a few."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a model family wants a picture turned into numbers."""

    fit: Literal["letterbox", "corner", "stretch", "crop"]
    """``letterbox`` keeps the aspect ratio and adds a border all around, ``corner`` to the right and below;
    ``stretch`` fills the input, ``crop`` does it with the middle of the picture that has its proportions."""
    low: float | tuple[float, float, float]
    """Real value of pixel 0; where channels differ, one a channel, in ``order``."""
    high: float | tuple[float, float, float]
    """Real value of pixel 255."""
    border: int = 0
    """Pixel value of the border."""
    order: Literal["rgb", "bgr"] = "rgb"
    """Channels of the input."""
    raw_when_quantised: bool = False
    """Whether a quantised input takes pixels as they are (uint8) or less 128 (int8), whatever its scale says.

    Models trained with quantisation on pixels store (1/128, 128) or (1/128, 127) beside their input, which is
    [-1, 1] but for half a step: the pixel itself is the stored value they were trained on.
    """


@dataclass(frozen=True, slots=True)
class _Placement:
    """Geometry with the sizes that only the copying needs."""

    geometry: Geometry
    inner_width: int
    inner_height: int
    problem: str

    @property
    def rows(self) -> slice:
        return slice(self.geometry.pad_y, self.geometry.pad_y + self.inner_height)

    @property
    def columns(self) -> slice:
        return slice(self.geometry.pad_x, self.geometry.pad_x + self.inner_width)


def normalised(
    mean: tuple[float, float, float], deviation: tuple[float, float, float]
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """``low`` and ``high`` of an input that wants pixels less ``mean``, divided by ``deviation``."""
    low, high = ([(pixel - m) / d for m, d in zip(mean, deviation, strict=True)] for pixel in (0, 255))
    return (low[0], low[1], low[2]), (high[0], high[1], high[2])


def pixel_table(spec: TensorSpec, encoding: Encoding) -> npt.NDArray[Any]:
    """The stored value of every pixel value of every channel, ``[256, 3]`` in the dtype of the input.

    Quantised to nearest, ``round(real / scale) + zero_point``, clipped to what the dtype can hold. An integer
    input without scale takes pixels like a raw one, one of int32 as they are.

    Raises:
        ModelError: the input has a dtype that no table can be made for.
    """
    low, high = np.broadcast_to(encoding.low, _CHANNELS), np.broadcast_to(encoding.high, _CHANNELS)
    pixels = np.tile(np.arange(256)[:, np.newaxis], _CHANNELS)
    real: npt.NDArray[np.float64] = low + pixels * ((high - low) / 255)
    dtype = spec.dtype
    if dtype in (np.float32, np.float16):
        return real.astype(dtype)
    if dtype == np.int32 and not spec.quantised:
        return pixels.astype(dtype)
    if dtype not in (np.uint8, np.int8):
        raise ModelError(
            f"the model wants its input as {dtype}: {spec.name!r} {spec}",
            hint="Export it with an input of uint8, int8, float16 or float32",
        )
    limits = np.iinfo(dtype)
    if encoding.raw_when_quantised or not spec.quantised:
        return (pixels + limits.min).astype(dtype)
    stored: npt.NDArray[np.float64] = np.rint(real / spec.scale) + spec.zero_point
    return stored.clip(limits.min, limits.max).astype(dtype)


class Preprocessor:
    """Turns frames into the input tensor of one model. Belongs to one thread.

    One resize, one conversion to the model's channels, and one addition where that is all that quantisation
    does to a pixel, else one lookup in a table of 256 entries. All of it lets other threads run meanwhile
    (``np.take`` would not, and takes twice as long).

    Args:
        spec: the input of the model.
        encoding: what its family wants to find there.
        region: left, top, width and height of the only part of each frame that is looked at, in its pixels;
            what of it lies outside a frame is left out. A frame that has none of it is looked at as a whole.

    Raises:
        ModelError: no picture fits into the input.
    """

    def __init__(
        self, spec: TensorSpec, encoding: Encoding, region: tuple[int, int, int, int] | None = None
    ) -> None:
        self._spec = spec
        self.problem = ""
        """What is wrong with the last frame; empty when nothing is."""
        self._region = region
        self._size = input_size(spec)
        self._fit = encoding.fit
        self._planar = spec.shape[3] not in CHANNELS
        self._grey = spec.shape[1 if self._planar else 3] == 1
        self._order = _BLUE_GREEN_RED if encoding.order == "bgr" else _BLUE_GREEN_RED[::-1]
        table = pixel_table(spec, encoding)
        border = table[encoding.border][: 1 if self._grey else _CHANNELS]
        self._border = border[:, np.newaxis, np.newaxis] if self._planar else border
        # OpenCV looks up by size of the entry; its own dtypes lack some of numpy's.
        self._stored_as = np.dtype({1: np.uint8, 2: np.uint16, 4: np.float32}[spec.dtype.itemsize])
        stored = table.view(self._stored_as)
        self._tables = [np.ascontiguousarray(stored[:, channel]) for channel in range(_CHANNELS)]
        # One table for all channels is looked up twice as fast.
        alike = bool((table == table[:, :1]).all())
        self._table = self._tables[0] if alike else stored[np.newaxis]
        self._addend = _addend(self._tables[0]) if alike else None
        self._placements: dict[tuple[int, int, Region | None], _Placement] = {}
        self._bordered: dict[int, tuple[weakref.ref[Tensor], _Placement]] = {}
        self._resized: Image = np.empty((0, 0, _CHANNELS), np.uint8)
        self._swapped: Image = self._resized
        self._plane: npt.NDArray[np.uint8] = np.empty((0, 0), np.uint8)
        self._fitted = [self._plane] * _CHANNELS

    def new_input(self) -> Tensor:
        """An empty input tensor to hand to ``__call__`` again and again."""
        return np.empty(self._spec.shape, self._spec.dtype)

    def geometry(self, width: int, height: int) -> Geometry:
        """Where a frame of this size will lie in the input."""
        return self._placement(width, height).geometry

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the input."""
        return self._size

    def check(self, width: int, height: int) -> None:
        """Find out whether frames of this size have something of the region.

        Raises:
            ConfigError: they have nothing of it.
        """
        if problem := self._placement(width, height).problem:
            raise ConfigError(problem, hint="Set EDGED_ROI=x,y,width,height in pixels of the frame")

    def __call__(self, pixels: Pixels, out: Tensor, region: Region | None = None) -> Geometry:
        """Write ``pixels`` into ``out``, which has the input's shape and dtype; tells where they lie.

        With a ``region`` within the picture nothing else is looked at, whatever else was settled. Several
        ``out`` may take turns. The border of each is written only when size or region of the frames changes:
        between two calls nobody else may write into them.
        """
        height, width = pixels.shape[:2]
        place = self._placement(width, height, region)
        if region is None:
            self.problem = place.problem
        self._prepare(out, place)
        geometry = place.geometry
        if (width, height) != (geometry.width, geometry.height):
            pixels = _looked_at(pixels, geometry)
        if isinstance(pixels, Planes):
            picture = self._from_planes(pixels, place)
        else:
            picture = self._from_bgr(pixels, place)
        stored = out.view(self._stored_as)[0]
        if self._grey:
            plane = stored[0] if self._planar else stored[..., 0]
            self._store(picture, self._tables[0], plane[place.rows, place.columns])
        elif self._planar:
            for channel, table in enumerate(self._tables):
                cv2.extractChannel(picture, channel, dst=self._plane)
                self._store(self._plane, table, stored[channel, place.rows, place.columns])
        else:
            self._store(picture, self._table, stored[place.rows, place.columns])
        return geometry

    def _from_planes(self, planes: Planes, place: _Placement) -> Image:
        """The model's channels of a picture in the size it will have there: resized, then converted."""
        size = (place.inner_width, place.inner_height)
        fit = [
            fitted(plane, size, dst=dst)
            for plane, dst in zip((planes.y, planes.u, planes.v), self._fitted, strict=True)
        ]
        cv2.merge(fit, dst=self._resized)
        rows = _GREY @ planes.to_bgr if self._grey else planes.to_bgr[list(self._order)]
        cv2.transform(self._resized, rows, dst=self._plane if self._grey else self._swapped)
        return self._plane if self._grey else self._swapped

    def _from_bgr(self, image: Image, place: _Placement) -> Image:
        """The same of a picture in BGR."""
        image = fitted(image, (place.inner_width, place.inner_height), dst=self._resized)
        if self._grey:
            return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY, dst=self._plane)  # type: ignore[return-value]
        if self._order == _BLUE_GREEN_RED:
            return image
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=self._swapped)  # type: ignore[return-value]

    def _store(self, picture: Image, table: npt.NDArray[Any], out: Tensor) -> None:
        """Write the stored values of a picture, or of the one channel that the table is for."""
        if self._addend is None:
            cv2.LUT(picture, table, dst=out)
        else:
            np.add(picture, self._addend, out=out)

    def _placement(self, width: int, height: int, region: Region | None = None) -> _Placement:
        place = self._placements.get((width, height, region))
        if place is None:
            (x, y, part_width, part_height), problem = (region, "") if region else self._part(width, height)
            if self._fit == "crop":
                left, top, part_width, part_height = middle((part_width, part_height), self._size)
                x, y = x + left, y + top
            left, top, inner_width, inner_height = 0, 0, *self._size
            if self._fit == "letterbox":
                left, top, inner_width, inner_height = letterbox((part_width, part_height), self._size)
            scale_x, scale_y = inner_width / part_width, inner_height / part_height
            if self._fit == "corner":
                scale_x, inner_width, inner_height = corner_fit((part_width, part_height), self._size)
                scale_y = scale_x
            geometry = Geometry(scale_x, scale_y, left, top, part_width, part_height, x, y)
            place = _Placement(geometry, inner_width, inner_height, problem)
            if len(self._placements) >= _GEOMETRIES:
                self._placements.clear()
            self._placements[width, height, region] = place
        return place

    def _part(self, width: int, height: int) -> tuple[Region, str]:
        """Left, top, width and height of what is looked at in a frame of this size; what is wrong with it."""
        if self._region is None:
            return Region(0, 0, width, height), ""
        x, y, part_width, part_height = self._region
        if x >= width or y >= height:
            # A camera that comes back with smaller frames must not end the run, nor be blind.
            problem = f"EDGED_ROI begins at {x},{y}, outside the frame of {width}x{height}"
            return Region(0, 0, width, height), problem
        return Region(x, y, min(part_width, width - x), min(part_height, height - y)), ""

    def _prepare(self, out: Tensor, place: _Placement) -> None:
        """Bring border and scratch memory in line with where this frame lies; usually they are."""
        if self._swapped.shape[:2] != (place.inner_height, place.inner_width):
            shape = (place.inner_height, place.inner_width, _CHANNELS)
            self._resized = np.empty(shape, np.uint8)
            self._swapped = np.empty(shape, np.uint8)
            self._plane = np.empty(shape[:2], np.uint8)
            self._fitted = [np.empty(shape[:2], np.uint8) for _ in range(_CHANNELS)]
        key = id(out)
        known = self._bordered.get(key)
        # Identity of an array is only worth something while that array lives, hence the weak reference.
        if known is None or known[0]() is not out or known[1] != place:
            if out.shape != self._spec.shape or out.dtype != self._spec.dtype:
                raise ValueError(f"the input is {self._spec}, not {out.dtype}{list(out.shape)}")
            if (place.inner_width, place.inner_height) != self._size:
                out[...] = self._border
            self._bordered[key] = (weakref.ref(out, lambda _: self._bordered.pop(key, None)), place)


def _addend(table: npt.NDArray[Any]) -> np.uint8 | None:
    """What has to be added to a byte, which may overflow, to get what a table has for it; None: more."""
    pixels = np.arange(256, dtype=np.uint8)
    if table.dtype != np.uint8 or np.ptp(table - pixels):
        return None
    return np.uint8(table[0])


def _looked_at(pixels: Pixels, geometry: Geometry) -> Pixels:
    """The part of a picture that the geometry is of: planes, as long as its edges lie on whole colours."""
    left, top = geometry.left, geometry.top
    right, bottom = left + geometry.width, top + geometry.height
    if isinstance(pixels, Planes) and not (left | top | right | bottom) % 2:
        return pixels.cut(left, top, right, bottom)
    return part(pixels, left, top, right, bottom)
