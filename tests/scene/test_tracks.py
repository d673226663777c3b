"""Objects keep their ids over time, whatever the frame rate; what is not there gets none."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from edged.records import Box
from edged.scene.assignment import assign
from edged.scene.overlap import overlaps
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
    assert [track.known for track in follower.tracks] == [True, False]
    assert not follower.tracks[1].confirmed


def test_objects_beyond_the_bound_are_refused_and_counted() -> None:
    follower = tracker(most=3)
    ids = feed(follower, 0.0, *(((100.0 * n, 0.0, 100.0 * n + 50, 80.0), 0.9) for n in range(5)))
    assert ids == [1, 2, 3, None, None]
    assert follower.refused == 2


def test_plain_overlap_is_intersection_over_union() -> None:
    first = [(0.0, 0.0, 10.0, 10.0)]
    second = [(12.0, 0.0, 20.0, 10.0), (5.0, 0.0, 15.0, 10.0)]
    ((row, column, overlap),) = overlaps(first, second)
    assert (row, column) == (0, 1)
    assert overlap == pytest.approx(1 / 3)
    assert sorted(column for _, column, _ in overlaps(first, second, 0.5)) == [0, 1]
    assert list(overlaps(first, [])) == list(overlaps([], second)) == []


def test_boxes_that_only_touch_do_not_overlap_and_those_smaller_than_a_pixel_do() -> None:
    beside, below = (10.0, 0.0, 20.0, 10.0), (0.0, 10.0, 10.0, 20.0)
    assert list(overlaps([(0.0, 0.0, 10.0, 10.0)], [beside, below])) == []
    dot = (3.0, 3.0, 3.5, 3.5)
    assert list(overlaps([dot], [dot])) == [(0, 0, 1.0)]


@pytest.mark.parametrize("buffer", [0.0, 0.3])
def test_all_pairs_that_overlap_are_found_and_no_others(buffer: float) -> None:
    """Against every pair, by the textbook; sizes differ a lot, and some boxes touch or are alike."""
    random, met = np.random.default_rng(6), 0
    for _ in range(20):
        corners = random.integers(-60, 60, (2, 15, 2))
        sizes = random.integers(1, random.integers(2, 60), (2, 15, 2))
        first, second = np.concatenate((corners, corners + sizes), axis=2).astype(float)
        expected = {}
        for (row, ours), (column, theirs) in itertools.product(enumerate(first), enumerate(second)):
            (a1, a2), (b1, b2) = (
                (box[:2] - buffer * (box[2:] - box[:2]), box[2:] + buffer * (box[2:] - box[:2]))
                for box in (ours, theirs)
            )
            both = float(np.prod(np.maximum(np.minimum(a2, b2) - np.maximum(a1, b1), 0.0)))
            if both > 1e-9:
                expected[row, column] = both / float(np.prod(a2 - a1) + np.prod(b2 - b1) - both)
        found = {
            (row, column): overlap
            for row, column, overlap in overlaps(first.tolist(), second.tolist(), buffer)
            if overlap > 1e-9
        }
        assert found == pytest.approx(expected)
        every = [*overlaps(first.tolist(), second.tolist(), buffer)]
        more = [*overlaps(first.tolist(), second.tolist(), buffer, 0.2)]
        assert more == [one for one in every if one[2] > 0.2]
        met += len(expected)
    assert met > 100


def possible(cost: Any, limit: float) -> dict[tuple[int, int], float]:
    return {pair: value for pair, value in np.ndenumerate(cost) if value < limit}


def test_assignment_is_the_cheapest_one() -> None:
    """Against every possible pairing, of which there are few enough to try."""
    random = np.random.default_rng(7)
    for _ in range(300):
        rows, columns = random.integers(1, 5, 2)
        cost = np.round(random.random((rows, columns)), int(random.integers(1, 9)))
        limit = float(random.random())
        least = 0.0
        for count in range(1, min(rows, columns) + 1):
            for chosen in itertools.permutations(range(columns), count):
                for picked in itertools.combinations(range(rows), count):
                    pairs = list(zip(picked, chosen, strict=True))
                    if all(cost[pair] < limit for pair in pairs):
                        least = min(least, sum(cost[pair] - limit for pair in pairs))
        found = assign(possible(cost, limit), limit)
        assert sum(cost[pair] - limit for pair in found) == pytest.approx(least)


def test_groups_that_share_no_pair_are_each_paired_at_their_best() -> None:
    """One has no choice; of every two others the first has to leave its best to the second."""
    price = {(4, 0): 0.5}
    for at in (0, 2, 5):
        price |= {(at, at + 1): 0.1, (at, at + 2): 0.2, (at + 1, at + 1): 0.3, (at + 1, at + 2): 0.9}
    crossed = [pair for at in (0, 2, 5) for pair in ((at, at + 2), (at + 1, at + 1))]
    assert assign(price, 1.0) == sorted([(4, 0), *crossed])
    assert assign(dict(reversed(price.items())), 1.0) == sorted([(4, 0), *crossed])


def test_assignment_costs_what_scipys_costs() -> None:
    optimize = pytest.importorskip("scipy.optimize", reason="SciPy is not installed")
    random = np.random.default_rng(8)
    for size in (10, 40, 100):
        cost = random.random((size, size + 5))
        rows, columns = optimize.linear_sum_assignment(cost)
        assert sum(cost[pair] for pair in assign(possible(cost, 2.0), 2.0)) == pytest.approx(
            cost[rows, columns].sum()
        )


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
            assert (other.double, other.known) == ((True, False) if n <= 15 else (False, True))
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
    assert [track.known for track in follower.tracks] == [True, False]


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
