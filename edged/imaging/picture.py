"""The annotated picture of a result: drawn once, when first asked for, and shared by all sinks."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from edged.imaging.drawing import annotate
from edged.pixels import Planes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edged.pixels import Pixels
    from edged.records import Detection


class Picture:
    """Call it for the frame with its detections drawn.

    It draws into a copy of planes, which the decoder may still need, and of BGR into the frame's own pixels:
    by then the model has seen them, nobody else needs them bare, and a copy of every frame would cost more
    than the drawing. Where there is nothing to draw the pixels stay as they came.
    """

    __slots__ = ("_detections", "_lock", "_pixels")

    def __init__(self, pixels: Pixels, detections: Sequence[Detection]) -> None:
        self._pixels = pixels
        self._detections = detections
        self._lock = threading.Lock()

    def __call__(self) -> Pixels:
        """The annotated picture; read only. Safe from any thread."""
        with self._lock:
            if self._detections:
                if isinstance(self._pixels, Planes):
                    self._pixels = self._pixels.copy()
                annotate(self._pixels, self._detections)
                self._detections = ()
        return self._pixels
