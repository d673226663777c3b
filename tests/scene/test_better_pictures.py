"""A better picture waits for the last one to be a second old, and comes with whatever is told before."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from news import news as of_a_person

from edged.scene.pictures import Pictures

if TYPE_CHECKING:
    from edged.records import Event, Image


def shot(grey: int) -> Image:
    return np.full((2, 2, 3), grey, np.uint8)


def news(kind: str, *changes: str, grey: int | None = None, event_id: str = "a") -> Event:
    crop = None if grey is None else shot(grey)
    return replace(of_a_person(1, kind), event_id=event_id, changes=changes, crop=crop)


def told(
    pictures: Pictures, now: float, *events: Event
) -> list[tuple[str, str, tuple[str, ...], int | None]]:
    return [
        (one.event_id, one.kind, one.changes, None if one.crop is None else int(one.crop[0, 0, 0]))
        for one in pictures.pace(events, now)
    ]


def begun(*ids: str) -> Pictures:
    """A picture of each was told at 8 s."""
    pictures = Pictures()
    told(pictures, 8.0, *(news("start", grey=1, event_id=one) for one in ids))
    return pictures


def test_a_better_picture_comes_once_the_last_is_a_second_old() -> None:
    pictures = begun("a")
    assert told(pictures, 8.0, news("update", "picture", grey=2)) == []
    assert told(pictures, 8.75, news("update", "picture", grey=3)) == []
    assert told(pictures, 9.0) == [("a", "update", ("picture",), 3)]
    assert told(pictures, 9.25, news("update", "picture", grey=4)) == []
    assert told(pictures, 9.75) == []
    assert told(pictures, 10.0, news("update", "picture", grey=5)) == [("a", "update", ("picture",), 5)]
    assert told(pictures, 12.0) == []


def test_other_news_comes_at_once_and_brings_the_picture_that_waits() -> None:
    pictures = begun("a")
    told(pictures, 8.25, news("update", "picture", grey=2))
    assert told(pictures, 8.5, news("update", "zone_entered:porch")) == [
        ("a", "update", ("zone_entered:porch", "picture"), 2)
    ]
    assert told(pictures, 8.75, news("update", "stationary")) == [("a", "update", ("stationary",), None)]
    told(pictures, 9.0, news("update", "picture", grey=3))
    assert told(pictures, 9.25, news("update", "moving", "picture", grey=4)) == [
        ("a", "update", ("moving", "picture"), 4)
    ]
    told(pictures, 9.5, news("update", "picture", grey=5))
    assert told(pictures, 9.75, news("update", "picture")) == [], "still nothing but a picture"
    assert told(pictures, 10.25) == [("a", "update", ("picture",), 5)]


def test_the_end_brings_the_picture_that_waits_unless_it_has_a_better_one() -> None:
    pictures = begun("a", "b")
    told(pictures, 8.25, news("update", "picture", grey=2), news("update", "picture", grey=3, event_id="b"))
    assert told(pictures, 8.5, news("end"), news("end", grey=4, event_id="b")) == [
        ("a", "end", (), 2),
        ("b", "end", (), 4),
    ]
    assert told(pictures, 20.0) == []


def test_of_an_object_that_has_ended_nothing_is_kept() -> None:
    pictures = begun("a")
    assert told(pictures, 8.25, news("end", grey=2)) == [("a", "end", (), 2)]
    assert told(pictures, 8.5, news("update", "picture", grey=3)) == [("a", "update", ("picture",), 3)]
    assert told(Pictures(), 8.0, news("end")) == [("a", "end", (), None)]


def test_one_object_waits_for_no_other_and_what_has_waited_is_told_first() -> None:
    pictures = begun("a")
    told(pictures, 8.5, news("start", grey=1, event_id="b"), news("update", "picture", grey=2))
    assert told(
        pictures, 9.0, news("update", "picture", grey=3, event_id="b"), news("start", event_id="c")
    ) == [
        ("a", "update", ("picture",), 2),
        ("c", "start", (), None),
    ]
    assert told(pictures, 9.5) == [("b", "update", ("picture",), 3)]


def test_news_without_a_picture_begins_no_second_to_wait() -> None:
    pictures = Pictures()
    told(pictures, 8.0, news("start"))
    assert told(pictures, 8.25, news("update", "picture", grey=2)) == [("a", "update", ("picture",), 2)]
    told(pictures, 9.0, news("update", "moving"))
    assert told(pictures, 9.25, news("update", "picture", grey=3)) == [("a", "update", ("picture",), 3)]


def test_time_that_begins_anew_lets_a_picture_wait_no_longer() -> None:
    pictures = begun("a")
    assert told(pictures, 0.5, news("update", "picture", grey=2)) == [("a", "update", ("picture",), 2)]
