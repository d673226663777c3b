"""MoveNet, one person's pose: Lightning and Thunder."""

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

_POINTS = 17
_SHAPE = (1, 1, _POINTS, 3)
_SEEN = 0.2
"""Visibility from which on a point belongs to the person; the others are guesses about what is hidden."""
_LEAST_SEEN = 4
"""Seen points of a person at least; what looks like a knee or two is none."""


class MoveNet:
    """The 17 points of the one person that stands out.

    One output ``[1, 1, 17, 3]``, float32 or quantised: y, x, 0..1 of the letterboxed input, and the score of
    each point, 0..1; points in COCO's order. The input is RGB 0..255 with a black border, a float
    one, too.

    The model gives points whatever the picture shows, and no box. The box is what the seen points span, the
    score their mean, as in TensorFlow's examples; with fewer than four of them there is nobody.

    Source: TensorFlow Hub, movenet/singlepose model card; tensorflow/examples, pose_estimation/movenet.py.
    """

    encoding = Encoding("letterbox", low=0.0, high=255.0, border=0, raw_when_quantised=True)
    labels: tuple[str, ...] = ("person",)
    task = "pose"

    @classmethod
    def mismatch(cls, model: Model) -> str | None:
        """Asks for one output with y, x and score of 17 points."""
        if reason := anchors.not_of_task(model, cls.task):
            return reason
        if [output.shape for output in model.outputs] != [_SHAPE]:
            return f"it has no single output {list(_SHAPE)}"
        return None

    def __init__(self, model: Model, *, score_threshold: float, iou_threshold: float) -> None:
        del iou_threshold
        self._spec = model.outputs[0]
        self._size = input_size(model.inputs[0])
        self._threshold = score_threshold

    def decode(self, outputs: Sequence[Tensor], geometry: Geometry) -> list[Detection]:
        """The person in source pixels, its box clipped to the frame; empty where there is nobody."""
        require_finite(outputs[0])
        points = real(outputs[0].reshape(_POINTS, 3), self._spec)[:, (1, 0, 2)]
        points[:, :2] *= self._size
        seen = points[points[:, 2] >= _SEEN]
        if len(seen) < _LEAST_SEEN or (score := seen[:, 2].mean()) < self._threshold:
            return []
        corners = np.concatenate((seen[:, :2].min(axis=0), seen[:, :2].max(axis=0)))
        return boxes.detections(
            corners[np.newaxis],
            np.array([score]),
            np.zeros(1, np.intp),
            self.labels,
            geometry,
            keypoints=points[np.newaxis],
            skeleton=skeleton(_POINTS),
        )
