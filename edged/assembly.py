"""The open parts of a running daemon: the detector, the intake with its source, an outlet for every sink.

A reload builds the next assembly beside the present one and takes over every part whose settings have not
changed; what part depends on which settings is not listed anywhere, it is what the part has read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from edged import detector, registry, sources
from edged.config import Reading
from edged.errors import SourceError
from edged.pipeline import Intake, Outlet
from edged.sinks import Context

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from edged.config import Settings
    from edged.detector import Detector
    from edged.metrics import Ledger, Meter
    from edged.sinks import Control, Sink

T = TypeVar("T")

_DETECTOR = "detector"
_SOURCE = "source"


class Runner(Protocol):
    """Runs something slow in a named thread."""

    def __call__(self, name: str, function: Callable[[], T], /) -> Awaitable[T]:
        """The result of ``function``."""
        ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all parts of one daemon share, for as long as it runs."""

    meter: Meter
    ledger: Ledger
    control: Control
    boot_id: str
    run: Runner


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
    parts: Mapping[str, _Part]
    """In the order in which they were opened."""

    @property
    def detector(self) -> Detector:
        """What finds things."""
        return cast("Detector", self.parts[_DETECTOR].thing)

    @property
    def intake(self) -> Intake:
        """Where frames come from."""
        return cast("Intake", self.parts[_SOURCE].thing)

    @property
    def outlets(self) -> list[Outlet]:
        """Where results go."""
        return [part.thing for part in self.parts.values() if isinstance(part.thing, Outlet)]

    def closers(
        self, *, but: Assembly | None = None, stuck: tuple[str, ...] = ()
    ) -> list[tuple[str, Callable[[], None]]]:
        """How to close the parts, in reverse order of opening.

        Args:
            but: left out is what this one has taken over,
            stuck: and what one of these threads still uses: to free it under its feet would crash the process.
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
        EdgedError: a part cannot be opened; those that were opened are closed again, ``previous`` is as it was.
    """
    parts: dict[str, _Part] = {}
    fresh: list[_Part] = []
    old = previous.parts if previous else {}

    async def part(
        name: str, make: Callable[[Settings], tuple[Any, Callable[[], None]]], *threads: str
    ) -> Any:
        if name in old and old[name].reading.holds_for(settings):
            parts[name] = old[name]
        else:
            reading = Reading(settings)
            thing, close = await around.run(f"open-{name}", lambda: make(cast("Settings", reading)))
            parts[name] = _Part(name, thing, close, reading, threads)
            fresh.append(parts[name])
        return parts[name].thing

    def load(settings: Settings) -> tuple[Detector, Callable[[], None]]:
        loaded = detector.load(settings)
        return loaded, loaded.close

    def reach(settings: Settings) -> tuple[Intake, Callable[[], None]]:
        source = sources.create(settings)
        waits = settings.policy == "all" or (settings.policy == "auto" and not source.live)
        try:
            source.open()
        except SourceError as error:
            source.close()
            if previous is not None and previous.settings.source == settings.source:
                raise SourceError(
                    f"the source cannot be opened a second time beside the one in use ({error.problem})",
                    mend="Restart edged to change the settings of a camera that only one program can open",
                ) from error
            raise
        return Intake(source, waits=waits, ledger=around.ledger), source.close

    try:
        await part(_DETECTOR, load, "preprocess", "predict", "postprocess")
        intake: Intake = await part(_SOURCE, reach, "capture")
        for setting, path in registry.SINKS.items():
            if not getattr(settings, setting):
                continue

            def plug(settings: Settings, path: str = path) -> tuple[Outlet, Callable[[], None]]:
                sink: Sink = registry.load(path).create(
                    settings, Context(around.meter, around.control, around.boot_id, intake.waits)
                )
                sink.open()
                return Outlet(sink, waits=intake.waits), sink.close

            await part(setting, plug, f"sink-{registry.load(path).name}")
    except BaseException:
        for opened in reversed(fresh):
            await around.run(f"close-{opened.name}", opened.close)
        raise
    return Assembly(settings, parts)


__all__ = ["Assembly", "Runner", "Surroundings", "build"]
