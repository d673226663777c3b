"""What a camera has told last, for whoever asks for metrics: without the library that writes them."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edged.records import Report, State


class Told(NamedTuple):
    """Everything at one moment."""

    state: State | None
    report: Report | None
    reported_at: float
    """UTC, seconds since the epoch; 0 without a report."""
    stage_counts: Mapping[str, int]
    """Frames by stage since the start: a report has those of its interval."""


class Exported:
    """Keeps what one camera has told last. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._report: Report | None = None
        self._reported_at = 0.0
        self._state: State | None = None
        self._stage_counts: Counter[str] = Counter()

    def report(self, report: Report) -> None:
        """Take the figures of the last interval."""
        with self._lock:
            self._report = report
            self._reported_at = time.time()
            self._stage_counts.update({name: stats.count for name, stats in report.stages.items()})

    def state(self, state: State) -> None:
        """Take what the daemon is doing."""
        self._state = state

    def told(self) -> Told:
        """What there is now."""
        with self._lock:
            return Told(self._state, self._report, self._reported_at, dict(self._stage_counts))
