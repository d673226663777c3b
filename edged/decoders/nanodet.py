"""NanoDet and NanoDet-Plus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edged.decoders import anchors, boxes, dfl, trial_run
from edged.decoders.labels import class_names
from edged.decoders.quantised import best_classes, least_stored, real, require_finite
from edged.imaging.tensors import Encoding, normalised

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edged.imaging.geometry import Geometry
    from edged.records import Detection, Model, Tensor

_RANK = 3
_BINS = (8, 11)
"""NanoDet-m and -Plus have the first (``reg_max`` 7), those on EfficientNet-Lite and RepVGG the other."""
_PLUS_STRIDES = 4
_MEAN, _DEVIATION = (103.53, 116.28, 123.675), (57.375, 57.12, 58.395)


class NanoDet:
    """Class scores and distributions of distances, one row a cell.

    One output ``[1, cells, classes + 4 * bins]``, 112 columns for COCO: the score of each class, 0..1 after
    the sigmoid, then ``bins`` logits for each of left, top, right and bottom (see ``dfl``).

    Two generations, told apart by the number of cells:

    - NanoDet: strides 8, 16 and 32 (2100 at 320x320), distances from the middle of the cell, the picture
      letterboxed with a black border;
    - NanoDet-Plus: strides 8, 16, 32 and 64 (2125), distances from its upper left corner, the picture
      stretched.

    Input BGR less (103.53, 116.28, 123.675), divided by (57.375, 57.12, 58.395). float32, float16, int8 or
    uint8, quantised ones with one scale and zero point for the whole output.

    Rows of other families are as long; here the scores come first, which a trial run shows: probabilities up
    to there, and others behind. Without a run the labels tell, or 80 classes.

    Source: NanoDet, nanodet/model/head/gfl_head.py and nanodet_plus_head.py (get_bboxes, _forward_onnx),
    nanodet/data/transform/warp.py, config/nanodet-m.yml and nanodet-plus-m_320.yml.
    """

    task = "detect"
    encoding: Encoding

    @classmethod
    def mismatch(cls, model: Model) -> str | None:
        """Asks for one row a cell that begins with probabilities and ends with the logits of distances."""
        shape = model.outputs[0].shape if len(model.outputs) == 1 else ()
        if len(shape) != _RANK or len(anchors.strides(model, shape[1])) not in {3, 4}:
            return "it has no single output [1, one row a cell, classes + 4 * bins]"
        if not _classes(model):
            return f"its {shape[2]} columns are not scores and {' or '.join(map(str, _BINS))} logits a side"
        return None

    def __init__(self, model: Model, *, score_threshold: float, iou_threshold: float) -> None:
        self._spec = model.outputs[0]
        self._least = least_stored(score_threshold, self._spec)
        self._iou_threshold = iou_threshold
        self._classes = _classes(model)
        corners, self._sides = anchors.cells(model, self._spec.shape[1])
        plus = len(anchors.strides(model, self._spec.shape[1])) == _PLUS_STRIDES
        self._centres = corners if plus else corners + self._sides / 2
        low, high = normalised(_MEAN, _DEVIATION)
        self.encoding = Encoding("stretch" if plus else "letterbox", low, high, order="bgr")
        self.labels = class_names(model, self._classes)

    def decode(self, outputs: Sequence[Tensor], geometry: Geometry) -> list[Detection]:
        """Detections of one frame in source pixels, clipped to the frame, best score first."""
        require_finite(outputs[0])
        stored = outputs[0][0]
        rows, class_ids, scores = best_classes(stored[:, : self._classes], self._spec, self._least)
        if not rows.size:
            return []
        spread = real(stored[rows, self._classes :], self._spec)
        found = dfl.corners(spread, self._centres[rows], self._sides[rows])
        kept = boxes.suppress(found, scores, class_ids, self._iou_threshold)
        return boxes.detections(found[kept], scores[kept], class_ids[kept], self.labels, geometry)


def _classes(model: Model) -> int:
    """How many scores a row begins with; 0 where it is none of NanoDet's."""
    columns, known = model.outputs[0].shape[2], trial_run.known_classes(model)
    possible = [columns - dfl.SIDES * bins for bins in _BINS]
    rows = trial_run.values(model, 0)
    if rows is None:
        return known if known in possible else 0
    probable = trial_run.are_probabilities(rows)
    fitting = [
        classes
        for classes in possible
        if classes > 0 and probable[:classes].all() and not probable[classes:].any()
    ]
    return fitting[0] if fitting else 0
