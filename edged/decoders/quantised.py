"""Stored and real values of output tensors; a tensor that is not quantised stores the real ones."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from edged.errors import OutputError

if TYPE_CHECKING:
    import numpy.typing as npt

    from edged.records import Tensor, TensorSpec

    Floats = npt.NDArray[np.floating[Any]]
    Integers = npt.NDArray[np.integer[Any]]


def require_finite(*outputs: Tensor) -> None:
    """Look whether floating-point outputs are numbers throughout: comparing with NaN finds nothing, silently.

    The sum of a tensor is finite only if all of it is; that is one pass, 0.2 ms for YOLOv8n at 640 (x86).

    Raises:
        OutputError: there is a NaN or an infinite value among them.
    """
    floats = [output for output in outputs if output.dtype.kind == "f"]
    if not floats:
        return
    with np.errstate(over="ignore", invalid="ignore"):
        totals = [np.add.reduce(output, axis=None, dtype=np.float32) for output in floats]
    for output, total in zip(floats, totals, strict=True):
        if not math.isfinite(total):
            bad = int(np.count_nonzero(~np.isfinite(output)))
            if bad:
                raise OutputError(
                    f"the model's output holds {bad} values of {output.size} that are no finite numbers",
                    hint="Export it again, or use another build of the model: float32, or fully quantised",
                )


def real(stored: Tensor, spec: TensorSpec) -> Floats:
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


def best_classes(stored: Tensor, spec: TensorSpec, least: float) -> tuple[Integers, Integers, Floats]:
    """Rows of stored scores ``[n, classes]`` that reach the stored value ``least``, with their best class.

    Returns:
        Indices of the rows, the class id and the real score of each.
    """
    # Faster than a maximum along the short axis: nearly all scores are small, and only the others cost.
    hits = np.flatnonzero(stored >= least) // stored.shape[1]
    again = np.zeros(hits.size, np.bool_)
    again[1:] = hits[1:] == hits[:-1]
    rows = hits[~again]
    scores = real(stored[rows], spec)
    class_ids = scores.argmax(axis=1)
    return rows, class_ids, scores[np.arange(rows.size), class_ids]
