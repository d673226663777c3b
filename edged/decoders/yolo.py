"""YOLO models with raw output: YOLOv8, v9, v11, v12 and whatever else Ultralytics exports the same way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edged.decoders import anchors, boxes
from edged.decoders.labels import class_names
from edged.decoders.quantised import least_stored, real, require_finite
from edged.imaging.geometry import input_size
from edged.imaging.tensors import Encoding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edged.imaging.geometry import Geometry
    from edged.records import Detection, Model, Tensor, TensorSpec

_BOX = 4
_RANK = 3


class Yolo:
    """Raw boxes and class scores of every anchor.

    One output ``[1, 4 + classes, anchors]``, or the same cut in two, ``[1, 4, anchors]`` and
    ``[1, classes, anchors]`` in any order, as quantisation-aware exporters do so that boxes and scores have a
    scale each; both may also be ``[1, anchors, 4]`` and ``[1, anchors, classes]``.

    Rows 0-3 are centre x, centre y, width and height in the letterboxed input; the others the score of each
    class, 0..1 after the sigmoid, without objectness. Anchors are the cells of strides 8, 16 and 32.
    float32, float16, int8 or uint8; quantised ones have one scale and zero point for the whole output.

    Ultralytics normalises boxes to 0..1 for TFLite (so that boxes and scores can share a scale), other
    exporters leave them in input pixels. See ``anchors.pixels`` for how they are told apart.

    Source: Ultralytics documentation, "Export", output tensors; layout and units measured on exports of 8.1
    to 8.4. A pose, segmentation or OBB model has more rows or outputs and is refused by its metadata; a pose
    model without any by what ``anchors.keypoints`` says of its rows.
    """

    task = "detect"
    encoding = Encoding("letterbox", low=0.0, high=1.0, border=114)

    @classmethod
    def mismatch(cls, model: Model) -> str | None:
        """Asks for a last axis (or a middle one of two outputs) that counts the anchors of the input."""
        if reason := anchors.not_of_task(model, cls.task):
            return reason
        if _layout(model) is None:
            return "it has neither [1, 4 + classes, anchors] nor boxes and scores of all anchors"
        return None

    def __init__(self, model: Model, *, score_threshold: float, iou_threshold: float) -> None:
        layout = _layout(model)
        assert layout is not None  # noqa: S101  # mismatch() was asked before
        self._boxes, self._scores, self._transposed = layout
        self._box_spec = model.outputs[self._boxes]
        self._score_spec = model.outputs[self._scores]
        self._size = input_size(model.inputs[0])
        self._least = least_stored(score_threshold, self._score_spec)
        self._iou_threshold = iou_threshold
        self.labels = class_names(model, _classes(layout, self._score_spec))

    def decode(self, outputs: Sequence[Tensor], geometry: Geometry) -> list[Detection]:
        """Detections of one frame in source pixels, clipped to the frame, best score first."""
        require_finite(*outputs)
        stored_boxes, stored_scores = outputs[self._boxes][0], outputs[self._scores][0]
        if self._transposed:
            stored_boxes, stored_scores = stored_boxes.T, stored_scores.T
        if self._boxes == self._scores:
            stored_scores = stored_scores[_BOX:]
        # One pass of maximum over all anchors; which class it is matters only for the few that survive.
        alive = np.flatnonzero(stored_scores.max(axis=0) >= self._least)
        if not alive.size:
            return []
        stored = stored_scores[:, alive]
        class_ids = stored.argmax(axis=0)
        scores = real(stored[class_ids, np.arange(alive.size)], self._score_spec)
        unit = anchors.pixels(real(stored_boxes[0], self._box_spec), self._size)
        found = boxes.corners(real(stored_boxes[:_BOX, alive].T, self._box_spec) * unit)
        kept = boxes.suppress(found, scores, class_ids, self._iou_threshold)
        return boxes.detections(found[kept], scores[kept], class_ids[kept], self.labels, geometry)


def _layout(model: Model) -> tuple[int, int, bool] | None:
    """Index of the output with boxes, of the one with scores, and whether anchors come before channels."""
    shapes = [output.shape for output in model.outputs]
    if not all(len(shape) == _RANK and shape[0] == 1 for shape in shapes):
        return None
    known = anchors.anchors(model)
    if len(shapes) == 1:
        _, channels, last = shapes[0]
        fits = channels > _BOX and last in known and not anchors.keypoints(model, channels)
        return (0, 0, False) if fits else None
    if len(shapes) == 2:  # noqa: PLR2004  # boxes and scores
        for axis, transposed in ((2, False), (1, True)):
            if all(shape[axis] in known for shape in shapes) and shapes[0][axis] == shapes[1][axis]:
                widths = [shape[3 - axis] for shape in shapes]
                if _BOX in widths:
                    # With four classes both look alike; every exporter seen puts the boxes first.
                    place = widths.index(_BOX)
                    return place, 1 - place, transposed
    return None


def _classes(layout: tuple[int, int, bool], scores: TensorSpec) -> int:
    place, other, transposed = layout
    channels = scores.shape[2 if transposed else 1]
    return channels - _BOX if place == other else channels
