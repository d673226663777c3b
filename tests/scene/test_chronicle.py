"""When there is news of an object: to the second, the pixel and the hundredth of a score."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from edged.records import Box, Event, Frame
from edged.scene.events import Chronicle, is_cut
from edged.scene.kalman import Course
from edged.scene.tracks import Track
from edged.scene.zones import Ground
from edged.settings.areas import lines, zones

WIDTH, HEIGHT = 400, 200
IMAGE = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
HOME = Box(100.0, 50.0, 140.0, 150.0)
"""40 wide, 100 high, nowhere near the edge."""


class Told:
    """A chronicle with one object, and what was told of it."""

    def __init__(
        self,
        *,
        stationary_s: float = 10.0,
        score: float = 0.5,
        box: Box = HOME,
        born_s: float = 0.0,
        labels: str = "",
        gate: str = "",
    ) -> None:
        porch: Any = zones({"porch": f"{labels}0,0 1,0 1,1 0,1"})
        gates: Any = lines({"gate": gate}) if gate else ()
        names = map(str, itertools.count(1))
        self.chronicle = Chronicle(Ground(porch, gates), stationary_s, names.__next__)
        self.track = Track(7, born_s, born_s, score, box, box, Course(box))
        self.track.scores.append(score)

    def see(self, now: float, box: Box = HOME, score: float | None = None) -> list[Event]:
        self.track.box, self.track.seen_s = box, now
        if score is not None:
            self.track.score = score
            self.track.scores.append(score)
        return self.chronicle.follow(now, frame(now), "person", self.track, 1000.0)

    def changes(self, now: float, box: Box = HOME, score: float | None = None) -> list[str]:
        return [change for event in self.see(now, box, score) for change in event.changes]

    def end(self, now: float) -> list[Event]:
        return self.chronicle.end(now, frame(now), self.track, "lost")


def frame(now: float) -> Frame:
    return Frame(0, IMAGE, 1000.0 + now, now, now)


def moved(x: float, y: float = 0.0, box: Box = HOME) -> Box:
    return Box(box.x1 + x, box.y1 + y, box.x2 + x, box.y2 + y)


def test_a_start_and_an_end_say_all_that_is_known() -> None:
    told = Told()
    told.track.scores.append(0.9)  # before it was confirmed
    (start,) = told.see(1.0)
    assert (start.kind, start.event_id, start.changes, start.ended_by) == (
        "start",
        "1",
        ("zone_entered:porch",),
        "",
    )
    assert (start.track, start.label, start.score, start.top_score) == (7, "person", 0.5, 0.9)
    assert (start.box, start.best_box, start.width, start.height) == (HOME, HOME, WIDTH, HEIGHT)
    assert (start.ts, start.start_ts, start.end_ts, start.duration_s) == (1001.0, 1000.0, None, 1.0)
    assert (start.zones, start.entered_zones, start.lines, start.path) == (
        ("porch",),
        ("porch",),
        (),
        ((0.3, 0.75),),
    )
    assert not start.stationary
    assert start.dwell_s == {"porch": pytest.approx(0.3)}
    told.see(5.0, score=0.6)
    (end,) = told.end(9.0)
    assert (end.kind, end.event_id, end.changes, end.ended_by) == ("end", "1", (), "lost")
    assert (end.ts, end.end_ts, end.duration_s) == (1009.0, 1005.0, 5.0)
    assert end.dwell_s == {"porch": pytest.approx(4.3)}
    assert (end.score, end.top_score) == (0.6, 0.9)
    assert told.end(9.0) == []
    assert (told.chronicle.started, told.chronicle.ended, told.chronicle.open) == (1, 1, {})
    assert told.see(10.0)[0].event_id == "2"
    assert told.chronicle.started == 2


def test_boxes_that_reach_out_of_the_frame_are_told_within_it() -> None:
    told = Told(box=Box(-10.0, -20.0, 500.0, 300.0))
    (start,) = told.see(1.0, told.track.box)
    assert start.box == start.best_box == Box(0.0, 0.0, 400.0, 200.0)
    (gone,) = Told().see(1.0, Box(-50.0, -90.0, -10.0, -5.0))
    assert gone.box == Box(0.0, 0.0, 0.0, 0.0)


def test_who_is_there_without_news_is_told_of_once_a_minute() -> None:
    told = Told(stationary_s=0.0)
    told.see(1.0)
    assert [told.changes(now) for now in (60.9, 61.0, 61.1, 120.9, 121.0)] == [
        [],
        ["alive"],
        [],
        [],
        ["alive"],
    ]


def test_news_starts_the_minute_again() -> None:
    told = Told(stationary_s=10.0)
    told.see(1.0)
    assert [told.changes(now) for now in (10.9, 11.0, 61.0, 71.0)] == [[], ["stationary"], [], ["alive"]]


def test_nothing_is_stationary_where_nothing_is_to_be() -> None:
    told = Told(stationary_s=0.0)
    told.see(0.0)
    assert [told.changes(now) for now in (0.5, 50.0)] == [[], []]


def test_what_jumps_away_moves_at_once_and_is_stationary_where_it_then_stands() -> None:
    told = Told()
    told.see(0.0)
    assert told.see(10.0)[0].stationary
    (event,) = told.see(11.0, moved(30))  # overlap 1/7
    assert (event.changes, event.stationary) == (("moving",), False)
    assert [told.changes(now, moved(30)) for now in (20.9, 21.0)] == [[], ["stationary"]]


def test_what_is_somewhere_else_altogether_moves_at_once() -> None:
    for away in (moved(100), moved(0, 120), moved(100, 120)):
        told = Told()
        told.see(0.0)
        told.see(10.0)
        assert "moving" in told.changes(11.0, away)


@pytest.mark.parametrize("way", [moved(22), moved(-22), moved(0, 56), moved(0, -56)])
def test_what_goes_a_good_half_of_its_size_moves_in_time_and_not_at_once_whichever_way(way: Box) -> None:
    """The overlap is a little more than a quarter."""
    told = Told()
    told.see(0.0, HOME)
    told.see(10.0, HOME)
    said = [told.changes(now, way) for now in (11.0, 11.5)]
    assert ["moving" in changes for changes in said] == [False, True]


def test_what_goes_a_little_moves_when_it_stays_away() -> None:
    """Below three fifths of overlap: 40 pixels wide, 11 to the side are 29 / 51, 9 are 31 / 49."""
    told = Told()
    told.see(0.0)
    told.see(10.0)
    assert [told.changes(now, moved(9)) for now in (11.0, 12.0)] == [[], []]
    assert [told.changes(now, moved(11)) for now in (13.0, 13.4, 13.5)] == [[], [], ["moving"]]


def test_what_is_back_in_its_place_soon_has_not_moved() -> None:
    told = Told()
    told.see(0.0)
    told.see(10.0)
    way = [(11.0, 11), (11.4, 0), (11.6, 11), (12.0, 11), (12.1, 11)]
    assert [told.changes(now, moved(x)) for now, x in way] == [[], [], [], [], ["moving"]]


def test_who_moves_on_and_on_is_never_stationary() -> None:
    told = Told()
    told.see(0.0)
    assert not [change for n in range(60) for change in told.changes(n / 2, moved(n * 2))]
    assert [told.changes(now, moved(118)) for now in (36.0, 40.0)] == [[], ["stationary"]]


@pytest.mark.parametrize(
    ("score", "box", "better"),
    [
        (0.54, HOME, False),
        (0.5625, HOME, True),
        (0.5, Box(100.0, 50.0, 140.0, 159.0), False),
        (0.5, Box(100.0, 50.0, 140.0, 161.0), True),
        (0.9, Box(7.0, 50.0, 140.0, 150.0), False),
    ],
)
def test_a_picture_is_better_by_its_score_or_its_size_and_never_if_it_is_cut(
    score: float,
    box: Box,
    better: bool,  # noqa: FBT001  # a case
) -> None:
    told = Told(stationary_s=0.0)
    told.see(0.0)
    events = told.see(1.0, box, score)
    assert [event.changes for event in events] == ([("picture",)] if better else [])
    (end,) = told.end(2.0)
    assert end.best_box == (box if better else HOME)


def test_a_picture_that_is_cut_gives_way_to_any_that_is_whole_and_to_a_better_cut_one() -> None:
    cut = Box(2.0, 50.0, 42.0, 150.0)
    told = Told(stationary_s=0.0, box=cut, score=0.5)
    told.see(0.0, cut)
    assert told.changes(0.5, cut, 0.5) == []
    assert told.changes(1.0, cut, 0.6) == ["picture"]
    assert told.changes(1.5, moved(40), 0.3) == ["picture"]
    assert told.changes(2.0, cut, 0.9) == []
    assert told.changes(2.5, moved(40), 0.34) == []
    assert told.changes(3.0, moved(40), 0.36) == ["picture"]


@pytest.mark.parametrize(
    ("box", "cut"),
    [
        (Box(8.0, 4.0, 392.0, 196.0), False),
        (Box(7.9, 4.0, 392.0, 196.0), True),
        (Box(8.0, 3.9, 392.0, 196.0), True),
        (Box(8.0, 4.0, 392.1, 196.0), True),
        (Box(8.0, 4.0, 392.0, 196.1), True),
    ],
)
def test_a_box_may_be_cut_where_it_is_nearer_than_a_fiftieth_to_the_edge(
    box: Box,
    cut: bool,  # noqa: FBT001  # a case
) -> None:
    assert is_cut(box, WIDTH, HEIGHT) is cut


def test_a_path_goes_on_by_a_fiftieth_of_the_frame() -> None:
    told = Told()
    steps = [(0, 0), (7, 0), (9, 0), (9, 3), (9, 5), (1, 5), (12.345, 12.123)]
    for now, (x, y) in enumerate(steps):
        told.see(float(now), moved(x, y))
    (end,) = told.end(9.0)
    assert end.path == ((0.3, 0.75), (0.3225, 0.75), (0.3225, 0.775), (0.3025, 0.775), (0.3309, 0.8106))


def test_the_older_half_of_a_long_path_gets_coarser() -> None:
    told = Told()
    xs = [float(10 * (n % 20)) for n in range(65)]
    for now, x in enumerate(xs):
        told.see(float(now), moved(x))
    (end,) = told.end(99.0)
    places = [(round((120 + x) / WIDTH, 4), 0.75) for x in xs]
    assert list(end.path) == [*places[:32:2], *places[32:]]


def test_the_longest_path_is_kept_whole() -> None:
    told = Told()
    for n in range(64):
        told.see(float(n), moved(10.0 * (n % 20)))
    assert len(told.end(99.0)[0].path) == 64


def test_what_follows_a_start_is_an_update() -> None:
    told = Told()
    assert [event.kind for now in (1.0, 2.0) for event in told.see(now, score=0.4 + now / 10)] == [
        "start",
        "update",
    ]


def test_time_is_counted_from_when_it_was_born_whatever_the_clock_shows() -> None:
    told = Told(born_s=100.0, stationary_s=0.0)
    assert told.see(101.0)[0].duration_s == 1.0
    (update,) = told.see(104.0, score=0.9)
    told.track.seen_s = 102.0  # as if it had been missed since
    (end,) = told.end(110.0)
    assert (update.duration_s, end.duration_s) == (4.0, 2.0)
    told.see(111.0)
    told.end(112.0)
    assert told.chronicle.ended == 2


def test_zones_and_lines_hear_which_label_it_has() -> None:
    assert Told(labels="person@").see(1.0)[0].zones == ("porch",)
    assert Told(labels="car@").see(1.0)[0].zones == ()
    for labels, crossed in (("person@", (("gate", "out"),)), ("car@", ())):
        told = Told(gate=f"{labels}0.5,0 0.5,1")
        told.see(1.0)
        told.see(2.0, moved(200))
        assert told.end(3.0)[0].lines == crossed


def test_who_crosses_a_line_before_being_confirmed_has_crossed_it() -> None:
    """However near to it, as it is low: a twentieth of its height is far enough."""
    first = Box(164.0, 150.0, 204.0, 170.0)
    told = Told(gate="person@0.5,0 0.5,1", box=first)
    (start,) = told.see(1.0, moved(60, box=first))
    assert start.lines == (("gate", "out"),)


@pytest.mark.parametrize(("beyond", "crossed"), [(4.0, False), (5.4, True)])
def test_a_line_is_crossed_by_a_twentieth_of_the_height_of_the_box(*, beyond: float, crossed: bool) -> None:
    """The line lies across the frame at 100 pixels; the box is 100 tall."""
    told = Told(gate="0,0.5 1,0.5", box=Box(100.0, -40.0, 140.0, 60.0))
    told.see(1.0, told.track.box)
    changes = told.changes(2.0, Box(100.0, beyond, 140.0, 100.0 + beyond))
    assert bool([change for change in changes if "line_crossed" in change]) is crossed
