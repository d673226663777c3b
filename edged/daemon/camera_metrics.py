"""The figures of one camera: its account of frames, latencies, results a second."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import structlog

from edged.daemon import host
from edged.daemon.outcome import Outcome
from edged.metrics import Ledger, Meter, Rate
from edged.records import Report

if TYPE_CHECKING:
    from collections.abc import Callable

    from edged.daemon.assembly import Assembly

_RECENT_TICKS = 10
"""What the status calls frames a second is over so many ticks."""


class CameraMetrics:
    """Counts and times of one camera, over all exchanges of its parts.

    Args:
        camera: its name for the log; empty for the only one.
    """

    def __init__(self, camera: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.ledger = Ledger()
        self.meter = Meter()
        self._rate = Rate(_RECENT_TICKS, clock=clock)
        self._since_report = Rate(2, clock=clock)
        self._began_at = 0.0
        self._log = structlog.get_logger(camera=camera) if camera else structlog.get_logger()

    def begin(self) -> None:
        """The first frame is asked for now."""
        self._began_at = self._clock()
        self._since_report.read(0)

    def tick(self) -> None:
        """Once a second."""
        self._rate.read(self.ledger.counts().results)

    @property
    def runs_s(self) -> float:
        """Seconds since the first frame was asked for."""
        return self._clock() - self._began_at

    @property
    def recent_fps(self) -> float:
        """Results a second over the last ticks."""
        return self._rate.per_s

    def report(self, parts: Assembly) -> Report:
        """The figures of the interval that ends now."""
        frames = self.ledger.counts()
        self._since_report.read(frames.results)
        return Report(
            interval_s=round(self._since_report.span_s, 3),
            fps=round(self._since_report.per_s, 2),
            stages=self.meter.take(),
            frames=frames,
            reconnects=parts.intake.source.reconnects,
            sinks=_sink_counts(parts),
            host={**host.health(), **parts.detector.health()},
            events=parts.follower.account() if parts.follower is not None else {},
        )

    def account(self, parts: Assembly) -> Outcome:
        """What the run came to, told in the log."""
        duration_s = self.runs_s
        frames = self.ledger.counts()
        outcome = Outcome(frames, _sink_counts(parts), duration_s)
        tell = self._log.error if frames.in_flight else self._log.info
        tell("ledger", captured=frames.captured, inferred=frames.inferred, still=frames.still,
             dropped=dict(frames.dropped), in_flight=frames.in_flight, sinks=outcome.sinks,
             seconds=round(duration_s, 3))  # fmt: skip
        return outcome


def _sink_counts(parts: Assembly) -> dict[str, dict[str, int]]:
    return {outlet.sink.name: outlet.counts for outlet in parts.outlets}
