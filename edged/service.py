"""The composition root: builds the parts, opens them in order, runs the pipeline, closes them in reverse."""

from __future__ import annotations

import asyncio
import signal
import time
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar
from uuid import uuid4

import structlog

from edged import __version__, bridge, detector, sinks, sources
from edged.errors import ConfigError, EdgedError, SinkError
from edged.metrics import Ledger, Meter
from edged.pipeline import Pipeline, outlet
from edged.records import Report, State
from edged.sinks import Context, Reporter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from edged.config import Settings
    from edged.detector import Detector
    from edged.metrics import FrameCounts
    from edged.pipeline import Outlet
    from edged.sinks import Sink
    from edged.sources import Source

    Progress = Callable[[FrameCounts, State], None]

T = TypeVar("T")

_TICK_S = 1.0
"""How often the daemon looks at itself."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to."""

    frames: FrameCounts
    sinks: dict[str, dict[str, int]]
    """By sink: results taken, and lost by cause."""
    seconds: float
    """From the first frame asked for to the last one drained."""


class Stopped(Exception):  # noqa: N818  # a signal, not an error
    """A stop was asked for before there was anything to stop."""


async def serve(settings: Settings, *, progress: Progress | None = None) -> Outcome:
    """Run one daemon until its source ends or a signal comes.

    Args:
        settings: what to do.
        progress: called every second with the frame counts and the state.

    Raises:
        EdgedError: a part could not be opened, or failed for good.
    """
    return await _Service(settings, progress).run()


