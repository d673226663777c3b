"""How a camera fared over the last hour."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from edged.metrics import StageStats
    from edged.records import Report

_SPAN_S = 3600.0
_SPACING_S = 9.0
"""Least seconds between two points: of a short EDGED_STATS_INTERVAL only some reports are kept."""
_SENSORS = ("memory_rss_mb", "memory_used_percent", "cpu_temperature_c", "tpu_temperature_c", "load_1min")


class _Point(NamedTuple):
    """One report, shortened."""

    ts: float
    fps: float
    stages: Mapping[str, tuple[float, float]]
    """Median and 95th percentile by stage, milliseconds."""
    host: Mapping[str, float]


class History:
    """Thread-safe. A point is a few hundred bytes, whether somebody looks or not."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._points: deque[_Point] = deque(maxlen=round(_SPAN_S / _SPACING_S))
        self._last: Report | None = None

    def take(self, report: Report) -> None:
        """Take the figures of the last interval."""
        now = self._clock()
        with self._lock:
            self._last = report
            # A clock that has gone back is no reason to wait for it.
            if self._points and 0 <= now - self._points[-1].ts < _SPACING_S:
                return
            stages = {name: (stats.p50_ms, stats.p95_ms) for name, stats in report.stages.items()}
            host = {name: float(report.host[name]) for name in _SENSORS if name in report.host}
            self._points.append(_Point(round(now, 1), report.fps, stages, host))

    def hour(self) -> dict[str, Any]:
        """The points as columns, null where there is no such figure, and all of the last interval."""
        with self._lock:
            points = [point for point in self._points if point.ts >= self._clock() - _SPAN_S]
            last = self._last
        stages = _names(point.stages for point in points)
        return {
            "ts": [point.ts for point in points],
            "fps": [point.fps for point in points],
            "p50_ms": {name: [point.stages.get(name, (None,))[0] for point in points] for name in stages},
            "p95_ms": {name: [point.stages.get(name, (None,))[-1] for point in points] for name in stages},
            "host": {
                name: [point.host.get(name) for point in points]
                for name in _names(point.host for point in points)
            },
            "stages": {name: _figures(stats) for name, stats in last.stages.items()} if last else {},
        }


def _names(rows: Iterable[Mapping[str, object]]) -> list[str]:
    """All names in them, in the order in which they turn up."""
    return list(dict.fromkeys(name for row in rows for name in row))


def _figures(stats: StageStats) -> dict[str, float]:
    return {"p50_ms": stats.p50_ms, "p95_ms": stats.p95_ms, "p99_ms": stats.p99_ms, "max_ms": stats.max_ms}
