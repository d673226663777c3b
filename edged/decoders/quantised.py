"""Stored and real values of output tensors; a tensor that is not quantised stores the real ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from edged.records import Tensor, TensorSpec


def real(stored: Tensor, spec: TensorSpec) -> npt.NDArray[np.floating[Any]]:
    """Real values of some stored ones, float32."""
    values = stored.astype(np.float32)
    if spec.quantised:
        values -= spec.zero_point
        values *= spec.scale
    return values


def least_stored(threshold: float, spec: TensorSpec) -> float:
    """The stored value from which on the real one reaches ``threshold``: compare first, convert what is left.

    ``inf`` where the tensor can store no such value.
    """
    if not spec.quantised:
        return threshold
    limits = np.iinfo(spec.dtype)
    every = np.arange(limits.min, limits.max + 1)
    reaching = every[real(every, spec) >= np.float32(threshold)]
    return int(reaching[0]) if reaching.size else np.inf
