"""Home Assistant learns what is new, and forgets what no longer exists."""

from __future__ import annotations

import json
import threading
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
import rig
from announced import CONFIG, KNOWN, available, config, idle, open_sink, platforms
from rig import CAT, PERSON, TOPICS, Mosquitto, Subscriber, publish
from structlog.testing import capture_logs

from edged.contract.topics import Topics
from edged.metrics import Meter
from edged.mqtt.home.birth import Birth

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


pytest_plugins = ("mqtt_fixtures",)


@pytest.mark.parametrize("several", [False, True])
def test_in_a_pause_nothing_is_said_to_be_there(mosquitto: Mosquitto, boot_id: str, several: bool) -> None:  # noqa: FBT001
    """Counts, occupancy, the camera and its picture are unavailable until it goes on."""
    sink = open_sink(mosquitto, boot_id, several=several, zones=("porch",))
    node = "edged_lab1--front" if several else "edged_lab1"
    topic = f"homeassistant/device/{node}/config"
    camera = "" if several else "front_"
    names = (
        "camera",
        "snapshot",
        "count_person",
        "occupancy_person",
        "zone_porch",
        "zone_porch_count_person",
    )
    with Subscriber(mosquitto.port) as subscriber:

        def shown(expected: bool) -> bool:  # noqa: FBT001
            """Whether each is announced, and as available as expected."""
            newest = {message.topic: message.payload for message in subscriber.received}
            components = json.loads(newest.get(topic, b'{"components": {}}'))["components"]
            if not {f"{camera}{name}" for name in names} <= components.keys():
                return False
            places = [components[f"{camera}{name}"]["availability"] for name in names]
            assert all(components[f"{camera}{name}"]["availability_mode"] == "all" for name in names)
            return all(
                all(place["topic"] in newest and available(place, newest[place["topic"]]) for place in every)
                == expected
                for every in places
            )

        sink.state(rig.state())
        sink.send(rig.result(0, PERSON))
        for lifecycle, expected in (("running", True), ("paused", False), ("running", True)):
            sink.state(rig.state(lifecycle=lifecycle))
            status = b"online" if expected else b"offline"
            assert rig.until(lambda: subscriber.on(TOPICS.status)[-1:] == [status])  # noqa: B023  # called at once
            assert rig.until(partial(idle, sink))
            assert rig.until(partial(shown, expected)), (lifecycle, subscriber.on(topic)[-1:])
        newest = {message.topic: message.payload for message in subscriber.received}
        state = json.loads(newest[TOPICS.camera_state if several else TOPICS.state])
        assert state["lifecycle"] == "running"
        sink.close()


def test_new_labels_are_announced_when_they_turn_up(mosquitto: Mosquitto, boot_id: str) -> None:
    sink = open_sink(mosquitto, boot_id)
    with Subscriber(mosquitto.port) as subscriber:
        sink.state(rig.state())
        assert "front_count_person" not in config(subscriber)["components"]
        sink.send(rig.result(0, PERSON))
        assert rig.until(lambda: "front_count_person" in config(subscriber)["components"])
        count = len(subscriber.on(CONFIG))
        sink.send(rig.result(1, PERSON))
        sink.state(rig.state(lifecycle="paused"))
        sink.close()
        subscriber.catch_up()
    assert len(subscriber.on(CONFIG)) == count, "nothing new, nothing said"


def test_wanted_labels_are_announced_at_once_with_a_state(mosquitto: Mosquitto, boot_id: str) -> None:
    sink = open_sink(mosquitto, boot_id, labels=("person",))
    with Subscriber(mosquitto.port) as subscriber:
        sink.state(rig.state())
        assert "front_count_person" in config(subscriber)["components"]
        subscriber.wait_for(TOPICS.count("person"), b"0")
        sink.close()


