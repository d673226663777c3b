"""The process that owns an Edge TPU: ``python -m edged.engines.coral.child JOB``.

What it is told and what it answers is in :mod:`edged.engines.coral.wire`.

libedgetpu may end this process, and hang in it. Nothing here prints or chooses an exit code: what can be told
is told to edged as a message, and a process that was killed says it by its death.
"""

from __future__ import annotations

import mmap
import os
import resource
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edged.engines import runtime
from edged.engines.coral import abi, library, wire
from edged.engines.coral.process import die_with
from edged.engines.cpu import check_inputs, tensor_specs
from edged.errors import DeviceError, EdgedError

if TYPE_CHECKING:
    from edged.engines.runtime import Runtime
    from edged.records import Tensor

_NAME = "edged-edgetpu"
"""In ``ps`` and ``top``; the kernel keeps 15 letters."""


def _present() -> None:
    """How the process looks from outside. A sandbox may forbid both, which does no harm."""
    with suppress(OSError):
        Path("/proc/self/comm").write_text(_NAME, encoding="ascii")
    # libedgetpu aborts on USB errors: a core dump for each would fill the SD card and explain nothing.
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class _ChildRefusedError(DeviceError):
    """The library opens no device and does not say why; edged looks for the cause."""


def main() -> None:
    """Do the job until edged has no more of it."""
    job = wire.Job.load(sys.argv[1])
    die_with(job.lifeline)
    _present()
    with socket.socket(fileno=job.control) as control:
        try:
            model = _Model(job, control)
        except EdgedError as error:
            control.send(wire.failed(error, refused=isinstance(error, _ChildRefusedError)))
            return
        model.serve(control)


class _Model:
    """The interpreter with its tensors in shared memory."""

    def __init__(self, job: wire.Job, control: socket.socket) -> None:
        control.send(wire.stage("runtime"))
        chosen = runtime.load(job.runtime)
        control.send(wire.stage("library"))
        found = library.load(job.library)
        if reason := abi.misfit(found.built_on, str(chosen)):
            raise DeviceError(f"the library {found.path} must not be used: {reason}", hint=abi.INSTALL)
        control.send(
            wire.stage(
                "delegate", built_on=abi.release(found.built_on), path=str(found.path), runtime=str(chosen)
            )
        )
        # Kept as long as the interpreter, which does not keep it.
        self._delegate = _delegate(chosen, job)
        control.send(wire.stage("model"))
        self._interpreter = _interpreter(chosen, job, self._delegate)
        inputs = tensor_specs(self._interpreter.get_input_details())
        outputs = tensor_specs(self._interpreter.get_output_details())
        check_inputs(Path(job.model).name, self._interpreter.get_input_details())
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._outputs = [details["index"] for details in self._interpreter.get_output_details()]
        self._names = [spec.name for spec in outputs]

        specs = (*inputs, *outputs)
        os.ftruncate(job.memory, wire.size(specs))
        memory = mmap.mmap(job.memory, wire.size(specs))
        self._given, *self._wanted = wire.views(memory, specs)
        control.send(wire.stage("test"))
        self._invoke()
        control.send(wire.ready(str(chosen), inputs, outputs))

    def serve(self, control: socket.socket) -> None:
        """Answer every number with the same number, until edged closes the connection."""
        while number := control.recv(wire.NUMBER.size):
            try:
                self._invoke()
            except EdgedError as error:
                control.send(wire.failed(error))
                return
            control.send(number)

    def _invoke(self) -> None:
        try:
            self._interpreter.set_tensor(self._input, self._given)
            self._interpreter.invoke()
            # Views into the interpreter must be gone before the next invoke: copied one by one, none is kept.
            for index, name, wanted in zip(self._outputs, self._names, self._wanted, strict=True):
                _copy(self._interpreter.tensor(index)(), wanted, name)
        except (ValueError, RuntimeError) as error:
            raise DeviceError(f"the Edge TPU failed to run the model: {_cause(error)}") from error


def _copy(given: Tensor, wanted: Tensor, name: str) -> None:
    if given.shape != wanted.shape or given.dtype != wanted.dtype:
        raise DeviceError(
            f"the Edge TPU gave an output of the wrong size: {name!r} is {given.dtype}{list(given.shape)}, "
            f"not {wanted.dtype}{list(wanted.shape)}"
        )
    np.copyto(wanted, given)


def _delegate(chosen: Runtime, job: wire.Job) -> Any:
    try:
        return chosen.load_delegate(job.library, dict(job.options))
    except ValueError as error:
        # "Failed to load delegate from LIBRARY", and below what the library says: mostly nothing.
        said = " ".join(str(error).splitlines()[1:]).strip()
        raise _ChildRefusedError(
            f"the library {job.library} opens no Edge TPU" + (f": {said}" if said else "")
        ) from error
    except (OSError, AttributeError, RuntimeError) as error:
        raise DeviceError(f"the library {job.library} cannot be used: {error}", hint=abi.INSTALL) from error


def _interpreter(chosen: Runtime, job: wire.Job, delegate: Any) -> Any:
    try:
        interpreter = chosen.interpreter(
            model_path=job.model, experimental_delegates=[delegate], num_threads=job.threads
        )
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        if "edgetpu-custom-op" in str(error):
            raise DeviceError(
                f"the library {job.library} takes nothing of the model", hint=abi.INSTALL
            ) from error
        raise DeviceError(f"the model cannot be loaded on the Edge TPU: {_cause(error)}") from error
    return interpreter


def _cause(error: Exception) -> str:
    """What the runtime says, without the list of nodes that it appends with no space in between."""
    text = str(error).partition("Node number")[0].strip() or str(error).strip() or type(error).__name__
    return text.splitlines()[0].removesuffix(".")[:200]


if __name__ == "__main__":
    main()
