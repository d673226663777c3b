"""What edged publishes through a real mosquitto, as mosquitto_sub sees it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import rig
from rig import CAT, PERSON, TOPICS, Mosquitto, Subscriber, contents, drained, open_sink, publish

import edged
from edged.metrics import Meter
from edged.mqtt.delivery.spooler import SpoolFile

pytest_plugins = ("mqtt_fixtures",)
pytestmark = pytest.mark.usefixtures("needs_mosquitto")

SUBSCRIBER_OPTIONS = {"5": ("-V", "5"), "3.1.1": ("-V", "311")}


def test_a_run_from_online_to_offline(
    mosquitto: Mosquitto, subscriber: Subscriber, boot_id: str, version: str
) -> None:
    """Every message is what the contract says (the subscriber checks that), and the account closes."""
    meter = Meter()
    sink = open_sink(mosquitto, boot_id, version=version, meter=meter)
    sink.state(rig.state())
    for number in range(30):
        sink.send(rig.result(number, *((PERSON, CAT) if number % 2 else ())))
    assert drained(sink)
    stages = meter.take()
    assert stages["publish"].count == stages["capture_to_ack"].count == 30
    sink.report(rig.report(cpu_temperature_c=51.5))
    subscriber.wait_for(TOPICS.timings)
    sink.close()
    subscriber.wait_for(TOPICS.availability, b"offline")

    found = contents(subscriber, TOPICS.detections)
    assert [message["seq"] for message in found] == list(range(30))
    assert [message["frame_id"] for message in found] == list(range(30))
    assert {message["boot_id"] for message in found} == {boot_id}
    assert found[1]["detections"][0] == {
        "label": "person",
        "class_id": 0,
        "score": 0.875,
        "box": [1.0, 2.0, 30.5, 40.25],
        "track": None,
    }
    assert found[1]["image"] == {"w": 64, "h": 48}
    assert found[1]["model"] == "yolov8n"
    assert abs(found[1]["ts_publish"] - time.time()) < 60
    assert found[1]["timings_ms"]["predict"] == 30.125
    assert subscriber.on(TOPICS.availability) == [b"online", b"offline"]
    # What it was before the first state is told only if it is out before that comes.
    assert subscriber.on(TOPICS.status) in ([b"online"], [b"offline", b"online"])
    timings = contents(subscriber, TOPICS.timings)[-1]
    assert timings["host"] == {"cpu_temperature_c": 51.5}
    assert timings["reconnects"] == 2
    assert timings["frames"]["in_flight"] == 1
    last = contents(subscriber, TOPICS.state)[-1]
    assert last["lifecycle"] == "stopped"
    account = sink.delivery()
    assert account.closes
    assert account.lost == 0
    assert {message.qos for message in subscriber.received if message.topic == TOPICS.detections} == {1}


def test_retained_topics_are_retained_and_events_are_not(mosquitto: Mosquitto, boot_id: str) -> None:
    sink = open_sink(mosquitto, boot_id, snapshot_interval_s=0.001)
    sink.state(rig.state())
    sink.send(rig.result(0, PERSON))
    sink.report(rig.report())
    assert drained(sink)
    with Subscriber(mosquitto.port) as late:
        late.wait_for(TOPICS.snapshot)
        assert {message.topic for message in late.received} == {
            TOPICS.availability,
            TOPICS.state,
            TOPICS.status,
            TOPICS.count("person"),
            TOPICS.snapshot,
        }
        assert all(message.retained for message in late.received)
    sink.close()


def test_offline_is_acknowledged_before_the_disconnect(mosquitto: Mosquitto, boot_id: str) -> None:
    sink = open_sink(mosquitto, boot_id)
    sink.send(rig.result(0))
    assert drained(sink)
    sink.close()
    assert rig.until(lambda: "Received DISCONNECT from edged-lab1" in mosquitto.log)
    tail = mosquitto.log[mosquitto.log.rindex("Received PUBLISH from edged-lab1") :]
    assert re.search(r"availability.*\n.*Sending PUBACK to edged-lab1.*\n(.*\n)*?.*DISCONNECT from", tail)
    assert sink.delivery().in_flight == 0


def test_after_sigkill_the_will_says_offline(mosquitto: Mosquitto, subscriber: Subscriber) -> None:
    code = (
        "import sys, time, rig; from edged.metrics import Meter\n"
        "from edged.settings.broker import parse_url\n"
        "sink = rig.sink(rig.access(parse_url(sys.argv[1])), rig.TOPICS, meter=Meter(), boot_id='0' * 32)\n"
        "sink.open(); time.sleep(60)"
    )
    paths = [str(Path(edged.__file__).parents[1]), str(Path(__file__).parent)]
    daemon = subprocess.Popen(
        [sys.executable, "-c", code, str(mosquitto.broker)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
    )
    subscriber.wait_for(TOPICS.availability, b"online")
    daemon.send_signal(signal.SIGKILL)
    daemon.wait(10)
    subscriber.wait_for(TOPICS.availability, b"offline")


def test_frames_without_detections_can_be_left_out(
    mosquitto: Mosquitto, subscriber: Subscriber, boot_id: str
) -> None:
    sink = open_sink(mosquitto, boot_id, empty=False)
    for number in range(6):
        sink.send(rig.result(number, *((PERSON,) if number % 3 == 2 else ())))
    assert drained(sink)
    sink.close()
    found = contents(subscriber, TOPICS.detections)
    assert [(message["seq"], message["frame_id"]) for message in found] == [(0, 2), (1, 5)]


def test_counts_come_only_when_they_change(
    mosquitto: Mosquitto, subscriber: Subscriber, boot_id: str
) -> None:
    sink = open_sink(mosquitto, boot_id)
    scenes: list[tuple[Any, ...]] = [(PERSON,), (PERSON,), (PERSON, PERSON, CAT), (CAT,), (), ()]
    for number, scene in enumerate(scenes):
        sink.send(rig.result(number, *scene))
        assert drained(sink)
    sink.close()
    subscriber.wait_for(TOPICS.availability, b"offline")
    assert subscriber.on(TOPICS.count("person")) == [b"1", b"2", b"0"]
    assert subscriber.on(TOPICS.count("tabby_cat")) == [b"1", b"0"]


def test_a_count_that_an_earlier_start_has_left_becomes_zero(
    mosquitto: Mosquitto, subscriber: Subscriber, boot_id: str, version: str
) -> None:
    publish(mosquitto.port, TOPICS.count("person"), b"2", "-r")
    publish(mosquitto.port, TOPICS.count("dog"), b"1", "-r")
    sink = open_sink(mosquitto, boot_id, version=version)
    sink.send(rig.result(0, PERSON))
    subscriber.wait_for(TOPICS.count("dog"), b"0")
    subscriber.wait_for(TOPICS.count("person"), b"1")
    for number in range(1, 5):
        sink.send(rig.result(number, *((PERSON,) if number % 2 else ())))
        assert drained(sink)
    sink.close()
    assert subscriber.on(TOPICS.count("dog")) == [b"1", b"0"]
    assert subscriber.on(TOPICS.count("person"))[-1] == b"0"


def test_after_a_crash_everything_is_put_right_before_online(
    mosquitto: Mosquitto, boot_id: str, version: str
) -> None:
    """Whoever follows the rules never sees a count of the crashed run as that of a daemon that is there."""
    labels = [f"label_{number}" for number in range(60)]  # more than a broker sends without an answer
    zone = f"{TOPICS.base}/front/zone/porch/occupancy"
    for label in labels:
        publish(mosquitto.port, TOPICS.count(label), b"2", "-r")
    publish(mosquitto.port, zone, b"ON", "-r")
    publish(mosquitto.port, TOPICS.status, b"online", "-r")
    publish(mosquitto.port, TOPICS.availability, b"offline", "-r")
    with Subscriber(mosquitto.port) as subscriber:
        sink = open_sink(mosquitto, boot_id, version=version, starting=True)
        subscriber.wait_for(TOPICS.availability, b"online")
        sink.state(rig.state())
        subscriber.wait_for(TOPICS.status, b"online")
        sink.close()
        topics = [message.topic for message in subscriber.received]
        online = next(
            index
            for index, message in enumerate(subscriber.received)
            if message.payload == b"online" and message.topic == TOPICS.availability
        )
        before = {message.topic: message.payload for message in subscriber.received[:online]}
        assert {before[TOPICS.count(label)] for label in labels} == {b"0"}
        assert before[TOPICS.status] == b"offline"
        assert before[zone] == b""
        assert topics.count(TOPICS.count("label_7")) == 2, "the old one and the zero"


def test_after_a_lost_connection_online_comes_last(tmp_path: Path, boot_id: str) -> None:
    """The broker has forgotten everything: who sees us online finds our state and our counts."""
    broker = Mosquitto(tmp_path / "forgetful").start()
    sink = open_sink(broker, boot_id, labels=("person",))
    sink.state(rig.state())
    assert rig.until(lambda: "availability', ... (6 bytes)" in broker.log)
    broker.stop(signal.SIGKILL)
    (tmp_path / "forgetful" / "mosquitto.db").unlink(missing_ok=True)
    try:
        broker.start()
        with Subscriber(broker.port) as subscriber:
            subscriber.wait_for(TOPICS.availability, b"online", timeout=30)
            order = [message.topic for message in subscriber.received]
            assert order.index(TOPICS.availability) > order.index(TOPICS.status)
            assert order.index(TOPICS.availability) > order.index(TOPICS.count("person"))
    finally:
        sink.close()
        broker.stop()
    assert sink.delivery().closes


def test_labels_that_are_no_longer_wanted_are_cleared(mosquitto: Mosquitto, boot_id: str) -> None:
    publish(mosquitto.port, TOPICS.count("dog"), b"1", "-r")
    sink = open_sink(mosquitto, boot_id, labels=("person", "tabby cat"))
    assert rig.until(lambda: "count/dog', ... (0 bytes)" in mosquitto.log)
    assert drained(sink)
    sink.close()
    with Subscriber(mosquitto.port, TOPICS.count("+")) as late:
        late.wait_for(TOPICS.count("tabby_cat"))
        late.wait_for(TOPICS.count("person"))
        assert {message.topic: message.payload for message in late.received} == {
            TOPICS.count("person"): b"0",
            TOPICS.count("tabby_cat"): b"0",
        }


def test_snapshots_are_pictures_and_rare(mosquitto: Mosquitto, subscriber: Subscriber, boot_id: str) -> None:
    sink = open_sink(mosquitto, boot_id, snapshot_interval_s=0.5)
    for number in range(90):  # fifty a second
        made = rig.result(number, *((PERSON,) if number % 3 == 0 else ()))
        sink.send(replace(made, frame=replace(made.frame, captured=number / 50)))
        assert drained(sink)  # of pictures that wait only the newest is sent
    sink.close()
    subscriber.catch_up()
    pictures = subscriber.on(TOPICS.snapshot)
    assert len(pictures) == 4
    decoded = cv2.imdecode(np.frombuffer(pictures[0], np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    assert decoded.shape == (48, 64, 3)


def test_no_picture_is_drawn_that_nobody_wants(mosquitto: Mosquitto, boot_id: str) -> None:
    def draw() -> Any:
        raise AssertionError

    sink = open_sink(mosquitto, boot_id, snapshot_interval_s=0.0)
    frame = rig.result(0, PERSON)
    sink.send(replace(frame, picture=draw))
    sink.close()


def test_a_sink_that_replaces_another_goes_on_where_that_has_stopped(
    mosquitto: Mosquitto, subscriber: Subscriber, boot_id: str, tmp_path: Path
) -> None:
    """A reload opens the new sink before it closes the old one."""
    spool = SpoolFile(tmp_path / "spool.sqlite3")
    first = open_sink(mosquitto, boot_id, spool=spool)
    first.state(rig.state())
    for number in range(10):
        first.send(rig.result(number))
    second = open_sink(mosquitto, boot_id, spool=spool, empty=True)
    second.state(rig.state(config_hash="changed"))
    for number in range(10, 20):
        second.send(rig.result(number))
    subscriber.wait_for(TOPICS.availability, b"online")
    time.sleep(0.5)
    assert subscriber.on(TOPICS.availability) == [b"online"]
    first.close()
    subscriber.wait_for(TOPICS.availability, b"offline")
    assert drained(second)
    assert rig.until(lambda: subscriber.on(TOPICS.availability) == [b"online", b"offline", b"online"])
    second.close()
    found = contents(subscriber, TOPICS.detections)
    assert [message["seq"] for message in found] == list(range(20))
    assert first.delivery().lost == second.delivery().lost == 0
    assert "already connected" not in mosquitto.log


def test_a_sink_that_never_gets_its_turn_can_be_closed(mosquitto: Mosquitto, boot_id: str) -> None:
    """A reload that fails closes the new sink and keeps the old one."""
    first = open_sink(mosquitto, boot_id)
    second = open_sink(mosquitto, boot_id)
    second.close()
    first.send(rig.result(0))
    assert drained(first)
    first.close()
    assert first.delivery().dropped == {}
