"""What a tracker says of its objects, frame by frame and figure by figure."""

from __future__ import annotations

import itertools
import math

import pytest

from edged.records import Box
from edged.scene.kalman import Course
from edged.scene.tracks import Track, Tracker, TrackRules, _level

HERE, THERE, AWAY = Box(100, 100, 140, 200), Box(400, 100, 440, 200), Box(700, 100, 740, 200)
STEP = 0.25
"""Seconds between two frames: sums of it are exact."""


def tracker(**rules: float) -> Tracker:
    return Tracker(TrackRules(**rules), itertools.count(1))  # type: ignore[arg-type]


def feed(follower: Tracker, now: float, *found: tuple[Box, float]) -> list[int | None]:
    tracks = follower.update(now, [box for box, _ in found], [score for _, score in found])
    return [track.id if track else None for track in tracks]


def shifted(box: Box, right: float, down: float = 0.0) -> Box:
    return Box(box.x1 + right, box.y1 + down, box.x2 + right, box.y2 + down)


def ids(follower: Tracker) -> list[int]:
    return [track.id for track in follower.tracks]


def test_before_anybody_comes_nobody_is_there_and_nobody_has_gone() -> None:
    follower = tracker()
    assert (follower.tracks, follower.gone, follower.refused) == ([], [], 0)
    assert feed(follower, 0.0) == []
    assert (follower.tracks, follower.gone) == ([], [])


def test_who_is_new_is_where_it_was_seen() -> None:
    follower = tracker()
    assert feed(follower, 5.0, (HERE, 0.5), (THERE, 0.9), (AWAY, 0.7)) == [1, 2, 3], "in their order"
    track = follower.tracks[0]
    assert (track.id, track.born_s, track.seen_s, track.score, track.trust) == (1, 5.0, 5.0, 0.5, 0.5)
    assert (track.first_box, track.box, [*track.scores], track.sightings) == (HERE, HERE, [0.5], 1)
    assert (track.sightings > 1, track.confirmed, track.double) == (False, False, False)


@pytest.mark.parametrize("rests", [False, True])
def test_an_object_is_where_its_course_leads_and_out_of_sight_keeps_its_size(rests: bool) -> None:  # noqa: FBT001
    """One that stands still does not go on either. Times are uneven."""
    follower, now, seen = tracker(lost_s=60.0), 0.0, HERE
    feed(follower, now, (seen, 0.8))
    course, (track,) = Course(seen), follower.tracks
    track.patience_s = 60.0 if rests else None
    gaps = (0.1, 0.5, 0.2, 0.1, 0.1, 0.7, 0.1, 0.3, 0.1)
    in_sight = (True, True, True, True, True, False, False, False, False)
    missed = False
    for elapsed_s, there in zip(gaps, in_sight, strict=True):
        now += elapsed_s
        course.predict(elapsed_s, missed=missed, rests=missed and rests)
        if there:
            seen = Box(seen.x1 + 8 * elapsed_s, seen.y1, seen.x2 + 20 * elapsed_s, seen.y2 + 15 * elapsed_s)
            course.correct(seen, 0.6)
        assert feed(follower, now, *([(seen, 0.6)] if there else [])) == ([1] if there else [])
        assert track.box == pytest.approx(course.box, abs=1e-9)
        missed = not there


def test_scores_are_the_newest_the_last_eight_and_the_mean_of_those_that_were_seen() -> None:
    follower, trust = tracker(), 0.9
    feed(follower, 0.0, (HERE, 0.9))
    (track,) = follower.tracks
    for n, score in enumerate((0.8, 0.5, None, 0.7, 0.2), 1):
        feed(follower, n / 10, *([(HERE, score)] if score else []))
        trust += (score - trust) / 20 if score else 0.0
        assert (track.score, track.trust) == pytest.approx((score or 0.5, trust))
    assert ([*track.scores], track.sightings) == ([0.9, 0.8, 0.5, 0.0, 0.7, 0.2], 5)
    for n in range(6, 10):
        feed(follower, n / 10, (HERE, 0.6))
    assert [*track.scores] == [0.5, 0.0, 0.7, 0.2, 0.6, 0.6, 0.6, 0.6]


def test_an_object_counts_once_it_was_seen_for_long_enough_and_mostly_well_and_counts_on() -> None:
    follower = tracker(begins=0.5, continues=0.1, confirmed_s=0.5)
    confirmed = []
    for n in range(20):
        feed(follower, 8.0 + n * STEP, (HERE, 0.5 if n < 6 else 0.2))
        confirmed.append(follower.tracks[0].confirmed)
    assert confirmed == [False, False, *[True] * 18]


