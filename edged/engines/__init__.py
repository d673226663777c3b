"""Engines run a model on a device. They are the only rooms that import a TFLite runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edged.records import Tensor, TensorSpec


class Engine(Protocol):
    """One model loaded on one device.

    ``invoke`` is called by one thread at a time; it blocks and releases the interpreter lock of Python.
    """

    runtime: str
    """Name and version of the runtime: ``ai-edge-litert 2.3.0``."""
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    @property
    def device(self) -> str:
        """Where it runs now: ``cpu``, ``edgetpu:usb:0``."""
        ...

    @property
    def degraded(self) -> str:
        """Why it does not run where it should (a CPU stands in for a lost Edge TPU); empty while it does."""
        ...

    def invoke(self, tensor: Tensor) -> Sequence[Tensor]:
        """Run the model once on an input of shape and dtype ``inputs[0]``; the outputs are the caller's own.

        Raises:
            DeviceError: the device failed; there is no result, which is not the same as an empty one.
        """
        ...

    def close(self) -> None:
        """Free the device; no other call follows."""
        ...
