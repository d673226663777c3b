"""Zones and lines: who is inside, who has crossed, and who has not."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest
from scenes import MIDDLE, crossings, person, play, scene

from edged.scene.zones import Ground, Whereabouts, inside, passes_between
from edged.settings.areas import lines, zones


def test_a_line_counts_each_way_and_not_who_trembles_on_it() -> None:
    watched = scene(lines=lines(MIDDLE))
    there_and_back = [*range(200, 440, 8), *range(440, 200, -8), *range(200, 320, 8)]
    chance = Random(2)  # noqa: S311  # a repeatable course
    shots = [[person(x)] for x in there_and_back]
    shots += [[person(318 + chance.gauss(0, 1.5))] for _ in range(100)]
    shots += [[person(x)] for x in range(320, 200, -8)]
    events, _ = play(watched, shots)
    assert crossings(events) == {"line_crossed:gate:out": 1, "line_crossed:gate:in": 1}


def test_who_crosses_a_line_all_day_makes_no_news_that_grow_all_day() -> None:
    """Each is told and counted, and the last are listed: every crossing tells all of the list again."""
    watched = scene(lines=lines(MIDDLE))
    there_and_back = [*range(200, 440, 8), *range(440, 200, -8)] * 110
    events, there = play(watched, [[person(x)] for x in there_and_back])
    assert crossings(events) == {"line_crossed:gate:out": 110, "line_crossed:gate:in": 110}
    assert there[-1].lines["gate"] == {("out", "person"): 110, ("in", "person"): 110}
    assert events[-1].lines == (("gate", "out"), ("gate", "in")) * 100


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
        news = [
            one for x in way for one in ground.follow(0.0, "person", (x, 0.5), lambda: (0.005, 0.005), known)
        ]
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


def test_who_comes_up_is_who_was_lost_there_and_nobody_of_another_label_or_on_another_level() -> None:
    """Somebody stands at the edge all the while, and was there before."""
    stays = person(600, score=0.9)
    for label, y, crossed in (("person", 300.0, 1), ("dog", 300.0, 0), ("person", 450.0, 0)):
        watched = scene(lines=lines(MIDDLE))
        shots = [[stays]] * 5 + [[stays, person(200 + 8 * n)] for n in range(13)] + [[stays]] * 5
        shots += [[stays, person(404 + 8 * n, y, label=label)] for n in range(8)]
        events, _ = play(watched, shots)
        assert [event.label for event in events if event.kind == "start"] == ["person", "person", label]
        assert crossings(events).total() == crossed
