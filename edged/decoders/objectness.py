"""Rows of boxes with an objectness: score = objectness times the best class score."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from edged.decoders.quantised import least_stored, real

if TYPE_CHECKING:
    import numpy.typing as npt

    from edged.records import Tensor, TensorSpec

OBJECTNESS = 4
"""Its column, after the box; the classes come behind it."""
FIRST_CLASS = 5


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


__all__ = ["FIRST_CLASS", "OBJECTNESS", "Sure", "Threshold"]
