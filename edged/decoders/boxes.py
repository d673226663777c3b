"""What every decoder does with the boxes it found: suppress, map back into the frame, make records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from edged.decoders.labels import label_of
from edged.records import Box, Detection

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from edged.imaging.geometry import Geometry

    Floats = npt.NDArray[np.floating[Any]]
    Integers = npt.NDArray[np.integer[Any]]

MOST_CANDIDATES = 2000
"""Boxes that go into suppression, best first: its cost grows with their square."""
MOST_DETECTIONS = 300
"""Detections of one frame; what is beyond that is noise of a threshold that is too low."""


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
        Indices of the boxes that stay, best score first.
    """
    if len(scores) > MOST_CANDIDATES:
        best = np.argpartition(scores, -MOST_CANDIDATES)[-MOST_CANDIDATES:]
        return best[suppress(boxes[best], scores[best], class_ids[best], iou_threshold)]
    if len(scores) == 0:
        return np.empty(0, np.intp)
    rectangles = np.concatenate((boxes[:, :2], boxes[:, 2:] - boxes[:, :2]), axis=1)
    indices = cv2.dnn.NMSBoxesBatched(
        rectangles.astype(np.float64),  # type: ignore[arg-type]  # the stubs know lists only
        scores.astype(np.float32),  # type: ignore[arg-type]
        class_ids.astype(np.int32),  # type: ignore[arg-type]
        score_threshold=0.0,
        nms_threshold=iou_threshold,
        top_k=MOST_DETECTIONS,
    )
    kept = np.asarray(indices, np.intp).reshape(-1)
    order = np.argsort(-scores[kept], kind="stable")
    return kept[order]


def detections(
    boxes: Floats, scores: Floats, class_ids: Integers, labels: Sequence[str], geometry: Geometry
) -> list[Detection]:
    """Records of what was found, in source pixels, in the order given, without what lies outside the frame.

    Args:
        boxes: corners ``[n, 4]`` in input pixels.
        scores: ``[n]``, 0..1.
        class_ids: ``[n]``.
        labels: names by class id.
        geometry: where the frame lay in the input.
    """
    return [
        Detection(class_id, label_of(labels, class_id), score, Box(*box))
        for box, score, class_id in zip(
            geometry.to_source(boxes).tolist(), scores.tolist(), class_ids.tolist(), strict=True
        )
        if box[2] > box[0] and box[3] > box[1]
    ]
