"""How MediaPipe's Model Maker says that the boxes of its detectors are to be read.

Inside the metadata of the graph lies a buffer DETECTOR_METADATA, a flatbuffer of its own.

Source: MediaPipe, tasks/metadata/object_detector_metadata_schema.fbs; TensorFlow Lite Support,
metadata/metadata_schema.fbs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edged.model.flatbuffer import Walk

if TYPE_CHECKING:
    from collections.abc import Mapping

TFLITE_METADATA = "TFLITE_METADATA"
_NAME = "DETECTOR_METADATA"
_SUBGRAPHS, _CUSTOM = 3, 9
_BOX = 4
_ANCHORS, _DECODING = 1, 2
_SCALES, _EXPONENTIAL, _SIGMOID = (6, 7, 8, 9), 10, 11


def read(metadata: bytes) -> Mapping[str, Any]:
    """What the metadata of a graph says of its detector, empty where it says nothing.

    Returns:
        ``ssd_anchors`` (centre x, centre y, width, height, 0..1 of the input, one a row of the outputs),
        ``ssd_scales`` (what offsets of x, y, width, height are divided by), ``ssd_exponential`` (whether
        sizes are logarithms) and ``ssd_sigmoid`` (whether scores are logits).

    Raises:
        MalformedError: it was cut off or is damaged.
    """
    if not metadata:
        return {}
    walk = Walk(metadata)
    for subgraph in walk.tables(walk.u32(0), _SUBGRAPHS):
        for entry in walk.tables(subgraph, _CUSTOM):
            if walk.text(entry, 0) == _NAME:
                return _options(Walk(walk.bytes(entry, 1)))
    return {}


def _options(walk: Walk) -> Mapping[str, Any]:
    root = walk.u32(0)
    generator, decoding = walk.table(root, _ANCHORS), walk.table(root, _DECODING)
    fixed = walk.table(generator, 0) if generator else 0
    if not fixed or not decoding:
        return {}
    return {
        "ssd_anchors": tuple(walk.floats(fixed, 0, _BOX)),
        "ssd_scales": tuple(walk.number(decoding, number, "<f", 0.0) or 1.0 for number in _SCALES),
        "ssd_exponential": bool(walk.number(decoding, _EXPONENTIAL, "<B", 0)),
        "ssd_sigmoid": bool(walk.number(decoding, _SIGMOID, "<B", 0)),
    }
