"""What one MQTT node hands over when a reload replaces it by another with other settings.

Both use the same client id, the same spool and the same run in their messages: the new one must not connect
before the old one has said goodbye, and must count on where the old one has stopped.
"""

from __future__ import annotations

import functools
import itertools
import threading
import time
from collections import defaultdict
from typing import TYPE_CHECKING

from edged.durable.ledger import EventLedger
from edged.mqtt.delivery.message import Numbers

if TYPE_CHECKING:
    from pathlib import Path

    from edged.mqtt.retained.names import Names


class Handover:
    """What the MQTT nodes of one run of the daemon have in common, one after the other."""

    def __init__(self) -> None:
        self.started = time.time()
        """UTC, seconds since the epoch."""
        self.turn = threading.Lock()
        """Held by the node whose turn it is to talk to the broker and to use the spool."""
        self.seqs: defaultdict[str, itertools.count[int]] = defaultdict(itertools.count)
        """Numbers of the detections messages, by camera."""
        self.orders = Numbers(1)
        """Order of all messages."""
        self.called: list[Names] = []
        """Names of the nodes in use, the one that follows last."""
        self._ledgers: dict[Path | None, EventLedger] = {}

    def ledger(self, path: Path | None) -> EventLedger:
        """What is known of events and totals in this file, which is read once a run; None: in memory only."""
        if path not in self._ledgers:
            self._ledgers[path] = EventLedger(path)
        return self._ledgers[path]


@functools.lru_cache(maxsize=16)
def of(boot_id: str) -> Handover:
    """What the nodes of a run share; there is one run a process, but for tests."""
    del boot_id
    return Handover()
