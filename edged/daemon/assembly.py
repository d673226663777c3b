"""The open parts of a running daemon: the detector, the intake with its source, an outlet for every sink.

A reload builds the next assembly beside the present one and takes over every part whose settings have not
changed; what part depends on which settings is not listed anywhere, it is what the part has read.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

import structlog

from edged import registry, sources
from edged.errors import SourceError
from edged.model import detector
from edged.pipeline import Intake, Outlet
from edged.pipeline.admission import Admission
from edged.pipeline.follow import Follower
from edged.pipeline.regions import Attention, Tiles
from edged.scene import Scene, SceneRules
from edged.scene.motion import Background
from edged.settings.reading import Reading
from edged.sinks import Context
from edged.sources.packets.tap import PacketTaker, Tapped

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from edged.engines.pool import EnginePools
    from edged.metrics import Ledger, Meter
    from edged.model.detector import Detector
    from edged.settings.declared import Settings
    from edged.sinks import Control, Sink
    from edged.sinks.lending import Lender
    from edged.sources.cameras.beside import PassingStream
    from edged.sources.packets.tap import Tap

    _Opened = tuple[Any, Callable[[], None]]

T = TypeVar("T")

log = structlog.get_logger()

_DETECTOR = "detector"
_SOURCE = "source"
_BESIDE = "recorded stream"


class Daemon(Protocol):
    """What a camera and its parts need of the daemon around them."""

    boot_id: str
    pools: EnginePools
    """Has the engines of all cameras."""
    lender: Lender
    """Has what the sinks of all cameras share."""

    def run_unless_stopped(self, name: str, function: Callable[[], T], /) -> Awaitable[T]:
        """Run something slow in a named thread."""
        ...

    def close(self, closers: list[tuple[str, Callable[[], None]]], /) -> Awaitable[Exception | None]:
        """Close parts, one after the other, even if a stop has begun; the first error that came up."""
        ...

    def reload(self) -> str:
        """Read the settings again."""
        ...

    def adjust(self) -> None:
        """Put in force what was switched."""
        ...

    def soon(self, do: Callable[[], None]) -> None:
        """Have something done in the event loop."""
        ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all parts of one camera share, for as long as it runs."""

    daemon: Daemon
    meter: Meter
    ledger: Ledger
    control: Control


@dataclass(frozen=True, slots=True)
class _Part:
    name: str
    thing: Any
    close: Callable[[], None]
    reading: Reading
    threads: tuple[str, ...]
    """How the names of the pipeline's threads that use it begin."""


