"""What must outlive a kill: which events have begun and not ended, what of them is not safe, and totals.

One file beside the spool, replaced as a whole at every change, so that it is always one of the two. A message
is noted before it is sent, and is safe once the broker has acknowledged it or the spool has it: so the next
start knows of every start that somebody may have seen, and gives it its end. Nobody but a message itself
waits for the disk, which may take a second for what is to outlive a loss of power.
"""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING

import structlog

from edged import bridge
from edged.contract import event_messages, payloads
from edged.durable.atomic import replace_file
from edged.durable.totals import Totals

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edged.contract.event_messages import Telling

_MOST = 300
"""Messages that are kept until they are safe; then updates go, the oldest first, and the rest after them."""
_SLOW_S = 5.0
"""A disk that takes longer to write one small file is a trouble."""
_LAST_S = 1.0
"""How long the last writing may take."""

log = structlog.get_logger()


class EventLedger:
    """The events and totals of all cameras of a node. Thread-safe.

    Args:
        path: the file; missing folders are made. None: nothing is kept.
        clock: monotonic seconds.
    """

    def __init__(self, path: Path | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._failure = ""
        """Why the file cannot be written; empty when it can."""
        self._since: float | None = None
        """When the disk was given what it is writing, monotonic."""
        self._writing = threading.Lock()
        """Held while the disk is at work, and taken before the other."""
        self._lock = threading.Condition()
        self._at_work = False
        """Whether there is a thread that writes; it ends when there is nothing to write."""
        self._sends: list[Callable[[], None]] = []
        """How to send what was noted and is not on disk yet, in order."""
        self._open: dict[str, str] = {}
        """The last message by event."""
        self._unsafe: dict[str, str] = {}
        """Camera by message, in order."""
        self._changed = False
        self._turns = 0
        """Starts and ends that were noted."""
        self._kept_turns = 0
        """As many of them no loss of power can take."""
        self._passed_on: list[Telling] = []
        """What one of two who use it in turn has not brought."""
        self.totals = Totals(self._total_changed)
        """How often lines were crossed, by topic."""
        if path is not None:
            self._read(path)
        self._left = bool(self._open or self._unsafe)

    @property
    def problem(self) -> str:
        """Why the file is not written, and what that means; empty while it is."""
        since = self._since
        if since is not None and self._clock() - since > _SLOW_S:
            return f"{str(self._path)!r} is not written, the disk does not answer; events wait for it"
        return self._failure

    @property
    def lasting(self) -> bool:
        """Whether what is in it outlives the run."""
        return self._path is not None and not self.problem

    def leftovers(self, boot_id: str) -> list[tuple[str, bytes]]:
        """Camera and message of all that an earlier run owes, in order; once.

        What may not have arrived comes again, then an end of every event that has none.

        Args:
            boot_id: identity of this run.
        """
        with self._lock:
            if not self._left:
                return []
            self._left = False
            for text in list(self._open.values()):
                end = event_messages.cut_short(json.loads(text), boot_id=boot_id)
                self._note(event_messages.telling(end))
            log.info("events_recovered", path=str(self._path), messages=len(self._unsafe))
            left = [(camera, text.encode()) for text, camera in self._unsafe.items()]
        self.settle(_SLOW_S)
        return left

    def pass_on(self, events: Sequence[Telling]) -> None:
        """Leave what is not brought to who goes on with this ledger after a reload, or to the next start."""
        with self._lock:
            self._passed_on += events

    def passed_on(self) -> list[Telling]:
        """What another one has left, in order; once."""
        with self._lock:
            events, self._passed_on = self._passed_on, []
        return events

    def note(self, event: Telling, send: Callable[[], None]) -> None:
        """Have an event's message sent once it is on disk, or known that it cannot be: in the order of notes.

        Waits only where the disk has not kept up for hundreds of messages.

        Args:
            event: with its message.
            send: sends it; called from the ledger's own thread where there is a file.
        """
        if self._path is None:
            send()
            return
        with self._lock:
            self._lock.wait_for(lambda: len(self._sends) < _MOST)
            self._note(event)
            self._sends.append(send)
            self._work()

    def keep(self) -> None:
        """Have what has changed written soon, without waiting for it."""
        with self._lock:
            self._work()

    def retry(self) -> None:
        """Write again what the disk has not taken, though nothing has happened since. Never blocks."""
        with self._lock:
            if self._failure:
                self._turns += 1  # nobody knows which of them the disk has
            self._work()

    def settle(self, timeout_s: float) -> None:
        """Wait until everything is on disk and on its way, if the disk takes it within so many seconds."""
        with self._lock:
            self._work()
            settled, left = self._lock.wait_for(lambda: not self._at_work, timeout_s), len(self._sends)
        if not settled:
            log.error("ledger_stuck", path=str(self._path), messages=left)

    def safe(self, payload: bytes) -> None:
        """A message is with the broker or on disk. Touches no disk, see :meth:`flush`."""
        if self._path is None:
            return
        with self._lock:
            if self._unsafe.pop(payload.decode(), None) is not None:
                self._changed = True

    def done(self, event: Telling) -> None:
        """A message needs to be brought no more: that is kept soon, or a kill would have it brought again."""
        if self._path is not None:
            self.safe(event.json)
            self.keep()

    def flush(self) -> None:
        """Write what has changed since, now; whoever must not wait for the disk has :meth:`keep`."""
        if self._path is None or not self._due:
            return
        with self._writing:
            with self._lock:
                turns, self._changed = self._turns, False
                content = {
                    "open": list(self._open.values()),
                    "unsafe": list(self._unsafe),
                    "totals": self.totals.under(),
                }
            self._write(self._path, payloads.encode(content), lasting=turns > self._kept_turns)
            self._kept_turns = turns

    def close(self) -> None:
        """Whoever has it keeps nothing in it any more: write what is left, if the disk takes it soon."""
        self.settle(_LAST_S)

    @property
    def _due(self) -> bool:
        """Whether the file is behind."""
        return self._changed or self._turns > self._kept_turns

    def _work(self) -> None:
        """See that somebody writes; with the lock held."""
        if self._path is not None and not self._at_work and (self._due or self._sends):
            try:
                bridge.start("event-ledger", self._run)
            except RuntimeError as error:  # the system allows no more of them now; who comes next asks again
                log.error("ledger_waits", path=str(self._path), reason=str(error))
            else:
                self._at_work = True

    def _run(self) -> None:
        """Write until there is nothing to write, and send what is safe to be sent."""
        while (sends := self._begin()) is not None:
            self.flush()
            for send in sends:
                try:
                    send()
                except Exception:  # it must not keep back what comes behind it
                    log.exception("ledger_send_failed")
            with self._lock:
                del self._sends[: len(sends)]
                self._lock.notify_all()

    def _begin(self) -> list[Callable[[], None]] | None:
        """What waits for the next writing; None if there is nothing to write."""
        with self._lock:
            if self._due or self._sends:
                return list(self._sends)
            self._at_work = False
            self._lock.notify_all()
            return None

    def _note(self, event: Telling) -> None:
        message, text = event.message, event.json.decode()
        if message["type"] == "end":
            self._open.pop(message["event_id"], None)
        else:
            self._open[message["event_id"]] = text
        self._turns += message["type"] != "update"
        self._unsafe[text] = message["camera"]
        self._changed = True
        if len(self._unsafe) > _MOST:
            updates = (one for one in self._unsafe if json.loads(one)["type"] == "update")
            del self._unsafe[next(updates, next(iter(self._unsafe)))]

    def _total_changed(self) -> None:
        self._changed = True

    def _read(self, path: Path) -> None:
        try:
            kept = json.loads(path.read_bytes())
            self._open = {json.loads(text)["event_id"]: text for text in kept["open"]}
            self._unsafe = {text: json.loads(text)["camera"] for text in kept["unsafe"]}
            self.totals.load({str(topic): int(total) for topic, total in kept["totals"].items()})
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.error("ledger_unreadable", path=str(path), reason=str(error))
            self._open, self._unsafe = {}, {}

    def _write(self, path: Path, content: bytes, *, lasting: bool) -> None:
        self._since = self._clock()
        try:
            replace_file(path, content, lasting=lasting)
        except OSError as error:
            told = f"{str(path)!r} cannot be written: {error.strerror}; after a kill events have no end"
            if told != self._failure:
                log.error("ledger_fails", reason=told)
            self._failure = told
        else:
            self._failure = ""
        finally:
            self._since = None