def test_what_an_earlier_start_announced_and_is_gone_is_removed(mosquitto: Mosquitto, boot_id: str) -> None:
    first = open_sink(mosquitto, boot_id, labels=("person", "dog"))
    first.state(rig.state())
    first.close()
    with Subscriber(mosquitto.port, CONFIG) as subscriber:
        subscriber.wait_for(CONFIG)
        second = open_sink(mosquitto, "b" * 32, labels=("person",), snapshot_interval_s=0.0)
        second.state(rig.state())
        assert rig.until(lambda: len(subscriber.on(CONFIG)) >= 3)
        second.close()
        sent = [json.loads(payload) for payload in subscriber.on(CONFIG)[1:]]
    gone = {"front_count_dog": "sensor", "front_occupancy_dog": "binary_sensor", "front_snapshot": "image"}
    removal = next(content for content in sent if "front_count_dog" in content["components"])
    assert {name: removal["components"][name] for name in gone} == {
        name: {"platform": platform} for name, platform in gone.items()
    }
    assert not gone.keys() & sent[-1]["components"].keys(), "the last word is without them"
    with Subscriber(mosquitto.port, "#") as late:
        late.wait_for(CONFIG)
        assert not gone.keys() & config(late)["components"].keys()
        assert late.on(TOPICS.count("dog")) == []


def test_labels_of_an_earlier_start_stay_while_the_model_does(mosquitto: Mosquitto, boot_id: str) -> None:
    first = open_sink(mosquitto, boot_id)
    first.state(rig.state())
    first.send(rig.result(0, PERSON))
    first.close()
    second = open_sink(mosquitto, "b" * 32)
    second.state(rig.state())
    with Subscriber(mosquitto.port) as subscriber:
        assert rig.until(lambda: "front_count_person" in config(subscriber)["components"])
        subscriber.wait_for(TOPICS.count("person"), b"0")
        second.close()
        assert platforms(config(subscriber))["front_count_person"] == "sensor"


@pytest.fixture
def forgetful(tmp_path: Path, needs_mosquitto: None) -> Iterator[Mosquitto]:  # noqa: ARG001
    """A broker that tells edged nothing retained but for exact topics, as RabbitMQ does."""
    rules = tmp_path / "acl"
    rules.write_text(f"topic write #\ntopic read {CONFIG}\nuser watcher\ntopic read #\ntopic write probe/#\n")
    with Mosquitto(tmp_path / "forgetful", f"acl_file {rules}") as broker:
        yield broker


@pytest.mark.parametrize("kind", ["mosquitto", "forgetful"])
def test_a_start_removes_nothing_that_is_only_not_known_yet(
    request: pytest.FixtureRequest, kind: str, boot_id: str
) -> None:
    """Neither the labels that were not seen again nor the machine's sensors, which come with a report."""
    broker: Mosquitto = request.getfixturevalue(kind)
    zones = ("porch",)
    first = open_sink(broker, boot_id, zones=zones)
    first.state(rig.state())
    first.send(rig.result(0, PERSON, CAT))
    first.report(rig.report(cpu_temperature_c=51.5, undervoltage=False))
    first.close()
    options = ("-V", "5", "-u", "watcher")
    with Subscriber(broker.port, CONFIG, options=options, probe="probe") as subscriber:
        before = platforms(json.loads(subscriber.wait_for(CONFIG)))
        assert {"cpu_temperature_c", "undervoltage", "front_count_tabby_cat"} <= before.keys()
        for boot in ("b" * 32, "c" * 32):
            sink = open_sink(broker, boot, zones=zones)
            sink.state(rig.state(degraded=(boot[0],)))
            before_it = len(subscriber.on(CONFIG))
            assert rig.until(lambda: len(subscriber.on(CONFIG)) > before_it)  # noqa: B023  # called at once
            sink.report(rig.report(cpu_temperature_c=51.5))
            sink.send(rig.result(0, PERSON))
            sink.close()
        told = [json.loads(payload) for payload in subscriber.on(CONFIG)]
    assert [platforms(content) for content in told] == [before] * len(told)