@dataclass(frozen=True, slots=True)
class Assembly:
    """All parts, open."""

    settings: Settings
    config_hash: str
    """:attr:`Settings.fingerprint`, which is told every second and slow to make."""
    parts: Mapping[str, _Part]
    """In the order in which they were opened."""
    scene: _Part
    motion: _Part

    @property
    def detector(self) -> Detector:
        """What finds things."""
        return cast("Detector", self.parts[_DETECTOR].thing)

    @property
    def intake(self) -> Intake:
        """Where frames come from."""
        return cast("Intake", self.parts[_SOURCE].thing)

    @property
    def follower(self) -> Follower | None:
        """What makes tracks and events of detections; None where nothing does."""
        return cast("Follower | None", self.scene.thing)

    @property
    def admission(self) -> Admission | None:
        """What decides which frames the model looks at; None where it looks at all."""
        return cast("Admission | None", self.motion.thing)

    @property
    def outlets(self) -> list[Outlet]:
        """Where results go."""
        return [part.thing for part in self.parts.values() if isinstance(part.thing, Outlet)]

    @property
    def troubles(self) -> list[str]:
        """What is wrong now, one sentence a part; empty for those that are well."""
        return [
            self.intake.source.problem,
            getattr(self.intake.source, "degraded", ""),
            self.beside.problem if self.beside else "",
            self.detector.preprocess.problem,
            *(engine.degraded for engine in self.detector.engines),
            *(outlet.problem for outlet in self.outlets),
        ]

    @property
    def beside(self) -> PassingStream | None:
        """The stream that is recorded, where another one is looked at."""
        part = self.parts.get(_BESIDE)
        return cast("PassingStream", part.thing) if part else None

    def connect(self) -> None:
        """From now on the camera's packets go to whoever wants them."""
        self.intake.beside = self.beside
        sinks = (outlet.sink for outlet in self.outlets)
        wanted = (sink.listener for sink in sinks if isinstance(sink, PacketTaker))
        listeners = [listener for listener in wanted if listener is not None]
        for number, tap in enumerate(self._taps()):
            tap.hand_to([] if number else listeners)

    def disconnect(self, *, but: Assembly) -> None:
        """The packets of cameras that are not taken over go to nobody any more.

        Those of others are handed on without a gap: who records them would wait for a keyframe after it.
        """
        kept = but._taps()
        for tap in self._taps():
            if not any(tap is other for other in kept):
                tap.hand_to([])

    def _taps(self) -> list[PassingStream | Tap]:
        """Where packets are to be had; those of the first are recorded and shown."""
        source = self.intake.source
        own = [source.tap] if isinstance(source, Tapped) else []
        return [self.beside, *own] if self.beside is not None else [*own]

    def closers(
        self, *, but: Assembly | None = None, stuck: tuple[str, ...] = ()
    ) -> list[tuple[str, Callable[[], None]]]:
        """How to close the parts, in reverse order of opening.

        Args:
            but: left out is what this one has taken over,
            stuck: and what one of these threads still uses; freeing that would crash the process.
        """
        kept = {id(part) for part in but.parts.values()} if but else set()
        return [
            (part.name, part.close)
            for part in reversed(list(self.parts.values()))
            if id(part) not in kept and not any(thread.startswith(part.threads) for thread in stuck)
        ]


async def build(settings: Settings, around: Surroundings, *, previous: Assembly | None = None) -> Assembly:
    """Open all parts, or take them over from ``previous`` where their settings still hold.

    Raises:
        EdgedError: a part cannot be opened. What was opened is closed again, ``previous`` is as it was.
    """
    sources.require_packets(settings)
    settings = settings.model_copy(update={"node_in_use": not around.daemon.lender.owner.has_node})
    builder = _Builder(sources.looked_at(settings), around, previous)
    try:
        loaded = await builder.part(_DETECTOR, builder.detector, "preprocess", "predict", "postprocess")
        intake = await builder.part(_SOURCE, builder.intake, "capture")
        if settings.detect_source is not None:
            await builder.part(_BESIDE, builder.beside, settings=settings)
        if not intake.source.live:  # a camera may come back with other frames at any time
            properties = intake.source.properties()
            loaded.preprocess.check(properties["width"], properties["height"])
        for setting, path in registry.SINKS.items():
            if getattr(settings, setting):
                sink = registry.load(path)
                await builder.part(setting, partial(builder.outlet, sink), f"sink-{sink.name}")
    except BaseException:
        await around.daemon.close([(opened.name, opened.close) for opened in reversed(builder.fresh)])
        raise
    scene = builder.kept("scene", _follower, previous.scene if previous else None)
    motion = builder.kept("motion", admission, previous.motion if previous else None)
    return Assembly(settings, settings.fingerprint, builder.parts, scene, motion)


