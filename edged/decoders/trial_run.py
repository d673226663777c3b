"""What a trial run tells of a model whose shapes fit several families: the range of its values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edged.decoders import anchors
from edged.decoders.quantised import real

if TYPE_CHECKING:
    import numpy.typing as npt

    from edged.records import Model

_ROUNDING = 0.01
"""How far quantisation may carry a probability over its end."""
_ALONG = 0.5
"""Correlation of x with the place of the cell: near 1 where x is a place, near 0 where it is an offset."""
_ROWS = 2
_BOX = 4
_SCORE, _CLASS_ID = 4, 5
_USUAL_CLASSES = 80
"""COCO's, which models know that say nothing else."""


def values(model: Model, index: int) -> npt.NDArray[np.float32] | None:
    """Real values of an output in the trial run, without the batch; None where there was no run."""
    outputs = model.trial()
    if not outputs:
        return None
    return real(outputs[index][0], model.outputs[index]).astype(np.float32, copy=False)


def is_probability(model: Model, index: int) -> bool | None:
    """Whether an output holds nothing but probabilities; None where nothing tells.

    A trial run tells, and so does a quantisation that cannot store anything below 0.
    """
    seen, spec = values(model, index), model.outputs[index]
    if seen is None and spec.quantised:
        limits = np.iinfo(spec.dtype)
        seen = real(np.array((limits.min, limits.max)), spec)
        # What it can store beyond 1 tells nothing: scales are seldom exact.
        return bool(seen[0] >= -_ROUNDING)
    return None if seen is None else bool(are_probabilities(seen.reshape(-1, 1)).all())


def are_scores(model: Model, index: int, classes: int) -> bool | None:
    """Whether an output holds scores of ``classes`` classes; None where neither values nor labels tell."""
    probable = is_probability(model, index)
    return probable if probable is not None or not model.labels else len(model.labels) == classes


def are_probabilities(columns: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """For each column of ``[rows, columns]`` whether it holds nothing but what a sigmoid can give."""
    inside: npt.NDArray[np.bool_] = (columns.min(axis=0) >= -_ROUNDING) & (
        columns.max(axis=0) <= 1 + _ROUNDING
    )
    return inside


def are_finished(model: Model, index: int) -> bool:
    """Whether a trial run gives detections in rows, best first: score in column 4, class id in column 5.

    Rows of anchors lie in the order of their cells, so their scores rise and fall.
    """
    rows = values(model, index)
    if rows is None or rows.ndim != _ROWS or rows.shape[1] <= _CLASS_ID:
        return False
    scores, class_ids = rows[:, _SCORE], rows[:, _CLASS_ID]
    best_first = scores[0] > scores[-1] and bool((scores[1:] <= scores[:-1]).all())
    whole = (class_ids == np.rint(class_ids)).all() and class_ids.min() >= 0
    return bool(best_first and whole and are_probabilities(scores[:, np.newaxis]).all())


def columns_are_anchors(model: Model, index: int) -> bool:
    """Whether the columns of an output ``[1, n, m]``, and not its rows, are the anchors of the input.

    A small input has so few that both may be as many, as in ``[1, 135, 189]`` at 96x96: either 131 classes of
    one anchor a cell, or three anchors a cell of coarser strides with 184 classes. Then a run shows what
    follows the grid, or labels how many classes there are. Where nothing tells, columns are anchors, of which
    there are more models.
    """
    _, rows, columns = model.outputs[index].shape
    if columns not in anchors.anchors(model):
        return False
    both = rows in anchors.anchors(model) | anchors.anchors(model, per_cell=3)
    if not both or len(model.outputs) > 1:
        return True
    seen, classes = values(model, index), len(model.labels)
    if seen is not None:
        corners, _ = anchors.cells(model, columns)
        return follow_the_grid(seen[0], corners[:, 0])
    return classes not in {columns - _BOX, columns - _BOX - 1} or classes == rows - _BOX


def follow_the_grid(x: npt.NDArray[np.float32], cell_x: npt.NDArray[np.float32]) -> bool:
    """Whether ``x`` of all cells are places in the picture, in whatever unit, and not offsets in the cell."""
    apart, cells_apart = x - x.mean(), cell_x - cell_x.mean()
    spread = float(np.sqrt((apart**2).sum() * (cells_apart**2).sum()))
    return spread > 0 and float((apart * cells_apart).sum()) / spread > _ALONG


def known_classes(model: Model) -> int:
    """How many classes the labels name; without any the usual number."""
    return len(model.labels) or _USUAL_CLASSES
