"""What a trial run tells of a model whose shapes fit several families: the range of its values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edged.decoders.quantised import real

if TYPE_CHECKING:
    import numpy.typing as npt

    from edged.records import Model

_ROUNDING = 0.01
"""How far quantisation may carry a probability over its end."""
_ALONG = 0.5
"""Correlation of x with the place of the cell: near 1 where x is a place, near 0 where it is an offset."""
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


def follow_the_grid(x: npt.NDArray[np.float32], cell_x: npt.NDArray[np.float32]) -> bool:
    """Whether ``x`` of all cells are places in the picture, in whatever unit, and not offsets in the cell."""
    apart, cells_apart = x - x.mean(), cell_x - cell_x.mean()
    spread = float(np.sqrt((apart**2).sum() * (cells_apart**2).sum()))
    return spread > 0 and float((apart * cells_apart).sum()) / spread > _ALONG


def known_classes(model: Model) -> int:
    """How many classes the labels name; without any the usual number."""
    return len(model.labels) or _USUAL_CLASSES


__all__ = [
    "are_probabilities",
    "are_scores",
    "follow_the_grid",
    "is_probability",
    "known_classes",
    "values",
]