class _Builder:
    """The parts of an assembly in the making. What opens a part gives it together with how to close it."""

    def __init__(self, settings: Settings, around: Surroundings, previous: Assembly | None) -> None:
        self._settings = settings
        self._around = around
        self._previous = previous
        self.parts: dict[str, _Part] = {}
        self.fresh: list[_Part] = []

    async def part(
        self, name: str, make: Callable[[Settings], _Opened], *threads: str, settings: Settings | None = None
    ) -> Any:
        settings = settings or self._settings
        old = self._previous.parts.get(name) if self._previous else None
        if old is None or not old.reading.holds_for(settings):
            reading = Reading(settings)
            make_it = partial(make, cast("Settings", reading))
            thing, close = await self._around.daemon.run_unless_stopped(f"open-{name}", make_it)
            old = _Part(name, thing, close, reading, threads)
            self.fresh.append(old)
        self.parts[name] = old
        return old.thing

    def detector(self, settings: Settings) -> _Opened:
        loaded = detector.load(settings, pools=self._around.daemon.pools)
        return loaded, loaded.close

    def beside(self, settings: Settings) -> _Opened:
        stream = sources.passing(settings)
        stream.open()
        return stream, stream.close

    def intake(self, settings: Settings) -> _Opened:
        with sources.named(settings):
            return self._opened_intake(settings)

    def _opened_intake(self, settings: Settings) -> _Opened:
        source = sources.create(settings)
        if settings.several and self._previous is None and isinstance(source, sources.Seeker):
            # The others must not wait for it.
            source.begin()
            return self._admitting(source, settings), source.close
        try:
            source.open()
        except SourceError as error:
            source.close()
            before = sources.looked_at(self._previous.settings) if self._previous is not None else None
            if before is not None and before.source == settings.source:
                raise SourceError(
                    f"the source cannot be opened a second time beside the one in use ({error.problem})",
                    hint="Restart edged to change the settings of a camera that only one program can open",
                ) from error
            raise
        return self._admitting(source, settings), source.close

    def _admitting(self, source: sources.Source, settings: Settings) -> Intake:
        """Only an open source knows for sure whether it is live, and what can be done with it."""
        told = source.properties()
        if settings.motion == "packets" and told and not sources.watches_packets(told):
            log.warning("packets_not_watched", kind=told.get("kind"), codec=told.get("codec"))
        waits = settings.policy == "all" or (settings.policy == "auto" and not source.live)
        return Intake(source, waits=waits, ledger=self._around.ledger)

    def kept(self, name: str, make: Callable[[Settings], Any], old: _Part | None) -> _Part:
        """What remembers: there is nothing to open, and nothing to close."""
        if old is not None and old.reading.holds_for(self._settings):
            return old
        reading = Reading(self._settings)
        return _Part(name, make(cast("Settings", reading)), _nothing, reading, ())

    def outlet(self, sink_class: Any, settings: Settings) -> _Opened:
        around = self._around
        context = Context(
            around.meter,
            around.control,
            around.daemon.boot_id,
            starting=self._previous is None,
            lender=around.daemon.lender,
            gives_packets=sources.gives_packets,
        )
        sink: Sink = sink_class.create(settings, context)
        sink.open()
        return Outlet(sink), sink.close


def _follower(settings: Settings) -> Follower | None:
    """Another source shows other objects, another model names them differently: it is read, too."""
    _ = settings.source, settings.model, settings.rotate, settings.classes
    rules = SceneRules(
        begins=settings.score_threshold,
        continues=min(settings.track_score, settings.score_threshold),
        scores=settings.scores,
        areas=settings.areas,
        stationary_s=settings.stationary,
        zones=settings.zone,
        lines=settings.line,
        masks=settings.mask,
    )
    return Follower(Scene(rules)) if settings.track else None


def admission(settings: Settings) -> Admission | None:
    """What decides which frames the model looks at, and at what of them; None: at all, once.

    Another source shows another background: it is read, too.
    """
    _ = settings.source, settings.rotate
    gated = settings.motion != "off"
    regions: Tiles | Attention | None = Tiles(*settings.tiles) if settings.tiles else None
    background = Background(settings.mask, settings.roi)
    if settings.regions == "auto":
        regions = Attention(background, watches=not gated)
    if gated:
        return Admission(background, check_s=settings.motion_check, regions=regions)
    return Admission(regions=regions) if regions is not None else None


def _nothing() -> None:
    """A memory holds nothing that would have to be closed."""
