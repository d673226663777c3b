"""What FFmpeg has decoded, as upright pixels: its planes where they can stay as they are, else BGR."""

from __future__ import annotations

from typing import TYPE_CHECKING

import av
import av.error
import numpy as np
from av.video.reformatter import VideoReformatter

from edged.pixels import BT601, BT709, Planes
from edged.sources.connection import Damaged
from edged.sources.decoding.orientation import orientation_of
from edged.sources.pace import turned

if TYPE_CHECKING:
    from edged.pixels import Pixels
    from edged.records import Image

_FULL_RANGE = 2
"""``AVCOL_RANGE_JPEG`` of FFmpeg."""
_MATRICES = {1: BT709, 2: BT601, 5: BT601, 6: BT601}
"""By the figures of ITU-T H.273; where nothing is said (2) FFmpeg's scaler, too, takes BT.601."""


class Upright:
    """Makes pixels of decoded pictures. Belongs to one thread.

    Planes are those of the decoder, without a copy: it takes new memory for its next picture as long as they
    are held. A picture that has to be turned, has odd sides or other colours becomes BGR at once.
    """

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()
        """One for all pictures: making FFmpeg's converter anew takes longer than converting."""

    def __call__(self, picture: av.VideoFrame, rotate: int) -> Pixels:
        """The picture as it is meant to be seen, turned clockwise by so many degrees.

        Raises:
            Damaged: FFmpeg cannot convert it.
        """
        orientation = orientation_of(picture)
        if orientation is None and rotate == 0 and (planes := self._planes(picture)) is not None:
            return planes
        try:
            image: Image = self._reformatter.reformat(picture, format="bgr24").to_ndarray()  # type: ignore[assignment]
        except (av.error.FFmpegError, OSError, ValueError):
            raise Damaged from None  # colours that only a broken header can ask for
        return turned(image if orientation is None else orientation.upright(image), rotate)

    def _planes(self, picture: av.VideoFrame) -> Planes | None:
        matrix = _MATRICES.get(int(picture.colorspace))
        if matrix is None or picture.width % 2 or picture.height % 2:
            return None
        name = picture.format.name
        full_range = name == "yuvj420p" or int(picture.color_range) == _FULL_RANGE
        if name == "nv12":  # as hardware gives it
            picture = self._reformatter.reformat(picture, format="yuv420p")
        elif name not in {"yuv420p", "yuvj420p"}:
            return None
        y, u, v = (_read_only(plane) for plane in picture.planes)
        return Planes(y, u, v, matrix=matrix, full_range=full_range)


def _read_only(plane: av.video.plane.VideoPlane) -> Image:
    rows: Image = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    rows.flags.writeable = False
    return rows[: plane.height, : plane.width]
