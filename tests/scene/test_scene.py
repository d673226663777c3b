"""Events of a scene: what is told of tracks, when, and how often."""

from __future__ import annotations

import itertools
from collections import Counter
from random import Random
from typing import TYPE_CHECKING

import pytest
from scenes import HEIGHT, IMAGE, LEFT_HALF, MIDDLE, WIDTH, changes, crossings, frame, person, play, scene

from edged.records import Box, Detection, Frame
from edged.settings.areas import lines, masks, sizes, zones

if TYPE_CHECKING:
    from edged.records import Event


def test_who_walks_through_has_one_start_and_one_end_with_where_it_was() -> None:
    watched = scene(zones=zones(LEFT_HALF), lines=lines(MIDDLE))
    shots = [[person(60 + 6 * n)] for n in range(65)] + [[]] * 40
    events, there = play(watched, shots)
    assert Counter(event.kind for event in events)["start"] == 1
    assert [event.kind for event in events][-1] == "end"
    end = events[-1]
    assert len({event.event_id for event in events}) == 1
    assert changes(events)[0] == "zone_entered:left"
    assert sorted(changes(events)) == ["line_crossed:gate:out", "zone_entered:left", "zone_left:left"]
    assert end.entered_zones == ("left",)
    assert end.zones == ()
    assert end.dwell_s["left"] == pytest.approx(4.3, abs=0.3)
    assert end.lines == (("gate", "out"),)
    assert end.duration_s == pytest.approx(6.4, abs=0.2)
    assert end.ended_by == "lost"
    assert end.path[0][0] < 0.2
    assert end.path[-1][0] > 0.65
    assert max(presence.counts.get("person", 0) for presence in there) == 1
    assert there[-1].counts == {}
    assert crossings(events) == {"line_crossed:gate:out": 1}
    assert (watched.started, watched.ended, watched.open) == (1, 1, 0)


def test_a_second_box_of_long_ago_that_strays_for_a_moment_has_not_come_long_ago() -> None:
    first, second = person(100, score=0.9), person(108, score=0.6)
    shots = [[first, second]] * 600 + [[first, person(124, score=0.6)]] + [[first, second]] * 5
    events, _ = play(scene(), shots)
    starts = [event.start_ts - 1e9 for event in events if event.kind == "start"]
    assert starts[0] == 0.0
    assert all(start > 49.0 for start in starts[1:])


def test_who_leaves_the_frame_has_left() -> None:
    events, _ = play(scene(), [[person(400 + 10 * n)] for n in range(23)] + [[]] * 40)
    assert events[-1].ended_by == "left"


def test_a_missed_frame_changes_no_count_and_a_single_false_box_makes_no_event() -> None:
    watched = scene()
    shots = [[person(300)] if n % 5 else [] for n in range(100)]
    shots[50] = [person(300), person(600, score=0.9)]
    events, there = play(watched, shots)
    counts = [presence.counts.get("person", 0) for presence in there]
    assert sum(a != b for a, b in itertools.pairwise(counts)) == 1
    assert [event.kind for event in events].count("start") == 1


def test_a_parked_car_for_an_hour_is_one_event_that_tells_once_a_minute() -> None:
    """Seen twice a second, with noise, and missed now and then, for seconds, too."""
    watched = scene(stationary_s=10.0)
    chance = Random(5)  # noqa: S311  # a repeatable course
    events: list[Event] = []
    counts = []
    hidden = 0
    for number in range(7200):
        hidden = max(0, hidden - 1) or (chance.randint(4, 20) if chance.random() < 0.005 else 0)
        x, y = 300 + chance.gauss(0, 2), 300 + chance.gauss(0, 2)
        found = [] if hidden or chance.random() < 0.1 else [person(x, y, chance.uniform(0.3, 0.8), "car")]
        view = watched.update(frame(number, 2), found)
        events += view.events
        counts.append(view.presence.counts.get("car", 0))
    assert [event.kind for event in events].count("start") == 1
    assert sum(a != b for a, b in itertools.pairwise(counts)) == 1
    settled = [event for event in events if event.ts > 1e9 + 60]
    assert all(event.stationary for event in settled)
    assert all(b.ts - a.ts >= 59 for a, b in itertools.pairwise(settled))
    assert 50 <= len(settled) <= 60


