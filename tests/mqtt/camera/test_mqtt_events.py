"""Subscribers see what objects do: every event once, in order, and zones and lines as they are."""

from __future__ import annotations

import json
import signal
from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np
import rig
from daemon import Daemon
from rig import TOPICS, Mosquitto, Subscriber

from edged.metrics import Meter
from edged.mqtt.delivery.spooler import SpoolFile
from edged.pipeline.follow import Follower
from edged.records import Box, Detection, Frame, Result
from edged.scene import Scene, SceneRules
from edged.settings.areas import lines, zones

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edged.sinks.mqtt import MqttSink

pytest_plugins = ("mqtt_fixtures",)

ZONES: Any = zones({"porch": "0.5,0 1,0 1,1 0.5,1"})
LINES: Any = lines({"gate": "0.5,0 0.5,1"})


def open_sink(broker: Mosquitto, boot_id: str, **options: Any) -> MqttSink:
    sink = rig.open_sink(broker, boot_id, limit=2000, **options)
    assert rig.until(lambda: not sink.problem)
    return sink


def walk(follower: Follower) -> Iterator[Result]:
    """Somebody walks through the picture from left to right."""
    image = np.zeros((480, 640, 3), np.uint8)
    for number in range(120):
        frame = Frame(number, image, 1e9 + number / 10, number / 10, number / 10)
        x = 60.0 + 6 * number
        found = [Detection(0, "person", 0.9, Box(x - 20, 200, x + 20, 300))] if x < 600 else []
        view = follower.look(frame, found)
        yield Result(
            frame, "m", view.detections, {}, image.copy, waits=True, events=view.events,
            presence=view.presence,
        )  # fmt: skip


def play(sink: MqttSink) -> list[str]:
    """Let somebody through; the ids of what was told."""
    told = []
    for result in walk(Follower(Scene(SceneRules(zones=ZONES, lines=LINES)))):
        if result.events:
            sink.tell(result.events)
            told += [f"{event.kind} {event.event_id}" for event in result.events]
        sink.send(result)
        # A value that changes twice before it is sent is sent once, the newer one.
        assert rig.until(lambda: sink.delivery().queued + sink.delivery().in_flight == 0)
    return told


def test_a_walk_is_told_from_start_to_end(mosquitto: Mosquitto, boot_id: str) -> None:
    with Subscriber(mosquitto.port) as subscriber:
        sink = open_sink(mosquitto, boot_id, zones=("porch",), lines=("gate",))
        told = play(sink)
        sink.close()
        subscriber.wait_for(TOPICS.availability, b"offline")
    events = [json.loads(one.payload) for one in subscriber.received if one.topic == TOPICS.events]
    assert [f"{event['type']} {event['event_id']}" for event in events] == told
    assert [event["type"] for event in events].count("start") == 1
    assert events[-1]["type"] == "end"
    assert events[-1]["ended_by"] == "left"
    assert events[-1]["entered_zones"] == ["porch"]
    assert events[-1]["lines"] == [{"line": "gate", "direction": "out"}]

    def values(topic: str) -> list[bytes]:
        return [one.payload for one in subscriber.received if one.topic == topic]

    assert values(TOPICS.zone_occupancy("porch")) == [b"OFF", b"ON", b"OFF"]
    assert values(TOPICS.zone_count("porch", "person")) == [b"0", b"1", b"0"]
    assert values(TOPICS.count("person")) == [b"1", b"0"]
    assert values(TOPICS.line_total("gate", "out", "person")) == [b"1"]
    assert values(TOPICS.best("person"))[0].startswith(b"\xff\xd8")
    assert rig.assert_contract(subscriber.received) > 120


def test_a_stop_leaves_counts_and_occupancy_as_they_were_and_the_next_start_begins_anew(
    mosquitto: Mosquitto, boot_id: str
) -> None:
    """Zones, too: availability says that they hold no more, and an OFF is news of somebody who has gone."""
    sink = open_sink(mosquitto, boot_id, zones=("porch",), tracks=True)
    for result in islice(walk(Follower(Scene(SceneRules(zones=ZONES)))), 70):
        sink.send(result)
    sink.close()
    with Subscriber(mosquitto.port) as later:
        later.wait_for(TOPICS.availability, b"offline")
        occupied = (TOPICS.occupancy, TOPICS.zone_occupancy("porch"))
        counted = (TOPICS.count("person"), TOPICS.zone_count("porch", "person"))
        assert [later.wait_for(topic) for topic in (*occupied, *counted)] == [b"ON"] * 2 + [b"1"] * 2
        sink = open_sink(mosquitto, uuid4().hex, zones=("porch",), tracks=True, starting=True)
        for topic, nothing in zip((*occupied, *counted), [b"OFF"] * 2 + [b"0"] * 2, strict=True):
            later.wait_for(topic, nothing)
        sink.close()


