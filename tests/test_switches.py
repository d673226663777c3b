"""What is switched over MQTT is in force, told, outlives a restart, and is refused where it cannot be."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from daemon import Daemon
from rig import Mosquitto, Subscriber, publish

from edged.daemon.switches import Switches
from edged.durable.owner import Owner
from edged.durable.spool_folder import SpoolFolder
from edged.errors import ConfigError
from edged.settings.loading import load

if TYPE_CHECKING:
    from pathlib import Path

    from edged.settings.declared import Settings

pytest_plugins = ("mqtt_fixtures",)

BASE = "edged/lab1"
STATE = f"{BASE}/state"
CONFIG = "homeassistant/device/edged_lab1/config"


@pytest.fixture
def everything(demo_model: Path, tmp_path: Path) -> dict[str, str]:
    """A camera that records, with two models to choose from and a place to remember."""
    models = tmp_path / "models"
    models.mkdir()
    for name in ("first", "second"):
        shutil.copy(demo_model, models / f"{name}.tflite")
    return {
        "EDGED_SOURCE": "synthetic:?width=64&height=64&fps=20",
        "EDGED_MODEL": str(models / "first.tflite"),
        "EDGED_OUTPUT": str(tmp_path / "video"),
        "EDGED_DISK_FREE_GB": "0",
        "EDGED_SPOOL": str(tmp_path / "spool"),
        "EDGED_COMMANDS": "true",
        "EDGED_HA_DISCOVERY": "true",
        "EDGED_STATS_INTERVAL": "1",
        "EDGED_STOP_TIMEOUT": "5",
        "EDGED_THREADS": "1",
        "EDGED_ENCODER": "libx264",
    }


def newest(seen: Subscriber, topic: str = STATE) -> dict[str, Any]:
    found = seen.on(topic)
    return json.loads(found[-1]) if found else {}


def controls(seen: Subscriber) -> dict[str, Any]:
    """What the state says of what can be switched."""
    state = newest(seen)
    return {**state.get("controls", {}), "lifecycle": state.get("lifecycle"), "model": state.get("model")}


def test_what_is_switched_is_in_force_and_outlives_a_restart(
    mosquitto: Mosquitto, everything: dict[str, str], tmp_path: Path
) -> None:
    """As Home Assistant's entities do it: by their own topics and payloads."""
    everything |= {"EDGED_MQTT_URL": f"mqtt://127.0.0.1:{mosquitto.port}"}
    with Subscriber(mosquitto.port) as seen, Daemon(tmp_path, everything) as daemon:
        daemon.until(lambda: newest(seen).get("camera_online"))
        assert controls(seen) == {
            "recording": True, "threshold": 0.4, "models": ["first", "second"],
            "lifecycle": "running", "model": "first",
        }  # fmt: skip
        daemon.until(lambda: seen.on(CONFIG))
        entities = newest(seen, CONFIG)["components"]
        assert entities["front_choose_model"]["options"] == ["first", "second"]
        for name, payload in (
            ("front_recording", b"OFF"),
            ("front_threshold", b"0.55"),
            ("front_choose_model", b"second"),
        ):
            publish(mosquitto.port, entities[name]["command_topic"], payload)
        after = {"recording": False, "threshold": 0.55, "models": ["first", "second"], "model": "second"}
        daemon.until(lambda: controls(seen) == after | {"lifecycle": "running"})
        assert not newest(seen)["degraded"]
        publish(mosquitto.port, entities["front_detection"]["command_topic"], b"OFF")
        daemon.until(lambda: controls(seen) == after | {"lifecycle": "paused"})

        publish(mosquitto.port, f"{BASE}/cmd/threshold", b'{"value": 7, "id": "a"}')
        daemon.until(lambda: newest(seen, f"{BASE}/cmd/threshold/result").get("id") == "a")
        refused = newest(seen, f"{BASE}/cmd/threshold/result")
        assert not refused["ok"]
        assert "above 0 and up to 1" in refused["message"]
        assert daemon.stop() == 0
    with Subscriber(mosquitto.port) as seen, Daemon(tmp_path, everything) as daemon:
        daemon.until(lambda: controls(seen) == after | {"lifecycle": "paused"})
        publish(mosquitto.port, f"{BASE}/cmd/detection", b"ON")
        daemon.until(lambda: controls(seen) == after | {"lifecycle": "running"})
        daemon.until(lambda: newest(seen, f"{BASE}/front/timings").get("frames", {}).get("inferred"))
        assert newest(seen)["degraded"] == []
        assert daemon.stop() == 0


def settings_of(everything: dict[str, str], folder: Path, **changes: str) -> Settings:
    file = folder / "some.env"
    file.write_text("".join(f"{name}={value}\n" for name, value in (everything | changes).items()))
    return load(file)


def test_a_switched_value_holds_until_its_setting_is_changed(
    everything: dict[str, str], tmp_path: Path
) -> None:
    settings = settings_of(everything, tmp_path)
    switches = Switches(settings)
    switches.put("threshold", "0.7")
    assert switches.over(settings).score_threshold == 0.7
    switches.keep()
    again = Switches(settings)
    assert again.over(settings).score_threshold == 0.7
    changed = settings_of(everything, tmp_path, EDGED_SCORE_THRESHOLD="0.5")
    assert Switches(changed).over(changed).score_threshold == 0.5


