"""Zones, lines and events of a scene: what is told, when, and how often."""

from __future__ import annotations

import itertools
from collections import Counter
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edged.records import Box, Detection, Frame
from edged.scene import Scene, SceneRules
from edged.scene.zones import Ground, Whereabouts, inside, passes_between
from edged.settings.areas import lines, masks, sizes, zones

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edged.records import Event, Presence

WIDTH, HEIGHT, RATE = 640, 480, 10
IMAGE = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
LEFT_HALF = {"left": "0,0 0.5,0 0.5,1 0,1"}
MIDDLE = {"gate": "0.5,0 0.5,1"}


def scene(**rules: Any) -> Scene:
    return Scene(SceneRules(**rules), new_id=map(str, itertools.count(1)).__next__)


def frame(number: int, rate: float = RATE) -> Frame:
    return Frame(number, IMAGE, 1e9 + number / rate, 5 + number / rate, number / rate)


def person(x: float, y: float = 300, score: float = 0.8, label: str = "person") -> Detection:
    """Who stands at (x, y) in pixels."""
    return Detection(0, label, score, Box(x - 20, y - 100, x + 20, y))


def play(watched: Scene, shots: Iterable[list[Detection]]) -> tuple[list[Event], list[Presence]]:
    events: list[Event] = []
    there: list[Presence] = []
    for number, found in enumerate(shots):
        view = watched.update(frame(number), found)
        events += view.events
        there.append(view.presence)
    return events, there


def changes(events: Iterable[Event]) -> list[str]:
    return [change for event in events for change in event.changes if change not in {"picture", "alive"}]


def crossings(events: Iterable[Event]) -> Counter[str]:
    return Counter(one for one in changes(events) if one.startswith("line_crossed"))


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


def test_who_stands_in_a_still_picture_is_there_and_nothing_is_learned_of_him() -> None:
    """Nobody looks for ten seconds: he counts, becomes stationary, and is found again as himself."""
    watched = scene(zones=zones(LEFT_HALF), stationary_s=5.0)
    _, there = play(watched, [[person(100)]] * 30)
    assert there[-1].counts == {"person": 1}
    assert not watched.restless
    kept = watched.update(frame(30), [person(100)]).detections
    carried = [watched.carry(frame(number), kept) for number in range(31, 131)]
    assert {view.presence.counts["person"] for view in carried} == {1}
    assert {view.detections for view in carried} == {kept}
    assert changes(event for view in carried for event in view.events) == ["stationary"]
    view = watched.update(frame(131), [person(101)])
    assert [found.track for found in view.detections] == [kept[0].track]
    assert (watched.started, watched.ended) == (1, 0)


def test_what_is_new_moves_or_was_lost_wants_to_be_looked_at() -> None:
    watched = scene(stationary_s=5.0)
    asked = []
    shots = (
        [[person(100)]] * 30 + [[person(100 + 6 * n)] for n in range(30)] + [[person(274)]] * 30 + [[]] * 25
    )
    for number, found in enumerate(shots):
        watched.update(frame(number), found)
        asked.append(watched.restless)
    assert all(asked[:20]), "new"
    assert not any(asked[26:30]), "it has stood still for long enough"
    assert all(asked[40:75]), "it moves, and has just come to rest"
    assert not any(asked[86:90])
    assert all(asked[90:108]), "it was lost"
    assert not asked[-1], "it is gone"


def test_a_second_box_of_long_ago_that_strays_for_a_moment_has_not_come_long_ago() -> None:
    first, second = person(100, score=0.9), person(108, score=0.6)
    shots = [[first, second]] * 600 + [[first, person(124, score=0.6)]] + [[first, second]] * 5
    events, _ = play(scene(), shots)
    starts = [event.start_ts - 1e9 for event in events if event.kind == "start"]
    assert starts[0] == 0.0
    assert all(start > 49.0 for start in starts[1:])


def test_a_second_box_that_comes_and_goes_keeps_nobody_looking() -> None:
    """The detector gives one of a parked car now and then: the gate of motion would never close."""
    watched = scene(stationary_s=5.0)
    second = person(106, score=0.5)
    asked = []
    for number in range(60):
        watched.update(frame(number), [person(100), *[second] * (number % 6 == 0)])
        asked.append(watched.restless)
    assert not any(asked[30:])


