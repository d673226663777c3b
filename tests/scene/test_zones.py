"""Where an object is: to the second in zones, and on the right side of lines."""

from __future__ import annotations

import math
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from edged.scene.zones import Field, Ground, Whereabouts, inside, passes_between, place, side
from edged.settings.areas import lines, zones

if TYPE_CHECKING:
    from collections.abc import Callable

PORCH: Any = zones({"porch": "0,0 0.5,0 0.5,1 0,1"})
BOTH: Any = zones({"porch": "0,0 0.5,0 0.5,1 0,1", "yard": "0.25,0 1,0 1,1 0.25,1"})
GATE: Any = lines({"gate": "0.5,0.2 0.5,0.8"})
IN, OUT = (0.2, 0.5), (0.8, 0.5)


def by(clear: float) -> Callable[[], tuple[float, float]]:
    """Says how far is clear, across and down."""
    return lambda: (clear, clear)


def walk(
    ground: Ground,
    way: list[tuple[float, tuple[float, float]]],
    *,
    clear: tuple[float, float] = (0.01, 0.01),
    label: str = "person",
) -> tuple[list[tuple[float, str]], Whereabouts]:
    """Who is where and when; gives what is told at which time."""
    known = Whereabouts()
    return [
        (now, told) for now, where in way for told in ground.follow(now, label, where, lambda: clear, known)
    ], known


def test_an_object_stands_in_the_middle_of_the_lower_edge_of_its_box_and_within_the_frame() -> None:
    assert place((100, 50, 300, 120), 400, 240) == (0.5, 0.5)
    assert place((-500, -90, 100, -10), 400, 240) == (0.0, 0.0)
    assert place((700, 50, 900, 300), 400, 240) == (1.0, 1.0)
    assert place((100, 50, 300, 300), 400, 240) == (0.5, 1.0)
    assert place((700, 50, 900, 120), 400, 240) == (1.0, 0.5)


def test_a_field_has_what_is_inside_its_polygon_and_nothing_else() -> None:
    hollow = [(0.1, 0.2), (0.9, 0.1), (0.7, 0.5), (0.8, 0.9), (0.2, 0.7), (0.5, 0.4)]
    field = Field(hollow)
    points = [(x / 40, y / 40) for x in range(41) for y in range(41)]  # the corners are among them
    assert [field.has(point) for point in points] == [inside(point, hollow) for point in points]
    assert len({field.has(point) for point in points}) == 2


def test_a_point_is_in_a_convex_polygon_if_it_is_on_the_inner_side_of_every_edge() -> None:
    chance = Random(3)  # noqa: S311  # repeatable shapes
    angles = (0.3, 1.1, 2.0, 3.3, 4.4, 5.6)
    corners = [(0.5 + 0.4 * math.cos(angle), 0.5 + 0.3 * math.sin(angle)) for angle in angles]
    edges = list(zip(corners, [*corners[1:], corners[0]], strict=True))
    for _ in range(2000):
        point = chance.random(), chance.random()
        assert inside(point, corners) == all(side(point, edge) > 0 for edge in edges)


def test_a_point_as_high_as_a_corner_is_in_a_polygon_or_not_like_any_other() -> None:
    corners = ((0.5, 0.25), (0.75, 0.5), (0.5, 0.75), (0.25, 0.5))
    assert [inside((x, 0.5), corners) for x in (0.125, 0.375, 0.625, 0.875)] == [False, True, True, False]
    assert not any(inside((x, y), corners) for x in (0.25, 0.75) for y in (0.25, 0.75))


def test_the_side_of_a_line_is_its_distance_times_its_length() -> None:
    line = ((0.1, 0.2), (0.4, 0.6))  # 0.5 long
    assert side((0.1 - 0.8 * 0.3, 0.2 + 0.6 * 0.3), line) == pytest.approx(0.3 * 0.5)
    assert side((0.4 + 0.8 * 0.2, 0.6 - 0.6 * 0.2), line) == pytest.approx(-0.2 * 0.5)


