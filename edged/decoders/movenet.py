"""MoveNet: one person's pose (Lightning and Thunder), or those of up to six (MultiPose)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from edged.decoders import boxes
from edged.decoders.quantised import real, require_finite
from edged.decoders.skeletons import skeleton
from edged.imaging.geometry import input_size
from edged.imaging.tensors import Encoding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edged.imaging.geometry import Geometry
    from edged.records import Detection, Model, Tensor

_POINTS = 17
_NUMBERS = 3
"""What a point has: y, x and score."""
_SEEN = 0.2
"""Visibility from which on a point belongs to the person; the others are guesses about what is hidden."""
_LEAST_SEEN = 4
"""Seen points of a person at least; what looks like a knee or two is none."""
_CORNERS = (1, 0, 3, 2)
"""Columns of x1, y1, x2, y2 in a box of MultiPose."""


class _Poses:
    """What both models have in common."""

    encoding = Encoding("letterbox", low=0.0, high=255.0, border=0, raw_when_quantised=True)
    labels: tuple[str, ...] = ("person",)
    task = "pose"
    shape: ClassVar[tuple[int, ...]]
    """The only output's."""

    @classmethod
    def mismatch(cls, model: Model) -> str | None:
        """Asks for one output of just that shape."""
        if [output.shape for output in model.outputs] != [cls.shape]:
            return f"it has no single output {list(cls.shape)}"
        return None

    def __init__(self, model: Model, *, score_threshold: float, iou_threshold: float) -> None:
        del iou_threshold
        self._spec = model.outputs[0]
        self._size = np.array(input_size(model.inputs[0]), np.float32)
        self._threshold = score_threshold

    def _persons(
        self, corners: Tensor, scores: Tensor, points: Tensor, geometry: Geometry
    ) -> list[Detection]:
        return boxes.detections(
            corners,
            scores,
            np.zeros(len(scores), np.intp),
            self.labels,
            geometry,
            keypoints=points,
            skeleton=skeleton(_POINTS),
        )


class MoveNet(_Poses):
    """The 17 points of the one person that stands out.

    One output ``[1, 1, 17, 3]``, float32 or quantised: y, x, 0..1 of the letterboxed input, and the score of
    each point, 0..1; points in COCO's order. The input is RGB 0..255 with a black border, a float
    one, too.

    The model gives points whatever the picture shows, and no box. The box is what the seen points span, the
    score their mean, as in TensorFlow's examples; with fewer than four of them there is nobody.

    Source: TensorFlow Hub, movenet/singlepose model card; tensorflow/examples, pose_estimation/movenet.py.
    """

    shape = (1, 1, _POINTS, _NUMBERS)

    def decode(self, outputs: Sequence[Tensor], geometry: Geometry) -> list[Detection]:
        """The person in source pixels, its box clipped to the frame; empty where there is nobody."""
        require_finite(outputs[0])
        points = real(outputs[0].reshape(_POINTS, _NUMBERS), self._spec)[:, (1, 0, 2)]
        points[:, :2] *= self._size
        seen = points[points[:, 2] >= _SEEN]
        if len(seen) < _LEAST_SEEN or (score := seen[:, 2].mean()) < self._threshold:
            return []
        corners = np.concatenate((seen[:, :2].min(axis=0), seen[:, :2].max(axis=0)))
        return self._persons(corners[np.newaxis], np.array([score]), points[np.newaxis], geometry)


class MoveNetMultiPose(_Poses):
    """Up to six persons, each with a box and 17 points.

    One output ``[1, 6, 56]``, float32 or quantised: y, x, 0..1 of the letterboxed input, and score of each of
    17 points in COCO's order, then the box as y1, x1, y2, x2 and its score, 0..1. Rows without a person have
    a low score. The IoU threshold has no effect. The input is RGB 0..255 with a black border, a float one,
    too; the original leaves its size open, see ``engines.cpu``.

    Source: TensorFlow Hub, movenet/multipose model card.
    """

    shape = (1, 6, _POINTS * _NUMBERS + 5)

    def decode(self, outputs: Sequence[Tensor], geometry: Geometry) -> list[Detection]:
        """The persons in source pixels, boxes clipped to the frame, best score first."""
        require_finite(outputs[0])
        rows = real(outputs[0][0], self._spec)
        rows = rows[rows[:, -1] >= self._threshold]
        rows = rows[np.argsort(-rows[:, -1], kind="stable")]
        points = rows[:, : _POINTS * _NUMBERS].reshape(-1, _POINTS, _NUMBERS)[..., (1, 0, 2)]
        points[..., :2] *= self._size
        corners = rows[:, -5:-1][:, _CORNERS] * np.tile(self._size, 2)
        return self._persons(corners, rows[:, -1], points, geometry)
