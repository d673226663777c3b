"""Home Assistant finds the daemon, sees what it publishes, and forgets what no longer exists."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jinja2
import numpy as np
import pytest
import rig
from rig import CAT, PERSON, TOPICS, Mosquitto, Subscriber, publish
from structlog.testing import capture_logs

from edged.contract.topics import Topics
from edged.metrics import Meter
from edged.pipeline.follow import Follower
from edged.records import Box, Controls, Detection, Frame, Result
from edged.scene import Scene, SceneRules
from edged.settings.areas import lines as lines_of
from edged.settings.areas import zones as zones_of
from edged.sinks import NoControl

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edged.sinks.mqtt import MqttSink

pytest_plugins = ("mqtt_fixtures",)

ZONES: Any = zones_of({"porch": "0.5,0 1,0 1,1 0.5,1"})
LINES: Any = lines_of({"gate": "0.5,0 0.5,1"})
CONFIG = "homeassistant/device/edged_lab1/config"
DUMP = os.environ.get("EDGED_TESTS_DUMP")
"""Where to leave the messages for home_assistant.py."""
KNOWN = json.loads(Path(__file__).parents[1].joinpath("home_assistant.json").read_text())
"""What Home Assistant's schemas know, printed by home_assistant.py."""


def open_sink(broker: Mosquitto, boot_id: str, **options: Any) -> MqttSink:
    options.setdefault("meter", Meter())
    options.setdefault("snapshot_interval_s", 0.001)
    options.setdefault("discovery", True)
    sink: MqttSink = rig.sink(rig.access(broker.broker), TOPICS, boot_id=boot_id, **options)
    sink.open()
    return sink


def config(subscriber: Subscriber) -> dict[str, Any]:
    """The newest announcement."""
    content: dict[str, Any] = json.loads(subscriber.wait_for(CONFIG))
    return content


def idle(sink: MqttSink) -> bool:
    return sink.delivery().queued + sink.delivery().in_flight == 0


def platforms(content: dict[str, Any]) -> dict[str, str]:
    return {name: component["platform"] for name, component in content["components"].items()}


def available(place: dict[str, str], payload: bytes) -> bool:
    """What Home Assistant makes of one of the topics that say whether an entity is available."""
    word = rendered(place.get("value_template", "{{ value }}"), payload)
    assert word in {"online", "offline"}
    return word == "online"


class Ran(NamedTuple):
    """What a daemon has published that has run for a while."""

    newest: dict[str, bytes]
    """By topic."""
    events: list[bytes]

    @property
    def content(self) -> dict[str, Any]:
        """The announcement."""
        found: dict[str, Any] = json.loads(self.newest[CONFIG])
        return found


def walk() -> Iterator[Result]:
    """A cat sits there, and somebody walks through the picture from left to right."""
    image = np.zeros((480, 640, 3), np.uint8)
    scene = Scene(SceneRules(zones=ZONES, lines=LINES), new_id=iter("ab").__next__)
    follower, now = Follower(scene), time.time() - 12
    for number in range(120):
        frame = Frame(number, image, now + number / 10, number / 10, number / 10)
        x = 60.0 + 6 * number
        found = [Detection(16, "tabby cat", 0.8, Box(20, 20, 60, 60))]
        found += [Detection(0, "person", 0.9, Box(x - 20, 200, x + 20, 300))] if x < 600 else []
        view = follower.look(frame, found)
        yield Result(
            frame, "yolov8n", view.detections, {}, image.copy, waits=True, events=view.events,
            presence=view.presence,
        )  # fmt: skip


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """A daemon with everything switched on: the newest messages, and all events."""
    if rig.MOSQUITTO is None:
        pytest.skip("mosquitto is not installed (apt install mosquitto mosquitto-clients)")
    with Mosquitto(tmp_path_factory.mktemp("ran")) as broker:
        meter = Meter()
        options: dict[str, Any] = {"meter": meter, "tracks": True, "control": NoControl()}
        sink = open_sink(broker, "a" * 32, **options, zones=("porch",), lines=("gate",))
        with Subscriber(broker.port) as subscriber:
            known = Controls(recording=True, threshold=0.4, models=("yolov8n", "yolov8s"))
            sink.state(rig.state(controls=known, degraded=("The lens is dirty. Clean it.",)))
            for result in walk():
                sink.tell(result.events)
                sink.send(result)
            meter.observe("predict", 31.0)
            assert rig.until(partial(idle, sink))
            host = {"cpu_temperature_c": 51.5, "throttled": False, "undervoltage": True}
            sink.report(rig.report(meter, **host, memory_used_percent=40.1, disk_free_mb=12345.6))
            subscriber.wait_for(TOPICS.timings)
            assert rig.until(lambda: "undervoltage" in config(subscriber)["components"])
            assert rig.until(partial(idle, sink))
            newest = {message.topic: message.payload for message in list(subscriber.received)}
            events = subscriber.on(TOPICS.events)
        sink.close()
    if DUMP is not None:
        texts = {topic: payload.decode(errors="replace") for topic, payload in newest.items()}
        Path(DUMP).write_text(json.dumps(texts))
    return Ran(newest, events)


