"""Decoders turn the raw outputs of one model family into detections.

A decoder is pure: numpy in, detections out. Its docstring is the layout of the tensors, with the source.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from edged import registry
from edged.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edged.imaging.geometry import Geometry
    from edged.imaging.tensors import Encoding
    from edged.records import Detection, Model, Tensor


class Decoder(Protocol):
    """The knowledge about one model family.

    Built once a model; ``decode`` is called from one thread, for one frame after the other.
    """

    encoding: Encoding
    """How the family wants its input: letterboxed or stretched, and the range of its pixel values."""
    labels: tuple[str, ...]
    """Every label that ``decode`` can give; empty where the model does not name its classes."""

    @classmethod
    def matches(cls, model: Model) -> bool:
        """Whether metadata and tensor shapes of ``model`` are this family's."""
        ...

    def __init__(self, model: Model, *, score_threshold: float, iou_threshold: float) -> None:
        """Keep the thresholds, translated into the model's own numbers."""
        ...

    def decode(self, outputs: Sequence[Tensor], geometry: Geometry) -> list[Detection]:
        """Detections of one frame in source pixels, clipped to the frame, best score first."""
        ...


def decoder_class(model: Model) -> type[Decoder]:
    """The first registered decoder that matches.

    Raises:
        ModelError: no decoder knows the model; the message lists what was seen and what is supported.
    """
    for path in registry.DECODERS.values():
        found: type[Decoder] = registry.load(path)
        if found.matches(model):
            return found
    inputs = ", ".join(map(str, model.inputs)) or "none"
    outputs = ", ".join(map(str, model.outputs)) or "none"
    task = model.metadata.get("task")
    raise ModelError(
        f"the model {model.name!r} is of no supported detection family: inputs {inputs}; outputs {outputs}"
        + (f"; its metadata calls it a {task!r} model" if task else ""),
        mend=f"Supported are {', '.join(registry.DECODERS)}; see the table of model families in the README",
    )


__all__ = ["Decoder", "decoder_class"]
