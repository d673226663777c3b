"""Pictures as JPEG."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2

if TYPE_CHECKING:
    from edged.records import Image


def encoded(image: Image, quality: int) -> bytes:
    """``image`` as a JPEG of ``quality``, 1..100."""
    _, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return jpeg.tobytes()
