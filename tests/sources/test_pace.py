"""How many frames come, and which way up."""

from __future__ import annotations

import random

import numpy as np
import pytest

from edged.sources.pace import Pace, turned


def given(moments: list[float], fps: float | None) -> list[float]:
    """Those of the moments that the pace lets through."""
    pace = Pace(fps)
    chosen = []
    for moment in moments:
        if pace.due(moment):
            pace.given(moment)
            chosen.append(moment)
    return chosen


def test_no_limit_lets_everything_through() -> None:
    """Without a limit every frame counts, even two of one moment."""
    moments = [0.0, 0.0, 0.1, 0.1, 5.0]
    assert given(moments, None) == moments


@pytest.mark.parametrize(("camera", "limit"), [(30, 5), (30, 20), (25, 24), (60, 7.5), (15, 1), (30, 0.5)])
def test_limit_is_reached_and_not_exceeded(camera: float, limit: float) -> None:
    """Over a minute the rate is the limit, evenly spread, whatever it is of the camera's."""
    chosen = given([number / camera for number in range(int(60 * camera))], limit)
    assert len(chosen) == pytest.approx(60 * limit, abs=1)
    gaps = np.diff(chosen)
    assert gaps.max() - gaps.min() <= 1.001 / camera


@pytest.mark.parametrize("limit", [30, 31, 100])
def test_camera_that_jitters_keeps_its_rate(limit: float) -> None:
    """A limit at or above the camera's own rate costs little, though frames come 12 ms early and late."""
    noise = random.Random(1)  # noqa: S311  # the same noise every time
    moments = sorted(number / 30 + noise.uniform(-0.012, 0.012) for number in range(1800))
    assert len(given(moments, limit)) >= 1740


def test_pause_is_not_made_up_for() -> None:
    """After a gap frames come at the limit, not in a burst."""
    moments = [number / 30 for number in range(60)] + [60 + number / 30 for number in range(60)]
    assert len([moment for moment in given(moments, 5) if moment >= 60]) == pytest.approx(10, abs=1)


def test_damaged_frame_does_not_use_up_its_turn() -> None:
    """Until a frame was given, the next one is due."""
    pace = Pace(1)
    assert pace.due(0.0)
    pace.given(0.0)
    assert not pace.due(0.2)
    assert pace.due(1.0)
    assert pace.due(1.2)
    pace.given(1.2)
    assert not pace.due(1.4)


def test_turning_four_times_comes_round() -> None:
    """Four quarter turns give the picture back; no turn costs no copy."""
    image = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    again = image
    for _ in range(4):
        again = turned(again, 90)
    assert (again == image).all()
    assert turned(image, 0) is image


def test_frames_that_come_early_are_paid_back() -> None:
    """Who hurries gets the next frames at once; over time there are no more than the limit says."""
    pace = Pace(5)
    chosen = []
    for number in range(30 * 60):
        moment = number / 30
        if number % 150 == 100:  # between two frames that are due
            pace.hurry(2)
        if pace.due(moment):
            pace.given(moment)
            chosen.append(moment)
    hurried = [moment for moment in chosen if round(30 * moment) % 150 in {100, 101}]
    assert len(hurried) == 2 * 12
    assert len(chosen) <= 5 * 60 + 3
    assert max(np.diff(chosen)) < 0.3


def test_what_came_early_is_forgotten_where_little_comes() -> None:
    """A quiet stream is looked at seldom, and each time that something moves there may be haste."""
    pace = Pace(5)
    for moment in range(0, 200, 10):
        assert pace.due(moment)
        pace.given(moment)
        pace.hurry(2)
        for early in (moment + 1 / 30, moment + 2 / 30):
            assert pace.due(early)
            pace.given(early)


def test_who_hurries_all_the_time_gets_a_few_frames_more() -> None:
    """What may come early is bounded."""
    pace = Pace(5)
    chosen = 0
    for number in range(30 * 60):
        pace.hurry(2)
        if pace.due(number / 30):
            pace.given(number / 30)
            chosen += 1
    assert chosen <= 5 * 60 + 5