def test_a_parked_car_on_the_edge_of_a_zone_and_on_a_line_is_silent_there_too() -> None:
    """Its boxes tremble across both. A zone with a least time is entered all the same; then it drives off."""
    late = {"late": "0,0 1,0 1,1 0,1 dwell=30"}
    watched = scene(zones=zones(LEFT_HALF | late), lines=lines(MIDDLE))
    chance = Random(5)  # noqa: S311  # a repeatable course
    sway, course = 0.0, []
    for _ in range(3000):
        sway = 0.7 * sway + chance.gauss(0, 1)
        course.append(320 + sway)
    course += [320 - 6 * n for n in range(40)]
    events, there = play(watched, [[person(x, 300 + chance.gauss(0, 1), label="car")] for x in course])
    resting = [event for event in events if 12 < event.ts - 1e9 < 300]
    assert changes(resting) == ["zone_entered:late"]
    assert len({str(presence.zones["left"]) for presence in there[120:3000]}) == 1
    assert "moving" in changes(event for event in events if event.ts - 1e9 >= 300)
    assert there[-1].zones == {"left": {"car": 1}, "late": {"car": 1}}


def test_what_stands_still_and_drives_off_is_told_twice() -> None:
    shots = [[person(200)] for _ in range(150)] + [[person(200 + 8 * n)] for n in range(40)]
    events, _ = play(scene(stationary_s=10.0), shots)
    assert changes(events) == ["stationary", "moving"]


def test_masks_scores_and_areas_keep_detections_out() -> None:
    watched = scene(
        masks=masks({"road": "car@0,0 0.5,0 0.5,1 0,1"}),
        scores=(("dog", 0.9),),
        areas=sizes("bird:0.05-1"),
    )
    found = [
        person(100, label="car"),
        person(100),
        person(500, label="car"),
        person(200, label="dog"),
        person(300, label="bird"),
    ]
    view = watched.update(frame(0), found)
    assert [(one.label, one.box.x1) for one in view.detections] == [("person", 80), ("car", 480)]


def test_detections_carry_tracks_from_the_second_sight_on() -> None:
    watched = scene()
    first = watched.update(frame(0), [person(100)]).detections
    second = watched.update(frame(1), [person(102), person(500, score=0.2)]).detections
    weak = watched.update(frame(2), [person(104, score=0.2)]).detections
    assert [one.track for one in first] == [None]
    assert [one.track for one in second] == [1]
    assert [one.track for one in weak] == [1]


def test_the_best_come_first_whatever_they_are() -> None:
    seen = [
        person(100, score=0.6, label="zebra"),
        person(300, score=0.9),
        person(500, score=0.7, label="car"),
    ]
    found = scene().update(frame(0), seen).detections
    assert [one.label for one in found] == ["person", "car", "zebra"]


def test_detections_of_an_object_that_counts_carry_its_way() -> None:
    watched = scene()
    ways = [watched.update(frame(n), [person(100 + 8 * n)]).detections[0].path for n in range(30)]
    assert ways[2] == ()
    assert len(ways[29]) > 5
    assert ways[29][0][0] == pytest.approx(130 / WIDTH, abs=0.03)
    assert [x for x, _ in ways[29]] == sorted(x for x, _ in ways[29])


