"""A second model that looks at objects which the first has found, and says more exactly what they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edged.decoders import decoder_class
from edged.engines.cpu import CpuEngine
from edged.errors import ConfigError
from edged.imaging.tensors import Preprocessor
from edged.model import file
from edged.model.description import describe

if TYPE_CHECKING:
    from pathlib import Path

    from edged.records import Image

_SURE = 0.5
"""Least score of a finer label."""
_NOTHING = frozenset({"background", "__background__", "none", "unknown"})
"""Classes that say that it is none of the others."""


class Finer:
    """A classifier on the CPU, for one coarse label. Belongs to one thread once it is loaded.

    Raises:
        ModelError: the file is no model, or of no known family.
        ConfigError: it is no classifier, or for the Edge TPU.
    """

    def __init__(self, path: Path, *, runtime: str) -> None:
        content = file.read(path)
        if content.edgetpu:
            raise ConfigError(
                f"EDGED_CLASSIFY names {str(path)!r}, which is compiled for the Edge TPU",
                hint="Give its build for the CPU: it runs a few times an object, beside the detector",
            )
        self._engine = CpuEngine(path, runtime=runtime)
        model = describe(content, self._engine.inputs, self._engine.outputs, self._engine.invoke)
        family = decoder_class(model)
        if family.task != "classify":
            raise ConfigError(
                f"EDGED_CLASSIFY names {str(path)!r}, a model to {family.task}, not to classify",
                hint="Give a classifier, with one output [1, classes]",
            )
        self._decoder = family(model, score_threshold=_SURE, iou_threshold=1.0)
        self._preprocess = Preprocessor(model.inputs[0], self._decoder.encoding)
        self._tensor = self._preprocess.new_input()

    def look(self, crop: Image) -> tuple[str, float] | None:
        """What the crop shows, with its score; None where that is not sure, or nothing that it knows."""
        geometry = self._preprocess(crop, self._tensor)
        for found in self._decoder.decode(self._engine.invoke(self._tensor), geometry):
            return None if found.label.lower() in _NOTHING else (found.label, found.score)
        return None

    def close(self) -> None:
        """Free its memory."""
        self._engine.close()
