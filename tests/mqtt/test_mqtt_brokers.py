"""Brokers that come late, forget, are slow, full or refuse: what a camera's sink makes of them."""

from __future__ import annotations

import signal
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

import numpy as np
import pytest
import rig
from rig import PERSON, TOPICS, Mosquitto, Subscriber, contents, drained, open_sink
from structlog.testing import capture_logs

from edged.mqtt.delivery.message import Numbers
from edged.mqtt.delivery.outbox import Outbox
from edged.mqtt.delivery.spooler import SpoolFile

if TYPE_CHECKING:
    from pathlib import Path

pytest_plugins = ("mqtt_fixtures",)
pytestmark = pytest.mark.usefixtures("needs_mosquitto")

SUBSCRIBER_OPTIONS = {"5": ("-V", "5"), "3.1.1": ("-V", "311")}


def test_a_broker_that_comes_later_gets_everything(tmp_path: Path, boot_id: str) -> None:
    broker = Mosquitto(tmp_path / "broker")
    with capture_logs() as logs:
        sink = open_sink(broker, boot_id)
        sink.state(rig.state())
        for number in range(20):
            sink.send(rig.result(number, PERSON))
        assert rig.until(lambda: logs)
    assert logs[0]["event"] == "mqtt_not_connected"
    assert "nothing listens at mqtt://127.0.0.1" in logs[0]["reason"]
    assert "Start the broker" in logs[0]["reason"]
    broker.start()
    try:
        with Subscriber(broker.port) as subscriber:
            subscriber.wait_for(TOPICS.state)
            assert drained(sink)
            sink.close()
            subscriber.wait_for(TOPICS.availability, b"offline")
    finally:
        broker.stop()
    account = sink.delivery()
    assert account.closes
    assert account.dropped == {}


def test_everything_retained_comes_again_after_the_broker_has_lost_its_memory(
    mosquitto: Mosquitto, boot_id: str
) -> None:
    sink = open_sink(mosquitto, boot_id)
    sink.state(rig.state())
    sink.send(rig.result(0, PERSON))
    assert drained(sink)
    mosquitto.stop(signal.SIGKILL)
    for file in mosquitto.folder.glob("*.db"):
        file.unlink()
    mosquitto.start()
    with Subscriber(mosquitto.port) as subscriber:
        subscriber.wait_for(TOPICS.availability, b"online")
        subscriber.wait_for(TOPICS.status, b"online")
        subscriber.wait_for(TOPICS.count("person"), b"1")
        subscriber.wait_for(TOPICS.state)
        sink.close()


def test_a_broker_that_never_comes_holds_up_nobody(tmp_path: Path, boot_id: str) -> None:
    broker = Mosquitto(tmp_path / "broker")
    sink = open_sink(broker, boot_id, limit=50, stop_timeout_s=60.0)
    for number in range(80):
        sink.send(rig.result(number))
    time.sleep(0.3)
    started = time.monotonic()
    with capture_logs() as logs:
        sink.close()
    assert time.monotonic() - started < 20, "half a second, and not all the time that a stop may take"
    assert sink.delivery().dropped == {"queue_full": 30, "shutdown": 50}
    assert sink.delivery().closes
    assert logs[-1]["event"] == "mqtt_delivery"
    assert logs[-1]["log_level"] == "warning"


def test_what_could_not_be_sent_is_sent_by_the_next_start(tmp_path: Path, boot_id: str) -> None:
    broker, next_id = Mosquitto(tmp_path / "broker"), uuid4().hex
    spool = SpoolFile(tmp_path / "spool" / "spool.sqlite3")
    sink = open_sink(broker, boot_id, limit=50, spool=spool)
    for item in rig.results(400, 0.5):
        sink.send(item)
        assert rig.until(lambda: sink.delivery().queued < 50), "the disk takes it in time"
    sink.close()
    account = sink.delivery()
    assert account.closes
    assert account.spooled == 200
    broker.start()
    try:
        with Subscriber(broker.port) as subscriber:
            following = open_sink(broker, next_id, spool=spool)
            following.send(rig.result(0))
            assert drained(following)
            following.close()
            found = contents(subscriber, TOPICS.detections)
    finally:
        broker.stop()
    old, new = (boot_id, next_id)
    assert [(message["boot_id"], message["seq"]) for message in found] == [
        *((old, seq) for seq in range(200)),
        (new, 0),
    ]
    assert following.delivery().recovered == 200
    assert following.delivery().closes


def test_a_spool_is_drained_at_a_pace(tmp_path: Path, boot_id: str) -> None:
    """A broker drops what a slow subscriber cannot take; a backlog must not come as one flood."""
    broker = Mosquitto(tmp_path / "broker")
    spool = SpoolFile(tmp_path / "spool.sqlite3")
    sink = open_sink(broker, boot_id, spool=spool, limit=5000)
    for number in range(2000):
        sink.send(rig.result(number))
    sink.close()
    started = time.monotonic()
    with broker:
        following = open_sink(broker, "b" * 32, spool=spool)
        assert drained(following)
        took = time.monotonic() - started
        following.close()
    assert took > 1.5, "a hundred every tenth of a second"


