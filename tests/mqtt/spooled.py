"""Messages for a disk, what is between them and it, and a bench to try all of it on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import rig

from edged.mqtt.delivery.message import Message, Numbers
from edged.mqtt.delivery.outbox import Outbox
from edged.mqtt.delivery.spool import Spool
from edged.mqtt.delivery.spooler import Spooler, SpoolFile

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import pytest

    from edged.mqtt.delivery.spool import SpoolError

WEEK_S = 7 * 86400.0


def messages(count: int, first: int = 1, size: int = 500) -> list[Message]:
    return [Message(order, "a/b", b"%08d" % order + b"x" * size) for order in range(first, first + count)]


def open_spool(path: Path, *, max_bytes: int = 10_000_000, max_age_s: float = 1e6) -> Spool:
    return Spool(path, max_bytes=max_bytes, max_age_s=max_age_s)


def outbox(limit: int = 50) -> Outbox:
    return Outbox(limit=limit, wake=lambda: None, orders=Numbers(1))


def put(box: Outbox, count: int, size: int = 1000) -> None:
    for _ in range(count):
        box.put("t", b"x" * size)


class Bench:
    """An outbox with its spooler, and one clock for both."""

    def __init__(
        self, path: Path, *, limit: int = 1000, max_bytes: int = 10_000_000, max_age_s: float = WEEK_S
    ) -> None:
        self.now = 1000.0
        self.stored: list[int] = []
        self.looks = 0
        self.box = Outbox(limit=limit, wake=lambda: None, orders=Numbers(1), clock=lambda: self.now)
        file = SpoolFile(path, max_bytes=max_bytes, max_age_s=max_age_s)
        self.spooler = Spooler(self.box.disk, file, stored=self._note, clock=self._look)
        self.spooler.open()

    def _note(self, batch: Sequence[Message]) -> None:
        self.stored += [message.order for message in batch]

    def _look(self) -> float:
        self.looks += 1
        return self.now

    def turn(self, seconds: float = 0.0) -> None:
        """Let time pass, and the spooler do what is to be done then."""
        self.now += seconds
        before = self.looks

        def looked() -> bool:
            self.box.disk.due.set()
            return self.looks >= before + 3  # a full disk looks twice

        assert rig.until(looked)

    def put(self, count: int, size: int = 10) -> None:
        for _ in range(count):
            self.box.put("t", b"x" * size)

    def send(self) -> int:
        """Send and acknowledge what can be sent; how many."""
        sent = 0
        while (message := self.box.take()) is not None:
            self.box.settle(message)
            sent += 1
        return sent


class Called:
    """Stands before a method of every spool: notes what it is called with, and may fail in its place."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        self.with_what: list[list[int]] = []
        self.error: SpoolError | None = None
        real: Callable[..., object] = getattr(Spool, name)

        def method(spool: Spool, *args: Sequence[int]) -> object:
            self.with_what.append(list(args[0]) if name == "remove" else [])
            if self.error is not None:
                raise self.error
            return real(spool, *args)

        monkeypatch.setattr(Spool, name, method)
