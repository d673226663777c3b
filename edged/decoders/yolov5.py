"""YOLOv5 and YOLOv7 models with raw output: an objectness beside the class scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edged.decoders.objectness import RowDecoder, are_rows_of_three
from edged.imaging.tensors import Encoding

if TYPE_CHECKING:
    from edged.records import Model


class Yolov5(RowDecoder):
    """Raw boxes, objectness and class scores of every anchor.

    One output ``[1, anchors, 5 + classes]``, three anchors a cell of strides 8, 16 and 32 (25200 at 640x640).
    Columns 0-3 are centre x, centre y, width and height in the letterboxed input, normalised to 0..1 by
    YOLOv5's own TFLite export and in input pixels by others (see ``anchors.pixels``); column 4 is the
    objectness, the others the score of each class. The score of a box is objectness times the best class
    score.
    float32, float16, int8 or uint8; quantised ones have one scale and zero point for the whole output.

    Source: YOLOv5 documentation, "TFLite, ONNX, CoreML, TensorRT Export"; layout and units measured on a fp16
    export. Models that Ultralytics' newer package exports as "yolov5u" have no objectness: see ``Yolo``.
    """

    task = "detect"
    encoding = Encoding("letterbox", low=0.0, high=1.0, border=114)

    @classmethod
    def mismatch(cls, model: Model) -> str | None:
        """Asks for a middle axis of the only output that counts three anchors a cell."""
        if len(model.outputs) == 1 and are_rows_of_three(model, 0):
            return None
        return "it has no single output [1, three anchors a cell, 5 + classes]"
