"""SSD and EfficientDet models whose last operation is TFLite_Detection_PostProcess."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edged.decoders import boxes
from edged.decoders.labels import class_names, without_background
from edged.decoders.quantised import real, require_finite
from edged.imaging.geometry import input_size
from edged.imaging.tensors import Encoding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edged.imaging.geometry import Geometry
    from edged.records import Detection, Model, Tensor, TensorSpec


class _Layout(NamedTuple):
    """Index of each of the four outputs."""

    boxes: int
    classes: int
    scores: int
    counts: int


_BY_NAME = {
    # Names of the operation itself (TF1) and of the signature of a saved model (TF2), by position.
    ("TFLite_Detection_PostProcess", *(f"TFLite_Detection_PostProcess:{n}" for n in (1, 2, 3))): _Layout(
        0, 1, 2, 3
    ),
    tuple(f"StatefulPartitionedCall:{n}" for n in range(4)): _Layout(3, 2, 1, 0),
}
_BY_PLACE = {
    # Where boxes and count lie, which the shapes tell, tells where classes and scores lie, which look alike.
    (0, 3): _Layout(0, 1, 2, 3),  # the operation's own order: TF1, Model Maker
    (1, 2): _Layout(1, 3, 0, 2),  # TF2 object detection API
    (3, 0): _Layout(3, 2, 1, 0),  # a TF2 signature in its own order
}


class Ssd:
    """Detections that the model has suppressed and sorted out by itself.

    Four outputs, float32:

    - boxes ``[1, n, 4]``: ymin, xmin, ymax, xmax, 0..1 of the input, may lie outside;
    - classes ``[1, n]``: class ids as floats, 0 is the first class after the background;
    - scores ``[1, n]``: 0..1, best first;
    - count ``[1]``: how many of the n rows are filled, the rest is undefined.

    TF1 exports have them in this order, TF2 exports as scores, boxes, count, classes; they are told apart by
    name, else by shape and place. Suppression is part of the model, so the IoU threshold has no effect.

    The input is the whole picture, stretched, RGB: [-1, 1] as float, pixels as they are when quantised.
    Labels: one a class, as in Coral's coco_labels.txt (90 with gaps); a first line for the background, as in
    TensorFlow's labelmap.txt, is skipped because class id 0 is the line after it.

    Source: TensorFlow Lite, kernels/detection_postprocess.cc; pycoral, adapters/detect.py for the orders.
    """

    task = "detect"
    encoding = Encoding("stretch", low=-1.0, high=1.0, raw_when_quantised=True)

    @classmethod
    def mismatch(cls, model: Model) -> str | None:
        """Asks for four outputs with the names or the shapes of the operation."""
        if _layout(model.outputs) is None:
            return "it has not the four outputs of TFLite_Detection_PostProcess in a known order"
        return None

    def __init__(self, model: Model, *, score_threshold: float, iou_threshold: float) -> None:
        del iou_threshold
        layout = _layout(model.outputs)
        assert layout is not None  # noqa: S101  # mismatch() was asked before
        self._layout = layout
        self._specs = model.outputs
        self._threshold = score_threshold
        self._size = input_size(model.inputs[0])
        self.labels = _labels(model)

    def decode(self, outputs: Sequence[Tensor], geometry: Geometry) -> list[Detection]:
        """Detections of one frame in source pixels, clipped to the frame, best score first."""
        place = self._layout
        count = max(0, int(outputs[place.counts].reshape(-1)[0]))
        # The rows after the count are undefined.
        require_finite(outputs[place.scores][0, :count], outputs[place.boxes][0, :count])
        scores = real(outputs[place.scores][0, :count], self._specs[place.scores])
        alive = np.flatnonzero(scores >= self._threshold)
        if not alive.size:
            return []
        alive = alive[np.argsort(-scores[alive], kind="stable")]
        class_ids = np.rint(outputs[place.classes][0, alive]).astype(np.intp)
        width, height = self._size
        # y, x, y, x of the model in the order x, y, x, y of everybody else.
        found = outputs[place.boxes][0, alive][:, (1, 0, 3, 2)] * np.array((width, height, width, height))
        return boxes.detections(found, scores[alive], class_ids, self.labels, geometry)


def _layout(outputs: Sequence[TensorSpec]) -> _Layout | None:
    if len(outputs) != len(_Layout._fields):
        return None
    shapes = [output.shape for output in outputs]
    by_rank = [len(shape) for shape in shapes]
    if sorted(by_rank) != [1, 2, 2, 3]:
        return None
    place = by_rank.index(3), by_rank.index(1)
    rows = shapes[place[0]][1]
    if shapes[place[0]] != (1, rows, 4) or shapes[place[1]] != (1,) or shapes.count((1, rows)) != 2:  # noqa: PLR2004
        return None
    names = [output.name for output in outputs]
    for known, layout in _BY_NAME.items():
        if set(names) == set(known):
            found = _Layout(*(names.index(known[index]) for index in layout))
            if (found.boxes, found.counts) == place:  # other exporters use the same names in other ways
                return found
    return _BY_PLACE.get(place)


def _labels(model: Model) -> tuple[str, ...]:
    """Names by class id, checked against the number of classes where the operation tells it."""
    labels = without_background(model.labels)
    classes = model.metadata.get("num_classes")
    return class_names(model, classes if isinstance(classes, int) else len(labels), labels)
