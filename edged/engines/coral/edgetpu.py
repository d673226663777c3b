"""A model on an Edge TPU, in a process of its own that may crash, hang or be killed."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edged.engines.coral import abi, hardware, wire
from edged.engines.coral.process import Ended, Process
from edged.errors import DeviceError, EdgedError
from edged.settings.device import EDGETPU

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edged.records import Tensor

_ANSWER = 4096
"""Bytes; an answer to an invoke is a number or one sentence."""
_GOODBYE_S = 2.0
"""What the library gets to close the device, which it would rather do than be killed."""
_SETTLE_S = 1.5
"""A USB device that is opened for the first time gets its firmware and comes back under another id."""
_TIDY_EVERY = 1000


@dataclass(frozen=True, slots=True)
class TpuAccess:
    """How an Edge TPU is reached."""

    device: str = EDGETPU
    """As in EDGED_DEVICE."""
    library: str = "libedgetpu.so.1"
    options: tuple[tuple[str, str], ...] = ()
    """For the library: Performance, Usb.AlwaysDfu, Usb.MaxBulkInQueueLength."""
    runtime: str = "auto"
    """As EDGED_RUNTIME."""
    threads: int = 1
    """For the operations that the Edge TPU does not take."""
    open_timeout_s: float = 20.0
    """For each step of opening: start, library, device, model, first invoke."""
    invoke_timeout_s: float = 3.0
    """For one invoke."""

    def delegate_options(self) -> dict[str, str]:
        """What ``tflite_plugin_create_delegate`` gets."""
        wanted = self.device.removeprefix(EDGETPU).removeprefix(":")
        if not wanted and self.options:
            # The library heeds other options only if the device has a number; ":0" is the first of any kind.
            wanted = ":0"
        return {**({"device": wanted} if wanted else {}), **dict(self.options)}


class EdgeTpuEngine:
    """Runs a model on one Edge TPU.

    Opening ends with a first invoke, so an open engine has answered. After a failure the engine is over: its
    process is killed and every further ``invoke`` fails at once; who wants to go on opens another.

    A separate child that only tries whether the library crashes would open the device twice and find nothing
    that this one does not: whatever happens while it opens, edged gets it as a sentence.

    Args:
        model: compiled for the Edge TPU.
        access: how it is reached.

    Raises:
        DeviceError: the device does not answer; names the step, the cause and the hint.
        ModelError: the model is none that edged can run.
        ConfigError: the TFLite runtime is not there.
    """

    degraded = ""

    def __init__(self, model: Path | str, access: TpuAccess) -> None:
        self.device = access.device
        self._access = access
        self._count = 0
        self._over = ""
        self._invoking = threading.Lock()
        self._process, ready = _open(Path(model), access)
        self.runtime: str = ready["runtime"]
        self.inputs = ready["inputs"]
        self.outputs = ready["outputs"]
        specs = (*self.inputs, *self.outputs)
        try:
            memory = self._process.map(wire.size(specs))
        except OSError as error:
            self._process.end(0)
            raise DeviceError(f"{self.device} does not open: {error}") from error
        self._input, *self._results = wire.views(memory, specs)

    @property
    def over(self) -> bool:
        """Whether it answers no more."""
        return bool(self._over)

    @property
    def pid(self) -> int:
        """The process that owns the device."""
        return self._process.pid

    def invoke(self, tensor: Tensor) -> Sequence[Tensor]:
        """Run the model once.

        Raises:
            DeviceError: the process died, hung, failed or gave something else than the model says.
        """
        with self._invoking:
            if self._over:
                raise DeviceError(self._over)
            # A wrong shape or type would be a mistake in edged, not of the device: it is not caught.
            np.copyto(self._input, tensor, casting="no")
            self._count += 1
            number = wire.NUMBER.pack(self._count)
            try:
                self._process.send(number)
                answer = self._process.receive(self._access.invoke_timeout_s, _ANSWER)
            except Ended as ended:
                raise self._failed(f"its process {ended} in an invoke") from ended
            except TimeoutError as error:
                raise self._failed(
                    f"no answer to an invoke within {self._access.invoke_timeout_s:g} s"
                ) from error
            if answer != number:
                raise self._failed(_complaint(answer))
            if not self._count % _TIDY_EVERY:
                self._process.forget_output()
            return [result.copy() for result in self._results]

    def close(self) -> None:
        """Give the device back; an ``invoke`` that another thread waits for fails."""
        self.leave("it is closed")

    def leave(self, reason: str) -> None:
        """Give the device back; an ``invoke`` that comes later fails with this reason."""
        if not self._invoking.acquire(timeout=_GOODBYE_S):
            self._process.kill()
            self._invoking.acquire()
        try:
            self._finish(reason, patience_s=_GOODBYE_S)
        finally:
            self._invoking.release()

    def _failed(self, what: str) -> DeviceError:
        words = self._process.last_words()
        error = DeviceError(
            f"{self.device} is lost: {what}" + (f" ({words})" if words else ""),
            hint="Look after its cable, port and power",
        )
        self._finish(error.problem, patience_s=0)
        return error

    def _finish(self, reason: str, *, patience_s: float) -> None:
        """End the process, once; ``reason`` is why there is no other invoke."""
        if not self._over:
            self._over = reason
            # With the last view of it the memory goes, too.
            del self._input, self._results
            self._process.end(patience_s)


class DeviceRefusedError(DeviceError):
    """The library opens no device."""


def _open(model: Path, access: TpuAccess) -> tuple[Process, dict[str, Any]]:
    """A child that is ready, and what it says of the model."""
    fresh = any(device.fresh for device in hardware.find())
    try:
        return _try(model, access)
    except DeviceRefusedError:
        if not fresh:
            raise
    time.sleep(_SETTLE_S)
    return _try(model, access)


def _try(model: Path, access: TpuAccess) -> tuple[Process, dict[str, Any]]:
    def job(control: int, lifeline: int, memory: int) -> str:
        return wire.Job(
            model=str(model),
            library=access.library,
            options=access.delegate_options(),
            runtime=access.runtime,
            threads=access.threads,
            control=control,
            lifeline=lifeline,
            memory=memory,
        ).dump()

    try:
        process = Process("edged.engines.coral.child", job)
    except OSError as error:
        raise DeviceError(f"{access.device} does not open: no process can be started: {error}") from error
    try:
        return process, _ready(process, access)
    except BaseException:
        process.end(0)
        raise


def _ready(process: Process, access: TpuAccess) -> dict[str, Any]:
    """What the child says of the model once it is open."""
    stage = "start"
    facts: dict[str, str] = {}
    try:
        while True:
            message = wire.parse(process.receive(access.open_timeout_s, wire.LONGEST))
            if "stage" not in message:
                break
            stage = message.pop("stage")
            facts |= message
    except Ended as ended:
        words = process.last_words()
        how = f"{ended} while {wire.STAGES[stage]}" + (f" ({words})" if words else "")
        raise DeviceError(
            f"{access.device} does not open: its process {how}", hint=_suspicion(str(ended), facts)
        ) from ended
    except TimeoutError as error:
        raise DeviceError(
            f"{access.device} does not open: "
            f"{wire.STAGES[stage]} took longer than {access.open_timeout_s:g} s",
            hint="Unplug it and plug it in again; on a slow machine raise EDGED_DEVICE_TIMEOUT",
        ) from error
    if "failed" in message:
        raise _explained(message, access)
    ready: dict[str, Any] = message["ready"]
    return ready


def _explained(message: Mapping[str, Any], access: TpuAccess) -> EdgedError:
    """The child's error; one without a cause gets the cause that can be seen from outside."""
    error: EdgedError = message["failed"]
    if not message["refused"]:
        return error
    obstacle = hardware.obstacle(access.device, hardware.find())
    return DeviceRefusedError(f"{error.problem}: {obstacle.problem}", hint=obstacle.hint)


def _suspicion(how: str, facts: Mapping[str, str]) -> str:
    """What to try with a library that crashed while it was used."""
    if "crashed" not in how or "path" not in facts:
        return ""
    return (
        f"Perhaps {facts['path']} does not fit: it was built on {facts['built_on']}, here is "
        f"{facts['runtime']}; others are at {abi.BUILDS}"
    )


def _complaint(answer: bytes) -> str:
    """What a child says instead of having run the model."""
    try:
        error: EdgedError = wire.parse(answer)["failed"]
    except (ValueError, KeyError):
        return f"its process answered {answer[:20]!r}"
    return error.problem