def rendered(template: str, payload: bytes) -> str:
    """What Home Assistant's template gives of a message."""
    environment = jinja2.Environment(autoescape=False, undefined=jinja2.StrictUndefined)  # noqa: S701  # no HTML
    environment.filters["as_datetime"] = lambda ts: datetime.fromtimestamp(ts, UTC)
    environment.globals["now"] = lambda: datetime.now(UTC)
    text = payload.decode()
    parsed = json.loads(text) if text.startswith("{") else None
    return environment.from_string(template).render(value=text, value_json=parsed)


def test_the_announcement_has_only_fields_that_home_assistant_knows(ran: Ran) -> None:
    content = ran.content
    assert content.keys() - {"components"} <= set(KNOWN["root"])
    assert content["device"].keys() <= set(KNOWN["device"])
    assert content["origin"].keys() <= set(KNOWN["origin"])
    for name, component in content["components"].items():
        assert component.keys() - {"platform"} <= set(KNOWN["platforms"][component["platform"]]), name
        device_class = component.get("device_class")
        if component["platform"] == "binary_sensor":
            assert device_class in KNOWN["binary_sensor_classes"]
        elif component["platform"] == "sensor":
            if "state_class" in component:
                assert component["state_class"] in KNOWN["state_classes"]
            if "unit_of_measurement" in component and device_class:
                assert component["unit_of_measurement"] in KNOWN["sensor_units"][device_class]


def test_every_entity_reads_a_real_message(ran: Ran) -> None:
    """Each template, evaluated on the newest message of its topic, gives what the entity can show."""
    content, messages = ran.content, ran.newest
    values: dict[str, str] = {}
    for name, component in content["components"].items():
        for place in component.get("availability", content["availability"]):
            assert available(place, messages[place["topic"]])
        platform = component["platform"]
        if platform in {"button", "event"}:
            continue
        if platform == "image":
            if name != "front_snapshot":  # the walk's pictures are of crops
                assert messages[component["image_topic"]].startswith(b"\xff\xd8")
            continue
        if component["state_topic"] not in messages:  # the cat crossed no line, and nobody came in
            assert "tabby_cat" in name or name == "front_line_gate_in_person"
            continue
        template = component.get("value_template", "{{ value }}")
        values[name] = rendered(template, messages[component["state_topic"]])
        if component.get("device_class") == "timestamp":
            moment = datetime.fromisoformat(values.pop(name))
            assert abs(moment.timestamp() - time.time()) < 300
        if "options" in component:
            assert values[name] in component["options"]
    assert float(values.pop("capture_to_ack_p95")) > 0
    assert values == {
        "front_camera": "online",
        "front_anything": "ON",
        "front_count_person": "0",
        "front_occupancy_person": "OFF",
        "front_count_tabby_cat": "1",
        "front_occupancy_tabby_cat": "ON",
        "front_zone_porch": "OFF",
        "front_zone_porch_count_person": "0",
        "front_zone_porch_occupancy_person": "OFF",
        "front_zone_porch_count_tabby_cat": "0",
        "front_zone_porch_occupancy_tabby_cat": "OFF",
        "front_line_gate_out_person": "1",
        "front_lifecycle": "running",
        "front_problem": "ON",
        "front_model": "yolov8n",
        "front_runs_on": "cpu",
        "front_detection": "ON",
        "front_recording": "ON",
        "front_threshold": "0.4",
        "front_choose_model": "yolov8n",
        "version": "0.1.0",
        "fps": "30.0",
        "predict_p95": "31.0",
        "cpu_temperature_c": "51.5",
        "memory_used_percent": "40",
        "disk_free_mb": "12.3",
        "throttled": "OFF",
        "undervoltage": "ON",
    }


def test_the_problem_says_what_is_wrong_and_what_to_do(ran: Ran) -> None:
    problem = ran.content["components"]["front_problem"]
    message = ran.newest[problem["json_attributes_topic"]]
    assert json.loads(rendered(problem["json_attributes_template"], message)) == {
        "degraded": ["The lens is dirty. Clean it."],
        "hint": "The lens is dirty. Clean it.",
    }


