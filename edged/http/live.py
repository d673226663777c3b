"""The figures of the live view: what the daemon has told, and what the last frames were like."""

from __future__ import annotations

import statistics
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from edged.contract import payloads
from edged.http.overlay import overlay

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edged.records import Detection, Presence, Report, Result, State

_WINDOW_S = 3.0
"""How far back rates and latencies look."""
_WINDOW = 256
_SIGHTINGS = 12
_FLICKER_S = 2.0
"""What is lost and found again within this time was there all the time."""
_STALL_S = 30.0
"""So long without a result, while there should be some, is not healthy."""
_TOTAL = "total"


class Figures:
    """Keeps the figures of one camera. Thread-safe; a result costs some microseconds, whoever looks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._results = 0
        self._recent: deque[_Timed] = deque(maxlen=_WINDOW)
        self._seen: _Seen | None = None
        self._sightings: deque[_Sighting] = deque(maxlen=_SIGHTINGS)
        self._frame_id: int | None = None
        self._report: Report | None = None
        self._state: State | None = None

    def take(self, result: Result) -> None:
        """Count one result."""
        frame = result.frame
        counts = Counter(found.label for found in result.detections)
        with self._lock:
            self._results += 1
            self._frame_id = frame.frame_id
            self._recent.append(_Timed(time.monotonic(), result.timings_ms))
            self._seen = _Seen(
                frame.ts_capture,
                (frame.width, frame.height),
                result.detections,
                result.presence,
                frame.taken,
            )
            if counts:
                self._sight(frame.ts_capture, counts)

    def report(self, report: Report) -> None:
        """Take the figures of the last interval."""
        self._report = report

    def state(self, state: State) -> None:
        """Take what the daemon is doing."""
        before, self._state = self._state, state
        was = before and (before.lifecycle, before.camera_online)
        if was != (state.lifecycle, state.camera_online):
            # Whoever begins again may take as long as whoever begins.
            self._began = time.monotonic()

    def live(self) -> dict[str, Any]:
        """Everything for the page, as JSON has it."""
        now = time.monotonic()
        with self._lock:
            recent = [timed for timed in self._recent if now - timed.at <= _WINDOW_S]
            results, frame_id = self._results, self._frame_id
            sightings = [sighting.as_json() for sighting in self._sightings]
        report, state, seen = self._report, self._state, self._now
        return {
            "ts": round(time.time(), 3),
            "health": self.health(),
            "fps": _rate(recent),
            "results": results,
            "frame_id": frame_id,
            "stages": _stages(recent, report),
            "objects": _objects(seen) if seen else None,
            "presence": _presence(seen.presence) if seen and seen.presence else None,
            "sightings": sightings,
            "state": _state(state),
            "report": _report(report),
        }

    def drawn(self, second: Callable[[float], float | None]) -> dict[str, Any] | None:
        """What to draw of what was found last, as JSON has it.

        Args:
            second: of a video, says in which the picture is shown that was taken then.
        """
        seen = self._now
        if seen is None:
            return None
        width, height = seen.size
        at = second(seen.taken)
        shown = None if at is None else round(at, 3)
        return {**_about(seen), "at": shown, "marks": overlay(seen.detections, width, height)}

    @property
    def _now(self) -> _Seen | None:
        """What was seen last; in a pause, that says nothing of now."""
        return None if _is_paused(self._state) else self._seen

    def short(self) -> dict[str, Any]:
        """One line of the page of all cameras: health, rate, and how many of what are there now."""
        now = time.monotonic()
        with self._lock:
            recent = [timed for timed in self._recent if now - timed.at <= _WINDOW_S]
            seen = self._seen if recent else None
        counts: Mapping[str, int] = {}
        if seen is not None and not _is_paused(self._state):
            found = Counter(detection.label for detection in seen.detections)
            counts = found if seen.presence is None else seen.presence.counts
        return {"health": self.health(), "fps": _rate(recent), "now": dict(counts)}

    def health(self) -> dict[str, Any]:
        """Whether detection goes on: ``status`` is ok, degraded (it does, but see ``problems``) or failed."""
        state, now = self._state, time.monotonic()
        with self._lock:
            last = max(self._began, self._recent[-1].at if self._recent else 0.0)
        if state is None:
            return {"status": "failed", "lifecycle": "starting", "problems": ["edged is still starting"]}
        problems = []
        if state.lifecycle not in {"running", "paused"}:
            problems.append(f"edged is {state.lifecycle}")
        elif not state.camera_online:
            problems.append(
                "the source gives no frames: see whether it is on and within reach; 'edged check' tries it"
            )
        elif state.lifecycle == "running" and now - last > _STALL_S:
            problems.append(
                f"there was no result for {now - last:.0f} s: a restart of edged helps if it lasts"
            )
        status = "failed" if problems else "degraded" if state.degraded else "ok"
        return {"status": status, "lifecycle": state.lifecycle, "problems": [*problems, *state.degraded]}

    def _sight(self, ts: float, counts: Counter[str]) -> None:
        """Go on with the last sighting, or begin a new one."""
        last = self._sightings[-1] if self._sightings else None
        if last is not None and last.most.keys() == counts.keys() and 0 <= ts - last.until <= _FLICKER_S:
            last.until = ts
            last.most |= counts
        else:
            self._sightings.append(_Sighting(ts, ts, counts))


@dataclass(slots=True)
class _Sighting:
    """The same kinds of things, for a while."""

    since: float
    """UTC, seconds since the epoch."""
    until: float
    most: Counter[str]
    """By label the largest number at a time."""

    def as_json(self) -> dict[str, Any]:
        return {"since": round(self.since, 3), "until": round(self.until, 3), "most": dict(self.most)}


class _Seen(NamedTuple):
    """The last frame, without its pixels."""

    ts: float
    size: tuple[int, int]
    """Width and height in pixels."""
    detections: tuple[Detection, ...]
    presence: Presence | None
    taken: float
    """Monotonic seconds, as of :attr:`edged.records.Frame.taken`."""


class _Timed(NamedTuple):
    at: float
    timings_ms: Mapping[str, float]


def _is_paused(state: State | None) -> bool:
    """Whether nothing is looked at."""
    return state is not None and state.lifecycle == "paused"


def _rate(recent: list[_Timed]) -> float:
    """Results a second."""
    if len(recent) < 2:  # noqa: PLR2004  # one result has no rate
        return 0.0
    return round((len(recent) - 1) / max(recent[-1].at - recent[0].at, 1e-6), 2)


def _stages(recent: list[_Timed], report: Report | None) -> dict[str, dict[str, float]]:
    """Median and maximum by stage: of the last frames, and of the last report for what sinks measure."""
    stages: dict[str, dict[str, float]] = {}
    # Frames in which nothing moves go through fewer stages.
    for name in max((timed.timings_ms for timed in recent), key=len, default={}):
        times = [timed.timings_ms[name] for timed in recent if name in timed.timings_ms]
        stages[name] = {"p50_ms": round(statistics.median(times), 3), "max_ms": round(max(times), 3)}
    for name, stats in (report.stages if report else {}).items():
        stages.setdefault(name, {"p50_ms": stats.p50_ms, "max_ms": stats.max_ms})
    if total := stages.pop(_TOTAL, None):
        stages[_TOTAL] = total
    return stages


def _objects(seen: _Seen) -> dict[str, Any]:
    items = [
        {
            "label": found.label,
            "score": round(float(found.score), 3),
            "box": [round(float(corner), 1) for corner in found.box],
            "track": found.track,
            **({"sub_label": found.sub_label} if found.sub_label else {}),
        }
        for found in seen.detections
    ]
    return {**_about(seen), "items": items}


def _about(seen: _Seen) -> dict[str, Any]:
    """The frame in which it was."""
    width, height = seen.size
    return {"ts": round(seen.ts, 3), "image": {"w": width, "h": height}}


def _presence(presence: Presence) -> dict[str, Any]:
    lines: dict[str, dict[str, int]] = {}
    for name, crossings in presence.lines.items():
        totals = lines[name] = {"in": 0, "out": 0}
        for (direction, _), count in crossings.items():
            totals[direction] += count
    zones = {name: dict(counts) for name, counts in presence.zones.items()}
    return {"counts": dict(presence.counts), "zones": zones, "lines": lines}


def _state(state: State | None) -> dict[str, Any] | None:
    if state is None:
        return None
    return {
        "device": state.device,
        "runtime": state.runtime,
        "model": state.model,
        "version": state.version,
        "config_hash": state.config_hash,
        "camera_online": state.camera_online,
        "source": dict(state.source),
    }


def _report(report: Report | None) -> dict[str, Any] | None:
    if report is None:
        return None
    return {
        "interval_s": report.interval_s,
        "frames": payloads.frames(report.frames),
        "reconnects": report.reconnects,
        "sinks": {name: dict(counts) for name, counts in report.sinks.items()},
        "host": dict(report.host),
    }