@pytest.mark.parametrize(
    ("scores", "counts"),
    [([0.9, 0.2, 0.9, 0.2], False), ([0.9, 0.9, 0.2, 0.9], True), ([0.9, 0.2, 0.9], True)],
)
def test_half_of_the_frames_are_not_most_of_them(scores: list[float], counts: bool) -> None:  # noqa: FBT001
    follower = tracker(confirmed_s=(len(scores) - 1) * STEP)
    for n, score in enumerate(scores):
        feed(follower, n * STEP, (HERE, score))
    assert follower.tracks[0].confirmed is counts


def test_a_frame_in_which_nothing_moves_keeps_who_is_in_sight_and_counts_against_who_is_not() -> None:
    follower = tracker(lost_s=2.0)
    for n in range(8):
        feed(follower, n * STEP, (shifted(HERE, 10 * n), 0.8), (THERE, 0.8))
    feed(follower, 2.0, (shifted(HERE, 80), 0.8))
    here, there = follower.tracks
    place = here.box
    for n in range(9, 16):
        follower.carry(n * STEP)
        assert (here.seen_s, there.seen_s, ids(follower)) == (n * STEP, 1.75, [1, 2])
    follower.carry(4.0)
    assert (ids(follower), follower.gone) == ([1], [there])
    assert here.box == place
    assert ([*here.scores], here.sightings) == ([0.8] * 8, 9)
    assert feed(follower, 4.25, (shifted(HERE, 80), 0.8)) == [1]
    assert here.box.x1 == pytest.approx(place.x1, abs=2.0), "it has not gone on meanwhile"
    follower.carry(4.5)
    assert follower.gone == []


def test_scores_exactly_as_good_as_the_rules_want_are_good_enough() -> None:
    follower = tracker(begins=0.5, continues=0.25)
    assert feed(follower, 0.0, (HERE, 0.5), (THERE, 0.49)) == [1, None]
    assert feed(follower, 0.1, (HERE, 0.5)) == [1]
    assert feed(follower, 0.2, (HERE, 0.25)) == [1]
    assert feed(follower, 0.3, (HERE, 0.24)) == [None]


def test_a_detection_belongs_to_one_object_at_most_and_an_object_has_one_at_most() -> None:
    follower = tracker(begins=0.5, continues=0.1)
    beside = shifted(HERE, 30)
    for n in range(3):
        assert feed(follower, n / 10, (HERE, 0.8), (beside, 0.8)) == [1, 2]
    assert feed(follower, 0.3, (HERE, 0.5)) == [1]
    assert [track.seen_s for track in follower.tracks] == [0.3, 0.2]
    assert feed(follower, 0.4, (HERE, 0.8), (beside, 0.8)) == [1, 2]
    follower = tracker()
    for n in range(3):
        assert feed(follower, n / 10, (HERE, 0.8)) == [1]
    assert feed(follower, 0.3, (HERE, 0.8), (shifted(HERE, 2), 0.2)) == [1, None]


def test_a_weak_detection_brings_back_who_was_away_for_half_a_second() -> None:
    """The time since the last frame does not count: nobody could have seen it then."""
    for hidden, back in ((1, [1]), (2, [1]), (3, [None])):
        follower = tracker()
        for n in range(4):
            feed(follower, n * STEP, (HERE, 0.8))
        for n in range(4, 4 + hidden):
            feed(follower, n * STEP)
        assert feed(follower, (4 + hidden) * STEP, (HERE, 0.2)) == back, hidden


def test_a_detection_as_good_as_a_new_one_has_to_be_must_be_as_alike_as_a_sure_one() -> None:
    """A box that moved by half its width shares 44 of 84 once grown by 0.3; a quarter of that is not 0.17."""
    for score, expected in ((0.25, 2), (0.24, 1)):
        follower = tracker(begins=0.25)
        for n in range(4):
            feed(follower, n / 10, (HERE, 0.8))
        assert feed(follower, 0.4, (shifted(HERE, 20), score), (THERE, 0.2)) == [expected, None]


def test_who_was_seen_twice_must_stay_on_its_level_also_while_somebody_is_new() -> None:
    below = shifted(HERE, 0, 70)
    follower = tracker()
    assert feed(follower, 0.0, (HERE, 0.8)) == [1]
    assert feed(follower, 0.1, (HERE, 0.8), (THERE, 0.8)) == [1, 2]
    assert feed(follower, 0.2, (below, 0.8), (shifted(THERE, 0, 70), 0.8)) == [3, 2]


def test_of_two_boxes_of_one_object_the_better_one_is_its_own() -> None:
    follower = tracker()
    for n in range(5):
        feed(follower, n / 10, (HERE, 0.8))
    assert feed(follower, 0.5, (HERE, 0.45), (shifted(HERE, 3), 0.95)) == [2, 1]