def test_what_happens_comes_as_events_with_what_an_automation_needs(ran: Ran) -> None:
    """Each once, with label, zone, dwell, score and id; an event of long ago is none."""
    told: dict[str, list[dict[str, Any]]] = {}
    for name, component in ran.content["components"].items():
        if component["platform"] != "event":
            continue
        for payload in ran.events:
            if text := rendered(component["value_template"], payload):
                told.setdefault(name, []).append(json.loads(text))
                assert told[name][-1]["event_type"] in component["event_types"]
            old = json.dumps(json.loads(payload) | {"ts": time.time() - 3600}).encode()
            assert rendered(component["value_template"], old) == ""
    kinds = {name: [(one["event_type"], one["label"]) for one in found] for name, found in told.items()}
    assert kinds == {
        "front_activity": [("appeared", "tabby cat"), ("appeared", "person"), ("gone", "person")],
        "front_event_zone_porch": [("entered", "person"), ("left", "person")],
        "front_event_line_gate": [("out", "person")],
    }
    left = told["front_event_zone_porch"][-1]
    assert left["zone"] == "porch"
    assert left["dwell_s"] > 3
    assert 0.5 < left["score"] <= 1
    assert left["event_id"] == told["front_activity"][-1]["event_id"]
    assert (left["sub_label"], left["sub_score"]) == (None, None)


def test_an_event_says_what_a_second_model_says_of_it(ran: Ran) -> None:
    template = ran.content["components"]["front_activity"]["value_template"]
    named = json.loads(ran.events[0]) | {"sub_label": "robin", "sub_score": 0.8}
    told = json.loads(rendered(template, json.dumps(named).encode()))
    assert (told["sub_label"], told["sub_score"]) == ("robin", 0.8)


def test_names_have_one_rule_of_capitals_and_what_few_want_is_off(ran: Ran) -> None:
    components = ran.content["components"]
    names = [component["name"] for component in components.values()]
    assert len(set(names)) == len(names)
    assert all(name[0].isupper() for name in names)
    assert components["front_count_person"]["name"] == "Front person count"
    assert components["front_occupancy_person"]["name"] == "Front person"
    assert components["front_event_zone_porch"]["name"] == "Front porch visit"
    assert components["front_count_person"]["icon"] == "mdi:account"
    off = {name for name, one in components.items() if not one.get("enabled_by_default", True)}
    assert off == {"predict_p95", "capture_to_ack_p95", "last_heard"} | {
        f"front_zone_porch_occupancy_{label}" for label in ("person", "tabby_cat")
    }


def test_a_value_that_a_message_does_not_have_is_unknown(ran: Ran) -> None:
    """A paused daemon has no stages; Home Assistant takes None for unknown."""
    bare = json.dumps(json.loads(ran.newest[TOPICS.timings]) | {"stages": {}, "host": {}}).encode()
    shown = {
        name: rendered(component["value_template"], bare)
        for name, component in ran.content["components"].items()
        if component.get("state_topic") == TOPICS.timings
    }
    assert {"fps", "predict_p95", "cpu_temperature_c", "throttled", "last_heard"} <= shown.keys()
    del shown["last_heard"]
    assert set(shown.values()) == {"None", "OFF", "30.0"}, shown


def test_ids_are_unique_and_stable(ran: Ran) -> None:
    content = ran.content
    ids = [component["unique_id"] for component in content["components"].values()]
    assert len(set(ids)) == len(ids)
    first = {"front_camera", "front_count_person", "front_occupancy_person", "front_snapshot", "fps"}
    first |= {"predict_p95", "cpu_temperature_c", "memory_used_percent", "disk_free_mb", "throttled"}
    assert {f"edged_lab1_{name}" for name in first} <= set(ids), "those of 0.1.0 stay"
    assert content["device"]["identifiers"] == ["edged_lab1"]


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


def test_only_periodic_values_expire(ran: Ran) -> None:
    components = ran.content["components"]
    expire = {name for name, component in components.items() if component.get("expire_after", 0) >= 30}
    periodic = {name for name, one in components.items() if one.get("state_topic") == TOPICS.timings}
    assert expire == periodic - {"last_heard"}
    assert "fps" in expire


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
    monkeypatch.setattr("edged.mqtt.home.birth._BIRTH_S", 0.6)
    sink = open_sink(mosquitto, boot_id)
    sink.state(rig.state())
    with Subscriber(mosquitto.port) as subscriber:
        subscriber.wait_for(CONFIG)
        assert rig.until(lambda: sink.delivery().queued + sink.delivery().in_flight == 0)
        before = len(subscriber.on(CONFIG))
        for _ in range(3):
            publish(mosquitto.port, "homeassistant/status", b"online")
        assert rig.until(lambda: len(subscriber.on(CONFIG)) == before + 1)
        subscriber.wait_for(TOPICS.state)
        sink.close()
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
