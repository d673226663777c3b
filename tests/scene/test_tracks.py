"""Objects keep their ids over time, whatever the frame rate; what is not there gets none."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from edged.records import Box
from edged.scene.tracks import Tracker, TrackRules

Corners = tuple[float, float, float, float]


def tracker(**rules: float) -> Tracker:
    return Tracker(TrackRules(**rules), itertools.count(1))  # type: ignore[arg-type]


def feed(follower: Tracker, now: float, *found: tuple[Corners, float]) -> list[int | None]:
    boxes, scores = [Box(*box) for box, _ in found], [score for _, score in found]
    return [track.id if track else None for track in follower.update(now, boxes, scores)]


def walker(now: float, *, start: float = 50.0, speed: float = 60.0, y: float = 100.0) -> Corners:
    x = start + speed * now
    return (x, y, x + 40, y + 100)


@pytest.mark.parametrize("rate", [2, 5, 10, 30])
def test_one_object_has_one_id_at_every_frame_rate(rate: int) -> None:
    follower = tracker()
    ids = {feed(follower, n / rate, (walker(n / rate), 0.8))[0] for n in range(5 * rate)}
    assert ids == {1}
    assert follower.tracks[0].confirmed


def test_uneven_times_between_frames_do_not_matter() -> None:
    follower = tracker()
    times = np.cumsum(np.random.default_rng(3).choice([0.03, 0.1, 0.5], 60))
    assert {feed(follower, now, (walker(now), 0.8))[0] for now in times.tolist()} == {1}


def test_two_who_pass_each_other_keep_their_ids() -> None:
    follower = tracker()
    for n in range(60):
        now = n / 10
        here = walker(now, start=0)
        there = walker(now, start=360, speed=-60, y=135)
        assert feed(follower, now, (here, 0.9), (there, 0.8)) == [1, 2]


def test_weak_detections_continue_a_track_and_begin_none() -> None:
    follower = tracker(begins=0.4, continues=0.1)
    assert feed(follower, 0.0, (walker(0.0), 0.3)) == [None]
    for n in range(1, 6):
        feed(follower, n / 10, (walker(n / 10), 0.8))
    found = [feed(follower, n / 10, (walker(n / 10), 0.15))[0] for n in range(6, 20)]
    assert set(found) == {1}
    assert feed(follower, 2.0, (walker(2.0), 0.05)) == [None]


def test_an_object_that_is_hidden_comes_back_with_its_id_and_later_with_another() -> None:
    follower = tracker(lost_s=2.0)
    for n in range(20):
        feed(follower, n / 10, (walker(n / 10), 0.8))
    for n in range(20, 35):
        feed(follower, n / 10)
    assert feed(follower, 3.5, (walker(3.5), 0.8)) == [1]
    for n in range(36, 60):
        feed(follower, n / 10)
    assert [track.id for track in follower.tracks] == []
    assert feed(follower, 6.0, (walker(6.0), 0.8)) == [2]


def test_a_single_false_box_is_never_confirmed_and_soon_forgotten() -> None:
    follower = tracker()
    feed(follower, 0.0, (walker(0.0), 0.9))
    for n in range(1, 10):
        feed(follower, n / 10)
        assert not any(track.confirmed for track in follower.tracks)
    assert follower.tracks == []


def test_an_object_that_flickers_below_the_threshold_is_not_confirmed() -> None:
    follower = tracker()
    for n in range(40):
        feed(follower, n / 10, (walker(0.0), 0.5 if n % 4 == 0 else 0.15))
    assert [track.confirmed for track in follower.tracks] == [False]


def test_a_second_box_of_one_object_begins_nothing() -> None:
    follower = tracker()
    for n in range(10):
        x1, y1, x2, y2 = walker(n / 10)
        feed(follower, n / 10, ((x1, y1, x2, y2), 0.9), ((x1 + 6, y1 + 4, x2 + 6, y2), 0.6))
    assert [track.sightings > 1 for track in follower.tracks] == [True, False]
    assert not follower.tracks[1].confirmed


def test_objects_beyond_the_bound_are_refused_and_counted() -> None:
    follower = tracker(most=3)
    ids = feed(follower, 0.0, *(((100.0 * n, 0.0, 100.0 * n + 50, 80.0), 0.9) for n in range(5)))
    assert ids == [1, 2, 3, None, None]
    assert follower.refused == 2


def test_who_comes_into_sight_behind_another_is_one_of_their_own_once_they_part() -> None:
    follower = tracker()
    for n in range(10):
        feed(follower, n / 10, (walker(n / 10), 0.9))
    ids = []
    for n in range(10, 30):
        now = n / 10
        behind = walker(now, start=50 + 8 + 1.5 * (n - 10))
        ids.append(feed(follower, now, (walker(now), 0.9), (behind, 0.8)))
        other = follower.tracks[1]
        if n <= 15 or n >= 20:
            assert (other.double, other.sightings > 1) == ((True, False) if n <= 15 else (False, True))
    assert {first for first, _ in ids} == {1}
    assert {second for _, second in ids} == {2}
    assert other.confirmed
    assert other.born_s == 1.0
    assert other.first_box == walker(1.0, start=58)


def test_of_one_place_there_is_no_third_box() -> None:
    follower = tracker()
    x1, y1, x2, y2 = walker(0.0)
    same = [((x1 + shift, y1, x2 + shift, y2), 0.9 - shift / 100) for shift in (0, 3, 6)]
    assert feed(follower, 0.0, *same) == [1, 2, None]
    assert [track.double for track in follower.tracks] == [False, True]
    assert feed(follower, 0.1, *same) == [1, 2, None]
    assert [track.sightings > 1 for track in follower.tracks] == [True, False]


def test_who_comes_up_in_front_of_another_who_is_hidden_by_that_does_not_get_their_id() -> None:
    """The boxes, once grown, overlap by more than a quarter; but one stands nearer, and so lower."""
    follower = tracker()
    behind, before = (100.0, 100.0, 130.0, 190.0), (95.0, 140.0, 145.0, 290.0)
    for n in range(10):
        assert feed(follower, n / 10, (behind, 0.8)) == [1]
    for n in range(10, 15):
        assert feed(follower, n / 10, (before, 0.8)) == [2]
    assert feed(follower, 1.5, (behind, 0.8), (before, 0.8)) == [1, 2]


@pytest.mark.parametrize("way", [(0.0, 70.0), (70.0, 0.0), (0.0, -70.0)])
def test_whoever_is_new_may_go_anywhere(way: tuple[float, float]) -> None:
    """Seen from above people go up and down, at two frames a second most of their height."""
    follower = tracker()
    for n in range(6):
        x, y = 500 + n * way[0], 500 + n * way[1]
        assert feed(follower, n / 2, ((x, y, x + 100, y + 100), 0.8)) == [1]
