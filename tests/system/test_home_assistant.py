"""Two cameras before a real Home Assistant: what appears, what can be switched, and that nothing of it lies.

``make test-home-assistant``: it makes the folder that EDGED_HOME_ASSISTANT names. As root.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
import yaml
from browser import open_browser
from daemon import ROOT, Daemon, until
from rig import Mosquitto, free_port

from system.hass import HomeAssistant

if TYPE_CHECKING:
    from collections.abc import Iterator

DEPLOY = ROOT / "deploy/homeassistant"
PICTURES = ROOT / "build/home-assistant"
"""Where the screenshots go."""
SENT = "script.send"
"""Stands for the telephone."""
VISIT = {"visit": "event.front_porch_visit", "picture": "image.front_person_best_picture", "send": SENT}
TROUBLE = {"problem": "binary_sensor.front_problem", "minutes": 0, "send": SENT}
PARTS = {
    "input_text": {"sent": {"max": 255}},
    "script": {
        "send": {
            "mode": "queued",
            "sequence": [
                {
                    "action": "input_text.set_value",
                    "target": {"entity_id": "input_text.sent"},
                    "data": {
                        "value": "{{ title }} | {{ message }} | {{ (data | default({})).get('image', '') }}"
                    },
                }
            ],
        }
    },
}
AUTOMATIONS = [
    {"id": "visit", "alias": "Visit", "use_blueprint": {"path": "edged/visit.yaml", "input": VISIT}},
    {"id": "trouble", "alias": "Trouble", "use_blueprint": {"path": "edged/trouble.yaml", "input": TROUBLE}},
]


def written() -> dict[str, Any]:
    """The automation of docs/home-assistant.md, which sends to the script instead of a telephone."""
    text = (ROOT / "docs/home-assistant.md").read_text(encoding="utf-8")
    automation: dict[str, Any] = yaml.safe_load(text.split("```yaml\n")[1].split("```")[0])
    automation["actions"][-1]["action"] = SENT
    return {"id": "written", "alias": "Written", **automation}


DIAGNOSTIC, CONFIG = "diagnostic", "config"
LOOKS: dict[str, tuple[str | None, ...]] = {
    "binary_sensor.front_anything": ("occupancy", None, None, None),
    "binary_sensor.front_person": ("occupancy", None, None, None),
    "binary_sensor.front_porch": ("occupancy", None, None, None),
    "sensor.front_person_count": (None, None, "measurement", None),
    "sensor.front_porch_person_count": (None, None, "measurement", None),
    "sensor.front_person_last_seen": ("timestamp", None, None, None),
    "sensor.front_gate_person_in": (None, None, "total_increasing", None),
    "sensor.front_gate_person_out": (None, None, "total_increasing", None),
    "image.front_person_best_picture": (None, None, None, None),
    "image.front_snapshot": (None, None, None, None),
    "event.front_activity": (None, None, None, None),
    "event.front_porch_visit": (None, None, None, None),
    "event.front_gate_crossing": (None, None, None, None),
    "switch.front_detection": (None, None, None, None),
    "switch.front_recording": (None, None, None, None),
    "number.front_score_threshold": (None, None, None, CONFIG),
    "select.front_model": (None, None, None, CONFIG),
    "button.front_take_snapshot": (None, None, None, None),
    "sensor.front_state": ("enum", None, None, DIAGNOSTIC),
    "binary_sensor.front_problem": ("problem", None, None, DIAGNOSTIC),
    "binary_sensor.front_connected": ("connectivity", None, None, DIAGNOSTIC),
    "sensor.front_model_in_use": (None, None, None, DIAGNOSTIC),
    "sensor.front_runs_on": (None, None, None, DIAGNOSTIC),
    "sensor.front_frames_per_second": (None, "fps", "measurement", DIAGNOSTIC),
    "binary_sensor.pi_daemon": ("connectivity", None, None, DIAGNOSTIC),
    "binary_sensor.pi_problem": ("problem", None, None, DIAGNOSTIC),
    "sensor.pi_version": (None, None, None, DIAGNOSTIC),
    "sensor.pi_last_start": ("timestamp", None, None, DIAGNOSTIC),
    "sensor.pi_disk_free": ("data_size", "GB", "measurement", DIAGNOSTIC),
    "sensor.pi_memory_used": (None, "%", "measurement", DIAGNOSTIC),
    "button.pi_reload_settings": (None, None, None, CONFIG),
}
"""Device class, unit, state class and category of all that is always there."""
SHOWN = """function shown(node) {
  const below = [...(node.shadowRoot ? node.shadowRoot.childNodes : []), ...node.childNodes];
  return (node.nodeType === 3 ? node.data : '') + below.map(shown).join(' ');
}"""
"""All text of a page, which hides it in trees within trees."""
WORDS = {"dashboard": "The last person", "device": "Diagnostic"}
MAYBE = {f"sensor.front_gate_person_{way}" for way in ("in", "out")} | {"event.front_gate_crossing"}
"""Not known before somebody has crossed the line."""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """The broker between the two."""
    with Mosquitto(tmp_path_factory.mktemp("broker")) as mosquitto:
        yield mosquitto


@pytest.fixture(scope="module")
def home(broker: Mosquitto) -> Iterator[HomeAssistant]:
    """Home Assistant with the blueprints and an automation of each."""
    root = os.environ.get("EDGED_HOME_ASSISTANT")
    if root is None:
        pytest.skip("EDGED_HOME_ASSISTANT names no folder with Home Assistant: make test-home-assistant")
    files = {
        f"blueprints/automation/edged/{path.name}": path.read_text(encoding="utf-8")
        for path in (DEPLOY / "blueprints").iterdir()
    }
    files["dashboard.yaml"] = (DEPLOY / "dashboard.yaml").read_text(encoding="utf-8")
    files["automations.yaml"] = json.dumps([*AUTOMATIONS, written()])
    with HomeAssistant(Path(root), f"config-{uuid4().hex[:8]}", files, PARTS) as running:
        running.add_broker(broker.port)
        yield running
    shutil.rmtree(running.folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For edged's data."""
    return tmp_path_factory.mktemp("edged")


