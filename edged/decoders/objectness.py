"""Rows of boxes with an objectness: score = objectness times the best class score."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edged.decoders import anchors, boxes, trial_run
from edged.decoders.labels import class_names
from edged.decoders.quantised import least_stored, real, require_finite
from edged.imaging.geometry import input_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from edged.imaging.geometry import Geometry
    from edged.records import Detection, Model, Tensor

OBJECTNESS = 4
"""Its column, after the box; the classes come behind it."""
FIRST_CLASS = 5
_RANK = 3
_ANCHORS_PER_CELL = 3


def are_rows_of_three(model: Model, index: int) -> bool:
    """Whether an output is ``[1, three anchors a cell, 5 + classes]``."""
    shape, rows = model.outputs[index].shape, anchors.anchors(model, per_cell=_ANCHORS_PER_CELL)
    if len(shape) != _RANK or shape[0] != 1 or shape[1] not in rows or shape[2] <= FIRST_CLASS:
        return False
    return not trial_run.columns_are_anchors(model, index)


class RowDecoder:
    """What is the same for every family with such rows: one output ``[1, n, 5 + classes]``, not suppressed.

    The boxes of a row are centre x, centre y, width and height, in input pixels or 0..1 of the input.
    """

    def __init__(self, model: Model, *, score_threshold: float, iou_threshold: float) -> None:
        self._spec = model.outputs[0]
        self._size = input_size(model.inputs[0])
        self._threshold = score_threshold
        self._least = least_stored(score_threshold, self._spec)
        self._iou_threshold = iou_threshold
        self.labels = class_names(model, self._spec.shape[2] - FIRST_CLASS)

    def decode(self, outputs: Sequence[Tensor], geometry: Geometry) -> list[Detection]:
        """Detections of one frame in source pixels, clipped to the frame, best score first."""
        require_finite(outputs[0])
        stored = outputs[0][0]
        # Class scores are 1 at the most, so objectness alone rules out nearly all rows.
        rows = np.flatnonzero(stored[:, OBJECTNESS] >= self._least)
        alive = stored[rows]
        class_ids = alive[:, FIRST_CLASS:].argmax(axis=1)
        best = alive[np.arange(len(alive)), FIRST_CLASS + class_ids]
        scores = real(alive[:, OBJECTNESS], self._spec) * real(best, self._spec)
        sure = np.flatnonzero(scores >= self._threshold)
        if not sure.size:
            return []
        rows, class_ids, scores = rows[sure], class_ids[sure], scores[sure]
        found = boxes.corners(self._places(stored, rows))
        kept = boxes.suppress(found, scores, class_ids, self._iou_threshold)
        return boxes.detections(found[kept], scores[kept], class_ids[kept], self.labels, geometry)

    def _places(self, stored: Tensor, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.floating[Any]]:
        """Centre and size in input pixels, of these rows."""
        unit = anchors.pixels(stored[:, 0], self._spec, self._size)
        places: npt.NDArray[np.floating[Any]] = real(stored[rows, :OBJECTNESS], self._spec) * unit
        return places
