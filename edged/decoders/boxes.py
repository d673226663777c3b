"""What every decoder does with the boxes it found: suppress, map back into the frame, make records."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from edged.decoders.labels import label_of
from edged.errors import OutputError
from edged.records import Box, Detection, Keypoint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edged.decoders.quantised import Floats, Integers
    from edged.decoders.skeletons import Skeleton
    from edged.imaging.geometry import Geometry

MOST_DETECTIONS = 300
"""Detections of one frame at most, as in Ultralytics' ``max_det``: the best ones, after suppression."""
_FIRST_CANDIDATES = (400, 2000)
"""Boxes that suppression looks at before it looks at all, best first: its cost grows with their square."""
_ROUNDING = 0.05
"""How far a score may lie outside 0..1 by quantisation; what lies beyond is no score."""


def corners(xywh: Floats) -> Floats:
    """Centre and size ``[n, 4]`` as corners x1, y1, x2, y2."""
    half = xywh[:, 2:] / 2
    return np.concatenate((xywh[:, :2] - half, xywh[:, :2] + half), axis=1)


def suppress(boxes: Floats, scores: Floats, class_ids: Integers, iou_threshold: float) -> Integers:
    """Class-aware non-maximum suppression.

    Args:
        boxes: corners ``[n, 4]``, in any unit.
        scores: ``[n]``.
        class_ids: ``[n]``; boxes of different classes never suppress each other.
        iou_threshold: a box goes when it overlaps a better one by more than that.

    Returns:
        Indices of the boxes that stay, best score first, at most ``MOST_DETECTIONS``.
    """
    for count in _FIRST_CANDIDATES:
        if len(scores) <= count:
            break
        # A box is suppressed by better ones only, so what stays of the best is what stays of all.
        best = np.argpartition(scores, -count)[-count:]
        kept = _suppress(boxes[best], scores[best], class_ids[best], iou_threshold)
        if len(kept) >= MOST_DETECTIONS:
            return best[kept[:MOST_DETECTIONS]]
    return _suppress(boxes, scores, class_ids, iou_threshold)[:MOST_DETECTIONS]


def _suppress(boxes: Floats, scores: Floats, class_ids: Integers, iou_threshold: float) -> Integers:
    if len(scores) == 0:
        return np.empty(0, np.intp)
    rectangles = np.concatenate((boxes[:, :2], boxes[:, 2:] - boxes[:, :2]), axis=1)
    indices = cv2.dnn.NMSBoxesBatched(
        rectangles.astype(np.float64),  # type: ignore[arg-type]  # the stubs know lists only
        scores.astype(np.float32),  # type: ignore[arg-type]
        class_ids.astype(np.int32),  # type: ignore[arg-type]
        score_threshold=0.0,
        nms_threshold=iou_threshold,
        # No top_k: it would cut candidates before the suppression, not detections after it.
    )
    kept = np.asarray(indices, np.intp).reshape(-1)
    order = np.argsort(-scores[kept], kind="stable")
    return kept[order]


def detections(
    boxes: Floats,
    scores: Floats,
    class_ids: Integers,
    labels: Sequence[str],
    geometry: Geometry,
    *,
    keypoints: Floats | None = None,
    skeleton: Skeleton = (),
    outlines: Sequence[Floats] | None = None,
    clip_outlines: bool = True,
) -> list[Detection]:
    """Records of what was found, in source pixels, in the order given, without what lies outside the frame.

    Args:
        boxes: corners ``[n, 4]`` in input pixels.
        scores: ``[n]``, 0..1.
        class_ids: ``[n]``.
        labels: names by class id.
        geometry: where the frame lay in the input.
        keypoints: x, y in input pixels and visibility, ``[n, points, 3]``; None: the model knows none.
        skeleton: which of them are joined.
        outlines: polygons in input pixels, ``[points, 2]`` each; None: the model knows none.
        clip_outlines: whether their corners are moved into the frame, too.

    Raises:
        OutputError: a score is none.
    """
    weights = scores.tolist()
    if outside := [score for score in weights if score < -_ROUNDING or score > 1 + _ROUNDING]:
        raise OutputError(
            f"the model gives a score of {max(outside, key=abs):.3g}, and scores lie in 0..1",
            hint="Its output is laid out otherwise than edged takes it; see 'edged models inspect FILE'",
        )
    poses = [()] * len(scores) if keypoints is None else _poses(keypoints, geometry)
    polygons = [()] * len(scores) if outlines is None else _polygons(outlines, geometry, clip=clip_outlines)
    return [
        Detection(
            class_id,
            label_of(labels, class_id),
            min(max(score, 0.0), 1.0),
            Box(*box),
            keypoints=pose,
            skeleton=skeleton,
            outline=polygon,
        )
        for box, score, class_id, pose, polygon in zip(
            geometry.to_source(boxes).tolist(),
            weights,
            class_ids.tolist(),
            poses,
            polygons,
            strict=True,
        )
        if box[2] > box[0] and box[3] > box[1]
    ]


def _poses(keypoints: Floats, geometry: Geometry) -> list[tuple[Keypoint, ...]]:
    """The points of each pose, in source pixels."""
    places = geometry.points_to_source(keypoints[..., :2])
    sure = np.clip(keypoints[..., 2:], 0.0, 1.0)
    return [
        tuple(Keypoint(*point) for point in pose) for pose in np.concatenate((places, sure), axis=-1).tolist()
    ]


def _polygons(
    outlines: Sequence[Floats], geometry: Geometry, *, clip: bool
) -> list[tuple[tuple[float, float], ...]]:
    """Outlines in source pixels, with ``clip`` clipped to what was looked at as boxes are."""
    if not outlines:
        return []
    # All at once: a call for each costs more than all its arithmetic.
    corners = np.concatenate(outlines)
    if clip:
        source = geometry.to_source(np.tile(corners, 2).astype(np.float64))[:, :2]
    else:
        source = geometry.points_to_source(corners)
    places = list(map(tuple, source.tolist()))
    ends = np.cumsum([len(outline) for outline in outlines]).tolist()
    return [tuple(places[end - len(outline) : end]) for outline, end in zip(outlines, ends, strict=True)]