def test_a_reload_that_exchanges_the_sink_has_nobody_leave_and_come_again(
    mosquitto: Mosquitto, boot_id: str
) -> None:
    """Who has a light go on with a zone that is occupied would have it do so for each reload."""
    occupied = (TOPICS.occupancy, TOPICS.zone_occupancy("porch"))
    counted = (TOPICS.count("person"), TOPICS.zone_count("porch", "person"))
    gone = TOPICS.line_total("gate", "in", "person")
    results = walk(Follower(Scene(SceneRules(zones=ZONES))))
    first = open_sink(mosquitto, boot_id, zones=("porch",), tracks=True, starting=True)
    for result in islice(results, 70):
        first.send(result)
    assert rig.drained(first)
    with Subscriber(mosquitto.port) as subscriber:
        for topic in counted:
            subscriber.wait_for(topic, b"1")
        rig.publish(mosquitto.port, gone, b"3", "-r")
        second = rig.beside(first, zones=("porch",), tracks=True)
        second.open()
        subscriber.wait_for(gone, b"")  # it has heard what the broker knows: lines come last
        first.close()
        for result in islice(results, 2):
            second.send(result)
        second.close()
        subscriber.catch_up()
        for topic in occupied:
            assert set(subscriber.on(topic)) == {b"ON"}
        for topic in counted:
            assert set(subscriber.on(topic)) == {b"1"}


def test_a_label_of_an_earlier_run_is_known_to_be_in_no_zone(mosquitto: Mosquitto) -> None:
    """Home Assistant has an entity for it, which would be unknown until it is seen again."""
    with Subscriber(mosquitto.port) as subscriber:
        rig.publish(mosquitto.port, TOPICS.count("umbrella"), b"2", "-r")
        sink = open_sink(mosquitto, uuid4().hex, zones=("porch",))
        subscriber.wait_for(TOPICS.count("umbrella"), b"0")
        play(sink)
        subscriber.catch_up()
        assert subscriber.on(TOPICS.zone_count("porch", "umbrella")) == [b"0"]
        sink.close()


def test_a_model_that_has_no_such_label_takes_it_out_of_the_zones_and_leaves_the_lines(
    mosquitto: Mosquitto, boot_id: str
) -> None:
    """In the same run, and of what an earlier run has left at the broker."""
    count, old = TOPICS.zone_count("porch", "person"), TOPICS.zone_count("porch", "umbrella")
    rig.publish(mosquitto.port, old, b"0", "-r")
    with Subscriber(mosquitto.port) as subscriber:
        sink = rig.sink(
            rig.access(mosquitto.broker),
            TOPICS,
            boot_id=boot_id,
            meter=Meter(),
            zones=("porch",),
            lines=("gate",),
        )
        sink.state(rig.state(labels=("person", "dog")))
        sink.open()
        subscriber.wait_for(old, b"")
        play(sink)
        subscriber.catch_up()
        assert subscriber.on(count)[-1] == b"0"
        sink.state(rig.state(model="faces", labels=("face", "dog")))
        subscriber.wait_for(count, b"")
        sink.close()
        subscriber.wait_for(TOPICS.availability, b"offline")
        assert subscriber.on(TOPICS.line_total("gate", "out", "person")) == [b"1"]
        assert subscriber.on(TOPICS.zone_occupancy("porch"))[-1] == b"OFF"


def test_line_totals_go_on_after_a_restart_and_what_is_gone_is_cleared(
    mosquitto: Mosquitto,
) -> None:
    total = TOPICS.line_total("gate", "out", "person")
    for _ in range(2):
        sink = open_sink(mosquitto, uuid4().hex, zones=("porch",), lines=("gate",))
        play(sink)
        sink.close()
    with Subscriber(mosquitto.port) as subscriber:
        assert subscriber.wait_for(total) == b"2"
    # Somebody crosses before there is a connection, and the connection is lost later.
    sink = rig.sink(
        rig.access(mosquitto.broker),
        TOPICS,
        boot_id=uuid4().hex,
        meter=Meter(),
        limit=2000,
        lines=("gate",),
    )
    for result in walk(Follower(Scene(SceneRules(lines=LINES)))):
        sink.tell(result.events)
    sink.open()
    with Subscriber(mosquitto.port) as subscriber:
        subscriber.wait_for(total, b"3")
    for sessions in (4, 5):  # each of the three sinks had one
        mosquitto.stop()
        mosquitto.start()
        assert rig.until(lambda more=sessions: mosquitto.log.count(" as edged-lab1") >= more)  # type: ignore[misc]
    sink.close()
    with Subscriber(mosquitto.port) as subscriber:
        assert subscriber.wait_for(total) == b"3"
    sink = open_sink(mosquitto, uuid4().hex)
    with Subscriber(mosquitto.port) as subscriber:
        assert rig.until(lambda: sink.delivery().queued + sink.delivery().in_flight == 0)
        sink.close()
        subscriber.wait_for(TOPICS.availability, b"offline")
    with Subscriber(mosquitto.port) as subscriber:
        subscriber.wait_for(TOPICS.availability, b"offline")
        assert [
            one.topic for one in subscriber.received if "/zone/" in one.topic or "/line/" in one.topic
        ] == []