def test_a_way_through_the_very_end_of_a_line_goes_through_it() -> None:
    line = ((0.5, 0.25), (0.5, 0.75))
    assert passes_between((0.25, 0.25), (0.75, 0.25), line)
    assert passes_between((0.75, 0.5), (0.25, 1.0), line)
    assert not passes_between((0.25, 0.0), (0.75, 0.25), line)
    assert not passes_between((0.25, 0.75), (0.75, 1.0), line)


def test_a_zone_is_entered_and_left_when_that_has_lasted_and_counts_from_when_it_began() -> None:
    way = [
        (0.0, OUT),
        (1.0, IN),
        (1.2, IN),
        (1.31, IN),
        (4.0, IN),
        (5.0, OUT),
        (5.2, OUT),
        (5.31, OUT),
        (9.0, OUT),
    ]
    told, known = walk(Ground(PORCH, ()), way)
    assert told == [(1.31, "zone_entered:porch"), (5.31, "zone_left:porch")]
    assert known.dwell_s(9.0) == {"porch": 4.0}
    assert (known.zones, known.entered) == ((), ["porch"])


def test_who_is_over_the_edge_for_a_moment_only_has_not_moved() -> None:
    way = [(0.0, OUT), (1.0, IN), (1.2, OUT), (1.4, IN), (1.6, OUT), (2.0, OUT)]
    assert walk(Ground(PORCH, ()), way)[0] == []
    way = [(0.0, IN), (1.0, OUT), (1.2, IN), (1.4, OUT), (1.6, IN), (2.0, IN)]
    told, known = walk(Ground(PORCH, ()), way)
    assert told == [(0.0, "zone_entered:porch")]
    assert known.dwell_s(2.0) == {"porch": pytest.approx(2.3)}


def test_who_appears_in_a_zone_has_been_there_since_it_could_be_believed() -> None:
    told, known = walk(Ground(BOTH, ()), [(0.0, (0.4, 0.5)), (1.0, (0.4, 0.5))])
    assert told == [(0.0, "zone_entered:porch"), (0.0, "zone_entered:yard")]
    assert known.zones == ("porch", "yard")
    assert known.dwell_s(1.0) == {"porch": pytest.approx(1.3), "yard": pytest.approx(1.3)}


def test_stays_add_up_and_a_zone_is_listed_once() -> None:
    way = [
        (0.0, OUT),
        *(
            (2.0 * turn + at, where)
            for turn in range(1, 4)
            for at, where in ((0.0, IN), (0.5, IN), (1.0, OUT), (1.5, OUT))
        ),
    ]
    told, known = walk(Ground(PORCH, ()), way)
    assert [one for _, one in told] == ["zone_entered:porch", "zone_left:porch"] * 3
    assert known.dwell_s(100.0) == {"porch": 3.0}
    assert known.entered == ["porch"]


def test_a_zone_that_was_not_entered_has_no_dwell() -> None:
    _, known = walk(Ground(BOTH, ()), [(0.0, OUT), (1.0, OUT)])
    assert known.dwell_s(1.0) == {"yard": pytest.approx(1.3)}


def test_a_least_dwell_is_for_entering_only() -> None:
    porch: Any = zones({"porch": "0,0 0.5,0 0.5,1 0,1 dwell=3"})
    way = [(0.0, OUT), (1.0, IN), (3.9, IN), (4.0, IN), (6.0, OUT), (6.31, OUT)]
    told, known = walk(Ground(porch, ()), way)
    assert told == [(4.0, "zone_entered:porch"), (6.31, "zone_left:porch")]
    assert known.dwell_s(7.0) == {"porch": 5.0}


def test_zones_and_lines_are_for_their_labels_however_many_objects_come() -> None:
    porch: Any = zones({"porch": "dog@0,0 0.5,0 0.5,1 0,1"})
    gate: Any = lines({"gate": "cat@0.5,0 0.5,1"})
    ground = Ground(porch, gate)
    for _ in range(2):
        told = {
            label: walk(ground, [(0.0, IN), (1.0, OUT)], label=label)[0] for label in ("dog", "cat", "cow")
        }
        assert told == {
            "dog": [(0.0, "zone_entered:porch")],
            "cat": [(1.0, "line_crossed:gate:out")],
            "cow": [],
        }


