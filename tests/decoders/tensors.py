"""Synthetic models and tensors for decoders: what the tests put in is what must come out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edged.decoders import decoder_class
from edged.imaging.geometry import Geometry
from edged.records import Model, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edged.decoders import Decoder
    from edged.records import Box, Tensor

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


def iou(one: Box | Sequence[float], other: Box | Sequence[float]) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return width * height / (areas - width * height)