def test_line_totals_are_kept_beside_the_spool_where_the_broker_forgets_and_a_reload_counts_nobody_twice(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    total = TOPICS.line_total("gate", "out", "person")
    spool = SpoolFile(tmp_path / "spool" / "edged-lab1.sqlite3")
    boot_id = uuid4().hex
    for expected in (b"1", b"2"):  # the second one is a reload: the run is the same
        sink = open_sink(mosquitto, boot_id, lines=("gate",), spool=spool)
        play(sink)
        sink.close()
        with Subscriber(mosquitto.port) as subscriber:
            assert subscriber.wait_for(total) == expected
    rig.publish(mosquitto.port, total, b"", "-r")
    sink = open_sink(mosquitto, uuid4().hex, lines=("gate",), spool=spool)
    with Subscriber(mosquitto.port) as subscriber:
        assert subscriber.wait_for(total) == b"2"
    rig.publish(mosquitto.port, total, b"40", "-r")
    sink.close()
    # Meanwhile somebody has counted on without the spool.
    sink = open_sink(mosquitto, uuid4().hex, lines=("gate",), spool=spool)
    play(sink)
    sink.close()
    with Subscriber(mosquitto.port) as subscriber:
        assert subscriber.wait_for(total) == b"41"
    sink = open_sink(mosquitto, uuid4().hex, lines=("fence",), spool=spool)
    sink.close()
    with Subscriber(mosquitto.port) as subscriber:
        subscriber.wait_for(TOPICS.availability, b"offline")
        assert subscriber.on(total) == []


def test_events_of_a_killed_daemon_are_ended_by_the_next_one(
    mosquitto: Mosquitto, demo_model: Path, demo_clip: Path, tmp_path: Path
) -> None:
    """Three kills, a reload and a restart of the broker, heard by a subscriber that misses nothing."""
    topic = "edged/lab1/front/events"
    wanted = {
        "EDGED_SOURCE": str(demo_clip),
        "EDGED_MODEL": str(demo_model),
        "EDGED_LOOP": "true",
        "EDGED_MQTT_URL": f"mqtt://127.0.0.1:{mosquitto.port}",
        "EDGED_MQTT_EMPTY": "false",
        "EDGED_SPOOL": str(tmp_path / "spool"),
        "EDGED_FPS": "30",
    }
    with Subscriber(mosquitto.port, topic, lasting="listener") as subscriber:

        def heard() -> list[dict[str, Any]]:
            return [json.loads(payload) for payload in subscriber.on(topic)]

        def open_events() -> set[str]:
            told = heard()
            ended = {one["event_id"] for one in told if one["type"] == "end"}
            return {one["event_id"] for one in told if one["type"] == "start"} - ended

        for accident in ("kill", "broker", "kill", "reload", "kill"):
            with Daemon(tmp_path, wanted) as daemon:
                daemon.until_told("running")
                known = open_events()
                daemon.until(lambda known=known: open_events() - known)  # type: ignore[misc]
                if accident == "broker":
                    mosquitto.stop()
                    daemon.until_told("mqtt_disconnected")
                    mosquitto.start()
                elif accident == "reload":
                    daemon.configure(wanted | {"EDGED_ZONE_LEFT": "0,0 0.5,0 0.5,1 0,1"})
                    daemon.send(signal.SIGHUP)
                    daemon.until_told("reloaded")
                if accident == "kill":
                    daemon.process.kill()
                    daemon.process.wait(10)
                else:
                    assert daemon.stop() == 0
        killed = open_events()
        with Daemon(tmp_path, wanted) as daemon:
            daemon.until(lambda: not killed & open_events())
            assert daemon.stop() == 0
        assert rig.until(lambda: not open_events())
    distinct = Counter((one["event_id"], one["type"]) for one in map(json.loads, set(subscriber.on(topic))))
    starts = {event for event, kind in distinct if kind == "start"}
    assert len(starts) >= 5
    assert starts == {event for event, kind in distinct if kind == "end"}
    assert all(count == 1 for (_, kind), count in distinct.items() if kind != "update")
    seen: set[str] = set()
    for one in heard():
        assert one["type"] == "start" or one["event_id"] in seen
        seen.add(one["event_id"])
