"""Two cameras before a real Home Assistant: what appears, what can be switched, and that nothing of it lies.

``make test-home-assistant``: it makes the folder that EDGED_HOME_ASSISTANT names. As root.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from daemon import ROOT, Daemon
from rig import Mosquitto

from system.hass import HomeAssistant

if TYPE_CHECKING:
    from collections.abc import Iterator

BLUEPRINTS = ROOT / "deploy/homeassistant/blueprints"
VISIT = {"visit": "event.front_porch_visit", "picture": "image.front_person_best_picture"}
AUTOMATIONS = [
    {"id": "visit", "alias": "Visit", "use_blueprint": {"path": "edged/visit.yaml", "input": VISIT}},
    {
        "id": "trouble",
        "alias": "Trouble",
        "use_blueprint": {"path": "edged/trouble.yaml", "input": {"problem": "binary_sensor.front_problem"}},
    },
]


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
        for path in BLUEPRINTS.iterdir()
    }
    files["automations.yaml"] = json.dumps(AUTOMATIONS)
    with HomeAssistant(Path(root), f"config-{uuid4().hex[:8]}", files) as running:
        running.add_broker(broker.port)
        yield running
    shutil.rmtree(running.folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of edged's data."""
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
    }


@pytest.fixture
def edged(settings: dict[str, str], folder: Path, home: HomeAssistant) -> Iterator[Daemon]:
    """The daemon, seen by Home Assistant."""
    with Daemon(folder, settings, environ={"EDGED_NODE": "pi", "EDGED_CAMERA": ""}) as daemon:
        home.until("sensor.front_state", "running", limit_s=90)
        yield daemon
        assert daemon.stop() == 0


def test_every_entity_is_there_and_has_the_right_looks_and_value(home: HomeAssistant, edged: Daemon) -> None:
    edged.until(lambda: home.state("event.front_porch_visit") not in {"", "unknown", "unavailable"})
    edged.until(lambda: home.state("sensor.pi_disk_free") not in {"", "unknown", "unavailable"})
    states = home.states()

    def looks(entity: str) -> tuple[Any, ...]:
        attributes = states[entity]["attributes"]
        names = ("friendly_name", "device_class", "unit_of_measurement", "state_class", "icon")
        return tuple(attributes.get(name) for name in names)

    assert looks("sensor.front_person_count")[:4] == ("Front Person count", None, None, "measurement")
    assert looks("binary_sensor.front_person")[:2] == ("Front Person", "occupancy")
    assert looks("binary_sensor.front_porch")[1] == "occupancy"
    assert looks("sensor.front_person_last_seen")[1] == "timestamp"
    assert looks("sensor.pi_disk_free")[:4] == ("Pi Disk free", "data_size", "GB", "measurement")
    assert looks("sensor.front_gate_person_in")[3] == "total_increasing"
    assert states["sensor.front_state"]["attributes"]["options"][1] == "running"
    assert states["select.front_model"]["attributes"]["options"] == ["one", "two"]
    assert states["binary_sensor.front_problem"]["attributes"]["degraded"] == []
    visit = states["event.front_porch_visit"]["attributes"]
    assert {"label", "zone", "dwell_s", "score", "event_id"} <= visit.keys()
    assert visit["zone"] == "porch"
    assert int(states["sensor.front_person_count"]["state"]) >= 0
    assert states["image.front_person_best_picture"]["state"] != "unknown"
    assert {"automation.visit", "automation.trouble"} <= states.keys()
    assert {states[one]["state"] for one in ("automation.visit", "automation.trouble")} == {"on"}
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


def test_a_restart_removes_nothing_and_keeps_what_was_switched(
    home: HomeAssistant, settings: dict[str, str], folder: Path
) -> None:
    before = {name: one["created_at"] for name, one in home.registry().items()}
    with Daemon(folder, settings, environ={"EDGED_NODE": "pi", "EDGED_CAMERA": ""}) as daemon:
        home.until("sensor.front_state", "running", limit_s=90)
        time.sleep(12)
        assert home.state("number.front_score_threshold") == "0.55"
        daemon.process.kill()
    home.until("sensor.front_person_count", "unavailable")
    with Daemon(folder, settings, environ={"EDGED_NODE": "pi", "EDGED_CAMERA": ""}) as daemon:
        home.until("sensor.front_state", "running", limit_s=90)
        time.sleep(12)
        assert daemon.stop() == 0
    after = {name: one["created_at"] for name, one in home.registry().items()}
    assert {name: after.get(name) for name in before} == before


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
    assert [line for line in told if "mqtt" in line or "edged" in line or "front_" in line] == []
