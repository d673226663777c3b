"""The last hour of a camera: bounded, in columns, whatever the interval of the reports."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import pytest
from viewing import REPORT

from edged.http.history import History
from edged.metrics import StageStats


class Clock:
    """UTC that is set by hand."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def test_an_hour_is_kept_and_no_more() -> None:
    clock = Clock()
    history = History(clock)
    assert history.hour() == {"ts": [], "fps": [], "p50_ms": {}, "p95_ms": {}, "host": {}, "stages": {}}
    for number in range(5000):
        clock.now += 1
        history.take(replace(REPORT, fps=float(number)))
    hour = history.hour()
    assert len(hour["ts"]) == len(hour["fps"]) == len(hour["p50_ms"]["predict"]) == 400
    assert hour["ts"][-1] - hour["ts"][0] == pytest.approx(3600, abs=10)
    assert hour["fps"][-1] > 4980
    assert hour["stages"]["predict"] == {"p50_ms": 5.0, "p95_ms": 7.0, "p99_ms": 9.0, "max_ms": 11.0}
    # What is older than an hour is not shown, though nothing newer has come.
    clock.now += 1800
    assert len(history.hour()["ts"]) == pytest.approx(200, abs=2)


def test_a_figure_that_is_missing_leaves_a_gap() -> None:
    clock = Clock()
    history = History(clock)
    history.take(replace(REPORT, stages={}, host={"cpu_temperature_c": 50.0}))
    clock.now += 10
    history.take(replace(REPORT, stages={"encode": StageStats(1, 2.0, 3.0, 4.0, 5.0)}, host={}))
    hour = history.hour()
    assert hour["p50_ms"] == {"encode": [None, 2.0]}
    assert hour["p95_ms"] == {"encode": [None, 3.0]}
    assert hour["host"] == {"cpu_temperature_c": [50.0, None]}


def test_a_clock_that_goes_back_does_not_stop_the_history() -> None:
    clock = Clock()
    history = History(clock)
    history.take(REPORT)
    clock.now -= 86400
    history.take(REPORT)
    clock.now += 10
    history.take(REPORT)
    assert len(history.hour()["ts"]) == 3


def test_a_point_takes_a_few_hundred_bytes() -> None:
    """An hour of sixteen cameras would be felt on a small board."""
    stages = {f"stage{number}": StageStats(1, 2.0, 3.0, 4.0, 5.0) for number in range(12)}
    clock = Clock()
    history = History(clock)
    reports = [
        replace(
            REPORT,
            fps=number / 7,
            stages={name: replace(one, p50_ms=number / 3) for name, one in stages.items()},
        )
        for number in range(200)
    ]
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for report in reports:
            clock.now += 10
            history.take(report)
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert taken / len(reports) < 900
    assert history.hour()["p50_ms"]["stage11"][-1] == pytest.approx(199 / 3, abs=0.001)