@pytest.mark.parametrize(("x", "crosses"), [(0.509, False), (0.511, True)])
def test_a_line_is_crossed_by_who_is_clear_of_it(x: float, crosses: bool) -> None:  # noqa: FBT001  # a case
    """However long the line is, and however far that would be in the other direction."""
    told, known = walk(Ground((), GATE), [(0.0, IN), (1.0, (x, 0.5))], clear=(0.01, 0.3))
    assert told == ([(1.0, "line_crossed:gate:out")] if crosses else [])
    assert known.crossed == ([("gate", "out")] if crosses else [])


@pytest.mark.parametrize(("beyond", "crosses"), [(0.99, False), (1.01, True)])
def test_clear_of_an_oblique_line_is_as_many_pixels_as_of_others(*, beyond: float, crosses: bool) -> None:
    """In a frame of 400 x 200 pixels, of which 10 are wanted, a line goes down by 3 pixels in 4 across."""
    slope: Any = lines({"slope": "0.1,0.2 0.5,0.8"})
    middle = (0.3, 0.5)
    across, down = 0.6 * 10 / 400, -0.8 * 10 / 200
    way = [(middle[0] + n * across, middle[1] + n * down) for n in (-5, beyond)]
    told, _ = walk(Ground((), slope), list(zip((0.0, 1.0), way, strict=True)), clear=(10 / 400, 10 / 200))
    assert bool(told) is crosses


def test_who_comes_into_sight_before_a_line_has_crossed_it_once_it_is_known_how_little_it_trembles() -> None:
    """It was clear of the line by what is known now, but not by what was to be feared then."""
    gate: Any = GATE
    for then, now, told in ((0.02, 0.004, ["out"]), (0.02, 0.006, []), (0.004, 0.02, ["out"])):
        ground, known = Ground((), gate), Whereabouts()
        assert ground.begin("person", (0.495, 0.5), by(then), known) == []
        news = ground.follow(1.0, "person", (0.55, 0.5), by(now), known)
        assert news == [f"line_crossed:gate:{way}" for way in told]


def steps(*course: tuple[float, float]) -> list[str]:
    """What is told of who goes through the gate's middle: where it is, and how far from the gate is clear."""
    ground, known = Ground((), GATE), Whereabouts()
    return [told for x, clear in course for told in ground.follow(0.0, "person", (x, 0.5), by(clear), known)]


def test_how_deep_it_was_before_a_line_counts_not_how_near_it_was_at_last() -> None:
    left = (0.498, 0.02), (0.49, 0.02), (0.499, 0.02), (0.55, 0.009)
    assert steps(*left) == ["line_crossed:gate:out"]
    assert steps(*((1.0 - x, clear) for x, clear in left)) == ["line_crossed:gate:in"]


def test_who_is_farther_behind_a_line_than_it_was_before_it_has_crossed_it_once_that_is_clear() -> None:
    assert steps((0.498, 0.02), (0.505, 0.02), (0.55, 0.001)) == ["line_crossed:gate:out"]


def test_who_was_clear_of_a_line_once_has_been_though_its_boxes_tremble_more_by_now() -> None:
    assert steps((0.495, 0.02), (0.47, 0.02), (0.6, 0.05)) == ["line_crossed:gate:out"]


def test_in_is_to_the_right_of_who_looks_from_the_first_end_to_the_second() -> None:
    told, known = walk(Ground((), GATE), [(0.0, OUT), (1.0, IN), (2.0, OUT), (3.0, IN)])
    assert [one for _, one in told] == [
        "line_crossed:gate:in",
        "line_crossed:gate:out",
        "line_crossed:gate:in",
    ]
    assert known.crossed == [("gate", "in"), ("gate", "out"), ("gate", "in")]


def test_who_goes_round_the_end_of_a_line_and_back_through_it_has_crossed_it_once() -> None:
    way = [(0.0, IN), (1.0, (0.2, 0.1)), (2.0, (0.8, 0.1)), (3.0, OUT), (4.0, IN)]
    assert walk(Ground((), GATE), way)[0] == [(4.0, "line_crossed:gate:in")]


