"""The pipeline measured against the bare model and against doing one thing after the other.

All three take turns in one process, several rounds, so that whatever else the machine does hits them
alike; what counts are the medians and the ratios between them.
"""

from __future__ import annotations

import asyncio
import os
import resource
import statistics
import tempfile
import time
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from edged import bridge, sinks, sources
from edged.errors import ConfigError, SourceError
from edged.imaging.picture import Picture
from edged.metrics import Ledger, Meter
from edged.model import detector
from edged.pipeline import Intake, Outlet, Pipeline
from edged.records import Result
from edged.settings.secrets import shown, without_credentials

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edged.engines import Engine
    from edged.metrics import StageStats
    from edged.model.detector import Detector
    from edged.settings.declared import Settings
    from edged.sinks import Sink
    from edged.sources import Source

_WARM_UP = 3
"""Invokes before anything is measured: the first ones of an interpreter prepare its weights."""

_MOST = 4
"""Workers, and threads of a worker, that are tried: more have never paid on small machines."""


@dataclass(frozen=True, slots=True)
class StageCost:
    """What one stage takes of one frame when it runs alone."""

    cpu_ms: float
    """Mean CPU time, of all threads."""
    wall: StageStats


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Medians over all rounds; rates are frames a second from the first result to the last."""

    model: str
    source: str
    runtime: str
    workers: int
    threads: int
    cores: int
    rounds: int
    frames: int
    """A round."""
    raw_fps: float
    """Invokes only: the same interpreters and threads, nothing else."""
    sequential_fps: float
    """Read, preprocess, invoke, decode, draw and encode, publish: one after the other."""
    pipeline_fps: float
    ceiling_fps: float
    """min(workers / invoke, 1 / slowest other stage, cores / CPU time a frame), all of the sequential way."""
    peak_mb: float
    """Most resident memory of this process so far, 10^6 bytes."""
    alone: dict[str, StageCost]
    """Stages of the sequential way."""
    together: dict[str, StageStats]
    """Stages in the pipeline, where they compete for the cores."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One way to share the cores."""

    workers: int
    threads: int
    fps: float
    """The pipeline's, median over all rounds."""
    predict_ms: float
    """Median of one inference: what a live frame waits for at least."""


def tune(settings: Settings, *, frames: int, rounds: int) -> list[Trial]:
    """Try every even share of the cores among workers; the fastest first.

    Raises:
        EdgedError: as :func:`measure`.
    """
    cores = len(os.sched_getaffinity(0))
    shares = [
        (workers, threads)
        for workers in range(1, min(cores, _MOST) + 1)
        for threads in range(1, min(cores, _MOST) + 1)
        if workers * threads <= cores
    ]
    rates: dict[tuple[int, int], list[float]] = {share: [] for share in shares}
    meters = {share: Meter() for share in shares}
    for _ in range(rounds):
        for share in shares:
            workers, threads = share
            chosen = settings.model_copy(update={"workers": workers, "threads": threads})
            with closing(detector.load(chosen)) as parts:
                _warm_up(parts)
                bench = _Bench(chosen, parts, frames, together=meters[share])
                rates[share].append(asyncio.run(bench.pipeline()))
    trials = [
        Trial(*share, statistics.median(rates[share]), meters[share].take()["predict"].p50_ms)
        for share in shares
    ]
    return sorted(trials, key=lambda trial: trial.fps, reverse=True)


def measure(settings: Settings, *, frames: int, rounds: int) -> Benchmark:
    """Measure what the settings describe; video goes to a temporary file, MQTT to topics of its own.

    Raises:
        ConfigError: the source is a camera, whose frame rate would be all that is measured.
        EdgedError: something cannot be opened.
    """
    with closing(detector.load(settings)) as parts:
        _warm_up(parts)
        bench = _Bench(settings, parts, frames, together=Meter())
        raw, sequential, piped = [], [], []
        for _ in range(rounds):
            raw.append(asyncio.run(bench.raw()))
            sequential.append(bench.sequential())
            piped.append(asyncio.run(bench.pipeline()))
    alone = bench.alone()
    cores = len(os.sched_getaffinity(0))
    return Benchmark(
        model=parts.model.name,
        source=without_credentials(settings.source),
        runtime=parts.engines[0].runtime,
        workers=len(parts.engines),
        threads=detector.share_of_cores(settings)[1],
        cores=cores,
        rounds=rounds,
        frames=frames,
        raw_fps=statistics.median(raw),
        sequential_fps=statistics.median(sequential),
        pipeline_fps=statistics.median(piped),
        ceiling_fps=_ceiling(alone, len(parts.engines), cores),
        peak_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
        alone=alone,
        together=bench.together.take(),
    )


