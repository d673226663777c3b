"""Counting and timing: the frame ledger and fixed-bucket latency histograms. Knows nothing of MQTT."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

BUCKETS_PER_OCTAVE = 16
"""Buckets grow by 2^(1/16), so a percentile is off by 4.4 % at the most, always upwards."""
_SMALLEST_MS = 0.001
_BUCKETS = BUCKETS_PER_OCTAVE * 27
"""From one microsecond to 134 seconds; what is longer counts in the last bucket (its maximum stays exact)."""

_OUT_OF_DATE = frozenset({"superseded", "disconnected"})
"""Causes for which a message is dropped that nobody misses."""


@dataclass(frozen=True, slots=True)
class StageStats:
    """Latency of one stage over one interval, milliseconds."""

    count: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


class Histogram:
    """Latencies in buckets of fixed, logarithmic width: constant memory, no sorting, no sampling."""

    __slots__ = ("_counts", "_max", "_total")

    def __init__(self) -> None:
        self._counts = [0] * _BUCKETS
        self._total = 0
        self._max = 0.0

    def observe(self, ms: float) -> None:
        """Count one latency."""
        bucket = 0
        if ms > _SMALLEST_MS:
            bucket = math.ceil(math.log2(ms / _SMALLEST_MS) * BUCKETS_PER_OCTAVE)
            if bucket >= _BUCKETS:
                bucket = _BUCKETS - 1
        self._counts[bucket] += 1
        self._total += 1
        self._max = max(self._max, ms)

    def percentile(self, share: float) -> float:
        """Upper edge of the bucket that holds the ``share`` quantile (0..1); 0 without observations."""
        rank = math.ceil(share * self._total)
        seen = 0
        for bucket, count in enumerate(self._counts):
            seen += count
            if count and seen >= rank:
                return float(min(_SMALLEST_MS * 2 ** (bucket / BUCKETS_PER_OCTAVE), self._max))
        return 0.0

    def stats(self) -> StageStats:
        """The figures that are published."""
        p50, p95, p99 = (round(self.percentile(share), 3) for share in (0.50, 0.95, 0.99))
        return StageStats(self._total, p50, p95, p99, round(self._max, 3))


class Meter:
    """Histograms of all stages over the current interval. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stages: dict[str, Histogram] = {}

    def observe(self, stage: str, ms: float) -> None:
        """Count one latency of ``stage``."""
        self.observe_all({stage: ms})

    def observe_all(self, timings_ms: Mapping[str, float]) -> None:
        """Count the stages of one frame."""
        with self._lock:
            for stage, ms in timings_ms.items():
                histogram = self._stages.get(stage)
                if histogram is None:
                    histogram = self._stages[stage] = Histogram()
                histogram.observe(ms)

    def take(self) -> dict[str, StageStats]:
        """Figures of the interval that ends now; the next one starts empty."""
        with self._lock:
            stages, self._stages = self._stages, {}
        return {name: histogram.stats() for name, histogram in stages.items()}


@dataclass(frozen=True, slots=True)
class FrameCounts:
    """The frame ledger at one moment: ``captured = inferred + still + sum(dropped) + in_flight``."""

    captured: int
    inferred: int
    dropped: Mapping[str, int]
    """By cause; a failed invoke is a cause of its own and never "no detections"."""
    in_flight: int
    still: int = 0
    """Frames in which nothing moved: they became a result without the model."""

    @property
    def results(self) -> int:
        """Frames that became a result."""
        return self.inferred + self.still


class Ledger:
    """Accounts for every frame from capture to result. Thread-safe.

    In flight is what was captured and has no end yet: it must never exceed what the bounded queues can hold,
    and must be 0 once the pipeline has drained. Both are checked, so a frame that vanishes is noticed.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._captured = 0
        self._inferred = 0
        self._still = 0
        self._dropped: Counter[str] = Counter()

    def captured(self, count: int = 1) -> None:
        """Frames left the source."""
        with self._lock:
            self._captured += count

    def inferred(self) -> None:
        """The model made a frame a result."""
        with self._lock:
            self._inferred += 1

    def still(self) -> None:
        """A frame in which nothing moved became a result."""
        with self._lock:
            self._still += 1

    def dropped(self, cause: str, count: int = 1) -> None:
        """Frames ended without a result."""
        if count:
            with self._lock:
                self._dropped[cause] += count

    def counts(self) -> FrameCounts:
        """The ledger now."""
        with self._lock:
            lost = sum(self._dropped.values())
            in_flight = self._captured - self._inferred - self._still - lost
            return FrameCounts(self._captured, self._inferred, dict(self._dropped), in_flight, self._still)


class Rate:
    """How fast a count rises, over the last ``readings`` of it by ``clock``. For one thread."""

    def __init__(self, readings: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._readings: deque[tuple[float, int]] = deque(maxlen=readings)

    def read(self, count: int) -> None:
        """The count is now so much."""
        self._readings.append((self._clock(), count))

    @property
    def per_s(self) -> float:
        """Per second; 0 before there are two readings."""
        if not self._readings:
            return 0.0
        return (self._readings[-1][1] - self._readings[0][1]) / self.span_s

    @property
    def span_s(self) -> float:
        """Seconds from the first of these readings to the last, never 0."""
        return max(self._readings[-1][0] - self._readings[0][0], 1e-3) if self._readings else 1e-3


class Pulse:
    """Whether a thread is working or waiting, and since when: ``with pulse: work()``."""

    __slots__ = ("_clock", "_since", "name")

    def __init__(self, name: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self._clock = clock
        self._since: float | None = None

    def __enter__(self) -> None:
        self._since = self._clock()

    def __exit__(self, *_: object) -> None:
        self._since = None

    def busy_s(self) -> float:
        """Seconds since the present piece of work began; 0 while waiting for one. Safe from any thread."""
        since = self._since
        return 0.0 if since is None else self._clock() - since


@dataclass(frozen=True, slots=True)
class Delivery:
    """The account: ``made + recovered = acknowledged + spooled + queued + in_flight + sum(dropped)``."""

    made: int
    recovered: int
    """Found in the spool at the start."""
    acknowledged: int
    spooled: int
    queued: int
    in_flight: int
    dropped: dict[str, int]
    """By cause."""

    @property
    def closes(self) -> bool:
        """Whether every message is where the account says."""
        ended = self.acknowledged + sum(self.dropped.values())
        return self.made + self.recovered == ended + self.spooled + self.queued + self.in_flight

    @property
    def lost(self) -> int:
        """Messages dropped, but for values that were out of date before they could be sent."""
        return sum(count for cause, count in self.dropped.items() if cause not in _OUT_OF_DATE)