def test_objects_beyond_what_can_be_followed_are_counted_as_refused() -> None:
    watched = scene()
    crowd = [person(20 + 40 * (n % 16), 60 + 18 * (n // 16), 0.9) for n in range(16)]
    many = [
        Detection(0, "person", 0.9, Box(x, y, x + 8, y + 6))
        for x in range(0, 640, 10)
        for y in range(0, 480, 8)
    ]
    watched.update(frame(0), crowd)
    watched.update(frame(1), many[:400])
    assert watched.account()["refused"] == 16 + 400 - 300
    assert watched.account() == {"started": 0, "ended": 0, "open": 0, "refused": 116}
    for number in (2, 3):  # the account outlives those who refused
        watched.end("reload")
        assert watched.account()["refused"] == 116 * (number - 1)
        watched.update(frame(2 * number), crowd)
        watched.update(frame(2 * number + 1), many[:400])


def test_every_start_has_one_end_whatever_ends_it() -> None:
    """Objects that come and go by chance, replays and ends at random: the account closes after each."""
    chance = Random(11)  # noqa: S311  # a repeatable course
    for _ in range(60):
        watched = scene(zones=zones(LEFT_HALF), lines=lines(MIDDLE))
        told: Counter[tuple[str, str]] = Counter()
        ended: set[str] = set()
        objects: list[list[float]] = []
        number = 0
        for _ in range(chance.randint(1, 120)):
            number = 0 if chance.random() < 0.01 else number + chance.choice([1, 1, 1, 5, 40])
            objects = [one for one in objects if chance.random() > 0.03]
            if chance.random() < 0.1:
                objects.append([chance.uniform(0, WIDTH), chance.uniform(100, HEIGHT), chance.gauss(0, 6)])
            for one in objects:
                one[0] += one[2]
            found = [person(x, y) for x, y, _ in objects if chance.random() < 0.9]
            told_now = list(watched.update(frame(number), found).events)
            if chance.random() < 0.01:
                told_now += watched.end(chance.choice(["lost", "reload"]))
            for event in told_now:
                assert event.event_id not in ended
                assert event.kind == "start" or told["start", event.event_id]
                told[event.kind, event.event_id] += 1
                if event.kind == "end":
                    ended.add(event.event_id)
            assert watched.started == watched.ended + watched.open
        for event in watched.end("stop"):
            told[event.kind, event.event_id] += 1
        starts = {one for kind, one in told if kind == "start"}
        ends = {one for kind, one in told if kind == "end"}
        assert starts == ends
        assert all(count == 1 for (kind, _), count in told.items() if kind != "update")
        assert watched.open == 0
        assert watched.end("stop") == ()


def test_time_goes_on_when_a_file_begins_anew_and_when_a_clock_stands_still() -> None:
    """By the clock of the machine between the two frames, and by a little where that stands still, too."""
    watched = scene()
    moments = [(n / 10, n / 10) for n in range(20)]  # of the file and of the machine
    moments += [(n / 10, 2.4 + n / 50) for n in range(20)]  # read faster than it is played
    moments += [(1.9, 2.88), (1.9, 2.88)]
    for pts, captured in moments:
        watched.update(Frame(0, IMAGE, 1e9 + captured, 5 + captured, pts), [person(300)])
    (end,) = watched.end("stop")
    assert end.duration_s == pytest.approx(1.9 + 0.5 + 1.9 + 0.1 + 0.001)
    assert (end.ended_by, watched.started, watched.ended) == ("stop", 1, 1)
    assert watched.end("stop") == ()
    assert scene().end("stop") == ()


@pytest.mark.parametrize("looked", [True, False])
def test_what_was_followed_ends_where_frames_get_another_size(looked: bool) -> None:  # noqa: FBT001
    """A camera set to another size, or the next file of a folder: what was where is nowhere in its pixels."""
    watched = scene(stationary_s=1.0)
    events, there = play(watched, [[person(600)]] * 30)
    assert "stationary" in changes(events)
    assert there[-1].counts == {"person": 1}
    small = Frame(30, IMAGE[:240, :320], 1e9 + 3, 8, 3.0)
    view = watched.update(small, [person(200, 200)]) if looked else watched.carry(small, ())
    (end,) = view.events
    assert (end.kind, end.ended_by, end.ts) == ("end", "lost", 1e9 + 2.9)
    assert (end.width, end.height) == (WIDTH, HEIGHT)
    assert end.best_box == events[0].box
    assert (view.presence.counts, watched.open, watched.restless) == ({}, 0, looked)


def test_of_several_each_counts_while_it_is_seen_and_one_that_stands_still_while_it_is_known() -> None:
    watched = scene(zones=zones(LEFT_HALF), stationary_s=2.0)
    way = [person(400 + 8 * (n % 20)) for n in range(30)]  # never at rest
    _, there = play(watched, [[one, person(100), person(200)] for one in way])
    assert there[-1].counts == {"person": 3}
    assert there[-1].zones == {"left": {"person": 2}}
    counts = []
    for number in range(30, 50):
        view = watched.update(frame(number), [person(200)])
        counts.append((view.presence.counts, view.presence.zones))
    assert counts[4] == ({"person": 3}, {"left": {"person": 2}})
    assert counts[6] == counts[-1] == ({"person": 2}, {"left": {"person": 2}})


def test_one_that_is_doubted_takes_no_other_with_it() -> None:
    watched = scene(begins=0.5)
    play(watched, [[person(100), person(400)]] * 20)
    for number in range(20, 100):
        view = watched.update(frame(number), [person(100, score=0.3), person(400)])
    assert view.presence.counts == {"person": 1}
    assert [found.score for found in view.detections] == [0.8, 0.3]


def test_who_counts_goes_on_so_with_less_than_it_takes_to_count_again() -> None:
    """Between 0.95 and 1.1 of what begins an object of its label, either stays as it is."""
    watched = scene(begins=0.9, scores=(("person", 0.5),))
    counts = []
    for number, score in enumerate([0.52] * 60 + [0.3] * 60 + [0.52] * 100 + [0.7] * 60):
        view = watched.update(frame(number), [person(300, score=score)])
        counts.append(view.presence.counts.get("person", 0))
    assert (counts[59], counts[119], counts[219], counts[279]) == (1, 0, 0, 1)


def test_what_is_too_weak_begins_nothing_beside_a_good_one_and_continues_nothing() -> None:
    watched = scene(begins=0.5, continues=0.3)
    events, _ = play(watched, [[person(100), person(500, score=0.45)]] * 20)
    assert len({event.event_id for event in events}) == 1
    assert len(watched.update(frame(20), [person(100, score=0.31)]).detections) == 1
    assert watched.update(frame(21), [person(100, score=0.29)]).detections == ()
