"""How a camera fared over the last hour."""

from __future__ import annotations

import threading
import time
from array import array
from collections import deque
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from edged.metrics import StageStats
    from edged.records import Report

_SPAN_S = 3600.0
_SPACING_S = 9.0
"""Least seconds between two points: with a short EDGED_STATS_INTERVAL only some reports are kept."""
_SENSORS = ("memory_rss_mb", "memory_used_percent", "cpu_temperature_c", "tpu_temperature_c", "load_1min")


class _Figures(NamedTuple):
    """Figures by name. The names are shared by all points that have the same; a figure takes four bytes."""

    names: tuple[str, ...]
    values: array[float]

    def by_name(self) -> dict[str, float]:
        """To three decimals, which are true up to 16,384: of larger ones four bytes keep seven digits."""
        return {name: round(value, 3) for name, value in zip(self.names, self.values, strict=True)}


class _Point(NamedTuple):
    """One report, shortened."""

    ts: float
    fps: float
    p50_ms: _Figures
    p95_ms: _Figures
    host: _Figures


class History:
    """Keeps the last hour of one camera. Thread-safe; a point is a few hundred bytes, whoever looks."""

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
            stages = self._named(report.stages)
            sensors = self._named(name for name in _SENSORS if name in report.host)
            self._points.append(
                _Point(
                    round(now, 1),
                    report.fps,
                    _Figures(stages, array("f", [stats.p50_ms for stats in report.stages.values()])),
                    _Figures(stages, array("f", [stats.p95_ms for stats in report.stages.values()])),
                    _Figures(sensors, array("f", [report.host[name] for name in sensors])),
                )
            )

    def hour(self) -> dict[str, Any]:
        """The points as columns, null where there is no such figure, and all of the last interval."""
        with self._lock:
            points = [point for point in self._points if point.ts >= self._clock() - _SPAN_S]
            last = self._last
        return {
            "ts": [point.ts for point in points],
            "fps": [point.fps for point in points],
            "p50_ms": _columns(point.p50_ms for point in points),
            "p95_ms": _columns(point.p95_ms for point in points),
            "host": _columns(point.host for point in points),
            "stages": {name: _figures(stats) for name, stats in last.stages.items()} if last else {},
        }

    def _named(self, names: Iterable[str]) -> tuple[str, ...]:
        """These names, as the last point has them, if it has the same."""
        wanted = tuple(names)
        last = self._points[-1] if self._points else None
        return next((kept.names for kept in last[2:] if kept.names == wanted), wanted) if last else wanted


def _columns(rows: Iterable[_Figures]) -> dict[str, list[float | None]]:
    """All figures of a name below one another, in the order of their first; null where one is missing."""
    named = [row.by_name() for row in rows]
    return {name: [row.get(name) for row in named] for name in dict.fromkeys(chain.from_iterable(named))}


def _figures(stats: StageStats) -> dict[str, float]:
    return {"p50_ms": stats.p50_ms, "p95_ms": stats.p95_ms, "p99_ms": stats.p99_ms, "max_ms": stats.max_ms}
