"""Pictures as decoders give them, made by FFmpeg's own converter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import av
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from edged.pixels import BT601, BT709, Planes
from edged.sources.decoding.upright import Upright

if TYPE_CHECKING:
    from edged.records import Image

SPACES = {BT601: Colorspace.ITU601, BT709: Colorspace.ITU709}


def encoded(image: Image, matrix: int, *, full: bool, pixel_format: str = "yuv420p") -> av.VideoFrame:
    """As a decoder gives it."""
    wanted = ColorRange.JPEG if full else ColorRange.MPEG
    frame = VideoReformatter().reformat(
        av.VideoFrame.from_ndarray(image, format="bgr24"),
        format=pixel_format,
        dst_colorspace=SPACES[matrix],
        dst_color_range=wanted,
    )
    frame.colorspace, frame.color_range = SPACES[matrix], wanted
    return frame


def planes_of(image: Image, matrix: int = BT709, *, full: bool = False) -> Planes:
    planes = Upright()(encoded(image, matrix, full=full), 0)
    assert isinstance(planes, Planes)
    assert (planes.matrix, planes.full_range) == (matrix, full)
    return planes
