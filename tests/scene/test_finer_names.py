"""Finer labels: who is looked at when, the best of several looks, and whom they are told of."""

from __future__ import annotations

from dataclasses import replace

import pytest
from scenes import person, play, scene

from edged.scene.naming import FinerNames

STARTS, ENDS = (
    tuple(event for event in play(scene(), [[person(300)]] * 20 + [[]] * 40)[0] if event.kind == kind)
    for kind in ("start", "end")
)
ID = STARTS[0].track
SEEN = person(300)._replace(track=ID)


def known(*tracks: int) -> FinerNames:
    names = FinerNames()
    names.meet(tuple(replace(STARTS[0], track=track) for track in tracks))
    return names


def test_only_who_is_confirmed_and_has_a_label_of_the_model_is_looked_at() -> None:
    names = known(ID)
    assert names.due([SEEN], {"person"}, 5.0) is SEEN
    assert names.due([SEEN], {"bird"}, 5.0) is None
    assert names.due([SEEN._replace(track=None)], {"person"}, 5.0) is None
    assert names.due([SEEN._replace(track=ID + 1)], {"person"}, 5.0) is None
    assert names.due([], {"person"}, 5.0) is None
    names.meet(ENDS)
    assert names.due([SEEN], {"person"}, 5.0) is SEEN, "until it parts"
    names.part(STARTS)
    assert names.due([SEEN], {"person"}, 5.0) is SEEN
    names.part((*ENDS, *ENDS))
    assert names.due([SEEN], {"person"}, 5.0) is None


@pytest.mark.parametrize(("now", "again"), [(5.0, False), (5.999, False), (6.0, True), (4.0, True)])
def test_a_second_look_comes_a_second_later_or_when_the_clock_was_set_back(
    *, now: float, again: bool
) -> None:
    names = known(ID)
    names.learn(ID, None, 5.0)
    assert (names.due([SEEN], {"person"}, now) is SEEN) is again


def test_a_first_look_needs_no_time_to_pass() -> None:
    assert known(ID).due([SEEN], {"person"}, 0.5) is SEEN


def test_five_looks_are_enough() -> None:
    names = known(ID)
    for look in range(5):
        assert names.due([SEEN], {"person"}, 10.0 * look) is SEEN
        names.learn(ID, None, 10.0 * look)
    assert names.due([SEEN], {"person"}, 100.0) is None
    assert names.looks == 5


def test_who_had_the_fewest_looks_is_next_and_then_who_has_waited_longest() -> None:
    names = known(1, 2, 3)
    first, second, third = (SEEN._replace(track=track) for track in (1, 2, 3))
    assert names.due([second, first], {"person"}, 0.5) is second, "whoever comes first, if all else is equal"
    names.learn(1, None, 1.0)
    names.learn(2, None, 5.0)
    assert names.due([first, second, third], {"person"}, 9.0) is third
    names.learn(3, None, 2.0)
    assert names.due([second, third, first], {"person"}, 9.0) is first


def test_the_best_of_several_looks_is_told_of_every_detection_and_event() -> None:
    names = known(ID)
    stranger = SEEN._replace(track=ID + 1)
    other = replace(STARTS[0], track=ID + 1)
    assert names.detections((SEEN, stranger)) == (SEEN, stranger)
    assert names.events((STARTS[0], other)) == (STARTS[0], other)
    for moment, seen in enumerate([("robin", 0.5), ("wren", 0.7), ("robin", 0.7), ("tit", 0.6), None]):
        names.learn(ID, seen, float(moment))
    untracked = SEEN._replace(track=None)
    told = names.detections((SEEN, stranger, untracked))
    assert told == (SEEN._replace(sub_label="wren", sub_score=0.7), stranger, untracked)
    assert names.events((STARTS[0], other)) == (
        replace(STARTS[0], sub_label="wren", sub_score=0.7),
        other,
    )
