"""Rows of boxes with an objectness: score = objectness times the best class score."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from edged.decoders import anchors, evidence
from edged.decoders.quantised import least_stored, real

if TYPE_CHECKING:
    import numpy.typing as npt

    from edged.records import Model, Tensor, TensorSpec

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
    return not evidence.columns_are_anchors(model, index)


class Sure(NamedTuple):
    """Rows that reach the threshold."""

    rows: npt.NDArray[np.intp]
    class_ids: npt.NDArray[np.intp]
    scores: npt.NDArray[np.floating[Any]]


class Threshold:
    """Picks the rows ``[n, 5 + classes]`` whose score reaches ``score_threshold``."""

    def __init__(self, score_threshold: float, spec: TensorSpec) -> None:
        self._threshold = score_threshold
        self._spec = spec
        self._least = least_stored(score_threshold, spec)

    def __call__(self, stored: Tensor) -> Sure:
        """The sure ones, in the order of the rows."""
        # Class scores are 1 at the most, so objectness alone rules out nearly all rows.
        rows = np.flatnonzero(stored[:, OBJECTNESS] >= self._least)
        alive = stored[rows]
        class_ids = alive[:, FIRST_CLASS:].argmax(axis=1)
        best = alive[np.arange(len(alive)), FIRST_CLASS + class_ids]
        scores = real(alive[:, OBJECTNESS], self._spec) * real(best, self._spec)
        sure = np.flatnonzero(scores >= self._threshold)
        return Sure(rows[sure], class_ids[sure], scores[sure])
