"""YOLO models that give finished detections: YOLOv10, YOLO26, and others exported with suppression inside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edged.decoders import anchors, boxes
from edged.decoders.labels import class_names
from edged.decoders.quantised import real, require_finite
from edged.imaging.geometry import input_size
from edged.imaging.tensors import Encoding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edged.imaging.geometry import Geometry
    from edged.records import Detection, Model, Tensor

_COLUMNS = 6
_RANK = 3
_NORMALISED_MOST = 4.0


class YoloEnd2End:
    """Finished detections, nothing left to suppress.

    One output ``[1, n, 6]``, n usually 300: x1, y1, x2, y2, score, class id; corners in the letterboxed
    input, score 0..1, class id as a number; rows without a detection have a low score or are zero. The IoU
    threshold has no effect. float32 or float16, or quantised with one scale for the whole output.

    Ultralytics normalises corners to 0..1 for TFLite, other exporters leave them in input pixels. Normalised
    corners stay near 0..1 even of boxes that hang out of the picture, so a corner beyond 4 means pixels;
    a picture whose boxes in pixels all end within 4 pixels of the upper left corner has none worth telling.

    Source: Ultralytics documentation, "End-to-end detection"; layout and units measured on an export of 8.4.
    """

    task = "detect"
    encoding = Encoding("letterbox", low=0.0, high=1.0, border=114)

    @classmethod
    def mismatch(cls, model: Model) -> str | None:
        """Asks for six columns in the only output, and for other rows than a raw one has anchors."""
        if reason := anchors.not_of_task(model, cls.task):
            return reason
        shape = model.outputs[0].shape if len(model.outputs) == 1 else ()
        if len(shape) != _RANK or shape[0] != 1 or shape[2] != _COLUMNS:
            return "it has no single output [1, boxes, 6]"
        if shape[1] in anchors.anchors(model) | anchors.anchors(model, per_cell=3):
            return f"its {shape[1]} rows are the anchors of its input, so they are raw"
        return None

    def __init__(self, model: Model, *, score_threshold: float, iou_threshold: float) -> None:
        del iou_threshold
        self._spec = model.outputs[0]
        self._size = input_size(model.inputs[0])
        self._threshold = score_threshold
        self.labels = class_names(model, len(model.labels))

    def decode(self, outputs: Sequence[Tensor], geometry: Geometry) -> list[Detection]:
        """Detections of one frame in source pixels, clipped to the frame, best score first."""
        require_finite(outputs[0])
        rows = real(outputs[0][0], self._spec)
        width, height = self._size if rows[:, :4].max() <= _NORMALISED_MOST else (1, 1)
        rows = rows[rows[:, 4] >= self._threshold]
        rows = rows[np.argsort(-rows[:, 4], kind="stable")]
        found = rows[:, :4] * np.array((width, height, width, height), np.float32)
        class_ids = np.rint(rows[:, 5]).astype(np.intp)
        return boxes.detections(found, rows[:, 4], class_ids, self.labels, geometry)
