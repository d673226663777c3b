"""Ultralytics' models for oriented boxes: YOLOv8, YOLO11, YOLO26 and what else is exported the same way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edged.decoders import boxes, extra_rows
from edged.decoders.heads import Candidates, not_finished, open_head, raw_layout
from edged.decoders.labels import class_names
from edged.imaging.geometry import input_size
from edged.imaging.tensors import Encoding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edged.decoders.quantised import Floats, Integers
    from edged.imaging.geometry import Geometry
    from edged.records import Detection, Model, Tensor

_MOST_CANDIDATES = 1000
"""Boxes that suppression looks at, best first: its cost grows with their square."""
_FIRST_COMPARED = 64
"""Boxes that all others are compared with at first; then twice as many with what is left, and so on."""
_LONGEST = 4
"""Inputs that a side may be long: what is longer ends outside the frame all the same."""
_TINY = 1e-7
_ROUNDING = 1.01
"""Keeps pairs at the very limit."""
_CORNERS = np.array(((-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)), np.float32)


class YoloObb:
    """Turned rectangles, as of ships and cars from above: an outline of four corners, in an upright box.

    The outputs are those of a detector (see ``heads``) with the angle in radians behind the classes of each
    box: ``[1, 4 + classes + 1, anchors]``, the same in three outputs, or finished ones ``[1, n, 7]``. Boxes
    are centre, width and height before turning, finished ones, too; a positive angle turns clockwise. The
    upright box is clipped to the frame. The outline is not: clipped corners would be those of another angle.
    Without metadata, raw ones look like a detector of one class more; see ``extra_rows.is_angle``.

    Source: Ultralytics documentation, "Oriented Bounding Boxes", and its ``xywhr2xyxyxyxy`` and
    ``batch_probiou``.
    """

    encoding = Encoding("letterbox", low=0.0, high=1.0, border=114)
    task = "obb"

    @classmethod
    def mismatch(cls, model: Model) -> str | None:
        """Asks for a finished row of seven, or for metadata that call a raw one by its task."""
        if not_finished(model, extras=1) is None:
            return None
        if model.metadata.get("task") != cls.task and not extra_rows.is_angle(model):
            return "it has no single output [1, boxes, 7], nor do metadata or values tell of an angle"
        if raw_layout(model, extras=1) is None:
            return "its outputs have not an angle for each box"
        return None

    def __init__(self, model: Model, *, score_threshold: float, iou_threshold: float) -> None:
        self._head = open_head(model, 1, score_threshold, centred=True)
        self._iou_threshold = iou_threshold
        self._longest = _LONGEST * max(input_size(model.inputs[0]))
        self.labels = class_names(model, self._head.classes)

    def decode(self, outputs: Sequence[Tensor], geometry: Geometry) -> list[Detection]:
        """Detections of one frame in source pixels, clipped to the frame, best score first."""
        found = self._head.candidates(outputs)
        if not found.scores.size:
            return []
        if not self._head.finished:
            found = found.at(_kept(found, self._iou_threshold))
        rectangles = found.boxes
        rectangles[:, 2:] = rectangles[:, 2:].clip(-self._longest, self._longest)
        outlines = turned(rectangles, found.extras[:, 0])
        upright = np.concatenate((outlines.min(axis=1), outlines.max(axis=1)), axis=1)
        return boxes.detections(
            upright,
            found.scores,
            found.class_ids,
            self.labels,
            geometry,
            outlines=list(outlines),
            clip_outlines=False,
        )


def turned(rectangles: Floats, angles: Floats) -> Floats:
    """Corners ``[n, 4, 2]`` of rectangles x, y, w, h (``[n, 4]``) that are turned about their centres."""
    cosine, sine = np.cos(angles)[:, np.newaxis], np.sin(angles)[:, np.newaxis]
    across, along = (_CORNERS * rectangles[:, np.newaxis, 2:]).transpose(2, 0, 1)
    x, y = across * cosine - along * sine, across * sine + along * cosine
    corners: Floats = np.stack((x, y), axis=-1) + rectangles[:, np.newaxis, :2]
    return corners


def _kept(found: Candidates, iou_threshold: float) -> Integers:
    """Indices of the boxes that overlap no better one of their class too much, best score first.

    Suppressed ones count as better ones, too, as in Ultralytics' fast suppression. So it does not matter in
    which order boxes are compared: the few best rule out most of the others, which spares these the rest.
    """
    best = np.argsort(-found.scores, kind="stable")[:_MOST_CANDIDATES]
    rectangles, angles = found.boxes[best].astype(np.float64), found.extras[best, 0]
    places = _Places(rectangles, found.class_ids[best], iou_threshold)
    gone = np.zeros(len(best), bool)
    first, count = 0, _FIRST_COMPARED
    while first < len(best) - 1:
        left = first + 1 + np.flatnonzero(~gone[first + 1 :])
        better, worse = places.near(slice(first, first + count), left)
        gone[worse[alike(rectangles, angles, better, worse) >= iou_threshold]] = True
        first, count = first + count, 2 * count
    kept: Integers = best[~gone]
    return kept[: boxes.MOST_DETECTIONS]


class _Places:
    """Tells which turned rectangles may be alike at all: few of all pairs, and quickly found.

    Two distributions are the less alike the further their centres are apart, whatever their shape; how far
    they may be grows with the longer side of both.
    """

    def __init__(self, rectangles: Floats, class_ids: Integers, least: float) -> None:
        furthest = -4 * np.log(1 - (1 - min(least, 1 - 1e-6)) ** 2) * _ROUNDING
        self._x, self._y = rectangles[:, :2].T.astype(np.float32)
        self._reach = (furthest * rectangles[:, 2:].max(axis=1) ** 2 / 12).astype(np.float32)
        self._class_ids = class_ids.astype(np.int32)

    def near(self, some: slice, left: Integers) -> tuple[Integers, Integers]:
        """Pairs of one class, one of ``some`` and behind it one of those ``left``."""
        apart = np.subtract.outer(self._x[some], self._x[left]) ** 2
        apart += np.subtract.outer(self._y[some], self._y[left]) ** 2
        near = apart <= np.add.outer(self._reach[some], self._reach[left])
        near &= np.equal.outer(self._class_ids[some], self._class_ids[left])
        better, place = np.nonzero(near)
        better, worse = better + some.start, left[place]
        behind = better < worse
        return better[behind], worse[behind]


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
