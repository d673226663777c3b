"""A loaded model with everything that belongs to it: engines, preprocessing and decoder."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import structlog

from edged import sources
from edged.decoders import decoder_class
from edged.decoders.labels import nameless
from edged.engines.coral.edgetpu import TpuAccess
from edged.engines.failover import FailoverEngine
from edged.engines.pool import EnginePool, EnginePools
from edged.engines.selection import Wanted, open_engines
from edged.errors import ConfigError
from edged.imaging.tensors import Preprocessor
from edged.model import file, unknown_labels
from edged.model.description import describe
from edged.model.finer import Finer
from edged.settings import device

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from edged.decoders import Decoder
    from edged.engines import Engine
    from edged.model.file import ModelFile
    from edged.records import Model
    from edged.settings.declared import Settings

log = structlog.get_logger()

_MOST_THREADS = 4
"""More threads than this have never paid for models of the size that a Raspberry Pi can run."""
_SHOWN_LABELS = 20
"""So many of a model are listed where a message says what it finds."""


@dataclass(frozen=True, slots=True)
class Detector:
    """What the pipeline needs to find things in frames."""

    model: Model
    pool: EnginePool
    """Engines with the model, which other cameras may use, too."""
    preprocess: Preprocessor
    decoder: Decoder
    keep: frozenset[str]
    """Labels to keep; empty keeps all."""
    give_back: Callable[[], None] | None = None
    """Lets the pool go; None: it is this detector's own."""
    finer: Mapping[str, Finer] = field(default_factory=dict)
    """By label, what knows more exactly what an object is."""

    @property
    def engines(self) -> Sequence[Engine]:
        """One a worker, all with the same model."""
        return self.pool.engines

    def health(self) -> dict[str, int]:
        """How the Edge TPUs fare, for the figures of the host; empty without any.

        How many are lost now, how often any was lost since the start, and how many frames ran elsewhere.
        """
        engines = [engine for engine in self.engines if isinstance(engine, FailoverEngine)]
        if not engines:
            return {}
        return {
            "edgetpu_lost": sum(bool(engine.degraded) for engine in engines),
            "edgetpu_losses": sum(engine.losses for engine in engines),
            "edgetpu_diverted": sum(engine.diverted for engine in engines),
        }

    def close(self) -> None:
        """Free the devices, unless another camera uses them."""
        for finer in self.finer.values():
            finer.close()
        (self.give_back or self.pool.close)()


def load(settings: Settings, *, pools: EnginePools | None = None) -> Detector:
    """Load the model that the settings name, once a worker.

    Args:
        settings: what to load.
        pools: has the engines that are in use already: what runs the same model in the same way is shared, an
            Edge TPU above all, which serves one process and could not be opened beside itself.

    Raises:
        ModelError: the file is no model, or none that edged can decode, or its labels do not fit.
        ConfigError: EDGED_CLASSES names what the model does not know, or the runtime is not installed.
        DeviceError: the device does not answer.
    """
    pools = pools or EnginePools()
    content = file.read(settings.model, labels=settings.labels)
    wanted = _wanted(settings, content)
    pool = pools.borrow(wanted, partial(open_engines, wanted, pools.tenancy))
    give_back = partial(pools.give_back, wanted)
    try:
        return _detector(settings, content, pool, give_back)
    except BaseException:
        give_back()
        raise


def accesses(settings: Settings) -> list[TpuAccess]:
    """How every Edge TPU of the settings is reached; with ``auto`` any one."""
    access = TpuAccess(
        library=settings.edgetpu_library,
        options=settings.edgetpu_options,
        runtime=settings.runtime,
        threads=settings.threads or default_threads(len(settings.device)),
        open_timeout_s=settings.device_timeout,
        invoke_timeout_s=settings.invoke_timeout,
    )
    numbered = [name for name in settings.device if name not in {device.AUTO, device.CPU}]
    return [replace(access, device=name) for name in numbered] or [access]


def _wanted(settings: Settings, content: ModelFile) -> Wanted:
    if settings.model_cpu is not None and not content.edgetpu:
        log.warning("model_cpu_not_used", reason=f"{settings.model.name} is not compiled for the Edge TPU")
    twin = _twin(settings) if content.edgetpu else None
    on_cpu = settings.device == (device.CPU,) or not content.edgetpu
    workers, threads = share_of_cores(settings) if on_cpu else (settings.workers or 1, default_threads(1))
    return Wanted(
        model=settings.model,
        compiled=content.edgetpu,
        twin=twin,
        devices=settings.device,
        workers=workers,
        threads=settings.threads or threads,
        twin_threads=settings.threads or default_threads(1),
        access=accesses(settings)[0],
        editions=tuple(_edition(path, compiled=content.edgetpu) for path in (settings.model, twin) if path),
    )


