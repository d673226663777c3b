"""One camera of the daemon: its account, its figures, its parts and their exchange.

It begins, fails, is reloaded and ends without the others.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from edged import __version__
from edged.daemon import assembly
from edged.daemon.camera_control import CameraControl
from edged.daemon.camera_metrics import CameraMetrics
from edged.daemon.switches import Switches
from edged.errors import ConfigError, EdgedError, ModelError, SinkError
from edged.pipeline import Pipeline
from edged.records import State
from edged.sinks import Reporter

if TYPE_CHECKING:
    from collections.abc import Callable

    from edged.daemon.assembly import Assembly, Daemon
    from edged.daemon.outcome import Outcome
    from edged.settings.declared import Settings


class CameraRun:
    """One camera with all its parts.

    Args:
        settings: its own.
        daemon: what is around it.
        before: the same camera, which has failed: this one goes on with its switches and its figures.
    """

    def __init__(self, settings: Settings, daemon: Daemon, *, before: CameraRun | None = None) -> None:
        self.settings = settings
        self.switches: Switches = (
            before.switches if before is not None else Switches(settings, daemon.lender.owner)
        )
        self.name = settings.camera if settings.several else ""
        """Empty for the only camera."""
        self.metrics: CameraMetrics = before.metrics if before is not None else CameraMetrics(self.name)
        self.ledger = self.metrics.ledger
        self.failure: EdgedError | None = None
        """Why it has failed; with several cameras it is tried again, unless its source is a file."""
        self.over = False
        """Whether its run has come to an end."""
        self.refused = ""
        """Why the last reload was refused; empty when it was not."""
        self.state = _starting(settings, settings.fingerprint)
        self.pipeline: Pipeline | None = None
        self.assembly: Assembly | None = None
        self._former: Assembly | None = None
        """The parts that a reload is about to replace; they may be closed meanwhile."""
        self._daemon = daemon
        self._stopping = False
        self._around = assembly.Surroundings(
            daemon,
            self.metrics.meter,
            self.ledger,
            CameraControl(self.switches, daemon, self._follow_switches),
        )
        self._log = structlog.get_logger(camera=self.name) if self.name else structlog.get_logger()

    async def open(self) -> None:
        """Open its parts.

        Raises:
            EdgedError: one does not open; nothing stays open.
        """
        try:
            self.assembly = await assembly.build(self.switches.over(self.settings), self._around)
        except (ConfigError, ModelError):
            if self.switches.over(self.settings) is self.settings:
                raise
            self.switches.forget()
            self.assembly = await assembly.build(self.settings, self._around)
        self.settings = self.assembly.settings
        self.assembly.connect()
        self._follow_pause(self.assembly)

    async def run(self) -> Outcome:
        """Until its source ends or it is stopped.

        Raises:
            EdgedError: a part failed for good, or did not take what was promised to it.
        """
        parts = self.assembly
        assert parts is not None  # noqa: S101  # open() comes first
        pipeline = self.pipeline = Pipeline(
            intake=parts.intake,
            detector=parts.detector,
            outlets=parts.outlets,
            max_age_s=self.settings.max_age,
            meter=self.metrics.meter,
            ledger=self.ledger,
            weight=self.settings.weight,
            follower=parts.follower,
            admission=parts.admission,
        )
        if self._stopping:
            pipeline.stop()
        self.tell(lifecycle="stopping" if self._stopping else self._going)
        self._log.info("running", source=self.state.source, model=self.state.model, device=self.state.device)
        self.metrics.begin()
        try:
            await pipeline.run()
        except EdgedError as error:
            self.failure = error
        except Exception as error:
            if not self.name:
                raise
            # Nobody foresaw it: the others go on, and nobody must believe that this one does.
            self._log.exception("camera_broken")
            self.failure = EdgedError(f"a mistake in edged has ended it: {type(error).__name__}: {error}")
        self.over = True
        self.report()
        self.tell(lifecycle="stopping")
        outcome = self.metrics.account(self.assembly or parts)
        self.failure = self.failure or _broken_promise(pipeline)
        if self.failure is not None:
            self.tell()
            raise self.failure
        return outcome

    def stop(self) -> None:
        """End the source; what was taken drains."""
        self._stopping = True
        self.tell(lifecycle="stopping")
        if self.pipeline is not None:
            self.pipeline.stop()

    def abort(self) -> None:
        """End everything now; what does not come to its end is counted as lost."""
        if self.pipeline is not None:
            self.pipeline.abort()

    @property
    def good_s(self) -> float:
        """For how many seconds it has run."""
        return self.metrics.runs_s if self.pipeline is not None else 0.0

    @property
    def may_recover(self) -> bool:
        """Whether it makes sense to try it again once it has failed; a file would begin anew."""
        return bool(self.name) and not (self.pipeline is not None and self.pipeline.intake.waits)

    def closed(self) -> None:
        """Its parts are closed: there is nobody left to be told anything."""
        self.assembly = None

    def closers(self) -> list[tuple[str, Callable[[], None]]]:
        """How to close its parts, in order."""
        if self.assembly is None:
            return []
        return self.assembly.closers(stuck=self.pipeline.stuck if self.pipeline else ())

    # A pause.

    def _follow_switches(self) -> None:
        """A pause was told, or its end; called from any thread."""
        if self.assembly is not None:  # else it begins with it
            self._follow_pause(self.assembly)
        self._daemon.soon(self.tell)

    @property
    def _going(self) -> str:
        return "paused" if self.switches.paused else "running"

    def _follow_pause(self, parts: Assembly) -> None:
        if self.switches.paused:
            parts.intake.pause()
        else:
            parts.intake.resume()

    # Reload, in two steps: nothing is exchanged before every camera has its new parts.

    async def prepare(self, settings: Settings) -> Assembly:
        """Open what new settings want anew.

        Raises:
            EdgedError: a part does not open; everything is as it was.
        """
        settings = self.switches.over(settings)
        self._follow_switches()  # another daemon of the node may have been told of a pause
        self._former = self.assembly
        following = await assembly.build(settings, self._around, previous=self._former)
        self._follow_pause(following)
        return following

    async def discard(self, following: Assembly) -> None:
        """Close what was prepared in vain."""
        await self._daemon.close(following.closers(but=self._former))
        self._former = None

    async def exchange(self, following: Assembly) -> None:
        """Go on with what was prepared, at a frame boundary.

        Raises:
            EdgedError: the run has come to its end; everything is as it was.
        """
        present, pipeline = self._former, self.pipeline
        assert present is not None  # noqa: S101  # it was prepared beside this
        assert pipeline is not None  # noqa: S101
        try:
            stuck = await pipeline.exchange(
                detector=following.detector,
                max_age_s=following.settings.max_age,
                intake=following.intake if following.intake is not present.intake else None,
                outlets=following.outlets,
                weight=following.settings.weight,
                follower=following.follower,
                admission=following.admission,
            )
        except BaseException:
            await self.discard(following)
            raise
        self.settings, self.assembly, self._former = following.settings, following, None
        present.disconnect(but=following)
        following.connect()
        self._follow_pause(following)  # it may have been changed meanwhile
        for reporter in self._reporters():
            reporter.state(self.state)  # a new one has not heard of it
        await self._daemon.close(present.closers(but=following, stuck=stuck))

    # Telling.

    def tick(self) -> None:
        """Tell what has changed since the last tick."""
        self.metrics.tick()
        self.tell()

    def tell(self, *, lifecycle: str | None = None) -> None:
        """Tell the state, if anything about it has changed."""
        parts = self.assembly
        if parts is None or self.pipeline is None:
            return
        before = self.state.lifecycle
        state = replace(
            _working(parts),
            lifecycle=lifecycle or (self._going if before in {"paused", "running"} else before),
            camera_online=self.pipeline.running and not parts.intake.source.problem,
            degraded=self._troubles(parts, self.pipeline),
            controls=self.switches.controls(),
        )
        if self.state.camera_online and not state.camera_online:
            self.pipeline.nothing_comes("lost")
        if state.lifecycle == "paused" != self.state.lifecycle:
            self.pipeline.nothing_comes("stop")
        if state != self.state:
            self.state = state
            for reporter in self._reporters():
                reporter.state(state)

    def _troubles(self, parts: Assembly, pipeline: Pipeline) -> tuple[str, ...]:
        failed = str(self.failure) if self.failure else ""
        told = failed, self.refused, *parts.troubles, pipeline.problem
        return tuple(dict.fromkeys(filter(None, told)))

    def report(self) -> None:
        """Tell the figures of the interval that ends now."""
        if self.assembly is None or self.pipeline is None:
            return
        report = self.metrics.report(self.assembly)
        for reporter in self._reporters():
            reporter.report(report)

    def _reporters(self) -> list[Reporter]:
        outlets = self.assembly.outlets if self.assembly else []
        return [outlet.sink for outlet in outlets if isinstance(outlet.sink, Reporter)]


def _starting(settings: Settings, config_hash: str) -> State:
    """A camera of which nothing is open yet."""
    return State(
        lifecycle="starting",
        device="",
        runtime="",
        model=settings.model.stem,
        version=__version__,
        config_hash=config_hash,
        camera_online=False,
    )


def _working(parts: Assembly) -> State:
    """What open parts say of themselves."""
    engine, detector = parts.detector.engines[0], parts.detector
    return replace(
        _starting(parts.settings, parts.config_hash),
        device=engine.device,
        runtime=engine.runtime,
        model=detector.model.name,
        source=parts.intake.source.properties(),
        labels=tuple(sorted(detector.keep)) or tuple(filter(None, detector.decoder.labels)),
    )


def _broken_promise(pipeline: Pipeline) -> SinkError | None:
    """A file is promised every result; what a live run has recovered from is no failure of it."""
    for outlet in pipeline.outlets:
        if outlet.lost["failed"] and (pipeline.intake.waits or outlet.failure):
            return SinkError(
                f"the sink {outlet.sink.name} did not take {outlet.lost['failed']} results, "
                f"the last because {outlet.failure or 'of a fault that has passed'}"
            )
    return None