def test_labels_that_another_model_has_too_stay(mosquitto: Mosquitto, boot_id: str) -> None:
    first = open_sink(mosquitto, boot_id)
    first.state(rig.state(labels=("person", "tabby cat")))
    first.send(rig.result(0, PERSON, CAT))
    first.close()
    with Subscriber(mosquitto.port) as subscriber:
        second = open_sink(mosquitto, "b" * 32)
        second.state(rig.state(model="faces", labels=("face", "person")))
        assert rig.until(lambda: config(subscriber)["device"]["model_id"] == "faces")
        assert rig.until(lambda: "front_count_tabby_cat" not in config(subscriber)["components"])
        second.close()
        told = [json.loads(payload) for payload in subscriber.on(CONFIG)]
        assert all(platforms(one).get("front_count_person") == "sensor" for one in told)
        assert all(len(one["components"]["front_count_person"]) > 1 for one in told), "never removed"
        subscriber.wait_for(TOPICS.count("tabby_cat"), b"")
        assert subscriber.on(TOPICS.count("person"))[-1] == b"0"


def test_the_node_of_several_cameras_keeps_the_sensors_of_the_machine(
    mosquitto: Mosquitto, boot_id: str
) -> None:
    for boot in (boot_id, "b" * 32):
        sink = open_sink(mosquitto, boot, several=True)
        sink.state(rig.state())
        if boot == boot_id:
            sink.report(rig.report(cpu_temperature_c=51.5))
        with Subscriber(mosquitto.port, CONFIG) as subscriber:
            assert rig.until(
                lambda: subscriber.on(CONFIG) and "cpu_temperature_c" in config(subscriber)["components"]
            )
        sink.close()
        told = [platforms(json.loads(payload)) for payload in subscriber.on(CONFIG)]
        assert all("cpu_temperature_c" in one for one in told)


def test_labels_of_another_model_are_removed(mosquitto: Mosquitto, boot_id: str) -> None:
    first = open_sink(mosquitto, boot_id)
    first.state(rig.state())
    first.send(rig.result(0, PERSON, CAT))
    first.close()
    second = open_sink(mosquitto, "b" * 32)
    second.state(rig.state(model="faces"))
    second.send(rig.result(0, CAT, model="faces"))
    with Subscriber(mosquitto.port) as subscriber:
        assert rig.until(lambda: config(subscriber)["device"]["model_id"] == "faces")
        assert rig.until(lambda: second.delivery().queued + second.delivery().in_flight == 0)
        second.close()
    with Subscriber(mosquitto.port) as late:
        content = config(late)
        assert "front_count_person" not in content["components"]
        assert "front_count_tabby_cat" in content["components"]
        assert late.on(TOPICS.count("person")) == []
        assert late.on(TOPICS.count("tabby_cat")) == [b"1"]


def test_a_model_that_is_exchanged_takes_its_labels_with_it(mosquitto: Mosquitto, boot_id: str) -> None:
    sink = open_sink(mosquitto, boot_id)
    sink.state(rig.state())
    sink.send(rig.result(0, PERSON))
    sink.state(rig.state(model="faces"))
    sink.send(rig.result(1, CAT, model="faces"))
    with Subscriber(mosquitto.port) as subscriber:
        assert rig.until(lambda: "front_count_tabby_cat" in config(subscriber)["components"])
        assert "front_count_person" not in config(subscriber)["components"]
        sink.close()