@pytest.fixture(scope="module")
def settings(broker: Mosquitto, folder: Path, shared: Path) -> dict[str, str]:
    """Two looped clips as two cameras, one with a zone and a line."""
    models = folder / "models"
    models.mkdir()
    for name in ("one", "two"):
        shutil.copy(shared / "models/yolov8n_224_full_integer_quant.tflite", models / f"{name}.tflite")
    return {
        "EDGED_NODE": "pi",
        "EDGED_CAMERAS": "front,garden",
        "EDGED_FRONT_SOURCE": str(shared / "clips/vtest_pets2009_480x360_10fps_79s.mp4"),
        "EDGED_GARDEN_SOURCE": str(shared / "clips/pedestrians_626x360_h264.mp4"),
        "EDGED_FPS": "10",
        "EDGED_GARDEN_FPS": "2",
        "EDGED_POLICY": "latest",
        "EDGED_LOOP": "true",
        "EDGED_MODEL": str(models / "one.tflite"),
        "EDGED_LABELS": str(shared / "models/coco_labels80.txt"),
        "EDGED_FRONT_ZONE_PORCH": "0.3,0.3 0.7,0.3 0.7,0.9 0.3,0.9",
        "EDGED_FRONT_LINE_GATE": "0.5,0.2 0.5,0.95",
        "EDGED_OUTPUT": str(folder / "video"),
        "EDGED_DISK_FREE_GB": "0",
        "EDGED_SPOOL": str(folder / "spool"),
        "EDGED_MQTT_URL": f"mqtt://127.0.0.1:{broker.port}",
        "EDGED_COMMANDS": "true",
        "EDGED_SNAPSHOT_INTERVAL": "10",
        "EDGED_HA_DISCOVERY": "true",
        "EDGED_HTTP": f"127.0.0.1:{free_port()}",
    }