def test_objects_beyond_the_bound_stay_out_as_long_as_it_is_reached() -> None:
    follower = tracker(most=2)
    assert feed(follower, 0.0, (HERE, 0.8), (THERE, 0.8)) == [1, 2]
    for n in (1, 2, 3):
        assert feed(follower, n / 10, (HERE, 0.8), (THERE, 0.8), (AWAY, 0.8)) == [1, 2, None]
        assert (follower.refused, ids(follower)) == (n, [1, 2])


def test_who_is_missed_or_double_takes_no_sighting_from_those_after_it() -> None:
    follower = tracker()
    second = shifted(HERE, 4)
    for n in range(3):
        feed(follower, n / 10, (HERE, 0.9), (second, 0.8), (THERE, 0.8))
    assert [(track.double, track.sightings) for track in follower.tracks] == [
        (False, 3),
        (True, 0),
        (False, 3),
    ]
    feed(follower, 0.3, (THERE, 0.8))
    assert [(track.seen_s, track.sightings) for track in follower.tracks][2] == (0.3, 4)


def test_the_young_are_forgotten_soon_the_known_late_and_who_stands_still_when_its_patience_ends() -> None:
    follower = tracker(lost_s=1.0)
    feed(follower, 0.0, (HERE, 0.8), (THERE, 0.8))
    feed(follower, STEP, (HERE, 0.8), (THERE, 0.8), (AWAY, 0.8))
    here, there, away = follower.tracks
    here.patience_s = 2.0
    for n, left, gone in (
        (2, [1, 2, 3], []),
        (3, [1, 2], [away]),
        (5, [1, 2], []),
        (6, [1], [there]),
        (9, [1], []),
        (10, [], [here]),
        (11, [], []),
    ):
        feed(follower, n * STEP)
        assert (ids(follower), follower.gone) == (left, gone), n


def test_a_second_box_that_does_not_part_is_begun_anew_after_ten_seconds() -> None:
    follower, second, begins = tracker(), shifted(HERE, 4), 8.0
    for n in range(41):
        assert feed(follower, begins + n * STEP, (HERE, 0.9), (second, 0.8)) == [1, 2]
    assert feed(follower, begins + 41 * STEP, (HERE, 0.9), (second, 0.8)) == [1, 2]
    assert ids(follower) == [1]
    assert feed(follower, begins + 42 * STEP, (HERE, 0.9), (second, 0.8)) == [1, 3]


def together(shift: float) -> Track:
    """Two that come at once, so far from each other; the second."""
    follower = tracker()
    feed(follower, 0.0, (HERE, 0.9), (shifted(HERE, shift), 0.8))
    return follower.tracks[1]


def test_a_box_is_a_second_one_where_it_shares_two_fifths_with_the_other() -> None:
    """Forty pixels wide each: shifted by 17 they share 23 of 57, by 18 they share 22 of 58."""
    assert together(17).double
    assert not together(18).double


def test_the_better_of_two_boxes_in_one_place_is_the_object_whatever_their_order() -> None:
    follower = tracker()
    assert feed(follower, 0.0, (HERE, 0.6), (shifted(HERE, 4), 0.9), (shifted(HERE, 2), 0.5)) == [1, 2, None]
    assert [track.double for track in follower.tracks] == [True, False]


def test_a_pair_must_be_alike_by_its_overlap_its_score_and_its_level() -> None:
    """Once grown by 0.3 a box is 160 high; and 0.17 is the least that a pair must come to."""

    def found(down: float, score: float) -> bool:
        follower = tracker(begins=0.2)
        for n in range(10):
            feed(follower, n / 10, (HERE, 0.8))
        return feed(follower, 1.0, (shifted(HERE, 0, down), score)) == [1]

    for score in (0.3, 0.6, 0.9):
        first = next(down for down in range(100) if not found(down, score))
        by_hand = next(
            down
            for down in range(100)
            if (160 - down) / (160 + down) * math.sqrt((100 - down) / (100 + down)) * score < 0.17
        )
        assert abs(first - by_hand) <= 1
    assert not any(found(down, 1.0) for down in (100, 102, 105)), "one ends where the other begins"


@pytest.mark.parametrize(
    ("top", "foot", "level"),
    [
        (0.0, 4.0, 1.0),
        (3.0, 7.0, math.sqrt(1 / 7)),
        (1.0, 2.0, math.sqrt(1 / 4)),
        (4.0, 8.0, 0.0),
        (5.0, 8.0, 0.0),
    ],
)
def test_two_are_as_level_as_the_root_of_what_their_heights_share(
    top: float, foot: float, level: float
) -> None:
    one, other = (0.0, 0.0, 9.0, 4.0), (2.0, top, 3.0, foot)
    assert _level(one, other) == _level(other, one) == pytest.approx(level)
