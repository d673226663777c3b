"""Scores before the sigmoid."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

_LIMIT = 100.0


def logit(probability: float) -> float:
    """The inverse of the sigmoid; infinite at 0 and 1."""
    if probability <= 0:
        return -math.inf
    return math.log(probability / (1 - probability)) if probability < 1 else math.inf


def sigmoid(logits: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float64]:
    """Probabilities, without overflow."""
    probabilities: npt.NDArray[np.float64] = 1 / (
        1 + np.exp(-np.clip(logits, -_LIMIT, _LIMIT, dtype=np.float64))
    )
    return probabilities
