"""Boxes told as distributions of distances, the generalised focal loss's way (GFL, DFL).

Each side of a box is a distance from the centre of its cell, told as logits of ``bins`` whole numbers of
cells, 0 to bins - 1: the distance is their mean, weighted with the softmax.

Source: Li et al., "Generalized Focal Loss", 2020 (Integral); Ultralytics, nn/modules/block.py (DFL).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from edged.decoders.quantised import Floats

SIDES = 4
"""Left, top, right and bottom, in this order."""


def corners(logits: Floats, centres: Floats, sides: Floats) -> Floats:
    """Boxes as corners x1, y1, x2, y2 in the unit of ``centres``.

    Args:
        logits: ``[n, 4 * bins]``.
        centres: x, y from where distances count, ``[n, 2]``.
        sides: of the cells, ``[n, 1]``.
    """
    spread = logits.reshape(len(logits), SIDES, logits.shape[1] // SIDES)
    weights = np.exp(spread - spread.max(axis=2, keepdims=True))
    reach = weights @ np.arange(spread.shape[2], dtype=np.float32) / weights.sum(axis=2) * sides
    return np.concatenate((centres - reach[:, :2], centres + reach[:, 2:]), axis=1)