def start(folder: Path, settings: dict[str, str]) -> Daemon:
    """The daemon, with nothing of what other tests call it."""
    return Daemon(folder, settings, environ={"EDGED_NODE": settings["EDGED_NODE"], "EDGED_CAMERA": ""})


@pytest.fixture
def edged(settings: dict[str, str], folder: Path, home: HomeAssistant) -> Iterator[Daemon]:
    """The daemon, seen by Home Assistant."""
    with start(folder, settings) as daemon:
        home.until("sensor.front_state", "running", limit_s=90)
        yield daemon
        assert daemon.stop(limit_s=40) == 0


def unclear(states: dict[str, dict[str, Any]]) -> set[str]:
    """What of the list is not there, or says nothing yet."""
    silent = {
        name
        for name in LOOKS
        if states.get(name, {"state": "unknown"})["state"] in {"unknown", "unavailable"}
    }
    return {name for name in silent - MAYBE if name not in states or not name.startswith("button.")}


def test_every_entity_is_there_and_has_the_right_looks_and_value(home: HomeAssistant, edged: Daemon) -> None:
    edged.until(lambda: home.state("event.front_porch_visit") not in {"", "unknown", "unavailable"})
    edged.until(lambda: home.state("sensor.pi_disk_free") not in {"", "unknown", "unavailable"})
    edged.until(lambda: not unclear(home.states()))
    states = home.states()
    known = {one["entity_id"]: one for one in home.registry().values()}

    def looks(entity: str) -> tuple[Any, ...]:
        attributes = states[entity]["attributes"]
        names = ("device_class", "unit_of_measurement", "state_class")
        return (*(attributes.get(name) for name in names), known[entity]["entity_category"])

    assert {entity: looks(entity) for entity in LOOKS} == LOOKS
    assert states["sensor.front_person_count"]["attributes"]["friendly_name"] == "Front Person count"
    assert states["sensor.front_person_count"]["attributes"]["icon"] == "mdi:account"
    assert states["sensor.front_state"]["attributes"]["options"][1] == "running"
    assert states["select.front_model"]["attributes"]["options"] == ["one", "two"]
    assert states["binary_sensor.front_problem"]["attributes"]["degraded"] == []
    visit = states["event.front_porch_visit"]["attributes"]
    assert {"label", "zone", "dwell_s", "score", "event_id"} <= visit.keys()
    assert visit["zone"] == "porch"
    assert int(states["sensor.front_person_count"]["state"]) >= 0
    assert states["image.front_person_best_picture"]["state"] != "unknown"
    assert {states[f"automation.{name}"]["state"] for name in ("visit", "trouble", "written")} == {"on"}
    off = {one["entity_id"] for one in home.registry().values() if one["disabled_by"]}
    assert "sensor.front_inference_p95" in off
    assert "sensor.front_frames_per_second" not in off


def test_what_is_switched_is_switched_and_a_pause_is_no_person(home: HomeAssistant, edged: Daemon) -> None:
    del edged
    home.call("number.set_value", "number.front_score_threshold", value=0.55)
    home.until("number.front_score_threshold", "0.55")
    home.call("select.select_option", "select.front_model", option="two")
    home.until("sensor.front_model_in_use", "two")
    home.call("switch.turn_off", "switch.front_recording")
    home.until("switch.front_recording", "off")
    assert home.state("switch.garden_recording") == "on"
    home.call("button.press", "button.front_take_snapshot")
    home.call("switch.turn_off", "switch.front_detection")
    home.until("sensor.front_state", "paused")
    for entity in ("sensor.front_person_count", "binary_sensor.front_person", "image.front_snapshot"):
        home.until(entity, "unavailable")
    home.until("binary_sensor.front_connected", "unavailable")
    assert home.state("binary_sensor.garden_connected") == "on"
    home.call("switch.turn_on", "switch.front_detection")
    home.until("sensor.front_state", "running")
    home.call("switch.turn_on", "switch.front_recording")
    home.until("switch.front_recording", "on")


