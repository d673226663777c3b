"""Ultralytics' pose models: YOLOv8, YOLO11, YOLO26 and whatever else is exported the same way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edged.decoders import boxes, extra_rows, trial_run
from edged.decoders.heads import FINISHED, distinct, not_finished, open_head, raw_layout
from edged.decoders.labels import class_names
from edged.decoders.skeletons import skeleton
from edged.imaging.tensors import Encoding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edged.imaging.geometry import Geometry
    from edged.records import Detection, Model, Tensor

_PERSON_POINTS = 17
_XYV = 3


class YoloPose:
    """Boxes of persons, or of whatever the model was trained on, each with the points of its pose.

    The outputs are those of a detector (see ``heads``), with x, y and visibility of each point behind the
    classes of a box: ``[1, 4 + classes + points * 3, anchors]``, the same in three outputs, or finished ones
    ``[1, n, 6 + points * 3]``. Points lie in the letterboxed input, normalised to 0..1 or in pixels, apart
    from the unit of boxes; visibility is 0..1 after the sigmoid. Models trained without it have x and y only;
    then every point is taken for visible. Points are not clipped: a foot below the frame is told where it is.

    The number of points is ``kpt_shape`` of the metadata; without any see ``extra_rows.points``.

    Source: Ultralytics documentation, "Pose Estimation" and "Export"; layout and units measured on an export
    of YOLOv8n-pose (8.1 normalises points for TFLite, 8.0 left them in pixels).
    """

    encoding = Encoding("letterbox", low=0.0, high=1.0, border=114)

    task = "pose"

    @classmethod
    def mismatch(cls, model: Model) -> str | None:
        """Asks whether metadata or the number of rows tell of points, and whether the outputs have them."""
        shape = _points(model)
        if shape is None:
            return "it names no kpt_shape, nor has it rows of a person: 4 + 1 + 17 * 3"
        extras = shape[0] * shape[1]
        if raw_layout(model, extras) is None and not_finished(model, extras):
            return f"its outputs have not {shape[0]} points of {shape[1]} numbers for each box"
        return None

    def __init__(self, model: Model, *, score_threshold: float, iou_threshold: float) -> None:
        shape = _points(model)
        assert shape is not None  # noqa: S101  # mismatch() was asked before
        self._points, self._numbers = shape
        self._head = open_head(model, self._points * self._numbers, score_threshold)
        self._iou_threshold = iou_threshold
        person = self._points == _PERSON_POINTS and not model.labels and self._head.classes <= 1
        self.labels = ("person",) if person else class_names(model, self._head.classes)
        self._skeleton = skeleton(self._points)

    def decode(self, outputs: Sequence[Tensor], geometry: Geometry) -> list[Detection]:
        """Detections of one frame in source pixels, clipped to the frame, best score first."""
        corners, found = distinct(self._head, outputs, self._iou_threshold)
        if not found.scores.size:
            return []
        points = np.ones((len(corners), self._points, _XYV), np.float32)
        points[..., : self._numbers] = found.extras.reshape(-1, self._points, self._numbers)
        points[..., :2] *= self._head.unit_of_points(outputs, points[..., :2])
        return boxes.detections(
            corners,
            found.scores,
            found.class_ids,
            self.labels,
            geometry,
            keypoints=points,
            skeleton=self._skeleton,
        )


def _points(model: Model) -> tuple[int, int] | None:
    """How many points, and how many numbers each, 3 or 2; None where it is no pose model."""
    match model.metadata.get("kpt_shape"):
        case [int(points), 2 | 3 as numbers] if points > 0:
            return points, numbers
    return extra_rows.points(model) or _finished_points(model)


def _finished_points(model: Model) -> tuple[int, int] | None:
    """The same of finished rows without metadata: whatever stands behind the class in threes."""
    shape = model.outputs[0].shape if len(model.outputs) == 1 else ()
    if "task" in model.metadata or len(shape) != _XYV:
        return None
    points, rest = divmod(shape[2] - FINISHED, _XYV)
    if rest or points <= 0 or not_finished(model, points * _XYV):
        return None
    rows = trial_run.values(model, 0)
    if rows is None:
        return (points, _XYV) if points == _PERSON_POINTS else None
    scores, class_ids = rows[:, FINISHED - 2], rows[:, FINISHED - 1]
    finished = (
        trial_run.are_probabilities(scores[:, np.newaxis]).all() and (class_ids == np.rint(class_ids)).all()
    )
    return (points, _XYV) if finished else None