def test_home_assistant_gets_everything_again_when_it_starts(
    mosquitto: Mosquitto, boot_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard, over, hear = list[bytes](), threading.Event(), Birth._hear  # noqa: SLF001  # nothing else tells

    def note(birth: Birth, topic: str, payload: bytes, retained: bool) -> None:  # noqa: FBT001  # as the real one
        hear(birth, topic, payload, retained)
        heard.append(payload)

    monkeypatch.setattr(Birth, "_hear", note)
    # It waits half a second or more, so that several births are answered once.
    waits = SimpleNamespace(uniform=lambda least, _: 0.0 if over.wait(60) else least)
    monkeypatch.setattr("edged.mqtt.home.birth.random", waits)
    sink = open_sink(mosquitto, boot_id)
    sink.state(rig.state())
    with Subscriber(mosquitto.port) as subscriber:
        subscriber.wait_for(CONFIG)
        assert rig.until(lambda: sink.delivery().queued + sink.delivery().in_flight == 0)
        before = len(subscriber.on(CONFIG))
        for _ in range(3):
            publish(mosquitto.port, "homeassistant/status", b"online")
        assert rig.until(lambda: len(heard) == 3)
        assert [thread.name for thread in threading.enumerate()].count("mqtt-birth") == 1
        over.set()
        assert rig.until(lambda: len(subscriber.on(CONFIG)) == before + 1)
        subscriber.wait_for(TOPICS.state)
        sink.close()
        subscriber.catch_up()
        assert len(subscriber.on(CONFIG)) == before + 1


@pytest.mark.parametrize(
    "left", [b"nonsense", b"[]", b'{"components": 3}', b'{"components": {}, "device": 1}']
)
def test_a_foreign_announcement_on_our_topic_is_replaced(
    mosquitto: Mosquitto, boot_id: str, left: bytes
) -> None:
    publish(mosquitto.port, CONFIG, left, "-r")
    with capture_logs():
        sink = open_sink(mosquitto, boot_id)
        sink.state(rig.state())
        with Subscriber(mosquitto.port) as subscriber:
            assert rig.until(
                lambda: b"components" in subscriber.wait_for(CONFIG) and len(config(subscriber)) > 3
            )
            sink.close()


def test_ids_hold_only_what_home_assistant_allows(mosquitto: Mosquitto, boot_id: str) -> None:
    topics = Topics("edged", "küche.1", "Hof Süd")
    sink = rig.sink(rig.access(mosquitto.broker), topics, meter=Meter(), boot_id=boot_id, discovery=True)
    sink.open()
    sink.state(rig.state())
    with Subscriber(mosquitto.port, "homeassistant/#") as subscriber:
        assert rig.until(lambda: subscriber.received)
        topic = subscriber.received[0].topic
    sink.close()
    assert topic.isascii()
    assert all(character.isalnum() or character in "_-" for character in topic.split("/")[2])


def test_an_announcement_that_is_no_longer_wanted_is_taken_back(mosquitto: Mosquitto, boot_id: str) -> None:
    first = open_sink(mosquitto, boot_id)
    first.state(rig.state())
    first.close()
    with Subscriber(mosquitto.port, CONFIG) as subscriber:
        subscriber.wait_for(CONFIG)
        second = open_sink(mosquitto, "b" * 32, discovery=False)
        second.state(rig.state())
        subscriber.wait_for(CONFIG, b"")
        second.close()


def test_an_announcement_of_somebody_else_is_left_alone(mosquitto: Mosquitto, boot_id: str) -> None:
    foreign = {"device": {"identifiers": ["other"]}, "components": {}}
    publish(mosquitto.port, CONFIG, json.dumps(foreign).encode(), "-r")
    sink = open_sink(mosquitto, boot_id, discovery=False)
    sink.state(rig.state())
    sink.send(rig.result(0))
    assert rig.until(lambda: sink.delivery().queued + sink.delivery().in_flight == 0)
    sink.close()
    with Subscriber(mosquitto.port, CONFIG) as subscriber:
        assert config(subscriber) == foreign


def test_zones_and_lines_have_entities_and_lose_them_when_they_go(mosquitto: Mosquitto, boot_id: str) -> None:
    for zones, lines in ((("porch",), ("gate",)), ((), ())):
        sink = open_sink(mosquitto, boot_id, labels=("person",), zones=zones, lines=lines)
        sink.state(rig.state())
        assert rig.until(partial(idle, sink))
        sink.close()
        with Subscriber(mosquitto.port) as subscriber:
            content = config(subscriber)
        scene = {name: what for name, what in platforms(content).items() if "porch" in name or "gate" in name}
        assert scene == (
            {
                "front_zone_porch": "binary_sensor",
                "front_zone_porch_count_person": "sensor",
                "front_line_gate_in_person": "sensor",
                "front_line_gate_out_person": "sensor",
            }
            if zones
            else {}
        )
        for name in scene:
            component = content["components"][name]
            known = KNOWN["platforms"][component["platform"]]
            assert set(component) <= {*known, "platform"}
