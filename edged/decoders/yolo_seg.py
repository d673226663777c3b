"""Ultralytics' segmentation models: YOLOv8, YOLO11, YOLO26 and whatever else is exported the same way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edged.decoders import boxes
from edged.decoders.heads import distinct, not_finished, open_head, raw_layout
from edged.decoders.labels import class_names
from edged.decoders.outlines import Prototypes
from edged.decoders.quantised import require_finite
from edged.imaging.geometry import CHANNELS, input_size
from edged.imaging.tensors import Encoding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edged.imaging.geometry import Geometry
    from edged.records import Detection, Model, Tensor

_RANK = 4
_PLANES = 32
"""Prototypes of every model seen; more or fewer are taken, too, where their axis can be told."""


class YoloSeg:
    """Boxes of a detector, each with an outline.

    The outputs are those of a detector (see ``heads``) with the weights of 32 prototypes behind the classes
    of each box: ``[1, 4 + classes + 32, anchors]``, the same in three outputs, as quantisation-aware
    exporters cut it, or finished ones ``[1, n, 6 + 32]``. One more output has the prototypes,
    ``[1, h, w, 32]`` or ``[1, 32, h, w]``, at a quarter of the input's resolution. See ``outlines`` for what
    becomes of them.

    Source: Ultralytics documentation, "Instance Segmentation", and its ``process_mask``; layouts measured on
    exports of 8.3 and of Au-Zone's exporter.
    """

    encoding = Encoding("letterbox", low=0.0, high=1.0, border=114)
    task = "segment"

    @classmethod
    def mismatch(cls, model: Model) -> str | None:
        """Asks for one output of prototypes, and for as many weights for each box in the others."""
        place = _prototypes(model)
        if place is None:
            return "it has no output of prototypes [1, h, w, 32] beside its boxes"
        others, planes = _others(model, place), _planes(model, place)
        if raw_layout(model, planes, others) is None and not_finished(model, planes, others[0]):
            return f"its outputs have not the weights of {planes} prototypes for each box"
        return None

    def __init__(self, model: Model, *, score_threshold: float, iou_threshold: float) -> None:
        place = _prototypes(model)
        assert place is not None  # noqa: S101  # mismatch() was asked before
        others, planes = _others(model, place), _planes(model, place)
        self._head = open_head(model, planes, score_threshold, outputs=others)
        self._place = place
        planar = _is_planar(model, place, planes)
        self._prototypes = Prototypes(model.outputs[place], input_size(model.inputs[0]), planar=planar)
        self._iou_threshold = iou_threshold
        self.labels = class_names(model, self._head.classes)

    def decode(self, outputs: Sequence[Tensor], geometry: Geometry) -> list[Detection]:
        """Detections of one frame in source pixels, clipped to the frame, best score first."""
        require_finite(outputs[self._place])
        corners, found = distinct(self._head, outputs, self._iou_threshold)
        if not found.scores.size:
            return []
        outlines = self._prototypes.outlines(outputs[self._place], found.extras, corners)
        return boxes.detections(
            corners, found.scores, found.class_ids, self.labels, geometry, outlines=outlines
        )


def _prototypes(model: Model) -> int | None:
    """Index of the output with prototypes: the only one with an axis each for planes, rows and columns."""
    places = [index for index, output in enumerate(model.outputs) if len(output.shape) == _RANK]
    if len(places) != 1 or len(model.outputs) == 1:
        return None
    return places[0] if model.outputs[places[0]].shape[0] == 1 else None


def _planes(model: Model, place: int) -> int:
    """How many prototypes there are: 32, else the axis that is not of the size of a picture."""
    _, first, _, last = model.outputs[place].shape
    return _PLANES if _PLANES in (first, last) else min(first, last)


def _is_planar(model: Model, place: int, planes: int) -> bool:
    """Whether planes come first; where all axes are as long, as at 128x128, they lie as the picture's do."""
    _, first, _, last = model.outputs[place].shape
    return model.inputs[0].shape[3] not in CHANNELS if first == last == planes else last != planes


def _others(model: Model, place: int) -> list[int]:
    return [index for index in range(len(model.outputs)) if index != place]
