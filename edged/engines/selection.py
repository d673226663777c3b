"""Which engines a model gets: on which devices, with what to fall back to."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import structlog

from edged.engines.coral.edgetpu import EdgeTpuEngine
from edged.engines.cpu import CpuEngine
from edged.engines.failover import FailoverEngine, Shared, Slot, device_backoff
from edged.errors import ConfigError, DeviceError
from edged.settings import device

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edged.backoff import Backoff
    from edged.engines import Engine
    from edged.engines.coral.edgetpu import TpuAccess
    from edged.engines.tenancy import Tenancy

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Wanted:
    """A model and where it is to run."""

    model: Path
    compiled: bool
    """Whether the model is compiled for the Edge TPU."""
    twin: Path | None
    """The same model for the CPU, when there is one."""
    devices: tuple[str, ...]
    """As EDGED_DEVICE."""
    workers: int
    """Interpreters side by side, on the CPU."""
    threads: int
    """Each engine's while all of them run."""
    twin_threads: int
    """The twin's, which runs alone."""
    access: TpuAccess
    """How an Edge TPU is reached; its device is set from ``devices``."""
    backoff: Callable[[], Backoff] = device_backoff
    editions: tuple[object, ...] = ()
    """Tell the files of model and twin from others of the same name, which are other models."""


def open_engines(wanted: Wanted, tenancy: Tenancy) -> list[Engine]:
    """One engine a worker, open.

    An Edge TPU that does not open is tried again in the background, if anything can stand in for it.

    Args:
        wanted: what is to run, and where.
        tenancy: of the Edge TPUs of the daemon.

    Raises:
        ConfigError: model, device and twin do not go together, or the runtime is not there.
        ModelError: the model cannot be run.
        DeviceError: no Edge TPU opens, and there is no twin.
    """
    devices = wanted.devices
    if devices == (device.AUTO,):
        devices = (device.EDGETPU if wanted.compiled else device.CPU,)
    if devices == (device.CPU,):
        return _on_cpu(wanted)
    if not wanted.compiled:
        raise ConfigError(
            f"EDGED_DEVICE={','.join(devices)}, but {wanted.model.name} is not compiled for the Edge TPU",
            hint="Give the build with _edgetpu in its name, or set EDGED_DEVICE=cpu",
        )
    if wanted.workers > 1 and wanted.workers != len(devices):
        raise ConfigError(
            f"EDGED_WORKERS={wanted.workers}, and an Edge TPU serves one worker",
            hint="Leave EDGED_WORKERS out and name the Edge TPUs: EDGED_DEVICE=edgetpu:usb:0,edgetpu:usb:1",
        )
    return _on_edge_tpus(wanted, devices, tenancy)


def _on_cpu(wanted: Wanted) -> list[Engine]:
    # Without a twin the engine itself says that this model cannot run on a CPU.
    model = wanted.twin if wanted.compiled and wanted.twin else wanted.model
    runtime, threads = wanted.access.runtime, wanted.threads
    return [CpuEngine(model, runtime=runtime, threads=threads) for _ in range(wanted.workers)]


def _on_edge_tpus(wanted: Wanted, devices: Sequence[str], tenancy: Tenancy) -> list[Engine]:
    twin: Engine | None = None
    if wanted.twin is not None:
        twin = CpuEngine(wanted.twin, runtime=wanted.access.runtime, threads=wanted.twin_threads)
    slots = [
        Slot(
            name, partial(_open, wanted, replace(wanted.access, device=name), twin, tenancy), wanted.backoff()
        )
        for name in devices
    ]
    try:
        like = _open_all(slots, twin)
    except BaseException:
        for slot in slots:
            slot.close()
        if twin is not None:
            twin.close()
        raise
    shared = Shared(twin, users=len(slots)) if twin is not None else None
    return [
        FailoverEngine([slot, *(other for other in slots if other is not slot)], shared, like)
        for slot in slots
    ]


def _open_all(slots: Sequence[Slot], twin: Engine | None) -> Engine:
    """Open what opens; an engine that says what the model is like.

    Raises:
        EdgedError: nothing is there that could run the model, or something is wrong for good.
    """
    lost: list[tuple[Slot, DeviceError]] = []
    for slot in slots:
        try:
            slot.open()
        except DeviceError as error:
            lost.append((slot, error))
    like = twin or next((slot.engine for slot in slots if slot.engine is not None), None)
    if like is None:
        first = lost[0][1]
        other = "or name the model's CPU build in EDGED_MODEL_CPU, to go on without"
        raise DeviceError(
            first.problem, hint=f"{first.hint}; {other}" if first.hint else other.capitalize()
        ) from first
    for slot, cause in lost:
        log.error("device_not_open", device=slot.device, reason=str(cause))
        slot.retry()
    return like


def _open(wanted: Wanted, access: TpuAccess, twin: Engine | None, tenancy: Tenancy) -> Engine:
    return tenancy.enter(
        wanted.model.name,
        partial(_open_now, wanted, access, twin),
        modest=twin is not None and wanted.devices == (device.AUTO,),
        homeless=twin is None,
    )


def _open_now(wanted: Wanted, access: TpuAccess, twin: Engine | None) -> EdgeTpuEngine:
    engine = EdgeTpuEngine(wanted.model, access)
    if twin is not None and (difference := _difference(engine, twin)):
        engine.close()
        raise ConfigError(
            f"{wanted.twin} is not the CPU build of {wanted.model.name}: {difference}",
            hint="Set EDGED_MODEL_CPU to the model that was given to the Edge TPU compiler",
        )
    return engine


def _difference(engine: Engine, twin: Engine) -> str:
    """How the tensors of two models differ; empty if frames and outputs of one are good for the other."""
    for side, here, there in (
        ("input", engine.inputs, twin.inputs),
        ("output", engine.outputs, twin.outputs),
    ):
        if len(here) != len(there):
            return f"it has {len(there)} {side}s, not {len(here)}"
        for mine, other in zip(here, there, strict=True):
            same = (
                mine.shape == other.shape
                and mine.dtype == other.dtype
                and mine.zero_point == other.zero_point
                and math.isclose(mine.scale, other.scale, rel_tol=1e-5)
            )
            if not same:
                return f"its {side} {other.name!r} is {other}, not {mine}"
    return ""
