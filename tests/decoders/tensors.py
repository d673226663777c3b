"""Synthetic models and tensors for decoders: what the tests put in is what must come out."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pytest

from edged.decoders import decoder_class
from edged.imaging.geometry import Geometry
from edged.records import Model, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edged.decoders import Decoder
    from edged.records import Box, Detection, Tensor

SIZE = 640
WHOLE = Geometry(1.0, 1.0, 0, 0, SIZE, SIZE)
"""A frame as large as the input: source pixels are input pixels."""


def spec(
    shape: Sequence[int],
    dtype: str = "float32",
    *,
    scale: float = 0.0,
    zero_point: int = 0,
    name: str = "output",
) -> TensorSpec:
    return TensorSpec(name, tuple(shape), np.dtype(dtype), scale, zero_point)


def model(
    *outputs: TensorSpec,
    shape: Sequence[int] = (1, SIZE, SIZE, 3),
    metadata: Mapping[str, Any] | None = None,
    labels: Sequence[str] = (),
    trial: Sequence[Tensor] = (),
) -> Model:
    inputs = (spec(shape, name="input"),)
    return Model("synthetic", inputs, outputs, metadata or {}, tuple(labels), trial=lambda: trial)


def decoder(of: Model, *, score: float = 0.25, iou: float = 0.45) -> Decoder:
    return decoder_class(of)(of, score_threshold=score, iou_threshold=iou)


def store(real: Tensor, of: TensorSpec) -> Tensor:
    """The stored values of real ones, as a runtime would give them."""
    if not of.quantised:
        return real.astype(of.dtype)
    limits = np.iinfo(of.dtype)
    stored: Tensor = np.clip(np.rint(real / of.scale) + of.zero_point, limits.min, limits.max).astype(
        of.dtype
    )
    return stored


Found: TypeAlias = tuple[int, float, tuple[float, float, float, float]]
"""Class, score and corners, as a plain implementation gives them."""


def kept_plainly(found: Sequence[Found], overlap: float) -> list[Found]:
    """What a suppression without a thought for speed keeps, best first."""
    kept: list[Found] = []
    for candidate in sorted(found, key=lambda one: -one[1]):
        if all(other[0] != candidate[0] or iou(other[2], candidate[2]) <= overlap for other in kept):
            kept.append(candidate)
    return kept


def side_plainly(logits: Sequence[float]) -> float:
    """The mean of 0, 1, 2 ... weighted with the softmax of ``logits``."""
    weights = [math.exp(logit) for logit in logits]
    return sum(number * weight for number, weight in enumerate(weights)) / sum(weights)


def cells_plainly(strides: Sequence[int], size: int = SIZE) -> list[tuple[int, int, int]]:
    """Column, row and stride of every cell of a square input, fine ones first, row by row."""
    return [
        (column, row, stride)
        for stride in strides
        for row in range(-(-size // stride))
        for column in range(-(-size // stride))
    ]


def assert_same(detections: Sequence[Detection], expected: Sequence[Found], *, pixels: float = 0.01) -> None:
    """The same objects in the same order; boxes clipped to a frame as large as the input."""
    assert [one.class_id for one in detections] == [class_id for class_id, *_ in expected]
    for one, (_, score, box) in zip(detections, expected, strict=True):
        assert one.score == pytest.approx(score, abs=1e-4)
        assert one.box == pytest.approx(np.clip(box, 0, SIZE), abs=pixels)


def iou(one: Box | Sequence[float], other: Box | Sequence[float]) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return width * height / (areas - width * height)
