"""A model on the CPU, in this process."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edged.engines import runtime as runtimes
from edged.errors import DeviceError, ModelError
from edged.records import TensorSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from edged.records import Tensor


_OTHER_CHIPS = {
    "ethos-u": "an Arm Ethos-U processor",
    "NeutronGraph": "NXP's Neutron processor",
    "PosenetDecoderOp": "Coral's pose library",
}
"""Operations that no runtime of ours has, and what does."""
_OPEN_SIDES = {(1, 6, 56): 256}
"""Side of the picture for models that leave it open, by the shape of their only output: MoveNet MultiPose."""


class CpuEngine:
    """Runs a model with XNNPACK on the CPU.

    The runtime writes one line about XNNPACK to stderr when the first engine of a process is made; it has no
    switch for that.

    Args:
        path: the model.
        runtime: ``auto``, ``ai-edge-litert`` or ``tflite-runtime``.
        threads: of one invoke.

    Raises:
        ConfigError: the runtime is not there.
        ModelError: the runtime does not take the model. Call ``modelfile.read`` before: tflite-runtime does
            not verify what it loads, and a file that was cut off ends the process.
    """

    device = "cpu"
    degraded = ""

    def __init__(self, path: Path | str, *, runtime: str = runtimes.AUTO, threads: int = 1) -> None:
        self._name = Path(path).name
        chosen = runtimes.load(runtime)
        self.runtime = str(chosen)
        try:
            interpreter = chosen.interpreter(model_path=str(path), num_threads=threads)
            settle_size(interpreter)
            interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise self._refused(error) from error
        self.inputs = tensor_specs(interpreter.get_input_details())
        self.outputs = tensor_specs(interpreter.get_output_details())
        check_inputs(self._name, interpreter.get_input_details())
        self._input = interpreter.get_input_details()[0]["index"]
        self._outputs = [details["index"] for details in interpreter.get_output_details()]
        self._interpreter = interpreter

    def invoke(self, tensor: Tensor) -> Sequence[Tensor]:
        """Run the model once; outputs are copies, so they stay when the next frame comes.

        Raises:
            DeviceError: the runtime gave up.
        """
        try:
            self._interpreter.set_tensor(self._input, tensor)
            self._interpreter.invoke()
            return [self._interpreter.get_tensor(index) for index in self._outputs]
        except (ValueError, RuntimeError) as error:
            raise DeviceError(
                f"{self.runtime} could not run {self._name}: {_first_sentence(error)}"
            ) from error

    def close(self) -> None:
        """Free the memory of the interpreter."""
        self._interpreter = None

    def _refused(self, error: Exception) -> ModelError:
        reason = str(error)
        if "edgetpu-custom-op" in reason:
            return ModelError(
                f"{self._name} is compiled for the Edge TPU and cannot run on the CPU",
                hint="Give its CPU build (the one without _edgetpu in its name) or set EDGED_DEVICE=edgetpu",
            )
        for operation, chip in _OTHER_CHIPS.items():
            if operation in reason:
                return ModelError(
                    f"{self._name} is compiled for {chip} and cannot run here ({operation})",
                    hint="Give the model from before it was compiled for that, a plain .tflite",
                )
        return ModelError(
            f"{self.runtime} does not take {self._name}: {_first_sentence(error)}",
            hint="Get the file again or export the model again with a current converter",
        )


def tensor_specs(details: Iterable[Mapping[str, Any]]) -> tuple[TensorSpec, ...]:
    """What ``Interpreter.get_input_details`` or ``get_output_details`` say, as records.

    Call it after ``allocate_tensors``: before, the outputs of a detection post-processing have no shape.
    """
    return tuple(
        TensorSpec(
            name=str(tensor["name"]),
            shape=tuple(int(size) for size in tensor["shape"]),
            dtype=np.dtype(tensor["dtype"]),
            scale=float(tensor["quantization"][0]),
            zero_point=int(tensor["quantization"][1]),
        )
        for tensor in details
    )


def settle_size(interpreter: Any) -> None:
    """Fix the size of a picture that a known model leaves open; call it before ``allocate_tensors``."""
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    side = _OPEN_SIDES.get(tuple(outputs[0]["shape"])) if len(inputs) == len(outputs) == 1 else None
    if side is not None and [*inputs[0]["shape_signature"]] == [1, -1, -1, 3]:
        interpreter.resize_tensor_input(inputs[0]["index"], (1, side, side, 3))


def check_inputs(name: str, details: Sequence[Mapping[str, Any]]) -> None:
    """Make sure that a model takes one picture of a fixed size and nothing else.

    Raises:
        ModelError: it does not; the message lists its inputs.
    """
    if len(details) != 1:
        seen = ", ".join(f"{spec.name!r} {spec}" for spec in tensor_specs(details))
        raise ModelError(
            f"{name} has {len(details)} inputs, a detector has one: {seen}",
            hint="Models that carry a state from frame to frame are not supported; export it without",
        )
    signature = [int(size) for size in details[0]["shape_signature"]]
    # A size that is open is stored as 1, until somebody settles it.
    if any(size == -1 and now == 1 for size, now in zip(signature[1:], details[0]["shape"][1:], strict=True)):
        raise ModelError(
            f"{name} leaves the size of its input open: {signature}",
            hint="Export it with a fixed input size",
        )


def _first_sentence(error: Exception) -> str:
    """Runtimes repeat themselves for every tensor, without a space in between."""
    lines = str(error).strip().splitlines()
    text = lines[0] if lines else type(error).__name__
    return text.partition(". ")[0].removesuffix(".")[:200]
