"""Which way up a picture is shown: the display matrix of phone clips, obeyed as FFmpeg's players do."""

from __future__ import annotations

import math
import struct
from contextlib import suppress
from typing import TYPE_CHECKING

import cv2
from av.sidedata.sidedata import SideDataContainer, Type

if TYPE_CHECKING:
    import av

    from edged.records import Image

_NEAR = 1.0
"""Degrees by which an angle may miss a quarter turn."""
_SIDEWAYS = (90.0, 270.0)


class Orientation:
    """What ``autorotate`` of FFmpeg makes of a display matrix (``configure_input_video_filter`` in fftools).

    Args:
        matrix: nine numbers, row by row, the first two columns in 16.16 (ISO 14496-12, 6.2.2).
    """

    def __init__(self, matrix: tuple[int, ...]) -> None:
        self._a, self._b, self._c, self._d = (matrix[index] for index in (0, 1, 3, 4))
        self._angle = self._degrees()
        self.sideways = any(abs(self._angle - turn) < _NEAR for turn in _SIDEWAYS)
        """Whether width and height change places."""

    def _degrees(self) -> float:
        """Clockwise, whole degrees from 0 to 359; not a number where the matrix has no size."""
        width, height = math.hypot(self._a, self._c), math.hypot(self._b, self._d)
        if not width or not height:
            return math.nan
        # C rounds halves away from zero, Python to even.
        turn = math.degrees(math.atan2(self._b / height, self._a / width))
        return math.copysign(math.floor(abs(turn) + 0.5), turn) % 360

    def upright(self, image: Image) -> Image:
        """The picture as it is meant to be seen."""
        if self.sideways:
            return self._on_its_side(image)
        if abs(self._angle - 180) < _NEAR:
            image = cv2.flip(image, 1) if self._a < 0 else image  # type: ignore[assignment]  # uint8 as given
            return cv2.flip(image, 0) if self._d < 0 else image  # type: ignore[return-value]
        if abs(self._angle) > _NEAR:
            height, width = image.shape[:2]
            middle = ((width - 1) / 2, (height - 1) / 2)
            # OpenCV counts counter-clockwise. What turns out of the picture is gone, the corners are black.
            turn = cv2.getRotationMatrix2D(middle, -self._angle, 1.0)
            return cv2.warpAffine(image, turn, (width, height))  # type: ignore[return-value]
        upside_down = abs(self._angle) < _NEAR and self._d < 0
        return cv2.flip(image, 0) if upside_down else image  # type: ignore[return-value]

    def _on_its_side(self, image: Image) -> Image:
        transposed = cv2.transpose(image)
        if self._angle < 180:  # noqa: PLR2004  # a quarter turn clockwise
            return transposed if self._c > 0 else cv2.flip(transposed, 1)  # type: ignore[return-value]
        return cv2.flip(transposed, -1 if self._c < 0 else 0)  # type: ignore[return-value]


def orientation_of(picture: av.VideoFrame) -> Orientation | None:
    """The orientation that a decoded picture tells; None if it tells none."""
    # Not by picture.side_data: the frame keeps that, and that keeps the frame, in a circle.
    found = SideDataContainer.__new__(SideDataContainer)
    # PyAV stops at the first kind of data that it has no name for, such as EXIF; what it has found stays.
    with suppress(ValueError):
        found.__init__(picture)  # type: ignore[misc]
    for number in range(len(found)):
        with suppress(ValueError):
            if found[number].type is Type.DISPLAYMATRIX:
                return Orientation(struct.unpack("=9i", bytes(found[number])))
    return None
