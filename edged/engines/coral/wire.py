"""What passes between edged and the process that owns an Edge TPU. Both sides import it.

The child gets its :class:`Job` as its only argument. Over a socket that keeps messages apart it tells in JSON
which ``stage`` it has come to, and then that it is ``ready`` (with the tensors of the model) or has
``failed`` (with one of edged's errors). From then on edged sends the number of an invoke and gets the same
number back, or ``failed``. Tensors do not travel: they lie one after the other in memory that both map.
"""

from __future__ import annotations

import json
import struct
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edged.errors import ConfigError, DeviceError, EdgedError, ModelError
from edged.records import TensorSpec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from mmap import mmap

    from edged.records import Tensor

LONGEST = 1 << 16
"""Bytes of a message; a description of many tensors is some thousand."""
NUMBER = struct.Struct("<Q")
STAGES = {
    # By name what the child is about to do, for the sentence about a child that did not get past it.
    "start": "starting",
    "runtime": "importing the TFLite runtime",
    "library": "loading the library",
    "delegate": "opening the Edge TPU",
    "model": "loading the model on the Edge TPU",
    "test": "running the model for the first time",
}
_ALIGNMENT = 64
_ERRORS: dict[str, type[EdgedError]] = {
    error.__name__: error for error in (ConfigError, ModelError, DeviceError)
}


@dataclass(frozen=True, slots=True)
class Job:
    """What the child is to do, and the file descriptors it inherits for it."""

    model: str
    library: str
    options: Mapping[str, str]
    """For the delegate."""
    runtime: str
    """As EDGED_RUNTIME."""
    threads: int
    """For the operations that the Edge TPU does not take."""
    control: int
    """Socket of messages."""
    lifeline: int
    """Pipe that ends when edged ends, however it does."""
    memory: int
    """Where the tensors lie; empty until the child knows the model."""

    def dump(self) -> str:
        """As an argument."""
        return json.dumps(asdict(self))

    @classmethod
    def load(cls, argument: str) -> Job:
        """From an argument."""
        return cls(**json.loads(argument))


def stage(name: str, **facts: str) -> bytes:
    """The child has come to a stage of :data:`STAGES`; ``facts`` is what it has found out on the way."""
    return json.dumps({"stage": name, **facts}).encode()


def failed(error: EdgedError, *, refused: bool = False) -> bytes:
    """The child gives up; ``refused`` if the library said no to the device without saying why."""
    kind = next(name for name, known in _ERRORS.items() if isinstance(error, known))
    what = {"error": kind, "problem": error.problem, "hint": error.hint, "refused": refused}
    return json.dumps({"failed": what}).encode()


def ready(runtime: str, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> bytes:
    """The child is open for invokes."""
    tensors = {"inputs": [_dump(spec) for spec in inputs], "outputs": [_dump(spec) for spec in outputs]}
    return json.dumps({"ready": {"runtime": runtime, **tensors}}).encode()


def seen(sight: Mapping[str, Any]) -> bytes:
    """What there is to be seen of a library."""
    return json.dumps({"seen": sight}).encode()


def parse(message: bytes) -> dict[str, Any]:
    """A message in JSON, with ``failed`` as the error it stands for and tensors as records."""
    content: dict[str, Any] = json.loads(message)
    if "failed" in content:
        what = content["failed"]
        content["failed"] = _ERRORS[what["error"]](what["problem"], hint=what["hint"])
        content["refused"] = what["refused"]
    if "ready" in content:
        for side in ("inputs", "outputs"):
            content["ready"][side] = tuple(_load(tensor) for tensor in content["ready"][side])
    return content


def size(specs: Sequence[TensorSpec]) -> int:
    """Bytes of memory that all tensors take."""
    *_, end = _offsets(specs)
    return end


def views(memory: mmap, specs: Sequence[TensorSpec]) -> list[Tensor]:
    """The tensors in the memory, to read and to write."""
    return [
        np.ndarray(spec.shape, spec.dtype, buffer=memory, offset=offset)
        for spec, offset in zip(specs, _offsets(specs), strict=False)
    ]


def _offsets(specs: Sequence[TensorSpec]) -> Iterator[int]:
    """Where every tensor begins, and where the last one ends."""
    offset = 0
    for spec in specs:
        yield offset
        used = spec.dtype.itemsize * int(np.prod(spec.shape))
        offset += -(-used // _ALIGNMENT) * _ALIGNMENT
    yield offset


def _dump(spec: TensorSpec) -> dict[str, Any]:
    return {**asdict(spec), "dtype": spec.dtype.str}


def _load(tensor: dict[str, Any]) -> TensorSpec:
    return TensorSpec(**{**tensor, "shape": tuple(tensor["shape"]), "dtype": np.dtype(tensor["dtype"])})
