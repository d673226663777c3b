"""FOMO, Edge Impulse's detector of small things: where they are, without their size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from edged.decoders import boxes, trial_run
from edged.decoders.labels import class_names, without_background
from edged.decoders.quantised import least_stored, real, require_finite
from edged.errors import ModelError
from edged.imaging.geometry import input_size
from edged.imaging.tensors import Encoding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edged.imaging.geometry import Geometry
    from edged.records import Detection, Model, Tensor

_RANK = 4
_STRIDES = (8, 4, 16)
"""Pixels of a cell; 8 where Edge Impulse cuts MobileNetV2, others where users have cut it."""
_WHOLE = 0.03
"""How far the scores of a cell may miss 1; quantised ones miss it by half a step a class besides."""


class Fomo:
    """A grid of cells, each with the probability of every class.

    One output ``[1, rows, columns, 1 + classes]``, the softmax of the background and the classes; a cell is
    8x8 pixels of the input (96x96: 12x12 cells). float32, int8 or uint8.

    Neighbouring cells (diagonal ones, too) in which the same class reaches the threshold are one object: its
    box spans the cells, its score is the best of theirs. Two objects that touch are one, and a box tells
    where a thing is, not how large. Suppression has nothing to do.

    Input RGB or grey, 0..1. Nothing in the file tells whether the project squashes, crops or pads its
    pictures; the whole picture, stretched, is what loses nothing.

    Other models have grids, too: here each cell sums up to 1, which a trial run shows; without one the labels
    have to be as many as the classes.

    Source: Edge Impulse documentation, "FOMO: object detection for constrained devices"; inferencing SDK,
    classifier/ei_fill_result_struct.h (cubes that touch are joined).
    """

    task = "detect"
    encoding = Encoding("stretch", low=0.0, high=1.0)

    @classmethod
    def mismatch(cls, model: Model) -> str | None:
        """Asks for one grid of cells whose scores sum up to 1."""
        if _grid(model) is None:
            return "it has no single grid [1, rows, columns, 1 + classes] of cells of 8x8 pixels"
        classes, cells = model.outputs[0].shape[3], trial_run.values(model, 0)
        if cells is None:
            named = len(model.labels) in {classes, classes - 1} and model.labels
            return None if named else f"without a run its {classes} channels could be anything"
        step = model.outputs[0].scale * classes / 2
        if not trial_run.are_probabilities(cells.reshape(-1, 1)).all() or (
            np.abs(cells.sum(axis=2) - 1).max() > _WHOLE + step
        ):
            return "the channels of its cells are no probabilities that sum up to 1"
        return None

    def __init__(self, model: Model, *, score_threshold: float, iou_threshold: float) -> None:
        del iou_threshold
        self._spec = model.outputs[0]
        self._cell = _grid(model) or 0
        self._least = least_stored(score_threshold, self._spec)
        self.labels = class_names(model, self._spec.shape[3] - 1, without_background(model.labels))

    def decode(self, outputs: Sequence[Tensor], geometry: Geometry) -> list[Detection]:
        """Detections of one frame in source pixels, clipped to the frame, best score first."""
        require_finite(outputs[0])
        sure = outputs[0][0, :, :, 1:] >= self._least
        found: list[tuple[float, int, tuple[int, int, int, int]]] = []
        for class_id in np.flatnonzero(sure.any(axis=(0, 1))).tolist():
            mask = np.ascontiguousarray(sure[:, :, class_id], np.uint8)
            scores = real(outputs[0][0, :, :, 1 + class_id], self._spec)
            count, objects, places, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
            for number in range(1, count):
                left, top, width, height = places[number, :4].tolist()
                best = float(scores[objects == number].max())
                found.append((best, class_id, (left, top, left + width, top + height)))
        found.sort(key=lambda one: -one[0])
        corners = np.array([box for *_, box in found], np.float32).reshape(-1, 4) * self._cell
        return boxes.detections(
            corners,
            np.array([score for score, *_ in found]),
            np.array([class_id for _, class_id, _ in found], np.intp),
            self.labels,
            geometry,
        )


def _grid(model: Model) -> int | None:
    """Pixels of a cell; None where the output is no grid over the input."""
    shape = model.outputs[0].shape if len(model.outputs) == 1 else ()
    if len(shape) != _RANK or shape[0] != 1 or shape[3] < 2:  # noqa: PLR2004  # background and a class
        return None
    try:
        width, height = input_size(model.inputs[0])
    except ModelError:
        return None
    return next((side for side in _STRIDES if (height, width) == (shape[1] * side, shape[2] * side)), None)