def test_a_doubtful_object_is_not_looked_at_for_ever_and_not_made_certain_by_a_still_picture() -> None:
    watched = scene(begins=0.5)
    play(watched, [[person(300, score=0.6)]] + [[person(300, score=0.2)]] * 25)
    assert not watched.restless
    views = [watched.carry(frame(26 + number), ()) for number in range(50)]
    assert not any(view.events for view in views)
    assert watched.started == 0


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


def test_what_stands_still_and_drives_off_is_told_twice() -> None:
    shots = [[person(200)] for _ in range(150)] + [[person(200 + 8 * n)] for n in range(40)]
    events, _ = play(scene(stationary_s=10.0), shots)
    assert changes(events) == ["stationary", "moving"]


def test_a_line_counts_each_way_and_not_who_trembles_on_it() -> None:
    watched = scene(lines=lines(MIDDLE))
    there_and_back = [*range(200, 440, 8), *range(440, 200, -8), *range(200, 320, 8)]
    chance = Random(2)  # noqa: S311  # a repeatable course
    shots = [[person(x)] for x in there_and_back]
    shots += [[person(318 + chance.gauss(0, 1.5))] for _ in range(100)]
    shots += [[person(x)] for x in range(320, 200, -8)]
    events, _ = play(watched, shots)
    assert crossings(events) == {"line_crossed:gate:out": 1, "line_crossed:gate:in": 1}


def test_who_passes_the_end_of_a_line_has_not_crossed_it() -> None:
    watched = scene(lines=lines({"gate": "0.5,0 0.5,0.3"}))
    events, _ = play(watched, [[person(x)] for x in range(100, 540, 8)])
    assert crossings(events) == {}


def test_a_zone_with_a_least_dwell_is_entered_late_and_only_by_its_labels() -> None:
    watched = scene(zones=zones({"porch": "person@0,0 1,0 1,1 0,1 dwell=3"}))
    events, there = play(watched, [[person(200), person(400, label="dog")] for _ in range(50)])
    entered = [event for event in events if "zone_entered:porch" in event.changes]
    assert [event.label for event in entered] == ["person"]
    assert entered[0].ts - 1e9 == pytest.approx(3.2, abs=0.3)
    assert there[-1].zones == {"porch": {"person": 1}}


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


def test_points_of_a_polygon_with_a_bay_are_told_apart() -> None:
    polygon = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 0.4), (0.0, 1.0))
    assert inside((0.5, 0.2), polygon)
    assert not inside((0.5, 0.8), polygon)
    assert not inside((1.2, 0.5), polygon)


def test_a_line_is_crossed_between_its_ends() -> None:
    line = ((0.5, 0.0), (0.5, 1.0))
    assert passes_between((0.4, 0.5), (0.6, 0.5), line)
    assert not passes_between((0.4, 1.5), (0.6, 1.5), line)


def test_who_stands_on_the_line_for_a_frame_has_crossed_it_if_it_goes_on_and_not_if_it_turns_back() -> None:
    gate: Any = lines(MIDDLE)
    for way, told in (((0.4, 0.5, 0.6), ["line_crossed:gate:out"]), ((0.4, 0.5, 0.4), [])):
        ground, known = Ground((), gate), Whereabouts()
        news = [one for x in way for one in ground.follow(0.0, "person", (x, 0.5), (0.005, 0.005), known)]
        assert news == told


def test_who_crosses_a_line_before_it_counts_has_crossed_it() -> None:
    """It comes in behind another one, goes through the line beside it and only then is seen apart."""
    watched = scene(lines=lines(MIDDLE))
    shots = [[person(380 - 8 * n, score=0.9)] for n in range(5)]
    shots += [[person(380 - 8 * n, score=0.9), person(380 - 8 * n - 12 - (n - 5) ** 2)] for n in range(5, 14)]
    events, there = play(watched, shots)
    assert there[-1].lines == {"gate": {("in", "person"): 2}}
    second = [event for event in events if event.kind == "start"][1]
    assert second.start_ts == 1e9 + 0.5
    assert second.lines == (("gate", "in"),)


