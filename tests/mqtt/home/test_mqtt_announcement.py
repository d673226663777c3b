"""Home Assistant finds the daemon, and reads whatever it publishes."""

from __future__ import annotations

import json
import os
import time
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import rig
from announced import CONFIG, KNOWN, available, config, idle, open_sink, rendered, walk
from rig import TOPICS, Mosquitto, Subscriber

from edged.metrics import Meter
from edged.records import Controls
from edged.sinks import NoControl

pytest_plugins = ("mqtt_fixtures",)

DUMP = os.environ.get("EDGED_TESTS_DUMP")
"""Where to leave the messages for home_assistant.py."""


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
            subscriber.catch_up()
            newest = {message.topic: message.payload for message in list(subscriber.received)}
            events = subscriber.on(TOPICS.events)
        sink.close()
    if DUMP is not None:
        texts = {topic: payload.decode(errors="replace") for topic, payload in newest.items()}
        Path(DUMP).write_text(json.dumps(texts))
    return Ran(newest, events)


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


def test_only_periodic_values_expire(ran: Ran) -> None:
    components = ran.content["components"]
    expire = {name for name, component in components.items() if component.get("expire_after", 0) >= 30}
    periodic = {name for name, one in components.items() if one.get("state_topic") == TOPICS.timings}
    assert expire == periodic - {"last_heard"}
    assert "fps" in expire
