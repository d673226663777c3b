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
USUAL_CLASSES = 80
"""Of COCO, which models are of that say nothing else."""


def values(model: Model, index: int) -> npt.NDArray[np.float32] | None:
    """Real values of an output in the trial run, without the batch; None where there was no run."""
    outputs = model.trial()
    if not outputs:
        return None
    return real(outputs[index][0], model.outputs[index]).astype(np.float32, copy=False)


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
    return len(model.labels) or USUAL_CLASSES


__all__ = ["USUAL_CLASSES", "are_probabilities", "follow_the_grid", "known_classes", "values"]