def test_a_live_source_is_never_blocked_by_a_full_outbox(tmp_path: Path, boot_id: str) -> None:
    sink = open_sink(Mosquitto(tmp_path / "broker"), boot_id, limit=10)
    started = time.monotonic()
    for number in range(2000):
        sink.send(rig.result(number))
    assert time.monotonic() - started < 20, "each that waited would take half a second"
    sink.close()


def test_a_file_loses_nothing_to_a_slow_broker(
    mosquitto: Mosquitto, subscriber: Subscriber, boot_id: str
) -> None:
    sink = open_sink(mosquitto, boot_id, limit=5)
    thaw = threading.Timer(1.0, mosquitto.thaw)
    for number in range(500):
        if number == 100:
            mosquitto.freeze()
            thaw.start()
        sink.send(rig.result(number, waits=True))
    assert drained(sink)
    sink.close()
    assert [message["seq"] for message in contents(subscriber, TOPICS.detections)] == list(range(500))


def test_the_outbox_stays_within_what_the_broker_can_take(tmp_path: Path, boot_id: str) -> None:
    """MQTT 5: Receive Maximum and Maximum Packet Size of the CONNACK hold."""
    lines = ("max_inflight_messages 3", "max_packet_size 2000")
    with Mosquitto(tmp_path / "small", *lines) as broker:
        sink = open_sink(broker, boot_id, snapshot_interval_s=0.01)
        noise = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)
        frame = rig.result(0, PERSON)
        sink.send(replace(frame, picture=lambda: noise))
        for number in range(300):
            sink.send(rig.result(number))
        assert drained(sink)
        sink.close()
    account = sink.delivery()
    assert account.dropped.get("too_large", 0) >= 1
    assert account.lost == account.dropped["too_large"]
    assert account.closes


def test_a_message_the_broker_refuses_is_counted_and_told_once(tmp_path: Path, boot_id: str) -> None:
    acl = tmp_path / "acl"
    acl.write_text(
        f"topic readwrite {TOPICS.availability}\ntopic write {TOPICS.state}\ntopic write {TOPICS.status}\n"
        f"topic write {TOPICS.count('+')}\n"
    )
    with Mosquitto(tmp_path / "strict", f"acl_file {acl}") as broker, capture_logs() as logs:
        sink = open_sink(broker, boot_id)
        for number in range(5):
            sink.send(rig.result(number))
        assert drained(sink)
        sink.close()
    account = sink.delivery()
    assert account.dropped == {"refused_not_authorized": 5}
    assert account.closes
    refusals = [entry for entry in logs if entry["event"] == "mqtt_message_refused"]
    assert [entry["topic"] for entry in refusals] == [TOPICS.detections]


def test_two_daemons_with_one_node_are_told(mosquitto: Mosquitto, boot_id: str) -> None:
    with capture_logs() as logs:
        first = open_sink(mosquitto, boot_id)
        assert rig.until(lambda: any(entry["event"] == "mqtt_connected" for entry in logs))
        second = open_sink(mosquitto, "b" * 32)
        assert rig.until(lambda: any(entry["event"] == "mqtt_disconnected" for entry in logs))
        told = next(entry for entry in logs if entry["event"] == "mqtt_disconnected")
        assert "give every daemon an EDGED_NODE of its own" in told["reason"]
        # It stays a trouble while one of them is connected: else nobody could read of it in the state.
        assert rig.until(lambda: not first._node.absent and "each threw the other out" in first.problem, 150)  # noqa: SLF001
    second.close()
    first.close()


def test_values_do_not_pile_up(boot_id: str) -> None:
    """A thousand changes while nothing can be sent are one message each."""
    del boot_id
    box = Outbox(limit=5, wake=lambda: None, orders=Numbers(1))
    box.attach()
    for number in range(1000):
        box.post("count/person", b"%d" % number)
    assert box.delivery().queued == 1


def test_offline_comes_by_the_will_when_the_broker_takes_too_long(mosquitto: Mosquitto, boot_id: str) -> None:
    """A goodbye that is not acknowledged must not end in a DISCONNECT: that would suppress the will."""
    sink = open_sink(mosquitto, boot_id, stop_timeout_s=1.0)
    sink.send(rig.result(0))
    assert drained(sink)
    mosquitto.freeze()
    sink.close()
    with capture_logs():
        mosquitto.thaw()
    with Subscriber(mosquitto.port) as subscriber:
        subscriber.wait_for(TOPICS.availability, b"offline")
    assert "Received DISCONNECT from edged-lab1" not in mosquitto.log


def test_closing_within_the_limit_whatever_the_broker_does(mosquitto: Mosquitto, boot_id: str) -> None:
    sink = open_sink(mosquitto, boot_id, stop_timeout_s=4.0)
    assert drained(sink)
    mosquitto.freeze()
    for number in range(200):
        sink.send(rig.result(number))
    started = time.monotonic()
    sink.close()
    assert time.monotonic() - started < 4.0
    account = sink.delivery()
    assert account.closes
    assert account.dropped["shutdown"] >= 200