def test_who_goes_through_and_back_before_it_was_clear_has_crossed_nothing() -> None:
    """Nor if it then goes round the end."""
    near = (0.505, 0.5)
    way = [(0.0, IN), (1.0, near), (2.0, (0.495, 0.5)), (3.0, (0.495, 0.1)), (4.0, (0.505, 0.1)), (5.0, OUT)]
    assert walk(Ground((), GATE), way)[0] == []
    way = [(0.0, IN), (1.0, near), (2.0, (0.495, 0.5)), (3.0, near), (4.0, OUT)]
    assert walk(Ground((), GATE), way)[0] == [(4.0, "line_crossed:gate:out")]


def test_who_came_back_round_the_end_of_a_line_crosses_it_the_next_time() -> None:
    way = [(0.0, IN), (1.0, (0.505, 0.5)), (2.0, (0.505, 0.1)), (3.0, (0.2, 0.1)), (4.0, IN), (5.0, OUT)]
    assert walk(Ground((), GATE), way)[0] == [(5.0, "line_crossed:gate:out")]


def test_who_is_first_seen_on_a_line_has_crossed_it_only_from_there() -> None:
    assert walk(Ground((), GATE), [(0.0, (0.5, 0.5)), (1.0, IN), (2.0, OUT)])[0] == [
        (2.0, "line_crossed:gate:out")
    ]
    assert walk(Ground((), GATE), [(0.0, (0.495, 0.5)), (1.0, (0.505, 0.5)), (2.0, OUT)])[0] == []


@pytest.mark.parametrize("seed", range(8))
def test_an_object_that_nobody_looks_at_far_from_edges_and_lines_has_the_same_news_as_one_watched(
    seed: int,
) -> None:
    """Two of them go the same way; one is looked at closely at every step."""
    chance = Random(seed)  # noqa: S311  # no secret
    slope: Any = lines({"slope": "0.1,0.9 0.7,0.2"})
    roof: Any = zones({"roof": "0.2,0.3 0.8,0.2 0.5,0.7"})
    ground = Ground((*BOTH, *roof), (*GATE, *slope))
    left_alone, watched = Whereabouts(), Whereabouts()
    x, y, calm, told = 0.5, 0.5, 0, 0
    for frame in range(600):
        x, y = (min(max(at + chance.gauss(0, 0.02), 0.0), 1.0) for at in (x, y))
        if frame == 300:  # it is taken for another one
            for one in (left_alone, watched):
                one.hand_on(Whereabouts())
        calm += left_alone.calm[0] < x < left_alone.calm[2] and left_alone.calm[1] < y < left_alone.calm[3]
        watched.catch_up()
        clear = by(chance.choice((0.001, 0.02)))
        news = ground.follow(frame / 10, "person", (x, y), clear, left_alone)
        assert news == ground.follow(frame / 10, "person", (x, y), clear, watched)
        told += len(news)
    assert left_alone.dwell_s(60.0) == watched.dwell_s(60.0)
    assert left_alone.crossed == watched.crossed
    left_alone.catch_up()
    watched.catch_up()
    assert left_alone.passages == watched.passages
    assert calm > 100
    assert told > 3


def test_who_is_taken_for_another_one_was_last_where_that_one_was_though_nobody_looked_closely() -> None:
    ground, lost, found = Ground((), GATE), Whereabouts(), Whereabouts()
    for x in (0.2, 0.21, 0.22):
        assert ground.follow(0.0, "person", (x, 0.1), by(0.01), lost) == []
    assert lost.passages["gate"].where == (0.2, 0.1)
    lost.hand_on(found)
    assert found.passages["gate"].where == (0.22, 0.1)


def test_who_came_back_around_the_end_of_a_line_crosses_it_when_it_goes_through_again() -> None:
    way = (0.2, 0.5), (0.54, 0.5), (0.54, 0.9), (0.45, 0.9), (0.41, 0.9), (0.59, 0.5)
    told, _ = walk(Ground((), GATE), list(enumerate(way)), clear=(0.06, 0.06))
    assert [now for now, _ in told] == [5]


def test_who_was_seen_first_too_near_a_line_and_then_clear_of_it_has_crossed_it_in_one_step() -> None:
    """How far it was before the line is noted, too, though it came near no edge meanwhile."""
    told, _ = walk(
        Ground((), GATE), list(enumerate(((0.46, 0.5), (0.43, 0.5), (0.6, 0.5)))), clear=(0.06, 0.06)
    )
    assert [now for now, _ in told] == [2]
