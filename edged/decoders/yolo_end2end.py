"""Models that give finished detections: YOLOv10, YOLO26, RT-DETR, others exported with suppression inside."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edged.decoders import boxes
from edged.decoders.heads import FinishedHead, not_finished
from edged.decoders.labels import class_names
from edged.imaging.tensors import Encoding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edged.imaging.geometry import Geometry
    from edged.records import Detection, Model, Tensor

_TRANSFORMER = "RTDETRDecoder"


class YoloEnd2End:
    """Finished detections, nothing left to suppress.

    One output ``[1, n, 6]``, n usually 300: x1, y1, x2, y2, score, class id; corners in the letterboxed
    input, score 0..1, class id as a number; rows without a detection have a low score or are zero. The IoU
    threshold has no effect. float32 or float16, or quantised with one scale for the whole output.

    Ultralytics normalises corners to 0..1 for TFLite, other exporters leave them in input pixels; see
    ``FinishedHead`` for how they are told apart.

    RT-DETR, told by its metadata, gives centre, width and height instead, and takes the picture stretched.

    Source: Ultralytics documentation, "End-to-end detection", and its ``RTDETRDecoder.postprocess`` and
    ``RTDETRPredictor.pre_transform``; layout and units measured on an export of 8.4.
    """

    task = "detect"
    encoding = Encoding("letterbox", low=0.0, high=1.0, border=114)

    @classmethod
    def mismatch(cls, model: Model) -> str | None:
        """Asks for six columns in the only output, and for other rows than a raw one has anchors."""
        return not_finished(model, extras=0)

    def __init__(self, model: Model, *, score_threshold: float, iou_threshold: float) -> None:
        del iou_threshold
        centred = model.metadata.get("head") == _TRANSFORMER
        if centred:
            self.encoding = replace(self.encoding, fit="stretch")
        self._head = FinishedHead(model, score_threshold, centred=centred)
        self.labels = class_names(model, self._head.classes)

    def decode(self, outputs: Sequence[Tensor], geometry: Geometry) -> list[Detection]:
        """Detections of one frame in source pixels, clipped to the frame, best score first."""
        found = self._head.candidates(outputs)
        corners = boxes.corners(found.boxes)
        return boxes.detections(corners, found.scores, found.class_ids, self.labels, geometry)
