"""All that is known of a model before its family is: what its file says, its tensors, a trial run."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from edged.records import Model

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edged.model.file import ModelFile
    from edged.records import Tensor, TensorSpec

    Run = Callable[[Tensor], Sequence[Tensor]]


def describe(
    content: ModelFile, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...], run: Run | None
) -> Model:
    """The record of a model.

    Args:
        content: what its file says.
        inputs: what the runtime says.
        outputs: likewise.
        run: runs it; called at most once, when a family asks what the values look like. None: it cannot run.
    """

    @cache
    def trial() -> Sequence[Tensor]:
        return run(np.zeros(inputs[0].shape, inputs[0].dtype)) if run is not None else ()

    return Model(
        name=content.path.stem,
        inputs=inputs,
        outputs=outputs,
        metadata=content.metadata,
        labels=content.labels,
        labels_from=content.labels_from,
        labels_numbered=content.labels_numbered,
        trial=trial,
    )
