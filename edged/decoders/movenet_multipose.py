"""MoveNet MultiPose: the poses of up to six persons."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edged.decoders import anchors, boxes
from edged.decoders.quantised import real, require_finite
from edged.decoders.skeletons import skeleton
from edged.imaging.geometry import input_size
from edged.imaging.tensors import Encoding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edged.imaging.geometry import Geometry
    from edged.records import Detection, Model, Tensor

_POINTS, _NUMBERS = 17, 3
_SHAPE = (1, 6, _POINTS * _NUMBERS + 5)
_CORNERS = (1, 0, 3, 2)
"""Columns of x1, y1, x2, y2 in a box."""


class MoveNetMultiPose:
    """Up to six persons, each with a box and 17 points.

    One output ``[1, 6, 56]``, float32 or quantised: y, x, 0..1 of the letterboxed input, and score of each of
    17 points in COCO's order, then the box as y1, x1, y2, x2 and its score, 0..1. Rows without a person have
    a low score. The IoU threshold has no effect. The input is RGB 0..255 with a black border, a float one,
    too; the original leaves its size open, see ``engines.cpu``.

    Source: TensorFlow Hub, movenet/multipose model card.
    """

    encoding = Encoding("letterbox", low=0.0, high=255.0, border=0, raw_when_quantised=True)
    labels: tuple[str, ...] = ("person",)
    task = "pose"

    @classmethod
    def mismatch(cls, model: Model) -> str | None:
        """Asks for one output with six rows of 17 points, a box and its score."""
        if reason := anchors.not_of_task(model, cls.task):
            return reason
        if [output.shape for output in model.outputs] != [_SHAPE]:
            return f"it has no single output {list(_SHAPE)}"
        return None

    def __init__(self, model: Model, *, score_threshold: float, iou_threshold: float) -> None:
        del iou_threshold
        self._spec = model.outputs[0]
        self._size = np.array(input_size(model.inputs[0]), np.float32)
        self._threshold = score_threshold

    def decode(self, outputs: Sequence[Tensor], geometry: Geometry) -> list[Detection]:
        """The persons in source pixels, boxes clipped to the frame, best score first."""
        require_finite(outputs[0])
        rows = real(outputs[0][0], self._spec)
        rows = rows[rows[:, -1] >= self._threshold]
        rows = rows[np.argsort(-rows[:, -1], kind="stable")]
        points = rows[:, : _POINTS * _NUMBERS].reshape(-1, _POINTS, _NUMBERS)[..., (1, 0, 2)]
        points[..., :2] *= self._size
        corners = rows[:, -5:-1][:, _CORNERS] * np.tile(self._size, 2)
        return boxes.detections(
            corners,
            rows[:, -1],
            np.zeros(len(rows), np.intp),
            self.labels,
            geometry,
            keypoints=points,
            skeleton=skeleton(_POINTS),
        )
