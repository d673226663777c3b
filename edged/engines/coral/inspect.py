"""A look at libedgetpu in a process that may crash: ``python -m edged.engines.coral.inspect JOB``.

Tells which file the loader finds, what it was built on, whether that fits the runtime, and which devices it
sees.
"""

from __future__ import annotations

import socket
import sys
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from edged.engines import runtime
from edged.engines.coral import abi, library, wire
from edged.engines.coral.process import Ended, Process, die_with
from edged.errors import DeviceError, EdgedError

if TYPE_CHECKING:
    from edged.engines.coral.library import Library

_CORAL = "pycoral.utils.edgetpu"
_PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class Sight:
    """What there is to be seen of a library."""

    path: str
    """The file that the loader found."""
    built_on: str
    """A release of TensorFlow, as a person would say it."""
    runtime: str
    """Name and version."""
    misfit: str
    """Why they must not be used together; empty if nothing speaks against it."""
    devices: tuple[tuple[str, str], ...]
    """``usb`` or ``pci``, and its path, in the order in which the library counts."""
    through: str
    """What listed the devices: ``pycoral`` or the library."""


def take(name: str, runtime_name: str = runtime.AUTO) -> Sight:
    """Look at a library.

    Args:
        name: as EDGED_EDGETPU_LIBRARY.
        runtime_name: as EDGED_RUNTIME.

    Raises:
        DeviceError: it is absent, is no libedgetpu, crashes or hangs.
        ConfigError: the runtime is not there.
    """

    def job(control: int, lifeline: int, memory: int) -> str:
        wanted = wire.Job("", name, {}, runtime_name, 1, control=control, lifeline=lifeline, memory=memory)
        return wanted.dump()

    process = Process("edged.engines.coral.inspect", job)
    try:
        message = wire.parse(process.receive(_PATIENCE_S, wire.LONGEST))
    except Ended as ended:
        raise DeviceError(f"the library {name} {ended} when it was looked at", hint=abi.INSTALL) from ended
    except TimeoutError as late:
        raise DeviceError(
            f"the library {name} hangs when it is asked for devices",
            hint="Unplug the Edge TPU and plug it in again",
        ) from late
    finally:
        process.end(0)
    if "failed" in message:
        error: EdgedError = message["failed"]
        raise error
    seen = message["seen"]
    return Sight(**{**seen, "devices": tuple((kind, path) for kind, path in seen["devices"])})


def main() -> None:
    """Look, and tell."""
    job = wire.Job.load(sys.argv[1])
    die_with(job.lifeline)
    with socket.socket(fileno=job.control) as control:
        try:
            control.send(wire.seen(asdict(_look(job))))
        except EdgedError as error:
            control.send(wire.failed(error))


def _look(job: wire.Job) -> Sight:
    found = library.load(job.library)
    chosen = str(runtime.load(job.runtime))
    misfit = abi.misfit(found.built_on, chosen)
    through, devices = _devices(found)
    return Sight(str(found.path), abi.release(found.built_on), chosen, misfit, tuple(devices), through)


def _devices(found: Library) -> tuple[str, list[tuple[str, str]]]:
    """Through Coral's own package where it is installed, else through the library itself."""
    if not _is_corals():
        return str(found.path), library.devices(found)
    try:
        listed = import_module(_CORAL).list_edge_tpus()
    except ImportError as error:
        raise DeviceError(
            f"pycoral is installed but broken: {error}", hint="Remove it; edged does not need it"
        ) from error
    return "pycoral", [(str(one["type"]), str(one["path"])) for one in listed]


def _is_corals() -> bool:
    """Whether the package pycoral is Coral's: the one of that name on PyPI is about something else."""
    try:
        return find_spec(_CORAL) is not None
    except ModuleNotFoundError:
        return False


if __name__ == "__main__":
    main()