def test_what_was_switched_goes_along_when_a_reload_changes_the_names(
    everything: dict[str, str], tmp_path: Path
) -> None:
    """The next start looks for it under the present names, and whoever takes the former ones in vain."""
    switches = Switches(settings_of(everything, tmp_path))
    switches.pause(True)
    renamed = [settings_of(everything, tmp_path, EDGED_NODE="lab2", EDGED_CAMERA=name) for name in "ab"]
    for settings in renamed:
        switches.over(settings)
        switches.keep()
    switches.put("threshold", "0.5")
    switches.over(renamed[-1])
    switches.keep()
    folder = SpoolFolder(tmp_path / "spool")
    assert [*folder.path.glob("*.switched.json")] == [folder.switched("lab2", "b")]
    after = Switches(renamed[-1])
    assert after.paused
    assert after.over(renamed[-1]).score_threshold == 0.5


def test_what_was_switched_is_kept_from_when_the_other_daemon_of_the_node_has_gone(
    everything: dict[str, str], tmp_path: Path
) -> None:
    settings = settings_of(everything, tmp_path)
    owner = Owner()
    owner.has_node = False
    switches = Switches(settings, owner)
    switches.pause(True)
    assert not Switches(settings).paused
    owner.has_node = True
    switches.over(settings)
    switches.keep()
    assert Switches(settings).paused


@pytest.mark.parametrize("runs", [True, False])
def test_what_the_other_daemon_of_the_node_has_left_is_followed(
    everything: dict[str, str], tmp_path: Path, *, runs: bool
) -> None:
    """Below what was switched here; of a camera that has failed just now, too, which is not renewed."""
    settings = settings_of(everything, tmp_path, EDGED_MQTT_URL="mqtt://127.0.0.1:9")
    owner = Owner()
    owner.has_node = False
    first, second = Switches(settings), Switches(settings, owner)
    for switches, threshold in ((first, "0.7"), (second, "0.6")):
        switches.put("threshold", threshold)
        switches.over(settings)
        switches.keep()
    first.pause(True)
    first.put("model", "second")
    first.over(settings)
    first.keep()
    owner.has_node = True
    if runs:
        assert second.over(settings).model.stem == "second"
        second.take_back()  # refused: what is in force is as it was, but for the pause
        assert second.paused
        assert second.over(settings).model.stem == "second"
    second.keep()
    for switches in (second, Switches(settings)):
        assert switches.paused
        assert (switches.over(settings).score_threshold, switches.over(settings).model.stem) == (
            0.6,
            "second",
        )


def test_what_cannot_be_put_in_force_is_taken_back(everything: dict[str, str], tmp_path: Path) -> None:
    settings = settings_of(everything, tmp_path)
    switches = Switches(settings)
    switches.put("model", "second")
    assert switches.over(settings).model.stem == "second"
    switches.take_back()
    assert switches.over(settings) is settings
    assert Switches(settings).over(settings) is settings, "nor is it kept"


@pytest.mark.parametrize(
    ("switched", "changes", "words"),
    [
        (("recording", "OFF"), {"EDGED_OUTPUT": "clip.mp4"}, "would be overwritten"),
        (("recording", "OFF"), {"EDGED_OUTPUT": "clip.MOV"}, "would be overwritten"),
        (("recording", "OFF"), {"EDGED_OUTPUT": ""}, "EDGED_OUTPUT is not set"),
        (("recording", "perhaps"), {}, "neither ON nor OFF"),
        (("threshold", "nan"), {}, "no threshold"),
        (("model", "../second"), {}, "There are first, second"),
    ],
)
def test_what_cannot_be_switched_is_refused(
    everything: dict[str, str], tmp_path: Path, switched: tuple[str, str], changes: dict[str, str], words: str
) -> None:
    settings = settings_of(everything, tmp_path, **changes)
    with pytest.raises(ConfigError, match=words):
        Switches(settings).put(*switched)


def test_a_damaged_memory_is_no_reason_not_to_start(everything: dict[str, str], tmp_path: Path) -> None:
    settings = settings_of(everything, tmp_path)
    first = Switches(settings)
    first.pause(paused=True)
    (file,) = (tmp_path / "spool").iterdir()
    broken = ('{"threshold": 3}', '{"threshold": [], "paused": 1}', '{"threshold": ["x", "0.4"]}')
    for content in ("", "[]", *broken):
        file.write_text(content)
        assert not Switches(settings).paused
        assert Switches(settings).over(settings) is settings
    first.pause(paused=True)
    assert Switches(settings).paused


def test_a_refused_reload_leaves_the_switches_on_the_settings_in_force(
    everything: dict[str, str], demo_model: Path, tmp_path: Path
) -> None:
    settings = settings_of(everything, tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(demo_model, other / "third.tflite")
    refused = settings_of(
        everything, tmp_path, EDGED_MODEL=str(other / "third.tflite"), EDGED_SCORE_THRESHOLD="0.9"
    )
    switches = Switches(settings)
    switches.over(refused)
    switches.take_back()
    switches.keep()  # of a reload that had nothing to do here
    assert switches.written is settings
    assert switches.controls().threshold == 0.4
    assert switches.controls().models == ("first", "second")
    switches.put("model", "second")
    switches.over(refused)
    switches.keep()
    assert switches.written is refused
    assert switches.controls().models == ("third",)
