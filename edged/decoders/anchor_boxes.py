"""Anchors with a size: where they are, for models that do not say it themselves."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Anchors = npt.NDArray[np.float32]

_OCTAVE = 3
"""Scales in an octave of a pyramid."""
_LITE_SIZES = (320, 384, 448)
_SSD_CELLS = (19, 10, 5, 3, 2, 1)
_SSD_SCALES = (0.2, 0.95)
_SSD_INPUT = 300


def known(size: tuple[int, int], count: int) -> tuple[Anchors, tuple[float, float, float, float]] | None:
    """Anchors of an input of this size that are ``count``; None where no known generator makes so many.

    Returns:
        Centre x, y, width and height, 0..1 of the input, ``[count, 4]``, and what the offsets of x, y, width
        and height are divided by.
    """
    ones = (1.0, 1.0, 1.0, 1.0)
    width, height = size
    if width != height:
        return None
    for anchors, scales in (
        # Model Maker's RetinaNet (anchor_size 3, up to level 6), checked against the anchors in its metadata.
        (_pyramid(width, (8, 16, 32, 64), (0.5, 1.0, 2.0)), ones),
        # EfficientDet-Lite 0 to 2 (anchor_scale 3, up to level 7): automl, hparams_config.py and anchors.py.
        (_pyramid(width, (8, 16, 32, 64, 128), (1.0, 2.0, 0.5)) if width in _LITE_SIZES else None, ones),
        # TensorFlow's SSD at 300x300 (ssd_anchor_generator, faster_rcnn_box_coder).
        (_ssd() if width == _SSD_INPUT else None, (10.0, 10.0, 5.0, 5.0)),
    ):
        if anchors is not None and len(anchors) == count:
            return anchors, scales
    return None


def _pyramid(size: int, strides: Sequence[int], ratios: Sequence[float]) -> Anchors:
    """Nine a cell: three scales of an octave, from 3 cells on, each in three ratios width : height."""
    levels = []
    for stride in strides:
        scales = [3 * stride * 2 ** (step / _OCTAVE) for step in range(_OCTAVE)]
        shapes = [
            (scale * math.sqrt(ratio), scale / math.sqrt(ratio)) for scale in scales for ratio in ratios
        ]
        levels.append(_grid(-(-size // stride), stride / size, [(w / size, h / size) for w, h in shapes]))
    return np.concatenate(levels)


def _ssd() -> Anchors:
    """Six layers with scales from 0.2 to 0.95: three shapes a cell in the first, six in the others."""
    low, high = _SSD_SCALES
    scales = [low + (high - low) * layer / (len(_SSD_CELLS) - 1) for layer in range(len(_SSD_CELLS))] + [1.0]
    levels = []
    for layer, cells in enumerate(_SSD_CELLS):
        shapes = [(scales[layer], ratio) for ratio in (1.0, 2.0, 0.5, 3.0, 1 / 3)]
        shapes.append((math.sqrt(scales[layer] * scales[layer + 1]), 1.0))
        if layer == 0:
            shapes = [(0.1, 1.0), (scales[0], 2.0), (scales[0], 0.5)]
        sizes = [(scale * math.sqrt(ratio), scale / math.sqrt(ratio)) for scale, ratio in shapes]
        levels.append(_grid(cells, 1 / cells, sizes))
    return np.concatenate(levels)


def _grid(cells: int, step: float, shapes: Sequence[tuple[float, float]]) -> Anchors:
    """All shapes in the middle of each cell of a square grid, row by row."""
    middle = (np.arange(cells) + 0.5) * step
    x, y = np.meshgrid(middle, middle)
    centres = np.repeat(np.stack((x, y), axis=-1).reshape(-1, 2), len(shapes), axis=0)
    return np.concatenate((centres, np.tile(shapes, (cells * cells, 1))), axis=1).astype(np.float32)
