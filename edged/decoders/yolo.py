"""YOLO models with raw output: YOLOv8, v9, v11, v12 and whatever else Ultralytics exports the same way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edged.decoders import anchors, boxes, extra_rows, trial_run
from edged.decoders.heads import distinct, open_head, raw_layout
from edged.decoders.labels import class_names
from edged.imaging.tensors import Encoding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edged.decoders.heads import RawLayout
    from edged.imaging.geometry import Geometry
    from edged.records import Detection, Model, Tensor

_DISTANCES = 64
"""Channels of a split head (see ``YoloSplit``), which 64 classes beside a box look like."""


class Yolo:
    """Raw boxes and class scores of every anchor.

    One output ``[1, 4 + classes, anchors]``, or the same cut in two, ``[1, 4, anchors]`` and
    ``[1, classes, anchors]`` in any order, as quantisation-aware exporters do so that boxes and scores have a
    scale each; both may also be ``[1, anchors, 4]`` and ``[1, anchors, classes]``.

    One output may be ``[1, anchors, 4 + classes]``, too: metadata tell, or a trial run in which places follow
    the grid and all else is a probability, of as many classes as the labels name (or 80): YOLOX has one more.

    Rows 0-3 are centre x, centre y, width and height in the letterboxed input; the others the score of each
    class, 0..1 after the sigmoid, without objectness. Anchors are the cells of strides 8, 16 and 32.
    float32, float16, int8 or uint8; quantised ones have one scale and zero point for the whole output.

    Ultralytics normalises boxes to 0..1 for TFLite (so that boxes and scores can share a scale), other
    exporters leave them in input pixels. See ``anchors.pixels`` for how they are told apart.

    Source: Ultralytics documentation, "Export", output tensors; layout and units measured on exports of 8.1
    to 8.4. A pose, segmentation or OBB model has more rows or outputs and is refused by its metadata; a pose
    model without any by what ``extra_rows.points`` says of its rows, one for oriented boxes
    by what ``extra_rows.is_angle`` says.
    """

    task = "detect"
    encoding = Encoding("letterbox", low=0.0, high=1.0, border=114)

    @classmethod
    def mismatch(cls, model: Model) -> str | None:
        """Asks for a last axis (or a middle one of two outputs) that counts the anchors of the input."""
        layout = raw_layout(model, extras=0)
        if layout is None:
            return "it has neither [1, 4 + classes, anchors] nor boxes and scores of all anchors"
        if reason := extra_rows.no_detector(model):
            return reason
        alone = len(model.outputs) == 1
        if alone and layout.transposed and not _rows_are_boxes(model, layout):
            return (
                "its rows [1, anchors, n] are not 4 numbers of a place on the grid and the scores of classes"
            )
        if layout.classes == _DISTANCES and not alone:
            scores = layout.scores.output
            if not trial_run.are_scores(model, scores, layout.classes):
                return "its 4 and 64 channels may be four classes and the distances of a split head"
        return None

    def __init__(self, model: Model, *, score_threshold: float, iou_threshold: float) -> None:
        self._head = open_head(model, 0, score_threshold)
        self._iou_threshold = iou_threshold
        self.labels = class_names(model, self._head.classes)

    def decode(self, outputs: Sequence[Tensor], geometry: Geometry) -> list[Detection]:
        """Detections of one frame in source pixels, clipped to the frame, best score first."""
        corners, found = distinct(self._head, outputs, self._iou_threshold)
        if not found.scores.size:
            return []
        return boxes.detections(corners, found.scores, found.class_ids, self.labels, geometry)


def _rows_are_boxes(model: Model, layout: RawLayout) -> bool:
    """Whether rows ``[anchors, n]`` are box and scores: other families have one a cell, too."""
    if "task" in model.metadata:
        return True
    rows = trial_run.values(model, 0)
    if rows is None or layout.classes != trial_run.known_classes(model):
        return False
    corners, _ = anchors.cells(model, len(rows))
    on_grid = trial_run.follow_the_grid(rows[:, 0], corners[:, 0])
    return on_grid and bool(trial_run.are_probabilities(rows[:, 4:]).all())
