"""Ultralytics' models for oriented boxes: YOLOv8, YOLO11, YOLO26 and what else is exported the same way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edged.decoders import anchors, behind, boxes
from edged.decoders.heads import Candidates, not_finished, open_head, raw_layout
from edged.decoders.labels import class_names
from edged.imaging.tensors import Encoding

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from edged.imaging.geometry import Geometry
    from edged.records import Detection, Model, Tensor

    Floats = npt.NDArray[np.floating[Any]]
    Integers = npt.NDArray[np.integer[Any]]

_MOST_CANDIDATES = 1000
"""Boxes that suppression looks at, best first: its cost grows with their square."""
_TINY = 1e-7
_ROUNDING = 1.01
"""Keeps pairs at the very limit."""
_CORNERS = np.array(((-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)), np.float32)


class YoloObb:
    """Turned rectangles, as of ships and cars from above: an outline of four corners, in an upright box.

    The outputs are those of a detector (see ``heads``) with the angle in radians behind the classes of each
    box: ``[1, 4 + classes + 1, anchors]``, the same in three outputs, or finished ones ``[1, n, 7]``. Boxes
    are centre, width and height before turning, finished ones, too; a positive angle turns clockwise.
    Without metadata, raw ones look like a detector of one class more; see ``behind.is_angle``.

    Source: Ultralytics documentation, "Oriented Bounding Boxes", and its ``xywhr2xyxyxyxy`` and
    ``batch_probiou``.
    """

    encoding = Encoding("letterbox", low=0.0, high=1.0, border=114)
    task = "obb"

    @classmethod
    def mismatch(cls, model: Model) -> str | None:
        """Asks for a finished row of seven, or for metadata that call a raw one by its task."""
        if reason := anchors.not_of_task(model, cls.task):
            return reason
        if not_finished(model, extras=1) is None:
            return None
        if model.metadata.get("task") != cls.task and not behind.is_angle(model):
            return "it has no single output [1, boxes, 7], nor do metadata or values tell of an angle"
        if raw_layout(model, extras=1) is None:
            return "its outputs have not an angle for each box"
        return None

    def __init__(self, model: Model, *, score_threshold: float, iou_threshold: float) -> None:
        self._head = open_head(model, 1, score_threshold, centred=True)
        self._iou_threshold = iou_threshold
        self.labels = class_names(model, self._head.classes)

    def decode(self, outputs: Sequence[Tensor], geometry: Geometry) -> list[Detection]:
        """Detections of one frame in source pixels, clipped to the frame, best score first."""
        found = self._head.candidates(outputs)
        if not found.scores.size:
            return []
        if not self._head.finished:
            found = found.at(_kept(found, self._iou_threshold))
        outlines = turned(found.boxes, found.extras[:, 0])
        upright = np.concatenate((outlines.min(axis=1), outlines.max(axis=1)), axis=1)
        return boxes.detections(
            upright, found.scores, found.class_ids, self.labels, geometry, outlines=list(outlines)
        )


def turned(rectangles: Floats, angles: Floats) -> Floats:
    """Corners ``[n, 4, 2]`` of rectangles x, y, w, h (``[n, 4]``) that are turned about their centres."""
    cosine, sine = np.cos(angles)[:, np.newaxis], np.sin(angles)[:, np.newaxis]
    across, along = (_CORNERS * rectangles[:, np.newaxis, 2:]).transpose(2, 0, 1)
    x, y = across * cosine - along * sine, across * sine + along * cosine
    corners: Floats = np.stack((x, y), axis=-1) + rectangles[:, np.newaxis, :2]
    return corners


def _kept(found: Candidates, iou_threshold: float) -> Integers:
    """Indices of the boxes that overlap no better one of their class too much, best score first."""
    best = np.argsort(-found.scores, kind="stable")[:_MOST_CANDIDATES]
    rectangles, angles = found.boxes[best].astype(np.float64), found.extras[best, 0]
    # Each against those before it: suppressed ones count, too, as in Ultralytics' fast suppression.
    better, worse = _near(rectangles, found.class_ids[best], iou_threshold)
    gone = np.zeros(len(best), bool)
    gone[worse[alike(rectangles, angles, better, worse) >= iou_threshold]] = True
    kept: Integers = best[~gone]
    return kept[: boxes.MOST_DETECTIONS]


def _near(rectangles: Floats, class_ids: Integers, least: float) -> tuple[Integers, Integers]:
    """Pairs of one class that may be that much alike, the earlier first: few of all, and quickly found.

    Two distributions are the less alike the further their centres are apart, whatever their shape; how far
    they may be grows with the longer side of both.
    """
    centres = rectangles[:, :2].astype(np.float32)
    reach = (rectangles[:, 2:].max(axis=1) ** 2 / 12).astype(np.float32)
    furthest = -4 * np.log(1 - (1 - min(least, 1 - 1e-6)) ** 2) * _ROUNDING
    dx, dy = (np.subtract.outer(part, part) for part in centres.T)
    near = dx * dx + dy * dy <= furthest * np.add.outer(reach, reach)
    near &= np.equal.outer(class_ids, class_ids)
    better, worse = np.nonzero(near)
    first = better < worse
    return better[first], worse[first]


def alike(rectangles: Floats, angles: Floats, first: Integers, second: Integers) -> Floats:
    """How much turned rectangles are like others, 0..1, ``[pairs]``.

    Rectangles stand for normal distributions of the same spread: 1 less the Hellinger distance of two of
    them, which needs no polygons. Source: Llerena et al., "Gaussian Bounding Boxes and Probabilistic
    Intersection-over-Union", arXiv 2106.06072.

    Args:
        rectangles: centre x and y, width and height before turning, ``[n, 4]``.
        angles: ``[n]``, radians.
        first: index of one of each pair.
        second: index of the other.
    """
    x, y, width, height = rectangles.astype(np.float64).T
    along, across = width**2 / 12, height**2 / 12
    cosine, sine = np.cos(angles), np.sin(angles)
    a, b = along * cosine**2 + across * sine**2, along * sine**2 + across * cosine**2
    c = (along - across) * cosine * sine
    a_both, b_both, c_both = (part[first] + part[second] for part in (a, b, c))
    dx, dy = x[first] - x[second], y[first] - y[second]
    spread = a_both * b_both - c_both**2 + _TINY
    apart = (a_both * dy**2 + b_both * dx**2) / 4 - c_both * dx * dy / 2
    own = np.sqrt(np.maximum(a * b - c**2, 0))
    shape = np.log(spread / (4 * own[first] * own[second] + _TINY) + _TINY) / 2
    distance = np.clip(apart / spread + shape, _TINY, 100)
    overlap: Floats = 1 - np.sqrt(1 - np.exp(-distance) + _TINY)
    return overlap