def test_the_cameras_are_devices_below_the_node_and_have_their_pages(
    home: HomeAssistant, edged: Daemon, settings: dict[str, str]
) -> None:
    del edged
    devices = home.devices()
    assert devices.keys() == {"Pi", "Front", "Garden"}
    assert {devices[name]["via_device_id"] for name in ("Front", "Garden")} == {devices["Pi"]["id"]}
    assert devices["Front"]["configuration_url"] == f"http://{settings['EDGED_HTTP']}/front/"
    assert devices["Front"]["model"] == "Detection on cpu"


def test_the_blueprints_and_what_is_written_fire(
    home: HomeAssistant, settings: dict[str, str], folder: Path
) -> None:
    """The picture of who enters the porch is sent, and that edged does not answer."""
    with start(folder, settings) as daemon:
        home.until("sensor.front_state", "running", limit_s=90)
        before = {name: home.fired(f"automation.{name}") for name in ("visit", "written")}
        daemon.until(lambda: all(home.fired(f"automation.{name}") != at for name, at in before.items()))
        daemon.until(lambda: "% sure | /api/image_proxy/image.front_p" in home.state("input_text.sent"))
        daemon.process.kill()
    until(lambda: "edged does not answer" in home.state("input_text.sent"), limit_s=60)


def test_restarts_remove_nothing_and_keep_what_was_switched(
    home: HomeAssistant, settings: dict[str, str], folder: Path, broker: Mosquitto
) -> None:
    """edged and the broker are killed, Home Assistant starts anew. Meanwhile nothing is said to be there."""
    seen = "sensor.front_person_count"
    with home.watching() as heard, start(folder, settings) as daemon:
        home.until("sensor.front_state", "running", limit_s=90)
        until(lambda: home.state(seen).isdigit())
        assert home.state("number.front_score_threshold") == "0.55"
        daemon.process.kill()
        home.until(seen, "unavailable")
        home.until("binary_sensor.pi_daemon", "off")
    with start(folder, settings) as daemon:
        with home.watching() as afterwards:
            home.until("sensor.front_state", "running", limit_s=90)
            until(lambda: home.state(seen).isdigit())
            broker.stop(signal.SIGKILL)
            home.until(seen, "unavailable", limit_s=60)
            broker.start()
            until(lambda: home.state(seen).isdigit(), limit_s=90)
            before = home.registry()
        home.restart()
        with home.watching() as at_last:
            home.until("sensor.front_state", "running", limit_s=90)
            until(lambda: home.state(seen).isdigit(), limit_s=90)
            assert home.registry().keys() >= before.keys()
        assert daemon.stop(limit_s=40) == 0
    assert [one for one in (*heard, *afterwards, *at_last) if one[0] == "remove"] == []


