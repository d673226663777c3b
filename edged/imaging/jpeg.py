"""Pictures as JPEG."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2

from edged.pixels import Planes, bgr, fitted

if TYPE_CHECKING:
    from edged.pixels import Pixels


def encoded(pixels: Pixels, quality: int, most_width: int | None = None) -> bytes:
    """``pixels`` as a JPEG of ``quality``, 1..100; made smaller if they are wider than ``most_width``."""
    height, width = pixels.shape[:2]
    if most_width is not None and width > most_width:
        size = (most_width, max(1, round(height * most_width / width)))
        image = pixels.scaled(*size) if isinstance(pixels, Planes) else fitted(pixels, size)
    else:
        image = bgr(pixels)
    _, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return jpeg.tobytes()
