"""What must outlive a kill: which events have begun and not ended, what of them is not safe, and totals.

One file beside the spool, replaced as a whole at every change, so that it is always one of the two. A message
is noted before it is sent, and is safe once the broker has acknowledged it or the spool has it: so the next
start knows of every start that somebody may have seen, and gives it its end.
"""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

import structlog

from edged.atomic import replace_file
from edged.contract import happenings, payloads
from edged.mqtt.camera.totals import Totals

if TYPE_CHECKING:
    from pathlib import Path

    from edged.contract.happenings import EventMessage

_MOST = 300
"""Messages that are kept until they are safe; then updates go, the oldest first, and the rest after them."""

log = structlog.get_logger()


class EventLedger:
    """The events and totals of all cameras of a node. Thread-safe.

    Args:
        path: the file; missing folders are made. None: nothing is kept.
    """

    def __init__(self, path: Path | None) -> None:
        self.problem = ""
        """Why the file cannot be written; empty when it can."""
        self._path = path
        self._writing = threading.Lock()
        """Held while the disk is at work, and taken before the other."""
        self._lock = threading.Lock()
        self._open: dict[str, str] = {}
        """The last message by event."""
        self._unsafe: dict[str, str] = {}
        """Camera by message, in order."""
        self._changed = False
        self._turns = 0
        """Starts and ends that were noted."""
        self._kept_turns = 0
        """As many of them no loss of power can take."""
        self.totals = Totals(self._total_changed)
        """How often lines were crossed, by topic."""
        if path is not None:
            self._read(path)
        self._left = bool(self._open or self._unsafe)

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
                self._note(happenings.cut_short(json.loads(text), boot_id=boot_id))
            log.info("mqtt_events_recovered", path=str(self._path), messages=len(self._unsafe))
            left = [(camera, text.encode()) for text, camera in self._unsafe.items()]
        self.flush()
        return left

    def note(self, event: EventMessage) -> None:
        """An event's message is about to be sent."""
        if self._path is None:
            return
        with self._lock:
            self._note(event)
        self.flush()

    def safe(self, payload: bytes) -> None:
        """A message is with the broker or on disk. Touches no disk, see :meth:`flush`."""
        with self._lock:
            self._changed |= self._unsafe.pop(payload.decode(), None) is not None

    def flush(self) -> None:
        """Write what has changed since; whoever must not wait for the disk leaves this to others."""
        if self._path is None or not (self._changed or self._turns > self._kept_turns):
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

    def _note(self, event: EventMessage) -> None:
        text = payloads.encode(event).decode()
        if event["type"] == "end":
            self._open.pop(event["event_id"], None)
        else:
            self._open[event["event_id"]] = text
        self._turns += event["type"] != "update"
        self._unsafe[text] = event["camera"]
        self._changed = True
        if len(self._unsafe) > _MOST:
            updates = (one for one in self._unsafe if json.loads(one)["type"] == "update")
            del self._unsafe[next(updates, next(iter(self._unsafe)))]

    def _total_changed(self) -> None:
        self._changed = True

    def _read(self, path: Path) -> None:
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            self._open = {json.loads(text)["event_id"]: text for text in kept["open"]}
            self._unsafe = {text: json.loads(text)["camera"] for text in kept["unsafe"]}
            self.totals.load({str(topic): int(total) for topic, total in kept["totals"].items()})
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.error("mqtt_ledger_unreadable", path=str(path), reason=str(error))
            self._open, self._unsafe = {}, {}

    def _write(self, path: Path, content: bytes, *, lasting: bool) -> None:
        try:
            replace_file(path, content, lasting=lasting)
        except OSError as error:
            told = f"{str(path)!r} cannot be written: {error.strerror}; after a kill events have no end"
            if told != self.problem:
                log.error("mqtt_ledger_fails", reason=told)
            self.problem = told
        else:
            self.problem = ""
