"""YOLOX: nano, tiny, s and whatever else Megvii's exporters and their like make of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edged.decoders import anchors, trial_run
from edged.decoders.objectness import FIRST_CLASS, OBJECTNESS, RowDecoder
from edged.decoders.quantised import real
from edged.imaging.tensors import Encoding

if TYPE_CHECKING:
    import numpy.typing as npt

    from edged.records import Model, Tensor

_RANK = 3


class Yolox(RowDecoder):
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
        shape = model.outputs[0].shape if len(model.outputs) == 1 else ()
        if len(shape) != _RANK or shape[1] not in anchors.anchors(model) or shape[2] <= FIRST_CLASS:
            return "it has no single output [1, one row a cell, 5 + classes]"
        if trial_run.columns_are_anchors(model, 0):
            return "its columns are the cells"
        rows = trial_run.values(model, 0)
        certain = rows is not None and not _on_grid(model, rows)
        if reason := _other_values(model):
            return reason
        if not certain and shape[2] != FIRST_CLASS + trial_run.known_classes(model):
            return f"its {shape[2]} columns are not 5 and {trial_run.known_classes(model)} classes"
        return None

    def __init__(self, model: Model, *, score_threshold: float, iou_threshold: float) -> None:
        super().__init__(model, score_threshold=score_threshold, iou_threshold=iou_threshold)
        self._corners, self._sides = anchors.cells(model, self._spec.shape[1])
        rows = trial_run.values(model, 0)
        self._on_grid = rows is not None and _on_grid(model, rows)

    def _places(self, stored: Tensor, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.floating[Any]]:
        if self._on_grid:
            return super()._places(stored, rows)
        found = real(stored[rows, :OBJECTNESS], self._spec)
        found[:, 2:] = np.exp(found[:, 2:])
        found *= self._sides[rows]
        found[:, :2] += self._corners[rows]
        return found


def _other_values(model: Model) -> str | None:
    """What speaks against the family in a trial run, if there is one."""
    rows = trial_run.values(model, 0)
    if rows is None:
        return None
    if not trial_run.are_probabilities(rows[:, OBJECTNESS:]).all():
        return "its columns from 4 on hold more than probabilities"
    if rows[:, OBJECTNESS].min() == 1:
        return "its objectness is 1 throughout, as YOLOv6 has it"
    return "its rows are finished detections, best first" if trial_run.are_finished(model, 0) else None


def _on_grid(model: Model, rows: Tensor) -> bool:
    corners, _ = anchors.cells(model, len(rows))
    return trial_run.follow_the_grid(rows[:, 0], corners[:, 0])
