"""SSD, RetinaNet and EfficientDet before their post-processing, as MediaPipe's Model Maker exports them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edged.decoders import anchor_boxes, boxes, trial_run
from edged.decoders.labels import class_names, is_background
from edged.decoders.logits import logit, sigmoid
from edged.decoders.quantised import best_classes, least_stored, real, require_finite
from edged.errors import ModelError
from edged.imaging.geometry import input_size
from edged.imaging.tensors import Encoding

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from edged.imaging.geometry import Geometry
    from edged.records import Detection, Model, Tensor

_BOX = 4
_RANK = 3
_COCO_WITH_BACKGROUND = 91


class _Head(NamedTuple):
    """Where the outputs and the anchors are."""

    boxes: int
    scores: int
    anchors: npt.NDArray[np.float32]
    """Centre x, y, width, height, 0..1 of the input."""
    scales: tuple[float, ...]
    exponential: bool
    sigmoid: bool


class SsdRaw:
    """Offsets from anchors and class scores, one row an anchor.

    Two outputs in any order: offsets ``[1, anchors, 4]`` (or ``[1, anchors, 1, 4]``) and scores
    ``[1, anchors, classes]``. Offsets are y, x, height, width:

        centre = offset / scale * size of the anchor + its centre
        size = exp(offset / scale) * size of the anchor

    Model Maker's metadata hold the anchors, the scales and whether scores are logits. Without them the number
    of anchors must be that of a known generator (see ``anchor_boxes``), and scores are logits unless a trial
    run or what they can store shows probabilities. A class that the labels call the background is never
    reported; without labels the first of 91 classes is it.

    float32, float16, int8 or uint8, each output with a scale of its own. The input is the whole picture,
    stretched, RGB: [-1, 1] as float, pixels as they are when quantised.

    Source: MediaPipe, calculators/tensor/tensors_to_detections_calculator.cc and model_maker; TensorFlow
    object detection, box_coders/faster_rcnn_box_coder.py.
    """

    task = "detect"
    encoding = Encoding("stretch", low=-1.0, high=1.0, raw_when_quantised=True)

    @classmethod
    def mismatch(cls, model: Model) -> str | None:
        """Asks for offsets and scores of as many anchors as the metadata name, or a known generator makes."""
        if _rows(model) is None:
            return "it has no offsets [1, anchors, 4] beside scores [1, anchors, classes]"
        if _head(model) is None:
            return "its anchors are neither in its metadata nor as many as a known generator makes"
        return None

    def __init__(self, model: Model, *, score_threshold: float, iou_threshold: float) -> None:
        head = _head(model)
        assert head is not None  # noqa: S101  # mismatch() was asked before
        self._head = head
        self._specs = model.outputs
        width, height = input_size(model.inputs[0])
        self._anchors = head.anchors * np.array((width, height, width, height), np.float32)
        least = logit(score_threshold) if head.sigmoid else score_threshold
        self._least = least_stored(least, model.outputs[head.scores])
        self._iou_threshold = iou_threshold
        classes = model.outputs[head.scores].shape[-1]
        named = class_names(model, classes, _with_background(model, classes))
        self._first = int(is_background(named[0]))
        self.labels = named[self._first :]

    def decode(self, outputs: Sequence[Tensor], geometry: Geometry) -> list[Detection]:
        """Detections of one frame in source pixels, clipped to the frame, best score first."""
        require_finite(*outputs)
        head = self._head
        scores = outputs[head.scores].reshape(len(self._anchors), -1)[:, self._first :]
        rows, class_ids, best = best_classes(scores, self._specs[head.scores], self._least)
        if not rows.size:
            return []
        offsets = real(outputs[head.boxes].reshape(-1, _BOX)[rows], self._specs[head.boxes])
        # y, x, height, width of the model in the order of everybody else.
        offsets = offsets[:, (1, 0, 3, 2)]
        offsets /= np.array(head.scales, np.float32)
        centres, sizes = self._anchors[rows, :2], self._anchors[rows, 2:]
        if head.exponential:
            offsets[:, 2:] = np.exp(offsets[:, 2:])
        offsets *= np.concatenate((sizes, sizes), axis=1)
        offsets[:, :2] += centres
        found = boxes.corners(offsets)
        sure = sigmoid(best) if head.sigmoid else best
        kept = boxes.suppress(found, sure, class_ids, self._iou_threshold)
        return boxes.detections(found[kept], sure[kept], class_ids[kept], self.labels, geometry)


def _rows(model: Model) -> tuple[int, int, int] | None:
    """Index of the offsets, of the scores, and how many anchors there are; offsets before four classes."""
    shapes = [
        shape[:2] + shape[3:] if len(shape) > _RANK and shape[2] == 1 else shape
        for shape in (output.shape for output in model.outputs)
    ]
    if len(shapes) != 2 or {len(shape) for shape in shapes} != {_RANK}:  # noqa: PLR2004
        return None
    widths = [shape[2] for shape in shapes]
    if _BOX not in widths or shapes[0][:2] != shapes[1][:2] or shapes[0][0] != 1:
        return None
    place = widths.index(_BOX)
    return place, 1 - place, shapes[0][1]


def _head(model: Model) -> _Head | None:
    found = _rows(model)
    if found is None:
        return None
    place, scores, count = found
    told = model.metadata.get("ssd_anchors", ())
    if len(told) == count:
        return _Head(
            place,
            scores,
            np.array(told, np.float32),
            model.metadata["ssd_scales"],
            model.metadata["ssd_exponential"],
            model.metadata["ssd_sigmoid"],
        )
    try:
        generated = anchor_boxes.known(input_size(model.inputs[0]), count)
    except ModelError:
        return None
    if generated is None:
        return None
    logits = not trial_run.is_probability(model, scores)
    return _Head(place, scores, *generated, exponential=True, sigmoid=logits)


def _with_background(model: Model, classes: int) -> tuple[str, ...]:
    """The labels, with a first one for the background where the scores have it and the labels do not."""
    labels = model.labels
    if (labels and len(labels) == classes - 1) or (not labels and classes == _COCO_WITH_BACKGROUND):
        return ("background", *(labels or [""] * (classes - 1)))
    return labels