class _Service:
    """One daemon with one camera; ``run`` is called once. It is also what sinks may ask for things (Control)."""

    def __init__(self, settings: Settings, progress: Progress | None) -> None:
        self._settings = settings
        self._progress = progress
        self._meter = Meter()
        self._ledger = Ledger()
        self._stopping = asyncio.Event()
        self._outlets: list[Outlet] = []
        self._pipeline: Pipeline | None = None
        self._state = State(
            lifecycle="starting",
            device="",
            runtime="",
            model=settings.model.stem,
            version=__version__,
            config_hash=settings.fingerprint,
            camera_online=False,
        )
        self._counted_since = time.monotonic()
        self._counted = 0

    async def run(self) -> Outcome:
        with self._signals():
            try:
                async with AsyncExitStack() as stack:
                    return await self._run(stack)
            except Stopped:
                return Outcome(self._ledger.counts(), {}, 0.0)

    async def _run(self, stack: AsyncExitStack) -> Outcome:
        settings = self._settings
        parts = await self._unless_stopped("load-model", lambda: detector.load(settings))
        stack.callback(parts.close)
        source = sources.create(settings)
        stack.callback(self._close_source, source)
        await self._unless_stopped("open-source", source.open)
        waits = settings.policy == "all" or (settings.policy == "auto" and not source.live)
        for sink in sinks.create(settings, Context(self._meter, self, uuid4().hex, waits)):
            stack.push_async_callback(self._close_sink, sink)
            await self._unless_stopped(f"open-{sink.name}", sink.open)
            self._outlets.append(outlet(sink, waits=waits))
        pipeline = self._pipeline = Pipeline(
            source=source,
            detector=parts,
            outlets=self._outlets,
            waits=waits,
            max_age=settings.max_age,
            meter=self._meter,
            ledger=self._ledger,
        )
        self._tell(
            lifecycle="running",
            device=parts.engines[0].device,
            runtime=parts.engines[0].runtime,
            camera_online=True,
            source=source.properties(),
        )
        log.info("running", source=settings.source, model=parts.model.name, device=self._state.device)
        return await self._drive(pipeline)

    async def _drive(self, pipeline: Pipeline) -> Outcome:
        """Run the pipeline with the tasks that look after it, and tell the last figures."""
        started = self._counted_since = time.monotonic()
        failure: EdgedError | None = None
        async with asyncio.TaskGroup() as tasks:
            side = [
                tasks.create_task(self._observe(), name="observe"),
                tasks.create_task(self._stop_when_asked(pipeline), name="stop"),
            ]
            try:
                await pipeline.run()
            except EdgedError as error:
                failure = error
            for task in side:
                task.cancel()
        seconds = time.monotonic() - started
        self._report()
        self._tell(lifecycle="stopping", camera_online=False)
        frames = self._ledger.counts()
        outcome = Outcome(frames, self._sink_counts(), seconds)
        (log.error if frames.in_flight else log.info)(
            "ledger", captured=frames.captured, inferred=frames.inferred, dropped=frames.dropped,
            in_flight=frames.in_flight, sinks=outcome.sinks, seconds=round(seconds, 3),
        )  # fmt: skip
        if failure is not None:
            raise failure
        if failed := [outlet for outlet in self._outlets if outlet.lost["failed"]]:
            raise SinkError(
                f"the sink {failed[0].sink.name} did not take {failed[0].lost['failed']} of the results, "
                f"the last time because {failed[0].failure or 'of a fault that has passed'}"
            )
        return outcome

    # Control: what sinks may ask for, from any thread.

    def pause(self) -> str:
        """Take no more frames."""
        if self._pipeline is None:
            raise ConfigError("edged is still starting")
        self._pipeline.pause()
        self._tell(lifecycle="paused")
        return "paused"

    def resume(self) -> str:
        """Take frames again."""
        if self._pipeline is None:
            raise ConfigError("edged is still starting")
        self._pipeline.resume()
        self._tell(lifecycle="running")
        return "running"

    def reload(self) -> str:
        """Not offered yet."""
        raise ConfigError("this version of edged cannot reload", mend="Restart it")

    # Looking after the pipeline.

    async def _observe(self) -> None:
        """Tell what has changed every tick, and the figures every stats interval."""
        due = time.monotonic() + self._settings.stats_interval
        while True:
            await asyncio.sleep(min(_TICK_S, max(0.0, due - time.monotonic())))
            degraded = tuple(f"{outlet.sink.name}: {outlet.failure}" for outlet in self._outlets if outlet.failure)
            if degraded != self._state.degraded:
                self._tell(degraded=degraded)
            if self._progress is not None:
                self._progress(self._ledger.counts(), self._state)
            if time.monotonic() >= due:
                self._report()
                due += self._settings.stats_interval

    async def _stop_when_asked(self, pipeline: Pipeline) -> None:
        await self._stopping.wait()
        self._tell(lifecycle="stopping")
        pipeline.stop()
        await asyncio.sleep(self._settings.stop_timeout)
        log.warning("stop_forced", after_s=self._settings.stop_timeout)
        pipeline.abort()

    @contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        caught = (signal.SIGTERM, signal.SIGINT)
        for number in caught:
            loop.add_signal_handler(number, self._stopping.set)
        try:
            yield
        finally:
            for number in caught:
                loop.remove_signal_handler(number)

    async def _unless_stopped(self, name: str, function: Callable[[], T]) -> T:
        """Run something slow in a thread; a stop does not wait for it."""
        work = bridge.run(name, function)
        stop = asyncio.create_task(self._stopping.wait(), name=f"stop-{name}")
        await asyncio.wait([work, stop], return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if not work.done():
            work.cancel()
            raise Stopped
        return work.result()

    # Telling.

    def _tell(self, **changes: object) -> None:
        self._state = replace(self._state, **changes)  # type: ignore[arg-type]  # names are checked by replace()
        for reporter in self._reporters():
            reporter.state(self._state)

    def _report(self) -> None:
        now = time.monotonic()
        frames = self._ledger.counts()
        interval = now - self._counted_since
        report = Report(
            interval_s=round(interval, 3),
            fps=round((frames.inferred - self._counted) / interval, 2) if interval else 0.0,
            stages=self._meter.take(),
            frames=frames,
            sinks=self._sink_counts(),
            host={},
        )
        self._counted_since, self._counted = now, frames.inferred
        for reporter in self._reporters():
            reporter.report(report)

    def _reporters(self) -> Sequence[Reporter]:
        return [outlet.sink for outlet in self._outlets if isinstance(outlet.sink, Reporter)]

    def _sink_counts(self) -> dict[str, dict[str, int]]:
        return {outlet.sink.name: {"sent": outlet.sent, **outlet.lost} for outlet in self._outlets}

    # Closing. What a stuck thread still uses is left alone: freeing it under its feet would crash the process.

    def _is_stuck(self, stage: str) -> bool:
        return self._pipeline is not None and stage in self._pipeline.stuck

    def _close_source(self, source: Source) -> None:
        if not self._is_stuck("capture"):
            source.close()

    async def _close_sink(self, sink: Sink) -> None:
        if self._is_stuck(f"sink-{sink.name}"):
            return
        try:
            await asyncio.wait_for(bridge.run(f"close-{sink.name}", sink.close), self._settings.stop_timeout)
        except TimeoutError:
            log.error("sink_stuck", sink=sink.name, after_s=self._settings.stop_timeout)


__all__ = ["Outcome", "serve"]
