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
    task: str
    """What the family is for, in the words of Ultralytics' exporter: ``detect``."""

    @classmethod
    def mismatch(cls, model: Model) -> str | None:
        """Why ``model`` is none of this family, as half a sentence about it; None where it is one.

        Its inputs and the task that its metadata name were looked at before.
        """
        ...

    def __init__(self, model: Model, *, score_threshold: float, iou_threshold: float) -> None:
        """Keep the thresholds, translated into the model's own numbers."""
        ...

    def decode(self, outputs: Sequence[Tensor], geometry: Geometry) -> list[Detection]:
        """Detections of one frame in source pixels, clipped to the frame, best score first."""
        ...


def mismatches(model: Model) -> dict[str, str | None]:
    """Every family, with the reason why the model is none of it; None where it is one."""
    families: dict[str, type[Decoder]] = {
        name: registry.load(path) for name, path in registry.DECODERS.items()
    }
    return {
        name: _not_of_task(model, family.task) or family.mismatch(model) for name, family in families.items()
    }


def decoder_class(model: Model) -> type[Decoder]:
    """The decoder of the family that the model is of.

    Raises:
        ModelError: it is of none; the message lists what was seen, and what speaks against each family.
    """
    reasons = mismatches(model)
    for family, reason in reasons.items():
        if reason is None:
            found: type[Decoder] = registry.load(registry.DECODERS[family])
            return found
    inputs = ", ".join(map(str, model.inputs)) or "none"
    outputs = ", ".join(map(str, model.outputs)) or "none"
    against = "; ".join(f"{family}: {reason}" for family, reason in reasons.items())
    raise ModelError(
        f"the model {model.name!r} is of no supported family: inputs {inputs}; outputs {outputs}. {against}",
        hint="docs/models.md says what each of them looks like",
    )


def _not_of_task(model: Model, task: str) -> str | None:
    """What speaks against a model of ``task`` before its outputs are looked at; None where nothing does."""
    if len(model.inputs) != 1:
        return f"it has {len(model.inputs)} inputs instead of one"
    told = model.metadata.get("task", task)
    return None if told == task else f"its metadata calls it a {told!r} model"
