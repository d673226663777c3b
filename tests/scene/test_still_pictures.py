"""Who wants to be looked at, and what a still picture may and may not tell."""

from __future__ import annotations

import pytest
from scenes import LEFT_HALF, changes, frame, person, play, scene

from edged.records import Box, Detection
from edged.settings.areas import sizes, zones


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
