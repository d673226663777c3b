"""The running daemon: signals, reload, watchdog, and telling how things are, around one pipeline."""

from __future__ import annotations

import asyncio
import signal
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

import structlog

from edged import __version__, bridge
from edged.daemon import assembly, host, logs
from edged.daemon.notify import Notifier
from edged.errors import ConfigError, EdgedError, SinkError
from edged.metrics import Ledger, Meter, Rate
from edged.pipeline import Pipeline
from edged.records import Report, State
from edged.settings import environment
from edged.sinks import Reporter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edged.daemon.assembly import Assembly
    from edged.metrics import FrameCounts
    from edged.settings.declared import Settings

    Progress = Callable[[FrameCounts, State], None]

T = TypeVar("T")

_TICK_S = 1.0
"""How often the daemon looks at itself."""
_RECENT_TICKS = 10
"""What the status calls frames a second is over so many ticks."""
_PATIENCE_S = 30.0
"""How much longer systemd is asked to wait while something slow is opened, again and again."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to."""

    frames: FrameCounts
    sinks: dict[str, dict[str, int]]
    """By sink: results taken, and lost by cause."""
    seconds: float
    """From the first frame asked for to the last one drained."""


async def serve(
    settings: Settings, *, reread: Callable[[], Settings] | None = None, progress: Progress | None = None
) -> Outcome:
    """Run one daemon until its source ends or a signal comes.

    Args:
        settings: what to do.
        reread: gives the settings anew for a reload; without it a reload is refused.
        progress: called every second with the frame counts and the state.

    Raises:
        EdgedError: a part could not be opened, or failed for good.
    """
    return await _Service(settings, reread, progress).run()


class _Stopped(Exception):  # noqa: N818  # a signal, not an error
    """A stop was asked for before there was anything to stop."""