@pytest.mark.parametrize(
    ("hidden", "ahead", "crossed"), [(12, 60, 1), (5, 60, 1), (5, 80, 0), (16, 200, 0), (24, 40, 0)]
)
def test_who_comes_up_behind_a_line_within_reach_of_who_was_lost_before_it_has_crossed_it(
    hidden: int, ahead: int, crossed: int
) -> None:
    """The boxes are too far from each other for one id. At 0.8 heights a second nobody gets ``ahead``."""
    watched = scene(lines=lines(MIDDLE))
    shots = [[person(200 + 8 * n)] for n in range(13)] + [[]] * hidden
    shots += [[person(304 + 8 * (hidden + n) + ahead)] for n in range(8)]
    events, there = play(watched, shots)
    starts = [event for event in events if event.kind == "start"]
    assert len(starts) == 2
    assert (
        crossings([starts[1]])
        == crossings(events)
        == Counter({"line_crossed:gate:out": crossed} if crossed else {})
    )
    assert there[-1].lines == {"gate": {("out", "person"): 1} if crossed else {}}
    assert starts[1].lines == ((("gate", "out"),) if crossed else ())


def test_who_was_lost_before_a_line_and_comes_back_has_not_crossed_it_with_another() -> None:
    watched = scene(lines=lines(MIDDLE))
    stays = [person(280)]
    shots = [stays] * 10 + [[]] * 5 + [[person(355)]] * 6 + [[person(355), *stays]] * 10
    _, there = play(watched, shots)
    assert there[-1].counts == {"person": 2}
    assert there[-1].lines == {"gate": {("out", "person"): 1}}
    back = [[person(355), person(280 + 5 * n)] for n in range(8)] + [[person(355), person(320)]] * 3
    _, there = play(watched, back)
    assert there[-1].lines == {"gate": {("out", "person"): 1}}


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


@pytest.mark.parametrize(
    ("height", "sizes_of_birds", "kept"),
    [
        (96, "0.0125-1", 1),
        (96, "0-0.0125", 1),
        (95, "0.0125-1", 0),
        (97, "0-0.0125", 0),
        (96, "0.01-0.02", 1),
    ],
)
def test_a_box_is_looked_at_if_it_covers_as_much_of_the_frame_as_it_may(
    height: int, sizes_of_birds: str, kept: int
) -> None:
    """40 of 640 pixels wide: with 96 of 480 that is an eightieth."""
    watched = scene(areas=sizes(f"bird:{sizes_of_birds}"))
    bird = Detection(0, "bird", 0.9, Box(100, 100, 140, 100 + height))
    assert len(watched.update(frame(0), [bird]).detections) == kept


def test_what_happens_in_a_still_picture_is_told_of_every_label() -> None:
    watched = scene(stationary_s=3.0)
    pair = [person(100), person(500, label="dog")]
    play(watched, [pair] * 20)
    told = [event for number in range(20, 40) for event in watched.carry(frame(number), pair).events]
    assert sorted((event.label, *event.changes) for event in told) == [
        ("dog", "stationary"),
        ("person", "stationary"),
    ]


@pytest.mark.parametrize("then", [[person(100), person(500)], [person(125)]], ids=["comes", "strays"])
def test_who_comes_late_or_strays_wants_to_be_looked_at_as_well(then: list[Detection]) -> None:
    watched = scene()
    asked = []
    for number, found in enumerate([[person(100)]] * 60 + [then]):
        watched.update(frame(number), found)
        asked.append(watched.restless)
    assert asked[-2:] == [False, True]


def test_what_stood_still_may_be_hidden_for_half_a_minute_and_is_forgotten_then() -> None:
    """Meanwhile others are told of; in the end nothing is known of who was there."""
    watched = scene(stationary_s=2.0)
    shots = [[person(100)]] * 40 + [[]] * 250 + [[person(100)]] * 10
    shots += [[person(500)]] * 40 + [[]] * 310
    events, _ = play(watched, shots)
    assert [event.kind for event in events if event.kind != "update"] == ["start", "start", "end", "end"]
    assert changes(events) == ["stationary", "stationary"]
    assert watched._born == {}  # noqa: SLF001  # the promise is about memory
