"""The annotated picture of a result: drawn once, when first asked for, and shared by all sinks."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from edged.imaging.drawing import annotate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edged.records import Detection, Image


class Picture:
    """Call it for the frame with its detections drawn.

    It draws into the frame's own pixels: by then the model has seen them, nobody else needs them bare, and
    a copy of every frame would cost more than the drawing.
    """

    __slots__ = ("_detections", "_image", "_lock")

    def __init__(self, image: Image, detections: Sequence[Detection]) -> None:
        self._image = image
        self._detections: Sequence[Detection] | None = detections
        self._lock = threading.Lock()

    def __call__(self) -> Image:
        """The annotated image; read only. Safe from any thread."""
        with self._lock:
            if self._detections is not None:
                annotate(self._image, self._detections)
                self._detections = None
        return self._image
