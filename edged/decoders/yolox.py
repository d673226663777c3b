"""YOLOX: nano, tiny, s and whatever else Megvii's exporters and their like make of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edged.decoders import anchors, boxes, evidence
from edged.decoders.labels import class_names
from edged.decoders.objectness import FIRST_CLASS, OBJECTNESS, Threshold
from edged.decoders.quantised import real, require_finite
from edged.imaging.geometry import input_size
from edged.imaging.tensors import Encoding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edged.imaging.geometry import Geometry
    from edged.records import Detection, Model, Tensor

_RANK = 3


class Yolox:
    """Raw boxes, objectness and class scores, one row a cell.

    One output ``[1, cells, 5 + classes]``; cells of strides 8, 16 and 32, fine ones first, row by row (3549
    at 416x416). Columns 0-3 are

    - offset x, offset y from the upper left corner of the cell and log width, log height, all in units of the
      cell: centre = (offset + column or row) * stride, size = exp(log) * stride;
    - or, exported with ``--decode_in_inference``, centre x, centre y, width, height, in input pixels or
      0..1 of the input (see ``anchors.pixels``).

    A trial run tells which: only places follow the grid. Column 4 is the objectness, the others the score of
    each class, both after the sigmoid; the score of a box is objectness times the best class score. float32,
    float16, int8 or uint8; quantised ones have one scale and zero point for the whole output.

    Input BGR 0..255 as it is, the picture in the upper left corner, border 114. (Models of
    YOLOX before 0.1.1 wanted it normalised and RGB; nothing in the file tells them.)

    Rows of other families are as long; here every column from the objectness on is a probability. YOLOv6 has
    an objectness of 1 throughout and another input. Rows on the grid without objectness, as YOLOv8 has them
    when transposed, differ by one column: the labels decide, or 80 classes.

    Source: YOLOX, yolox/models/yolo_head.py (forward, decode_outputs), yolox/utils/demo_utils.py
    (demo_postprocess), yolox/data/data_augment.py (preproc).
    """

    task = "detect"
    encoding = Encoding("corner", low=0.0, high=255.0, border=114, order="bgr")

    @classmethod
    def mismatch(cls, model: Model) -> str | None:
        """Asks for one row a cell, with probabilities from column 4 on."""
        if reason := anchors.not_of_task(model, cls.task):
            return reason
        shape = model.outputs[0].shape if len(model.outputs) == 1 else ()
        if len(shape) != _RANK or shape[1] not in anchors.anchors(model) or shape[2] <= FIRST_CLASS:
            return "it has no single output [1, one row a cell, 5 + classes]"
        if evidence.columns_are_anchors(model, 0):
            return "its columns are the cells"
        rows = evidence.values(model, 0)
        certain = rows is not None and not _on_grid(model, rows)
        if reason := _other_values(model):
            return reason
        if not certain and shape[2] != FIRST_CLASS + evidence.known_classes(model):
            return f"its {shape[2]} columns are not 5 and {evidence.known_classes(model)} classes"
        return None

    def __init__(self, model: Model, *, score_threshold: float, iou_threshold: float) -> None:
        self._spec = model.outputs[0]
        self._size = input_size(model.inputs[0])
        self._sure = Threshold(score_threshold, self._spec)
        self._iou_threshold = iou_threshold
        self._corners, self._sides = anchors.cells(model, self._spec.shape[1])
        rows = evidence.values(model, 0)
        self._on_grid = rows is not None and _on_grid(model, rows)
        self.labels = class_names(model, self._spec.shape[2] - FIRST_CLASS)

    def decode(self, outputs: Sequence[Tensor], geometry: Geometry) -> list[Detection]:
        """Detections of one frame in source pixels, clipped to the frame, best score first."""
        require_finite(outputs[0])
        stored = outputs[0][0]
        rows, class_ids, scores = self._sure(stored)
        if not rows.size:
            return []
        found = real(stored[rows, :OBJECTNESS], self._spec)
        if self._on_grid:
            found *= anchors.pixels(stored[:, 0], self._spec, self._size)
        else:
            found[:, 2:] = np.exp(found[:, 2:])
            found *= self._sides[rows]
            found[:, :2] += self._corners[rows]
        found = boxes.corners(found)
        kept = boxes.suppress(found, scores, class_ids, self._iou_threshold)
        return boxes.detections(found[kept], scores[kept], class_ids[kept], self.labels, geometry)


def _other_values(model: Model) -> str | None:
    """What speaks against the family in a trial run, if there is one."""
    rows = evidence.values(model, 0)
    if rows is None:
        return None
    if not evidence.are_probabilities(rows[:, OBJECTNESS:]).all():
        return "its columns from 4 on hold more than probabilities"
    if rows[:, OBJECTNESS].min() == 1:
        return "its objectness is 1 throughout, as YOLOv6 has it"
    return "its rows are finished detections, best first" if evidence.are_finished(model, 0) else None


def _on_grid(model: Model, rows: Tensor) -> bool:
    corners, _ = anchors.cells(model, len(rows))
    return evidence.follow_the_grid(rows[:, 0], corners[:, 0])