class _Bench:
    """The three ways of doing the same work."""

    def __init__(self, settings: Settings, parts: Detector, frames: int, *, together: Meter) -> None:
        self._settings = settings.model_copy(update={"loop": True, "node": f"{settings.node}-bench"})
        self._parts = parts
        self._frames = frames
        self._walls = Meter()
        self._cpu_s: dict[str, float] = {}
        self._measured = 0
        self.together = together

    async def raw(self) -> float:
        """Invoke on all engines side by side."""
        tensor = self._parts.preprocess.new_input()
        share = max(1, self._frames // len(self._parts.engines))

        def invoke(engine: Engine) -> None:
            for _ in range(share):
                engine.invoke(tensor)

        started = time.perf_counter()
        await asyncio.gather(*(bridge.run("raw", partial(invoke, engine)) for engine in self._parts.engines))
        return share * len(self._parts.engines) / (time.perf_counter() - started)

    def sequential(self) -> float:
        """One frame after the other, one stage after the other, in this thread."""
        ends: list[float] = []
        tensor = self._parts.preprocess.new_input()
        with self._opened(Meter()) as (source, opened):
            frames = iter(source.frames())
            for number in range(self._frames):
                with self._stage("capture"):
                    frame = next(frames, None)
                if frame is None:
                    raise SourceError(
                        f"the source {shown(self._settings.source)} ends after {number} frames, "
                        f"a round takes {self._frames}",
                        hint="Give a longer one, or fewer --frames",
                    )
                with self._stage("preprocess"):
                    geometry = self._parts.preprocess(frame.pixels, tensor)
                with self._stage("predict"):
                    outputs = self._parts.engines[0].invoke(tensor)
                with self._stage("postprocess"):
                    detections = tuple(self._parts.decoder.decode(outputs, geometry))
                picture = Picture(frame.pixels, detections)
                result = Result(frame, self._parts.model.name, detections, {}, picture, waits=True)
                for sink in opened:
                    with self._stage(sink.name):
                        sink.send(result)
                ends.append(time.perf_counter())
        self._measured += self._frames
        return _rate(ends)

    async def pipeline(self) -> float:
        """As the daemon does it."""
        with self._opened(self.together) as (source, opened):
            clock = _Clock(self._frames, source.stop)
            ledger = Ledger()
            await Pipeline(
                intake=Intake(source, waits=True, ledger=ledger),
                detector=self._parts,
                outlets=[Outlet(sink) for sink in [*opened, clock]],
                max_age_s=self._settings.max_age,
                meter=self.together,
                ledger=ledger,
            ).run()
        return _rate(clock.ends)

    def alone(self) -> dict[str, StageCost]:
        """Cost of every stage of the sequential way."""
        return {
            stage: StageCost(round(1e3 * self._cpu_s[stage] / self._measured, 3), stats)
            for stage, stats in self._walls.take().items()
        }

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self._cpu_s[name] = self._cpu_s.get(name, 0.0) + time.process_time() - cpu
        self._walls.observe(name, 1e3 * (time.perf_counter() - wall))

    @contextmanager
    def _opened(self, meter: Meter) -> Iterator[tuple[Source, list[Sink]]]:
        """Source and sinks of the settings, open, with outputs that harm nobody."""
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edged-bench-")))
            settings = self._settings
            if settings.output is not None:
                settings = settings.model_copy(update={"output": folder / "bench.mp4"})
            if settings.jsonl is not None:
                settings = settings.model_copy(update={"jsonl": str(folder / "bench.jsonl")})
            source = sources.create(settings)
            if source.live:
                raise ConfigError(
                    f"EDGED_SOURCE={shown(settings.source)} is live: its own rate would be "
                    "all that is measured",
                    hint="Give a video file or synthetic:?fps=0&live=false",
                )
            source.open()
            stack.callback(source.close)
            opened = sinks.create(settings, sinks.Context(meter, sinks.NoControl(), uuid4().hex))
            for sink in opened:
                sink.open()
                stack.callback(sink.close)
            yield source, opened


class _Clock:
    """A sink that notes when results come, and has seen enough after a while."""

    name = "clock"

    def __init__(self, count: int, enough: Callable[[], None]) -> None:
        self._count = count
        self._enough = enough
        self.ends: list[float] = []

    def open(self) -> None:
        """Nothing to open."""

    def send(self, result: Result) -> None:
        """Note the moment."""
        del result
        if len(self.ends) < self._count:
            self.ends.append(time.perf_counter())
            if len(self.ends) == self._count:
                self._enough()

    def close(self) -> None:
        """Nothing to close."""


def _warm_up(parts: Detector) -> None:
    for engine in parts.engines:
        for _ in range(_WARM_UP):
            engine.invoke(parts.preprocess.new_input())


def _rate(ends: list[float]) -> float:
    return (len(ends) - 1) / (ends[-1] - ends[0]) if len(ends) > 1 else 0.0


def _ceiling(alone: dict[str, StageCost], workers: int, cores: int) -> float:
    """The rate that no schedule of these stages on these cores can exceed."""
    serial_ms = max(
        cost.wall.p50_ms / (workers if stage == "predict" else 1) for stage, cost in alone.items()
    )
    cpu_ms = sum(cost.cpu_ms for cost in alone.values())
    return 1e3 * min(1 / serial_ms, cores / cpu_ms)
