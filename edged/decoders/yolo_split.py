"""YOLO models whose head ends before the boxes are made: YOLOv9, YOLOv8, YOLO11 for accelerators."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edged.decoders import dfl, trial_run
from edged.decoders.split_heads import SplitDecoder, split_layout
from edged.imaging.tensors import Encoding

if TYPE_CHECKING:
    from edged.records import Model

_BOX = 4


class YoloSplit(SplitDecoder):
    """Class scores and distributions of distances, in outputs of their own.

    Two outputs in any order, ``[1, cells, classes]`` and ``[1, cells, 64]``, or a pair of them for each of
    strides 8, 16 and 32; see ``split_heads`` for the other shapes. The 64 are 16 logits for each of left,
    top, right and bottom, in units of the cell, from its middle (see ``dfl``). Scores are logits or,
    after the sigmoid, 0..1: a trial run or the quantisation tells. float32, float16, int8 or uint8, each
    output with a scale of its own, which is what the split is for.

    Input RGB 0..1, letterboxed with a border of 114.

    With four classes the outputs look like four numbers of a box and 64 classes (see ``Yolo``): then labels
    tell, or that 64 are no probabilities.

    Source: Ultralytics, nn/modules/head.py (Detect), block.py (DFL), utils/tal.py (make_anchors, dist2bbox);
    YOLOv9, models/yolo.py (DDetect).
    """

    task = "detect"
    bins = 16
    encoding = Encoding("letterbox", low=0.0, high=1.0, border=114)

    @classmethod
    def mismatch(cls, model: Model) -> str | None:
        """Asks for pairs of outputs, one of each 64 wide."""
        layout = split_layout(model, cls.bins)
        if layout is None:
            return "it has no pairs of outputs [1, cells, classes] and [1, cells, 64]"
        wide = layout.pairs[0].distances
        if layout.classes == _BOX and trial_run.are_scores(model, wide, dfl.SIDES * cls.bins) is not False:
            return "its 4 and 64 channels may be boxes and 64 classes"
        return None