class _Service:
    """One daemon with one camera; ``run`` is called once. To sinks it is the Control."""

    def __init__(
        self, settings: Settings, reread: Callable[[], Settings] | None, progress: Progress | None
    ) -> None:
        self._settings = settings
        self._reread = reread
        self._progress = progress
        self._notifier = Notifier(environment.service_manager())
        self._meter = Meter()
        self._ledger = Ledger()
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._reload_asked = asyncio.Event()
        self._reload_problem = ""
        self._assembly: Assembly | None = None
        self._pipeline: Pipeline | None = None
        self._ready = False
        self._paused = False
        self._state = State(
            lifecycle="starting",
            device="",
            runtime="",
            model=settings.model.stem,
            version=__version__,
            config_hash=settings.fingerprint,
            camera_online=False,
        )
        self._rate = Rate(_RECENT_TICKS)
        self._since_report = Rate(2)
        self._around = assembly.Surroundings(
            self._meter, self._ledger, self, uuid4().hex, self._run_unless_stopped, self._close
        )

    async def run(self) -> Outcome:
        with self._signals():
            try:
                self._assembly = await assembly.build(self._settings, self._around)
            except _Stopped:
                return Outcome(self._ledger.counts(), {}, 0.0)
            try:
                outcome = await self._drive(self._assembly)
            finally:
                self._notifier.stopping()
                stuck = self._pipeline.stuck if self._pipeline else ()
                failed = await self._close(self._assembly.closers(stuck=stuck))
            if failed:
                raise failed
            return outcome

    async def _drive(self, parts: Assembly) -> Outcome:
        """Run the pipeline with the tasks that look after it, and tell the last figures."""
        pipeline = self._pipeline = Pipeline(
            intake=parts.intake,
            detector=parts.detector,
            outlets=parts.outlets,
            max_age=self._settings.max_age,
            meter=self._meter,
            ledger=self._ledger,
        )
        self._tell(lifecycle="running")
        log.info("running", source=self._state.source, model=self._state.model, device=self._state.device)
        started = time.monotonic()
        self._since_report.read(0)
        failure: EdgedError | None = None
        async with asyncio.TaskGroup() as tasks:
            side = [
                tasks.create_task(self._observe(pipeline), name="observe"),
                tasks.create_task(self._stop_when_asked(pipeline), name="stop"),
                tasks.create_task(self._reload_when_asked(pipeline), name="reload"),
            ]
            try:
                await pipeline.run()
            except EdgedError as error:
                failure = error
            for task in side:
                task.cancel()
        self._look_if_ready()  # a short file is over before anybody has looked
        seconds = time.monotonic() - started
        self._report()
        self._tell(lifecycle="stopping")
        frames = self._ledger.counts()
        if self._progress is not None:
            self._progress(frames, self._state)
        outcome = Outcome(frames, self._sink_counts(), seconds)
        tell = log.error if frames.in_flight else log.info
        tell("ledger", captured=frames.captured, inferred=frames.inferred, dropped=dict(frames.dropped),
             in_flight=frames.in_flight, sinks=outcome.sinks, seconds=round(seconds, 3))  # fmt: skip
        if failure is not None:
            raise failure
        for outlet in pipeline.outlets:
            # Of a file every result was promised; what a live run has recovered from is no failure of it.
            if outlet.lost["failed"] and (parts.intake.waits or outlet.failure):
                raise SinkError(
                    f"the sink {outlet.sink.name} did not take {outlet.lost['failed']} results, "
                    f"the last because {outlet.failure or 'of a fault that has passed'}"
                )
        return outcome

    # Control: what sinks may ask for, from any thread.

    def pause(self) -> str:
        """Take no more frames."""
        self._set_paused(True)
        return "paused"

    def resume(self) -> str:
        """Take frames again."""
        self._set_paused(False)
        return "running"

    def reload(self) -> str:
        """Read the settings again; how it went is told in the log and in the state."""
        if self._reread is None:
            raise ConfigError("there is no env file to read again", mend="Start edged with --env-file FILE")
        self._loop.call_soon_threadsafe(self._reload_asked.set)
        return "reloading"

    def _set_paused(self, paused: bool) -> None:  # noqa: FBT001  # the two public names say which
        if self._assembly is None:
            raise ConfigError("edged is still starting", mend="Try again once it is running")
        self._paused = paused
        self._follow_pause(self._assembly)
        self._loop.call_soon_threadsafe(lambda: self._tell(lifecycle="paused" if paused else "running"))

    def _follow_pause(self, parts: Assembly) -> None:
        if self._paused:
            parts.intake.pause()
        else:
            parts.intake.resume()

    # Looking after the pipeline.

    async def _observe(self, pipeline: Pipeline) -> None:
        """Every tick: tell what has changed and feed the watchdog; every stats interval: tell the figures."""
        watchdog_s = self._notifier.watchdog_s
        tick_s = _TICK_S if watchdog_s is None else min(_TICK_S, watchdog_s / 4)
        due = time.monotonic() + self._settings.stats_interval
        while True:
            await asyncio.sleep(max(0.0, min(tick_s, due - time.monotonic())))
            self._look_if_ready()
            # A stall of half the limit ends the feeding, so a restart comes after 1.5 limits at the latest.
            stalled = None if watchdog_s is None else pipeline.stalled(watchdog_s / 2)
            if stalled is None:
                self._notifier.alive()
            else:
                log.error("stalled", thread=stalled, watchdog_s=watchdog_s)
            frames = self._ledger.counts()
            self._rate.read(frames.inferred)
            self._tell()
            if self._progress is not None:
                self._progress(frames, self._state)
            if time.monotonic() >= due:
                self._report()
                due = time.monotonic() + self._settings.stats_interval

    def _look_if_ready(self) -> None:
        """Ready is when a frame has gone all the way: the model works and the source gives pictures."""
        if not self._ready and self._ledger.counts().inferred:
            self._ready = True
            self._notifier.ready()

    async def _stop_when_asked(self, pipeline: Pipeline) -> None:
        await self._stopping.wait()
        self._notifier.stopping()
        self._tell(lifecycle="stopping")
        pipeline.stop()
        await asyncio.sleep(self._settings.stop_timeout)
        log.warning("stop_forced", after_s=self._settings.stop_timeout)
        pipeline.abort()

    async def _reload_when_asked(self, pipeline: Pipeline) -> None:
        while True:
            await self._reload_asked.wait()
            self._reload_asked.clear()
            if was_ready := self._ready:  # else the start is still going on
                self._notifier.reloading()
            try:
                await self._reload(pipeline)
            except _Stopped:
                return
            except EdgedError as error:
                self._reload_problem = f"reload refused: {error}"
                log.error("reload_refused", error=str(error))
            except Exception as error:  # what nobody foresaw must not end what works
                self._reload_problem = f"reload failed: {type(error).__name__}: {error}"
                log.exception("reload_failed")
            else:
                self._reload_problem = ""
                log.info("reloaded", config_hash=self._settings.fingerprint)
            self._tell()
            if was_ready:
                self._notifier.ready()

    async def _reload(self, pipeline: Pipeline) -> None:
        """Put new settings in force at a frame boundary, or leave everything as it is."""
        present = self._assembly
        if self._reread is None or present is None:
            raise ConfigError("there is no env file to read again", mend="Start edged with --env-file FILE")
        settings = await self._run_unless_stopped("read-settings", self._reread)
        following = await assembly.build(settings, self._around, previous=present)
        self._follow_pause(following)
        try:
            stuck = await pipeline.exchange(
                detector=following.detector,
                max_age=settings.max_age,
                intake=following.intake if following.intake is not present.intake else None,
                outlets=following.outlets,
            )
        except BaseException:
            await self._close(following.closers(but=present))
            raise
        self._settings, self._assembly = settings, following
        logs.follow(settings)
        self._follow_pause(following)  # it may have been changed meanwhile
        for reporter in self._reporters():
            reporter.state(self._state)  # a new one has not heard of it
        await self._close(present.closers(but=following, stuck=stuck))

    @contextmanager
    def _signals(self) -> Iterator[None]:
        actions = {
            signal.SIGTERM: self._stopping.set,
            signal.SIGINT: self._stopping.set,
            signal.SIGHUP: self._reload_asked.set,
        }
        for number, action in actions.items():
            self._loop.add_signal_handler(number, action)
        try:
            yield
        finally:
            for number in actions:
                self._loop.remove_signal_handler(number)

    async def _run_unless_stopped(self, name: str, function: Callable[[], T], /) -> T:
        """Run something slow in a thread. A stop does not wait for it; systemd is asked to."""
        work = bridge.run(name, function)
        stop = asyncio.create_task(self._stopping.wait(), name=f"stop-{name}")
        try:
            while not work.done() and not self._stopping.is_set():
                self._notifier.extend(_PATIENCE_S)
                either: list[asyncio.Future[Any]] = [work, stop]
                await asyncio.wait(either, timeout=_PATIENCE_S / 3, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
        if not work.done():
            work.cancel()
            raise _Stopped
        return work.result()

    # Telling.

    def _tell(self, *, lifecycle: str | None = None) -> None:
        """Tell state and status, if anything about them has changed."""
        parts = self._assembly
        if parts is None or self._pipeline is None:
            return
        engine = parts.detector.engines[0]
        source = parts.intake.source
        troubles = [self._reload_problem, *parts.troubles, self._pipeline.problem]
        running = self._pipeline.running
        state = State(
            lifecycle=lifecycle or self._state.lifecycle,
            device=engine.device,
            runtime=engine.runtime,
            model=parts.detector.model.name,
            version=__version__,
            config_hash=self._settings.fingerprint,
            camera_online=running and not source.problem,
            source=source.properties(),
            degraded=tuple(dict.fromkeys(filter(None, troubles))),
        )
        words = f"{state.lifecycle}: {self._rate.per_s:.1f} frames/s on {state.device}"
        self._notifier.status("; ".join([words, *state.degraded]).replace("\n", " "))
        if state != self._state:
            self._state = state
            for reporter in self._reporters():
                reporter.state(state)

    def _report(self) -> None:
        frames = self._ledger.counts()
        self._since_report.read(frames.inferred)
        report = Report(
            interval_s=round(self._since_report.span_s, 3),
            fps=round(self._since_report.per_s, 2),
            stages=self._meter.take(),
            frames=frames,
            reconnects=self._assembly.intake.source.reconnects if self._assembly else 0,
            sinks=self._sink_counts(),
            host={**host.health(), **self._device_health()},
        )
        for reporter in self._reporters():
            reporter.report(report)

    def _device_health(self) -> dict[str, int]:
        return self._assembly.detector.health() if self._assembly else {}

    def _reporters(self) -> list[Reporter]:
        outlets = self._assembly.outlets if self._assembly else []
        return [outlet.sink for outlet in outlets if isinstance(outlet.sink, Reporter)]

    def _sink_counts(self) -> dict[str, dict[str, int]]:
        outlets = self._assembly.outlets if self._assembly else []
        return {outlet.sink.name: {"sent": outlet.sent, **outlet.lost} for outlet in outlets}

    async def _close(self, closers: list[tuple[str, Callable[[], None]]]) -> EdgedError | None:
        """Close parts one after the other, within the stop timeout each; the first error that came up."""
        failed: EdgedError | None = None
        for name, close in closers:
            try:
                await asyncio.wait_for(bridge.run(f"close-{name}", close), self._settings.stop_timeout)
            except TimeoutError:
                log.error("close_stuck", part=name, after_s=self._settings.stop_timeout)
            except EdgedError as error:
                log.error("close_failed", part=name, error=str(error))
                failed = failed or error
        return failed


__all__ = ["Outcome", "serve"]
