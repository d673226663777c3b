"""A loaded model with everything that belongs to it: engines, preprocessing and decoder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edged import modelfile
from edged.decoders import decoder_class
from edged.engines.cpu import CpuEngine
from edged.errors import ConfigError
from edged.imaging import Preprocessor
from edged.records import Model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edged.config import Settings
    from edged.decoders import Decoder
    from edged.engines import Engine

_MOST_THREADS = 4
"""More threads than this have never paid for models of the size that a Raspberry Pi can run."""


@dataclass(frozen=True, slots=True)
class Detector:
    """What the pipeline needs to find things in frames."""

    model: Model
    engines: Sequence[Engine]
    """One a worker, all with the same model."""
    preprocess: Preprocessor
    decoder: Decoder
    keep: frozenset[str]
    """Labels to keep; empty keeps all."""

    def close(self) -> None:
        """Free the devices."""
        for engine in reversed(self.engines):
            engine.close()


def load(settings: Settings) -> Detector:
    """Load the model that the settings name, once a worker.

    Raises:
        ModelError: the file is no model, or none that edged can decode, or its labels do not fit.
        ConfigError: EDGED_CLASSES names what the model does not know, or the runtime is not installed.
        DeviceError: the device does not answer.
    """
    content = modelfile.read(settings.model, labels=settings.labels)
    threads = settings.threads or default_threads(settings.workers)
    engines = [
        CpuEngine(settings.model, runtime=settings.runtime, threads=threads) for _ in range(settings.workers)
    ]
    model = Model(
        name=settings.model.stem,
        inputs=engines[0].inputs,
        outputs=engines[0].outputs,
        metadata=content.metadata,
        labels=content.labels,
    )
    decoder = decoder_class(model)(
        model, score_threshold=settings.score_threshold, iou_threshold=settings.iou_threshold
    )
    keep = frozenset(settings.classes)
    if unknown := sorted(keep - set(decoder.labels)):
        raise ConfigError(
            f"EDGED_CLASSES names {unknown[0]!r}, which the model {model.name!r} cannot find",
            mend=f"It finds {', '.join(decoder.labels) or 'classes without names'}",
        )
    return Detector(model, engines, Preprocessor(model.inputs[0], decoder.encoding), decoder, keep)


def default_threads(workers: int) -> int:
    """Share of the cores for one interpreter."""
    return max(1, min(_MOST_THREADS, len(os.sched_getaffinity(0)) // workers))
