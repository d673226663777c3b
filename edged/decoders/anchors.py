"""Facts that all models with cells share: how many and where they are, the unit of their boxes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edged.errors import ModelError
from edged.imaging.geometry import input_size

if TYPE_CHECKING:
    import numpy.typing as npt

    from edged.records import Model, Tensor, TensorSpec

_PYRAMIDS = ((8, 16, 32), (8, 16, 32, 64), (4, 8, 16, 32), (16, 32))
"""Strides of the usual models, of those for large pictures (P6), for small things (P2), of tiny ones."""
_NORMALISED_MEAN = 2.0


def anchors(model: Model, *, per_cell: int = 1) -> frozenset[int]:
    """How many anchors the input of ``model`` can have: the cells of all strides of a pyramid, summed up."""
    return frozenset(per_cell * count for count in _pyramids(model))


def cells(model: Model, count: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Where the ``count`` cells of a pyramid lie, fine ones first, row by row.

    Returns:
        Upper left corners x, y ``[count, 2]`` and side ``[count, 1]``, in input pixels.
    """
    width, height = input_size(model.inputs[0])
    corners, sides = [], []
    for stride in _pyramids(model)[count]:
        columns, rows = np.arange(-(-width // stride)), np.arange(-(-height // stride))
        x, y = np.meshgrid(columns * stride, rows * stride)
        corners.append(np.stack((x, y), axis=-1).reshape(-1, 2))
        sides.append(np.full((x.size, 1), stride))
    return np.concatenate(corners).astype(np.float32), np.concatenate(sides).astype(np.float32)


def strides(model: Model, count: int) -> tuple[int, ...]:
    """Those of the pyramid of ``count`` cells; empty where no pyramid has so many."""
    return _pyramids(model).get(count, ())


def level_sizes(model: Model, count: int) -> tuple[int, ...]:
    """How many cells each level of the pyramid of ``count`` cells has, fine ones first."""
    width, height = input_size(model.inputs[0])
    return tuple(-(-width // stride) * -(-height // stride) for stride in strides(model, count))


def _pyramids(model: Model) -> dict[int, tuple[int, ...]]:
    """The strides of every pyramid that the input can have, by the number of its cells."""
    try:
        width, height = input_size(model.inputs[0])
    except ModelError:
        return {}
    return {
        sum(-(-width // stride) * -(-height // stride) for stride in strides): strides
        for strides in _PYRAMIDS
    }


def pixels(centre_x: Tensor, spec: TensorSpec, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """What to multiply boxes x, y, w, h with to have them in input pixels: 1, or the size of the input.

    Anchors are spread evenly over the input whatever the picture shows, so the mean of the centres of all of
    them is near 0.5 for normalised boxes and near half the width, 16 or more, for pixels. Survivors
    alone could not tell: a thing in the upper left corner has small numbers in both.

    Args:
        centre_x: stored values of all anchors.
        spec: of the output that they are of.
        size: width and height of the input.
    """
    mean = float(centre_x.mean())
    if spec.quantised:
        mean = (mean - spec.zero_point) * spec.scale
    width, height = size if mean < _NORMALISED_MEAN else (1, 1)
    return np.array((width, height, width, height), np.float32)
