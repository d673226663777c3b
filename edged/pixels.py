"""Pixels as the source gave them, converted when somebody asks, and only what is asked."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias, cast

import cv2
import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    _Bytes: TypeAlias = npt.NDArray[np.uint8]
    _Matrix: TypeAlias = npt.NDArray[np.float32]

    Pixels: TypeAlias = "_Bytes | Planes"
    """BGR, shape (height, width, 3), or the planes of a video. Both have a ``shape``."""

BT709, BT601 = 1, 6
"""Matrices by which a video has its colours: the figures of ITU-T H.273."""
# OpenCV's own threads turn in circles while they wait for a part of a picture, and the cores are the model's.
cv2.setNumThreads(1)

_WEIGHTS = {BT709: (0.2126, 0.0722), BT601: (0.299, 0.114)}
"""Shares of red and of blue in the luminance (ITU-T H.273, table 4)."""
_NEUTRAL = 128.0


class Planes:
    """A picture in YUV 4:2:0, as decoders give it and encoders take it. Safe from any thread.

    Nobody writes into it: a decoder may still need it for the next picture. Who draws has a :meth:`copy`.

    Args:
        y: luminance, uint8, shape (height, width), both even.
        u: how far it is from blue, shape (height / 2, width / 2).
        v: how far it is from red, likewise.
        matrix: :data:`BT709` or :data:`BT601`.
        full_range: whether levels are 0..255; else they are 16..235, those of colour 16..240.
    """

    __slots__ = ("_bgr", "full_range", "i420", "matrix", "shape", "u", "v", "y")

    def __init__(self, y: _Bytes, u: _Bytes, v: _Bytes, *, matrix: int, full_range: bool) -> None:
        self.y, self.u, self.v = y, u, v
        self.shape: tuple[int, int, int] = (y.shape[0], y.shape[1], 3)
        """Height and width, and 3, as of the BGR that it would become."""
        self.matrix = matrix
        self.full_range = full_range
        self.i420: _Bytes | None = None
        """The same in one piece, shape (height * 3 / 2, width), where it lies so in memory."""
        self._bgr: _Bytes | None = None

    @classmethod
    def packed(cls, i420: _Bytes, *, matrix: int, full_range: bool) -> Planes:
        """Those in one piece, shape (height * 3 / 2, width)."""
        height, width = i420.shape[0] * 2 // 3, i420.shape[1]
        u, v = i420[height:].reshape(2, height // 2, width // 2)
        planes = cls(i420[:height], u, v, matrix=matrix, full_range=full_range)
        planes.i420 = i420
        return planes

    def bgr(self) -> _Bytes:
        """The picture in BGR: made when first asked for, read only."""
        # Two threads that come at once make the same twice: that costs less than a lock a frame.
        if self._bgr is None:
            self._bgr = self._converted(self.y, _doubled(self.u), _doubled(self.v))
        return self._bgr

    def scaled(self, width: int, height: int) -> _Bytes:
        """BGR of another size, resized before it is converted."""
        return self._converted(*(fitted(plane, (width, height)) for plane in (self.y, self.u, self.v)))

    def copy(self) -> Planes:
        """The same in memory of its own, in one piece, to be drawn into before others see it."""
        return Planes.packed(self._in_one_piece(), matrix=self.matrix, full_range=self.full_range)

    def cut(self, left: int, top: int, right: int, bottom: int) -> Planes:
        """The planes of a part, whose edges are even; no copy."""
        rows, columns = slice(top // 2, bottom // 2), slice(left // 2, right // 2)
        y = self.y[top:bottom, left:right]
        chroma = self.u[rows, columns], self.v[rows, columns]
        return Planes(y, *chroma, matrix=self.matrix, full_range=self.full_range)

    def studio(self) -> _Bytes:
        """I420 in one piece with the levels of video, 16..235; not to be written into."""
        if not self.full_range:
            return self._in_one_piece() if self.i420 is None else self.i420
        i420 = self._in_one_piece()
        height = self.shape[0]
        cv2.convertScaleAbs(i420[:height], dst=i420[:height], alpha=219 / 255, beta=16)
        beta = _NEUTRAL * (1 - 224 / 255)
        cv2.convertScaleAbs(i420[height:], dst=i420[height:], alpha=224 / 255, beta=beta)
        return i420

    @property
    def to_bgr(self) -> _Matrix:
        """What makes blue, green and red of Y, U, V and 1: shape (3, 4)."""
        return _to_bgr(self.matrix, self.full_range)

    def levels(self, colour: tuple[float, float, float]) -> tuple[int, int, int]:
        """Y, U and V of a colour (blue, green, red)."""
        return _levels(self.matrix, self.full_range, colour)

    def _converted(self, y: _Bytes, u: _Bytes, v: _Bytes) -> _Bytes:
        return cast("_Bytes", cv2.transform(cv2.merge((y, u, v)), self.to_bgr))

    def _in_one_piece(self) -> _Bytes:
        height, width, _ = self.shape
        i420 = np.empty((height * 3 // 2, width), np.uint8)
        i420[:height] = self.y
        chroma = i420[height:].reshape(2, height // 2, width // 2)
        chroma[0], chroma[1] = self.u, self.v
        return i420


def bgr(pixels: Pixels) -> _Bytes:
    """``pixels`` as BGR; read only unless they were BGR already."""
    return pixels.bgr() if isinstance(pixels, Planes) else pixels


def part(pixels: Pixels, left: int, top: int, right: int, bottom: int) -> _Bytes:
    """A part in BGR; of planes no more than that is converted, of BGR it is no copy."""
    if not isinstance(pixels, Planes):
        return pixels[top:bottom, left:right]
    x, y = left // 2 * 2, top // 2 * 2
    around = pixels.cut(x, y, right + right % 2, bottom + bottom % 2)
    return around.bgr()[top - y : bottom - y, left - x : right - x]


def full_luminance(y: _Bytes) -> _Bytes:
    """Luminance with the levels of video, 16..235, in levels 0..255."""
    return cast("_Bytes", cv2.addWeighted(y, 255 / 219, y, 0, -16 * 255 / 219))


def fitted(plane: _Bytes, size: tuple[int, int], dst: _Bytes | None = None) -> _Bytes:
    """A plane in this size (width, height); itself, if it has it."""
    if plane.shape[1::-1] == size:
        return plane
    return cast("_Bytes", cv2.resize(plane, size, dst=dst, interpolation=cv2.INTER_LINEAR))


def _doubled(plane: _Bytes) -> _Bytes:
    """Every pixel four times: two bytes at once, several times as fast as OpenCV's resizing."""
    return (plane.astype(np.uint16) * 0x101).view(np.uint8).repeat(2, axis=0)


@lru_cache
def _to_bgr(matrix: int, full_range: bool) -> _Matrix:  # noqa: FBT001  # as the class has it
    red, blue = _WEIGHTS[matrix]
    green = 1 - red - blue
    black, light, colour = (0, 1.0, 1.0) if full_range else (16, 255 / 219, 255 / 224)
    from_u, from_v = 2 * (1 - blue) * colour, 2 * (1 - red) * colour
    rows = np.array(
        [
            (light, from_u, 0.0),
            (light, -from_u * blue / green, -from_v * red / green),
            (light, 0.0, from_v),
        ]
    )
    offset = -(rows @ (black, _NEUTRAL, _NEUTRAL))
    return np.column_stack([rows, offset]).astype(np.float32)


@lru_cache
def _levels(matrix: int, full_range: bool, colour: tuple[float, float, float]) -> tuple[int, int, int]:  # noqa: FBT001  # likewise
    to_bgr = _to_bgr(matrix, full_range).astype(np.float64)
    y, u, v = np.linalg.solve(to_bgr[:, :3], np.array(colour) - to_bgr[:, 3]).round().clip(0, 255)
    return int(y), int(u), int(v)