def test_a_reload_adds_and_removes_a_camera_a_zone_and_a_label(
    home: HomeAssistant, settings: dict[str, str], edged: Daemon
) -> None:
    """Their entities follow, those of all others stay."""
    home.until("sensor.garden_state", "running")
    few = {
        **{name: value for name, value in settings.items() if "ZONE_PORCH" not in name},
        "EDGED_FRONT_ZONE_DOOR": "0.1,0.1 0.4,0.1 0.4,0.9 0.1,0.9",
        "EDGED_FRONT_CLASSES": "person,umbrella",
        "EDGED_CAMERAS": "front,yard",
        "EDGED_YARD_SOURCE": settings["EDGED_GARDEN_SOURCE"],
        "EDGED_YARD_FPS": "1",
    }
    few = {name: value for name, value in few.items() if "GARDEN" not in name}
    before = home.registry().keys()
    with home.watching() as heard:
        edged.configure(few)
        edged.send(signal.SIGHUP)
        home.until("sensor.yard_state", "running", limit_s=60)
        home.until("sensor.front_umbrella_count", "0")
        until(lambda: home.state("binary_sensor.front_door") in {"on", "off"})
        until(lambda: "Garden" not in home.devices())
        until(lambda: home.state("binary_sensor.front_porch") == "")
        gone = {f"edged_pi--{camera}_" for camera in ("garden",)}
        left = home.registry().keys()
        assert not [one for one in left if one.startswith(tuple(gone))]
        kept = {"edged_pi--front_count_person", "edged_pi--front_lifecycle", "edged_pi_version"}
        assert kept <= before & left
        edged.configure(settings)
        edged.send(signal.SIGHUP)
        home.until("sensor.garden_state", "running", limit_s=60)
        until(lambda: home.state("binary_sensor.front_porch") in {"on", "off"}, limit_s=60)
        until(lambda: "Yard" not in home.devices())
        until(lambda: home.state("binary_sensor.front_door") == "")
    ruled_out = ("garden_", "yard_", "front_porch", "front_door")
    labels = {name for what, name in heard if what == "remove" and ".front_" in name and "person" in name}
    assert not [name for name in labels if not name.split(".")[1].startswith(ruled_out)]
    assert not [one for one in heard if "pi_" in one[1] or "front_state" in one[1]]


def test_the_pages_of_home_assistant_look_right(home: HomeAssistant, edged: Daemon) -> None:
    """The pictures are for eyes; here only that everything on the dashboard is known and shows something."""
    edged.until(lambda: home.state("image.front_snapshot") not in {"", "unknown", "unavailable"})
    PICTURES.mkdir(parents=True, exist_ok=True)
    with open_browser() as browser:
        browser.resize(1400, 1500)
        browser.go(f"{home.url}manifest.json")
        browser.run(home.login())
        device = home.devices()["Front"]["id"]
        pages = {"dashboard": "edged-cameras/0", "device": f"config/devices/device/{device}"}
        for name, path in pages.items():
            browser.go(home.url + path)
            browser.wait_for(f"return ({SHOWN})(document.body).includes({WORDS[name]!r})", seconds=60)
            time.sleep(3)  # pictures of it, and what is drawn with them
            browser.screenshot(PICTURES / f"{name}.png")
            assert "not found" not in browser.run(f"return ({SHOWN})(document.body)")


def test_the_recorder_gets_at_most_a_row_a_second_of_a_camera(home: HomeAssistant, edged: Daemon) -> None:
    """Over all of its entities; what a quiet time has saved for a burst comes on top."""
    del edged
    time.sleep(30)
    began, seconds = time.time(), 120.0
    time.sleep(seconds + 10)
    database = sqlite3.connect(f"file:{home.folder}/home-assistant_v2.db?mode=ro", uri=True)
    query = "SELECT states_meta.entity_id, count(*) FROM states JOIN states_meta USING (metadata_id) WHERE last_updated_ts BETWEEN ? AND ? GROUP BY 1"  # noqa: E501
    rows = dict(database.execute(query, (began, began + seconds)).fetchall())
    database.close()
    for camera in ("front", "garden"):
        mine = {name: count for name, count in rows.items() if name.split(".")[1].startswith(f"{camera}_")}
        assert mine
        assert sum(mine.values()) <= seconds, json.dumps(mine)
        print(camera, sum(mine.values()) / seconds, mine)


def test_its_log_has_no_warning_of_our_making(home: HomeAssistant) -> None:
    lines = home.log.read_text(encoding="utf-8").splitlines()
    told = [line for line in lines if " WARNING " in line or " ERROR " in line]
    print("\n".join(told))
    foreign = ("The connection was lost", "Failed to connect to MQTT", "paho.mqtt")  # the broker was killed
    ours = ("mqtt", "edged", "automation", "front_", "garden_", "yard_", "emplate", "value_json")
    assert [
        one for one in told if any(map(one.__contains__, ours)) and not any(map(one.__contains__, foreign))
    ] == []
