"""The chain to an Edge TPU, link by link, each with what is wrong and how to mend it: for ``edged check``."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from edged.engines.coral import abi, hardware, inspect
from edged.engines.coral.edgetpu import EdgeTpuEngine
from edged.errors import DeviceError, EdgedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edged.engines.coral.edgetpu import TpuAccess

_INVOKES = 10


@dataclass(frozen=True, slots=True)
class Finding:
    """One link."""

    link: str
    """``library``, ``port``, ``device``."""
    state: Literal["ok", "note", "problem"]
    """A note is no reason not to go on."""
    text: str
    hint: str = ""

    @property
    def ok(self) -> bool:
        """Whether one can go on."""
        return self.state != "problem"


def report(model: Path, accesses: Sequence[TpuAccess], root: Path = Path("/")) -> list[Finding]:
    """Look at the library, at what is plugged in, and then really run the model on every device.

    All of it in processes of their own: a library that crashes is a finding.

    Args:
        model: compiled for the Edge TPU.
        accesses: the devices, with the library and the runtime to use, which are the same for all.
        root: of the file system in which devices are looked for.
    """
    findings = [_library(accesses[0])]
    findings += _plugged_in(accesses, root)
    if findings[0].ok:
        findings += [_run(model, access) for access in accesses]
    return findings


def _library(access: TpuAccess) -> Finding:
    try:
        sight = inspect.take(access.library, access.runtime)
    except EdgedError as error:
        return Finding("library", "problem", error.problem, error.hint)
    text = f"{sight.path}, built on {sight.built_on}, used with {sight.runtime}"
    if sight.misfit:
        return Finding("library", "problem", f"{text}: they do not fit", abi.INSTALL)
    if sight.built_on.startswith(("an unknown", "TensorFlow commit")):
        return Finding(
            "library", "note", f"{text}: whether they fit is not known", f"If it crashes: {abi.INSTALL}"
        )
    return Finding("library", "ok", text)


def _plugged_in(accesses: Sequence[TpuAccess], root: Path) -> Iterator[Finding]:
    found = hardware.find(root)
    for one in found:
        obstacle = hardware.forbidden(one, root)
        if obstacle is not None:
            yield Finding("port", "problem", obstacle.problem, obstacle.hint)
        elif one.slow:
            yield Finding(
                "port",
                "note",
                f"{one.path} is on a USB 2 port ({one.mbit} Mbit/s): it works, several times slower",
                "Use a blue USB 3 port and its own cable",
            )
        else:
            yield Finding("port", "ok", f"{one.path} is plugged in and may be opened")
    if not found:
        obstacle = hardware.obstacle(accesses[0].device, found, root)
        yield Finding("port", "note", obstacle.problem, obstacle.hint)


def _run(model: Path, access: TpuAccess) -> Finding:
    started = time.monotonic()
    try:
        engine = EdgeTpuEngine(model, access)
    except EdgedError as error:
        return Finding("device", "problem", error.problem, error.hint)
    opened = time.monotonic() - started
    try:
        tensor = np.zeros(engine.inputs[0].shape, engine.inputs[0].dtype)
        started = time.monotonic()
        for _ in range(_INVOKES):
            engine.invoke(tensor)
        each_ms = 1e3 * (time.monotonic() - started) / _INVOKES
    except DeviceError as error:
        return Finding("device", "problem", error.problem, error.hint)
    finally:
        engine.close()
    text = f"{access.device} runs {model.name}: opened in {opened:.1f} s, {each_ms:.1f} ms an invoke"
    return Finding("device", "ok", text)
