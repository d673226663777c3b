"""The thread between outbox and spool: what waits too long goes to disk, and comes back to be sent."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from edged import bridge
from edged.mqtt.delivery.spool import Spool, SpoolDamagedError, SpoolError, SpoolFullError, set_aside

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edged.mqtt.delivery.disk_lane import DiskLane
    from edged.mqtt.delivery.message import Message

log = structlog.get_logger()

PATIENCE_S = 1.0
"""What could not be sent for so long goes to disk; so much is at stake if the process is killed."""
_LOOK_S = 0.25
_PACE_S = 0.1
_PORTION = 100
"""Messages a pace: 1,000 a second are more than cameras make, and fewer than what makes a broker with slow
subscribers throw messages away (mosquitto holds 1,000 for each)."""
_TRIM_S = 30.0
_REST_S = 5.0
"""How long to leave a disk alone that is full or fails."""


@dataclass(frozen=True, slots=True)
class SpoolFile:
    """Where the spool is, and how much of it there may be."""

    path: Path
    max_bytes: int = 100_000_000
    max_age_s: float = 7 * 86400.0
    """Seconds after which messages are dropped."""
    in_use: bool = False
    """Whether another daemon that runs has it."""

    @property
    def events(self) -> Path | None:
        """The file beside it that knows which events are open; None if that is another's, too."""
        return None if self.in_use else self.path.with_suffix(".events.json")

    def open(self) -> Spool:
        """The spool in this file.

        Raises:
            SpoolError: it cannot be opened.
        """
        if self.in_use:
            raise SpoolError("another edged that runs has the same EDGED_NODE, and keeps its messages there")
        return Spool(self.path, max_bytes=self.max_bytes, max_age_s=self.max_age_s)


class Spooler:
    """Moves messages between memory and disk. Trouble with the disk is told, and the daemon goes on without.

    Args:
        lane: between memory and disk.
        file: the disk.
        stored: told what is on disk now, from the spool's thread.
        clock: that by which messages are made, seconds.
    """

    def __init__(
        self,
        lane: DiskLane,
        file: SpoolFile,
        *,
        stored: Callable[[Sequence[Message]], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lane = lane
        self._file = file
        self._stored = stored
        self._clock = clock
        self._path = file.path
        self._spool: Spool | None = None
        self._thread: threading.Thread | None = None  # noqa: TID251  # the bridge made it
        self._stopping = False
        self._rest_until = 0.0
        self._trim_at = 0.0
        self._remove_at = 0.0
        self._load_at = 0.0
        self.problem = ""
        """Why there is no spool now; empty when all is well."""

    def open(self) -> None:
        """Find what an earlier start has left, and start to work."""
        self._begin(proven=True)
        self._thread = bridge.start("mqtt-spool", self._run)

    def close(self, timeout_s: float) -> None:
        """Put on disk what is left in memory, if the disk takes it within ``timeout_s`` seconds."""
        self._stopping = True
        self._lane.due.set()
        if self._thread is not None:
            self._thread.join(timeout_s)
            if self._thread.is_alive():
                log.error("mqtt_spool_stuck", path=str(self._path))

    def _run(self) -> None:
        stopping = False
        while not stopping:
            stopping = self._stopping
            if self._spool is None and (stopping or self._clock() >= self._rest_until):
                self._begin(proven=False)
            if self._spool is not None:
                self._work(self._spool, everything=stopping)
            if not stopping:
                self._lane.due.wait(_PACE_S if self._lane.unloaded is not None else _LOOK_S)
                self._lane.due.clear()
        if self._spool is not None:
            self._spool.close()

    def _begin(self, *, proven: bool) -> None:
        """Open the spool and take on what is in it; if it is not ``proven``, it must take and give first."""
        spool = None
        try:
            spool = self._file.open()
            if not proven:
                spool.prove()
            count, first, last = spool.extent()
            taken_on = self._lane.recover(count, first, last)
        except SpoolError as error:
            self._let_go(spool, error)
            return
        if not taken_on:
            spool.close()
            self._rest()
            return
        self._spool = spool
        if count:
            log.info("mqtt_spool_recovered", path=str(self._path), messages=count)
        self._works()

    def _work(self, spool: Spool, *, everything: bool) -> None:
        try:
            self._step(spool, everything=everything)
        except SpoolFullError as error:
            self._fail(error)
        except SpoolError as error:
            self._spool = None
            self._lane.forget(error.cause)
            self._let_go(spool, error)

    def _let_go(self, spool: Spool | None, error: SpoolError) -> None:
        """Close a spool that cannot be used; one that is damaged makes room for another."""
        if spool is not None:
            spool.close()
        if isinstance(error, SpoolDamagedError):
            self._replace(error)
        else:
            self._fail(error)

    def _step(self, spool: Spool, *, everything: bool) -> None:
        now = self._clock()
        if now >= self._rest_until or everything:
            self._write(spool, math.inf if everything else now - PATIENCE_S)
            if now >= self._remove_at or everything:
                self._remove_at = now + PATIENCE_S
                self._remove(spool)
            if now >= self._trim_at or spool.oversized:
                self._trim_at = now + _TRIM_S
                self._trim(spool)
        if now >= self._load_at and (wanted := self._lane.wanted(_PORTION)):
            self._load_at = now + _PACE_S
            start, count = wanted
            messages, following, damaged = spool.read(start, count)
            if damaged:
                log.error("mqtt_spool_rows_damaged", path=str(self._path), messages=damaged)
            self._lane.load(start, messages, following, damaged)

    def _write(self, spool: Spool, older_than: float) -> None:
        batch = self._lane.spill(older_than)
        if not batch:
            return
        try:
            spool.write(batch)
        except SpoolError as error:
            self._lane.unspill(error.cause)
            raise
        self._lane.spilled()
        self._stored(batch)
        self._works()

    def _remove(self, spool: Spool) -> None:
        if done := self._lane.finished():
            spool.remove(done)
            self._lane.removed(done)
            if not self._lane.count:
                spool.shrink()

    def _trim(self, spool: Spool) -> None:
        start = self._lane.unloaded
        if start is None:
            return
        self._remove(spool)  # or it would be dropped, too
        dropped, following = spool.trim(start)
        for cause, count in dropped.items():
            log.warning("mqtt_spool_trimmed", path=str(self._path), cause=cause, messages=count)
            self._lane.trimmed(start, cause, count, following)

    def _replace(self, error: SpoolDamagedError) -> None:
        """The file is damaged: set it aside and begin a new one."""
        try:
            set_aside(self._path, str(error))
            self._spool = self._file.open()
        except SpoolError as another:
            self._fail(another)

    def _works(self) -> None:
        if self.problem:
            log.info("mqtt_spool_works_again", path=str(self._path))
        self.problem = ""

    def _fail(self, error: SpoolError) -> None:
        """Tell that there is no spool for now, once, and leave the disk alone for a while."""
        self._rest()
        text = (
            f"the spool {str(self._path)!r} cannot be used: {error}; what does not fit into memory is dropped"
        )
        if text != self.problem:
            log.error("mqtt_spool_fails", reason=text)
        self.problem = text

    def _rest(self) -> None:
        self._rest_until = self._clock() + _REST_S
