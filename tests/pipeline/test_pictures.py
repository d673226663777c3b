"""Better pictures of an object are told at most once a second, and the best one always."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from edged.contract import event_messages, words
from edged.pipeline.follow import Follower
from edged.records import Box, Detection, Event, Frame
from edged.scene import Scene, SceneRules
from edged.settings.areas import Area

if TYPE_CHECKING:
    from collections.abc import Iterable

NEARER_S = 3.05
"""Until then the face grows."""
ZONES = (Area("near", ((0.0, 0.6), (1.0, 0.6), (1.0, 1.0), (0.0, 1.0))),)


def frame(number: int) -> Frame:
    """Twenty a second, each of a grey of its own."""
    image = np.full((480, 640, 3), number, np.uint8)
    return Frame(number, image, 1e9 + number / 20, number / 20, number / 20)


def face(number: int) -> Detection:
    """It comes nearer until it stops, and each time is seen better."""
    size = 30 * 1.03 ** min(number, NEARER_S * 20)
    return Detection(0, "face", 0.9, Box(320 - size / 2, 200 - size / 2, 320 + size / 2, 200 + size / 2))


def walk(follower: Follower, numbers: Iterable[int]) -> list[tuple[float, Event]]:
    """Events with the times at which they are told."""
    return [
        (number / 20, event)
        for number in numbers
        for event in follower.look(frame(number), [face(number)]).events
    ]


def grey(event: Event) -> int:
    """The number of the frame of which its picture is."""
    assert event.crop is not None
    return int(event.crop[0, 0, 0])


def test_who_comes_nearer_has_one_better_picture_a_second_and_the_best_one_in_the_end() -> None:
    follower = Follower(Scene(SceneRules()))
    told = walk(follower, range(120))
    assert [event.kind for _, event in told] == ["start"] + ["update"] * (len(told) - 1)
    assert all(event.changes == ("picture",) for _, event in told[1:])
    times = [time_s for time_s, _ in told]
    assert 3 <= len(told) - 1 <= 4
    assert all(second - first >= 0.999 for first, second in itertools.pairwise(times))
    (end,) = follower.end("stop")
    newest = told[-1][1]
    assert (end.crop, end.best_box) == (None, newest.best_box)
    assert 55 <= grey(newest) <= 70


def test_the_best_picture_comes_with_the_end_where_it_has_waited() -> None:
    follower = Follower(Scene(SceneRules()))
    told = walk(follower, range(20))
    assert [event.kind for _, event in told] == ["start"]
    (end,) = follower.end("stop")
    assert end.changes == ()
    assert grey(end) > grey(told[0][1])
    assert walk(follower, range(20, 60))[0][1].event_id != end.event_id


def test_what_else_happens_is_told_at_once_and_takes_the_picture_along() -> None:
    follower = Follower(Scene(SceneRules(zones=ZONES)))
    told = walk(follower, range(80))
    (entered,) = [event for _, event in told if "zone_entered:near" in event.changes]
    assert set(entered.changes) == {"zone_entered:near", "picture"}
    assert entered.crop is not None
    assert words.sentence(event_messages.event(entered, camera="front", boot_id="0" * 32)) == "enters near"


def test_a_clock_that_begins_anew_holds_no_picture_back_for_ever() -> None:
    """As that of a file that is replayed."""
    follower = Follower(Scene(SceneRules()))
    told = walk(follower, range(20))
    again = follower.look(Frame(20, frame(20).pixels, 1e9 + 1, 1.0, 0.0), [face(20)]).events
    assert [event.changes for event in again] == [("picture",)]
    assert grey(again[0]) > grey(told[0][1])