def _edition(path: Path, *, compiled: bool) -> object:
    """What tells one content of a file from another."""
    if not compiled:
        state = path.expanduser().stat()
        return state.st_ino, state.st_size, state.st_mtime_ns
    # An Edge TPU that we hold cannot be opened anew for a file that was only touched.
    with path.expanduser().open("rb") as stream:
        return hashlib.file_digest(stream, "blake2b").hexdigest()


def _twin(settings: Settings) -> Path | None:
    """The model's build for the CPU: the one that is named, or with ``auto`` the one that lies beside it."""
    twin = settings.model_cpu
    if twin is None and settings.device == (device.AUTO,):
        twin = file.cpu_build(settings.model)
        if twin is not None:
            log.info("cpu_twin_found", model=settings.model.name, twin=str(twin))
    # tflite-runtime does not look whether what it loads is whole.
    if twin is not None and file.read(twin).edgetpu:
        raise ConfigError(
            f"EDGED_MODEL_CPU={str(twin)!r} is compiled for the Edge TPU, too",
            hint="Give the model that was given to the Edge TPU compiler",
        )
    return twin


def _detector(
    settings: Settings, content: ModelFile, pool: EnginePool, give_back: Callable[[], None]
) -> Detector:
    model = describe(content, pool.engines[0].inputs, pool.engines[0].outputs, pool.run)
    decoder = decoder_class(model)(
        model, score_threshold=_least_score(settings), iou_threshold=settings.iou_threshold
    )
    _check_looks(settings, model.name, decoder.task)
    keep = frozenset(settings.classes)
    if unknown := unknown_labels.required(settings, decoder.labels):
        raise ConfigError(". ".join(unknown), hint=_finds(decoder.labels))
    for note in unknown_labels.harmless(settings, decoder.labels):
        log.warning("label_unknown", note=note)
    preprocess = Preprocessor(model.inputs[0], decoder.encoding, settings.roi)
    return Detector(model, pool, preprocess, decoder, keep, give_back, _finer(settings))


def _finds(labels: Sequence[str]) -> str:
    if nameless(labels):
        return "Its classes have no names. Set EDGED_LABELS to the labels it was trained with, one a line"
    shown = ", ".join(labels[:_SHOWN_LABELS])
    more = len(labels) - _SHOWN_LABELS
    return f"It finds {shown}" + (f" and {more} more: 'edged models inspect' lists all" if more > 0 else "")


def _check_looks(settings: Settings, model: str, task: str) -> None:
    """Find out whether the model, and the other settings, go with looks at parts of a frame."""
    auto = settings.regions == "auto"
    if auto and settings.tiles:
        raise ConfigError(
            "EDGED_REGIONS=auto and EDGED_TILES are two ways to look closer",
            hint="Take one of them out",
        )
    if auto and not settings.track:
        raise ConfigError(
            "EDGED_REGIONS=auto looks at objects that are followed, and EDGED_TRACK is off",
            hint="Set EDGED_TRACK=true, or use EDGED_TILES",
        )
    if task == "classify" and (auto or settings.tiles):
        name = "EDGED_REGIONS=auto" if auto else "EDGED_TILES"
        raise ConfigError(
            f"{name} looks at parts of a frame, and the model {model!r} says what all of it shows",
            hint="Give a model that finds objects, or take the setting out",
        )


def _finer(settings: Settings) -> dict[str, Finer]:
    """The second models of EDGED_CLASSIFY, by the label that they are for."""
    if settings.classify and not settings.track:
        raise ConfigError(
            "EDGED_CLASSIFY looks at objects that are followed, and EDGED_TRACK is off",
            hint="Set EDGED_TRACK=true, or take EDGED_CLASSIFY out",
        )
    return {label: Finer(path, runtime=settings.runtime) for label, path in settings.classify}


def share_of_cores(settings: Settings) -> tuple[int, int]:
    """Workers, and threads of each, on the CPU.

    Where every frame counts, or several cameras want their turns, an interpreter a core does the most frames;
    a single camera is answered soonest by one interpreter with all cores.
    """
    workers = settings.workers
    if workers is None:
        many = settings.several or sources.gives_every_frame(settings.source, settings.policy)
        cores = len(os.sched_getaffinity(0))
        workers = max(1, min(_MOST_THREADS, cores // (settings.threads or 1))) if many else 1
    return workers, settings.threads or default_threads(workers)


def _least_score(settings: Settings) -> float:
    """What the decoder gives: weak detections, too, where they continue tracks."""
    if not settings.track:
        return settings.score_threshold
    return min(settings.track_score, settings.score_threshold, *(score for _, score in settings.scores))


def default_threads(workers: int) -> int:
    """Share of the cores for one interpreter."""
    return max(1, min(_MOST_THREADS, len(os.sched_getaffinity(0)) // workers))
