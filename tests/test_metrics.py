"""Histograms, meters and the frame ledger: the figures that are published are right."""

from __future__ import annotations

import math
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged import bridge
from edged.metrics import BUCKETS_PER_OCTAVE, Histogram, Ledger, Meter, Pulse, Rate

WIDTH = 2 ** (1 / BUCKETS_PER_OCTAVE)
latencies = st.lists(st.floats(min_value=0.001, max_value=120_000.0), min_size=1, max_size=200)


def filled(values: list[float]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.observe(value)
    return histogram


@given(latencies, st.floats(min_value=0.0, max_value=1.0))
def test_a_percentile_is_at_most_one_bucket_above_the_exact_one(values: list[float], share: float) -> None:
    exact = sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
    found = filled(values).percentile(share)
    assert exact * (1 - 1e-9) <= found <= exact * WIDTH * (1 + 1e-9)
    assert WIDTH < 1.0443, "the docstring promises 4.4 %"


@given(latencies)
def test_percentiles_rise_and_end_at_the_exact_maximum(values: list[float]) -> None:
    stats = filled(values).stats()
    assert stats.count == len(values)
    assert stats.p50_ms <= stats.p95_ms <= stats.p99_ms <= stats.max_ms == round(max(values), 3)
    assert filled(values).percentile(1.0) == max(values)


def test_without_observations_everything_is_zero() -> None:
    stats = Histogram().stats()
    assert (stats.count, stats.p50_ms, stats.p99_ms, stats.max_ms) == (0, 0.0, 0.0, 0.0)


def test_what_is_too_short_or_too_long_for_the_buckets_still_counts() -> None:
    histogram = filled([0.0, 1e-9, 1e9])
    assert histogram.percentile(0.5) == 0.001
    assert histogram.stats().count == 3
    assert histogram.stats().max_ms == 1e9


def test_what_is_longer_than_the_last_bucket_is_told_as_the_longest_there_is() -> None:
    """134 seconds, and the maximum as it is."""
    histogram = filled([1e9, 1e9])
    assert filled([134_200.0]).stats().max_ms == 134_200.0, "where the last bucket ends"
    assert histogram.percentile(0.5) == pytest.approx(134_000, rel=0.044)
    assert histogram.stats().max_ms == 1e9


def test_the_published_percentiles_are_the_50th_the_95th_and_the_99th() -> None:
    stats = filled([1.0] * 50 + [10.0] * 45 + [100.0] * 4 + [1000.0]).stats()
    assert (stats.p50_ms, stats.p95_ms, stats.p99_ms) == pytest.approx((1.0, 10.0, 100.0), rel=0.045)


def test_a_meter_gives_each_interval_once() -> None:
    meter = Meter()
    meter.observe("predict", 10.0)
    meter.observe_all({"predict": 20.0, "queue": 1.0})
    first = meter.take()
    assert {name: stats.count for name, stats in first.items()} == {"predict": 2, "queue": 1}
    assert first["predict"].max_ms == 20.0
    assert meter.take() == {}
    meter.observe("predict", 5.0)
    assert meter.take()["predict"].max_ms == 5.0


def test_a_meter_loses_nothing_between_threads() -> None:
    meter = Meter()
    counted = 0

    def observe() -> None:
        for _ in range(2000):
            meter.observe("stage", 1.0)

    threads = [bridge.start(f"stage-{number}", observe) for number in range(4)]
    while any(thread.is_alive() for thread in threads):
        counted += sum(stats.count for stats in meter.take().values())
    counted += sum(stats.count for stats in meter.take().values())
    assert counted == 8000


def test_a_ledger_says_what_became_of_every_frame() -> None:
    ledger = Ledger()
    for _ in range(10):
        ledger.captured()
    for _ in range(5):
        ledger.inferred()
    ledger.dropped("stale")
    ledger.dropped("aborted", 2)
    ledger.dropped("superseded", 0)
    counts = ledger.counts()
    assert (counts.captured, counts.inferred, counts.in_flight) == (10, 5, 2)
    assert counts.dropped == {"stale": 1, "aborted": 2}, "a cause that never came up is not told"


def test_a_frame_in_which_nothing_moved_is_a_result_without_the_model() -> None:
    ledger = Ledger()
    ledger.captured(5)
    ledger.inferred()
    ledger.still()
    ledger.still()
    counts = ledger.counts()
    assert (counts.inferred, counts.still, counts.results, counts.in_flight) == (1, 2, 3, 2)


def test_a_ledger_closes_at_every_moment_while_threads_write_into_it() -> None:
    ledger = Ledger()
    done = threading.Event()

    def flow() -> None:
        for number in range(3000):
            ledger.captured()
            if number % 3:
                ledger.inferred()
            else:
                ledger.dropped("stale")

    threads = [bridge.start(f"flow-{number}", flow) for number in range(4)]
    while not done.is_set():
        if not any(thread.is_alive() for thread in threads):
            done.set()
        counts = ledger.counts()
        assert counts.captured == counts.inferred + sum(counts.dropped.values()) + counts.in_flight
        assert 0 <= counts.in_flight <= 4
    counts = ledger.counts()
    assert (counts.captured, counts.inferred, dict(counts.dropped)) == (12000, 8000, {"stale": 4000})


def test_counts_are_a_snapshot() -> None:
    ledger = Ledger()
    ledger.captured()
    before = ledger.counts()
    ledger.dropped("stale")
    assert before.dropped == {}
    assert before.in_flight == 1


def test_a_rate_is_over_the_last_readings_only() -> None:
    now = iter([0.0, 1.0, 3.0, 5.0])
    rate = Rate(3, clock=lambda: next(now))
    assert rate.per_s == 0.0
    rate.read(0)
    assert (rate.per_s, rate.span_s) == (0.0, 0.001)
    for count in (1000, 1010, 1020):
        rate.read(count)
    assert (rate.per_s, rate.span_s) == (5.0, 4.0)


def test_a_pulse_is_busy_while_there_is_work_and_only_then() -> None:
    now = 100.0
    pulse = Pulse("predict", clock=lambda: now)
    assert (pulse.name, pulse.busy_s()) == ("predict", 0.0)
    with pulse:
        now = 103.0
        assert pulse.busy_s() == 3.0
    assert pulse.busy_s() == 0.0


def test_rates_and_pulses_go_by_the_clock_of_the_machine() -> None:
    rate, pulse = Rate(2), Pulse("predict")
    began = time.monotonic()
    with pulse:
        rate.read(0)
        while pulse.busy_s() < 0.002:
            pass
        rate.read(1)
    assert 0.001 < rate.span_s <= time.monotonic() - began


def test_a_pulse_rests_after_work_that_failed() -> None:
    pulse = Pulse("predict")
    with pytest.raises(ZeroDivisionError), pulse:
        _ = 1 / 0
    assert pulse.busy_s() == 0.0
