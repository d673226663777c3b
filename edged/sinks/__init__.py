"""Sinks take results: video, lines of JSON, MQTT."""

from __future__ import annotations

import errno
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from edged import registry
from edged.errors import ConfigError
from edged.sinks.lending import Lender

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from edged.metrics import Meter
    from edged.records import Event, Report, Result, State
    from edged.settings.declared import Settings


DISK_FAULTS = frozenset(
    {
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EROFS,
        errno.EIO,
        errno.ENODEV,
        errno.ENXIO,
        errno.ESTALE,
        errno.ETIMEDOUT,
    }
)
"""What is wrong with a disk and not with a setting: it may pass."""


class Sink(Protocol):
    """A consumer of results, with a bounded queue and a thread of its own in the pipeline.

    ``open`` comes first, then ``send`` for one result after the other from one thread, ``close`` last.
    """

    name: str
    """How logs, metrics and the state topic call it: ``video``, ``jsonl``, ``mqtt``."""

    def open(self) -> None:
        """Make sure that results can be taken.

        Raises:
            SinkError: the output cannot be opened.
        """
        ...

    def send(self, result: Result) -> None:
        """Take one result; blocks while the output is slow.

        Raises:
            SinkError: this result was not taken.
        """
        ...

    def close(self) -> None:
        """Flush what was taken and free everything."""
        ...


@runtime_checkable
class Reporter(Protocol):
    """A sink that also tells how the daemon fares. Its methods never block, whatever thread calls them."""

    @property
    def problem(self) -> str:
        """What is wrong although results are taken, one sentence; empty when nothing is."""
        ...

    @property
    def waiting(self) -> bool:
        """Whether ``send`` waits for somebody else, which will come to an end: it is not stuck."""
        ...

    def report(self, report: Report) -> None:
        """Take the figures of the stats interval that has just ended."""
        ...

    def state(self, state: State) -> None:
        """Take the state of the daemon, at the start, at the end and whenever it changes."""
        ...


@runtime_checkable
class EventTaker(Protocol):
    """A sink that also takes events: each once, in order, from the thread that calls ``send``."""

    def tell(self, events: Sequence[Event]) -> None:
        """Take what has happened; blocks while the output is slow.

        Raises:
            SinkError: it was not taken.
        """
        ...


@runtime_checkable
class NewsTaker(EventTaker, Protocol):
    """A sink of events only: a frame without any is nothing to it, and it is not even woken for one."""

    only_events: Literal[True]


@runtime_checkable
class Accountant(Protocol):
    """A sink that counts something beside results. Its method never blocks, whatever thread calls it."""

    def account(self) -> Mapping[str, int]:
        """Counts since the start, by name."""
        ...


class Control(Protocol):
    """What a sink may ask of the daemon. Thread-safe; every method returns at once, with what was done.

    Raises:
        EdgedError: it was refused, and why.
    """

    def pause(self) -> str:
        """Take no more frames from the source."""
        ...

    def resume(self) -> str:
        """Take frames again."""
        ...

    def switch(self, name: str, value: str) -> str:
        """Set ``detection`` or ``recording`` (ON or OFF), ``threshold`` (0..1) or ``model`` (a name)."""
        ...

    def reload(self) -> str:
        """Read the settings again and put them in force."""
        ...


class NoControl:
    """There is no daemon around the sink: everything is refused."""

    def pause(self) -> str:
        """Refused."""
        raise ConfigError("there is no running daemon to command")

    resume = reload = pause

    def switch(self, name: str, value: str) -> str:
        """Refused."""
        del name, value
        return self.pause()


def _none(_settings: Settings) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Context:
    """What the daemon lends to its sinks."""

    meter: Meter
    control: Control
    boot_id: str
    """Random identity of this run, as published."""
    starting: bool = False
    """At a start a faulty disk is no reason not to detect. A reload keeps what works."""
    lender: Lender = field(default_factory=Lender)
    """Has what the sinks of several cameras share."""
    gives_packets: Callable[[Settings], bool] = _none
    """Whether a source with these settings may give packets that can be made a file of."""


def create(settings: Settings, context: Context) -> list[Sink]:
    """The sinks whose settings are set, not yet open, in the order of the registry."""
    return [
        registry.load(path).create(settings, context)
        for setting, path in registry.SINKS.items()
        if getattr(settings, setting)
    ]
