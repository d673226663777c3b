"""Every event has one start and one end, whatever is killed, reloaded, lost or restarted meanwhile."""

from __future__ import annotations

import itertools
import json
import os
import tempfile
from collections import Counter
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from news import news
from rig import QUICK_DISK, TOPICS

from edged.durable.ledger import EventLedger
from edged.mqtt.camera.events import CameraEvents
from edged.mqtt.camera.extent import Extent
from edged.mqtt.delivery.message import Numbers
from edged.mqtt.delivery.outbox import Outbox
from edged.records import Box, Detection, Event, Frame
from edged.scene import Scene, SceneRules
from edged.settings.areas import lines, zones

if TYPE_CHECKING:
    from edged.mqtt.delivery.message import Message

IMAGE = np.zeros((48, 64, 3), np.uint8)
ZONES: Any = zones({"porch": "0.5,0 1,0 1,1 0.5,1"})
LINES: Any = lines({"gate": "0.5,0 0.5,1"})


class World:
    """A camera, what follows its objects, and a broker; everything but the network and the threads is real.

    Args:
        folder: of what is kept.
        seed: of what walks about.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self._path = folder / "edged-lab1.events.json"
        self._chance = Random(seed)  # noqa: S311  # a repeatable course
        self._ids = itertools.count()
        self._walkers: list[list[float]] = []
        self._number = 0
        self.heard: list[dict[str, Any]] = []
        self.crossed: Counter[str] = Counter()
        """What has been told of the line, whatever became of it."""
        self._start()

    def _start(self) -> None:
        self._scene = self._new_scene()
        self.ledger = EventLedger(self._path)
        boot_id = uuid4().hex
        self._outbox = Outbox(limit=10_000, wake=lambda: None, orders=Numbers(1))
        extent = Extent(lines=("gate",), zones=("porch",))
        self._sender = CameraEvents(TOPICS, self._outbox, ledger=self.ledger, boot_id=boot_id, extent=extent)
        self._sender.start()
        self.ledger.settle(10)  # whatever is killed, no thread of an earlier life goes on writing
        for _, payload in self.ledger.leftovers(boot_id):
            self._outbox.put(TOPICS.events, payload)
        self._flight: list[Message] = []

    def _new_scene(self) -> Scene:
        return Scene(SceneRules(zones=ZONES, lines=LINES), new_id=lambda: f"{next(self._ids):016x}")

    def frames(self) -> None:
        for _ in range(self._chance.randint(1, 8)):
            self._number += 1
            if self._chance.random() < 0.2:
                self._walkers.append([self._chance.uniform(0, 64), self._chance.gauss(0, 1.5)])
            self._walkers = [one for one in self._walkers if self._chance.random() > 0.04]
            for one in self._walkers:
                one[0] += one[1]
            found = [Detection(0, "person", 0.9, Box(x - 3, 10, x + 3, 40)) for x, _ in self._walkers]
            frame = Frame(self._number, IMAGE, 1e9 + self._number / 10, 0.0, self._number / 10)
            view = self._scene.update(frame, found)
            self._tell(view.events)
            self._sender.update(view.presence)
            self.ledger.settle(30)

    def _tell(self, events: tuple[Event, ...]) -> None:
        self._sender.tell(events)
        self.ledger.settle(30)
        for event in events:
            self.crossed.update(change for change in event.changes if change.startswith("line_crossed"))

    def kill(self) -> None:
        """Nothing is flushed; what was sent may have arrived, whether we heard of it or not."""
        self._start()

    def reload(self) -> None:
        self._tell(self._scene.end("reload"))
        self._scene = self._new_scene()

    def lose_camera(self) -> None:
        self._tell(self._scene.end("lost"))

    def connect(self) -> None:
        self._outbox.attach()

    def restart_broker(self) -> None:
        self._flight.clear()
        self._outbox.detach()

    def deliver(self) -> None:
        """The broker gets some messages; not every acknowledgement comes back before the next step."""
        for _ in range(self._chance.randint(5, 80)):
            if (message := self._outbox.take()) is not None:
                if message.topic == TOPICS.events:
                    self.heard.append(json.loads(message.payload))
                self._flight.append(message)
        unheard = self._chance.choice((0, 0, 3, 20))
        while len(self._flight) > unheard:
            message = self._flight.pop(0)
            if message.topic == TOPICS.events:
                self.ledger.safe(message.payload)
            self._outbox.settle(message)

    def check(self) -> None:
        """What a subscriber has heard so far; the same message may come twice (QoS 1), and is one."""
        starts, ends = self._told("start"), self._told("end")
        assert all(len(told) == 1 for told in (*starts.values(), *ends.values()))
        assert ends.keys() <= starts.keys()
        seen: set[str] = set()
        for one in self.heard:
            assert one["type"] == "start" or one["event_id"] in seen, "nothing comes before the start"
            seen.add(one["event_id"])

    def _told(self, kind: str) -> dict[str, set[str]]:
        told: dict[str, set[str]] = {}
        for one in self.heard:
            if one["type"] == kind:
                told.setdefault(one["event_id"], set()).add(json.dumps(one))
        return told

    def finish(self) -> None:
        """Stop in peace: the account closes."""
        self.connect()
        self._tell(self._scene.end("stop"))
        while not self._outbox.idle():
            self.deliver()
        self.check()
        assert self._told("start").keys() == self._told("end").keys()
        again = EventLedger(self._path)
        assert again.totals.under() == {
            TOPICS.line_total("gate", change.rpartition(":")[2], "person"): count
            for change, count in self.crossed.items()
        }


STEPS = ("frames", "frames", "frames", "deliver", "deliver", "connect", "kill", "kill")
COURSES = st.lists(st.sampled_from((*STEPS, "reload", "lose_camera", "restart_broker")), max_size=80)


@settings(max_examples=120, deadline=None)
@given(COURSES, st.integers(0, 2**32))
def test_starts_are_ends_and_open_events_over_any_course_of_kills_reloads_and_losses(
    course: list[str], seed: int
) -> None:
    with tempfile.TemporaryDirectory(dir=QUICK_DISK) as folder:
        world = World(Path(folder), seed)
        for step in course:
            getattr(world, step)()
            world.check()
        world.finish()


def test_a_long_course_with_a_thousand_accidents_closes() -> None:
    chance = Random(7)  # noqa: S311  # a repeatable course
    accidents = ("kill", "kill", "reload", "lose_camera", "restart_broker")
    with tempfile.TemporaryDirectory(dir=QUICK_DISK) as folder:
        world = World(Path(folder), 7)
        for _ in range(1000):
            world.connect()
            world.frames()
            world.deliver()
            getattr(world, chance.choice(accidents))()
        world.finish()
        kinds = Counter((one["type"], one["ended_by"]) for one in world.heard)
        assert kinds["start", ""] > 100
        assert min(kinds["end", "stop"], kinds["end", "lost"], kinds["end", "reload"]) > 10
        assert world.crossed


def test_a_disk_that_hangs_holds_up_the_message_and_nobody_else(tmp_path: Path) -> None:
    """What is said of an event is on disk before; the frames of the camera go on, and so does the stop."""
    path = tmp_path / "edged-lab1.events.json"
    ledger = EventLedger(path)
    outbox = Outbox(limit=100, wake=lambda: None, orders=Numbers(1))
    outbox.attach()
    sender = before(ledger, outbox)
    fifo = path.with_name(path.name + ".new")
    os.mkfifo(fifo)
    sender.tell([news(1, "start"), news(2, "start")])
    ledger.settle(0.2)
    assert not [one for one in taken(outbox) if one.topic == TOPICS.events]
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        sender.tell([news(1, "end")])
        ledger.settle(30)
    finally:
        os.close(reader)
    said = [json.loads(one.payload) for one in taken(outbox) if one.topic == TOPICS.events]
    assert [(one["type"], int(one["event_id"], 16)) for one in said] == [
        ("start", 1),
        ("start", 2),
        ("end", 1),
    ]
    fifo.unlink()
    sender.tell([news(2, "update")])
    ledger.settle(30)
    kept = json.loads(path.read_text(encoding="utf-8"))
    assert [int(json.loads(one)["event_id"], 16) for one in kept["open"]] == [2]


def taken(outbox: Outbox) -> list[Message]:
    """All that is to be sent now."""
    found = []
    while (message := outbox.take()) is not None:
        found.append(message)
    return found


def before(ledger: EventLedger, outbox: Outbox, **options: Any) -> CameraEvents:
    return CameraEvents(TOPICS, outbox, ledger=ledger, boot_id=uuid4().hex, extent=Extent(**options))


def test_what_comes_too_fast_for_a_recorder_is_safe_once_it_is_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "edged-lab1.events.json"
    ledger = EventLedger(path)
    outbox = Outbox(limit=100, wake=lambda: None, orders=Numbers(1))
    outbox.attach()
    sender = before(ledger, outbox)
    sender.tell([news(number, kind) for number in range(20) for kind in ("start", "end")])
    ledger.settle(30)
    calm = []
    while (message := outbox.take()) is not None:
        if message.topic == TOPICS.events:
            calm.append(json.loads(message.payload).get("calm", True))
            ledger.safe(message.payload)
        outbox.settle(message)
    assert {True, False} == {*calm}
    assert len(calm) == 40
    ledger.flush()
    assert json.loads(path.read_text(encoding="utf-8"))["unsafe"] == []


def test_no_retained_message_ends_a_session() -> None:
    """Whoever may publish there can put it there, and it comes again in every session."""
    outbox = Outbox(limit=100, wake=lambda: None, orders=Numbers(1))
    ledger = EventLedger(None)
    sender = before(ledger, outbox, lines=("gate",), zones=("porch",))
    total = TOPICS.line_total("gate", "in", "person")
    for topic in sender.ask():
        sender.recall(topic.removesuffix("/#"), b"1")
        sender.recall(topic.removesuffix("#"), b"1")
    sender.recall(total, b"9" * 5000)
    assert ledger.totals.under() == {}
    sender.recall(total, b"7")
    assert ledger.totals.under() == {total: 7}


def test_occupancy_that_nobody_looks_after_any_more_is_cleared() -> None:
    """It was told by a run that followed objects; this one does not."""
    for tracks in (True, False):
        outbox = Outbox(limit=100, wake=lambda: None, orders=Numbers(1))
        sender = before(EventLedger(None), outbox, tracks=tracks)
        asked = sender.ask()
        assert (TOPICS.occupancy in asked) is not tracks
        sender.recall(TOPICS.occupancy, b"ON")
        outbox.attach()
        told = outbox.take()
        assert (told is None) if tracks else (told is not None and told.topic == TOPICS.occupancy)
        assert told is None or told.payload == b""
