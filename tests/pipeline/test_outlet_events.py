"""Events reach their sinks whatever becomes of the frames that brought them."""

from __future__ import annotations

import itertools
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from news import news

from edged.errors import SinkError
from edged.pipeline.follow import Follower
from edged.pipeline.outlet import Outlet
from edged.records import Box, Detection, Frame, Result
from edged.scene import Scene, SceneRules

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edged.records import Event


class Witness:
    """Takes results when it is let, and events always."""

    name = "witness"

    def __init__(self) -> None:
        self.let = threading.Event()
        self.told: list[Event] = []
        self.frames: list[int] = []

    def open(self) -> None: ...

    def send(self, result: Result) -> None:
        self.let.wait(10)
        self.frames.append(result.frame.frame_id)

    def tell(self, events: Sequence[Event]) -> None:
        self.told += events

    def close(self) -> None: ...


def results(count: int) -> tuple[list[Result], Follower]:
    """A person who comes every two seconds and is gone after one."""
    follower = Follower(Scene(SceneRules(), new_id=map(str, itertools.count(1)).__next__))
    made = []
    for number in range(count):
        image = np.full((480, 640, 3), number % 256, np.uint8)
        frame = Frame(number, image, 1e9 + number / 10, number / 10, number / 10)
        x = 100 + 300 * (number // 60 % 2)
        there = [Detection(0, "person", 0.9, Box(x, 100, x + 50, 250))] if number % 60 < 20 else []
        view = follower.look(frame, there)
        made.append(
            Result(
                frame, "m", view.detections, {}, image.copy, waits=False, events=view.events,
                presence=view.presence,
            )
        )  # fmt: skip
    return made, follower


def test_events_of_displaced_frames_are_told_all_the_same_and_in_order() -> None:
    made, follower = results(600)
    sink = Witness()
    outlet = Outlet(sink)
    thread = threading.Thread(target=outlet.run)
    thread.start()
    for result in made:
        outlet.put(result)
    outlet.tell(follower.end("stop"))
    sink.let.set()
    outlet.close()
    thread.join(10)
    expected = [event for result in made for event in result.events]
    assert outlet.lost["superseded"] > 500
    assert outlet.lost["events"] == 0
    assert [(event.kind, event.event_id) for event in sink.told] == [
        (event.kind, event.event_id) for event in expected
    ]
    kinds = [event.kind for event in sink.told]
    assert kinds.count("start") == kinds.count("end") == 10


def test_what_ends_without_a_frame_is_told_although_no_frame_comes() -> None:
    made, follower = results(10)
    sink = Witness()
    sink.let.set()
    outlet = Outlet(sink)
    for result in made[-2:]:
        outlet.put(result)
    thread = threading.Thread(target=outlet.run)
    thread.start()
    outlet.tell(follower.end("lost"))
    outlet.close()
    thread.join(10)
    assert [(event.kind, event.ended_by) for event in sink.told] == [("end", "lost")]


def test_a_new_object_comes_with_its_picture_as_the_camera_gave_it() -> None:
    made, _ = results(10)
    start = next(event for result in made for event in result.events if event.kind == "start")
    assert start.crop is not None
    assert start.crop.shape[0] > 150
    assert len(np.unique(start.crop)) == 1


class Reader:
    """Takes events only; told of every result, it would wake for nothing."""

    name = "reader"
    only_events: Literal[True] = True

    def __init__(self) -> None:
        self.told: list[Event] = []
        self.refuses = False
        self.sends = 0

    def open(self) -> None: ...

    def send(self, result: Result) -> None:
        del result
        self.sends += 1

    def tell(self, events: Sequence[Event]) -> None:
        if self.refuses:
            raise SinkError("no room")
        self.told += events

    def close(self) -> None: ...


def test_a_sink_of_events_is_woken_by_events_only_and_accounts_for_every_result() -> None:
    made, _ = results(200)
    sink = Reader()
    outlet = Outlet(sink)
    thread = threading.Thread(target=outlet.run)
    thread.start()
    for result in made:
        outlet.put(replace(result, waits=True))
    outlet.close()
    thread.join(10)
    bringers = sum(bool(result.events) for result in made)
    assert sink.told == [event for result in made for event in result.events]
    assert sink.sends == bringers < 50
    assert (outlet.sent, dict(outlet.lost)) == (200, {})


def test_a_sink_of_events_that_failed_is_tried_again_with_the_next_frame() -> None:
    made, _ = results(30)
    bringer = next(result for result in made if result.events)
    sink = Reader()
    sink.refuses = True
    outlet = Outlet(sink)
    thread = threading.Thread(target=outlet.run)
    thread.start()
    outlet.put(bringer)
    while not outlet.failure and thread.is_alive():
        time.sleep(0.001)
    sink.refuses = False
    outlet.put(next(result for result in made if not result.events))
    outlet.close()
    thread.join(10)
    assert sink.told == list(bringer.events)
    assert (outlet.sent, dict(outlet.lost), outlet.failure) == (1, {"failed": 1}, "")


def test_events_that_were_refused_together_come_in_their_order() -> None:
    sink = Reader()
    outlet = Outlet(sink)
    told = [news(1, "start"), news(2, "start"), news(1, "end")]
    outlet.tell(told)
    outlet.close()
    sink.refuses = True
    outlet.run()
    assert (sink.told, outlet.failure) == ([], "no room.")
    sink.refuses = False
    outlet._send(None)  # noqa: SLF001  # as the next frame would
    assert sink.told == told


def test_updates_give_way_where_there_are_too_many_events_and_nothing_else() -> None:
    """Who missed that an object has come, or gone, would count it for ever."""
    sink = Reader()
    outlet = Outlet(sink)
    outlet.tell([news(1, "start"), *(news(1, "update") for _ in range(1000)), news(1, "end")])
    outlet.close()
    outlet.run()
    assert [event.kind for event in sink.told] == ["start", *["update"] * 998, "end"]
    assert outlet.lost == {"events": 2}
