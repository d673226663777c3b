"""``edged check`` looks at everything, one line each, and what is wrong comes with its hint."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from daemon import edged, environment
from rig import Mosquitto, Subscriber

from edged.errors import ConfigError
from edged.model import detector
from edged.settings.declared import Settings

if TYPE_CHECKING:
    from pathlib import Path

pytest_plugins = ("mqtt_fixtures",)


@pytest.fixture
def settings(demo_model: Path, demo_clip: Path) -> dict[str, str]:
    """Settings that work."""
    return {"EDGED_MODEL": str(demo_model), "EDGED_SOURCE": str(demo_clip), "EDGED_NODE": "lab1"}


def lines(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """What each line says, by its first two words."""
    found = {}
    for line in done.stdout.splitlines():
        name, _, text = line.partition(": ")
        found[" ".join(name.split())] = text
    return found


def test_all_is_well(settings: dict[str, str], tmp_path: Path, mosquitto: Mosquitto) -> None:
    settings |= {
        "EDGED_MQTT_URL": f"mqtt://127.0.0.1:{mosquitto.port}",
        "EDGED_JSONL": str(tmp_path / "lines.jsonl"),
        "EDGED_OUTPUT": str(tmp_path / "out.mp4"),
    }
    before = sorted(tmp_path.iterdir())
    with Subscriber(mosquitto.port) as subscriber:
        done = edged("check", settings=settings)
    assert done.returncode == 0, done.stdout + done.stderr
    found = lines(done)
    assert list(found) == ["ok settings", "ok model", "ok source", "ok broker", "ok jsonl", "ok output"]
    assert "1 label" in found["ok model"]
    assert "640x480" in found["ok source"]
    assert sorted(tmp_path.iterdir()) == before, "it leaves no file"
    assert subscriber.received == [], "it publishes nothing"


def test_classes_without_names_are_told_with_the_setting_that_names_them(
    settings: dict[str, str], shared: Path
) -> None:
    """Their topics would be called class_0: a count of labels hid that."""
    model = shared / "models" / "coco_ssd_mobilenet_v1_1.0_quant_300.tflite"
    found = lines(edged("check", settings=settings | {"EDGED_MODEL": str(model)}))["ok model"]
    assert found.endswith("90 classes without names: EDGED_LABELS takes a file of them")
    with pytest.raises(ConfigError, match="EDGED_CLASSES names 'person'") as caught:
        detector.load(Settings(model=model, source="-", classes=("person",)))
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("Its classes have no names. Set EDGED_LABELS")


STAND_IN = """
import sys
import av
from edged.cli import main
from edged.sources.decoding import hardware

def opened(own, device):
    if device in sys.argv[1:]:
        context = av.CodecContext.create(own.name, "r")
        context.extradata = own.extradata
        return context

hardware._opened = opened
sys.exit(main(["check"]))
"""
"""A plain decoder stands for the devices that are named, and there are no others, whatever is here."""


def with_devices(settings: dict[str, str], *devices: str) -> str:
    """What is told of the source where these devices decode."""
    command = [sys.executable, "-c", STAND_IN, *devices]
    environ = environment(**settings)
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True, timeout=120)
    return lines(done)["ok source"]


def test_only_who_asked_for_a_device_that_does_not_decode_is_told(settings: dict[str, str]) -> None:
    found = with_devices(settings)
    assert "software decodes, PyAV" in found
    assert "cannot be used" not in found
    asked = settings | {"EDGED_DECODER": "vaapi:/dev/dri/renderD999"}
    found = lines(edged("check", settings=asked))["ok source"]
    assert "software decodes, PyAV" in found
    assert "the decoder vaapi:/dev/dri/renderD999 cannot be used (" in found


def test_the_device_that_auto_has_found_is_told(settings: dict[str, str]) -> None:
    """The second that it tries; of the first there is none."""
    found = with_devices(settings, "drm")
    assert "decoder drm" in found
    assert "; drm decodes, PyAV" in found
    assert "cannot be used" not in found


def test_an_env_file_is_checked_as_it_would_be_run(settings: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "edged.env"
    file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()), encoding="utf-8")
    done = edged("check", "--env-file", str(file))
    assert done.returncode == 0, done.stdout
    assert "ok outputs" in lines(done), "that results go nowhere is told"


def test_everything_that_is_wrong_is_told_in_one_go(tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(b"<!doctype html>")
    done = edged(
        "check",
        settings={
            "EDGED_MODEL": str(tmp_path / "model.tflite"),
            "EDGED_SOURCE": str(tmp_path / "nowhere.mp4"),
            "EDGED_MQTT_URL": "mqtt://127.0.0.1:1",
            "EDGED_JSONL": "/nowhere/lines.jsonl",
            "EDGED_OUTPUT": str(tmp_path / "missing" / "out.mp4"),
        },
    )
    assert done.returncode == 78
    found = lines(done)
    assert list(found) == [
        "ok settings",
        "WRONG model",
        "WRONG source",
        "WRONG broker",
        "WRONG jsonl",
        "WRONG output",
    ]
    assert "Traceback" not in done.stdout + done.stderr
    for name, words in (
        ("model", ("model.tflite", "web page")),
        ("source", ("nowhere.mp4", "EDGED_SOURCE")),
        ("broker", ("mqtt://127.0.0.1:1", "EDGED_MQTT_URL")),
        ("jsonl", ("/nowhere/lines.jsonl", "EDGED_JSONL")),
        ("output", ("out.mp4", "EDGED_OUTPUT")),
    ):
        assert all(word in found[f"WRONG {name}"] for word in words), found


@pytest.mark.parametrize(
    ("changes", "wrong", "code"),
    [
        ({"EDGED_SOURCE": "/nowhere.mp4"}, "source", 69),
        ({"EDGED_MQTT_URL": "mqtt://127.0.0.1:1"}, "broker", 69),
        ({"EDGED_JSONL": "/nowhere/lines.jsonl"}, "jsonl", 73),
    ],
)
def test_what_may_come_back_by_itself_is_no_wrong_configuration(
    settings: dict[str, str], changes: dict[str, str], wrong: str, code: int
) -> None:
    """The exit code is that of ``edged run``, whose unit is started again after it."""
    done = edged("check", settings=settings | changes)
    assert done.returncode == code
    assert [name for name in lines(done) if name.startswith("WRONG")] == [f"WRONG {wrong}"]


def test_malformed_settings_are_told_before_anything_is_looked_at() -> None:
    done = edged("check", settings={"EDGED_MODEL": "x", "EDGED_WORKERS": "none"})
    assert (done.returncode, done.stdout) == (78, "")
    assert "EDGED_SOURCE is not set" in done.stderr
    assert "EDGED_WORKERS='none'" in done.stderr


def test_a_refusal_of_the_broker_is_told_in_its_words(
    settings: dict[str, str], tmp_path: Path, needs_mosquitto: None
) -> None:
    del needs_mosquitto
    with Mosquitto(tmp_path / "closed", anonymous=False) as broker:
        settings |= {"EDGED_MQTT_URL": f"mqtt://127.0.0.1:{broker.port}"}
        done = edged("check", settings=settings)
    assert done.returncode in {69, 78}
    assert "WRONG broker" in lines(done)
    assert "EDGED_MQTT_PASSWORD_FILE" in done.stdout


def test_a_password_is_not_shown(settings: dict[str, str], tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("hunter2\n", encoding="utf-8")
    done = edged(
        "check",
        settings=settings
        | {"EDGED_SOURCE": "rtsp://admin:hunter2@127.0.0.1:1/stream"}
        | {
            "EDGED_MQTT_URL": "mqtt://user:hunter2@127.0.0.1:1",
            "EDGED_MQTT_PASSWORD_FILE": str(secret),
            "EDGED_OPEN_TIMEOUT": "2",
        },
    )
    assert done.returncode == 69
    assert "hunter2" not in done.stdout + done.stderr


def test_an_output_that_only_root_could_write_is_told(settings: dict[str, str], tmp_path: Path) -> None:
    if os.geteuid() == 0:
        target = "/proc/version.mp4"  # no file can be made there, by nobody
    else:
        locked = tmp_path / "locked"
        locked.mkdir(mode=0o500)
        target = str(locked / "out.mp4")
    done = edged("check", settings=settings | {"EDGED_OUTPUT": target})
    assert done.returncode == 73
    assert target in lines(done)["WRONG output"]


def test_it_does_not_disturb_what_is_there(settings: dict[str, str], tmp_path: Path) -> None:
    old = {"lines.jsonl": json.dumps({"a": 1}) + "\n", "out.mp4": "an older video"}
    for name, content in old.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    done = edged(
        "check",
        settings=settings
        | {
            "EDGED_JSONL": str(tmp_path / "lines.jsonl"),
            "EDGED_OUTPUT": str(tmp_path / "out.mp4"),
        },
    )
    assert done.returncode == 0, done.stdout
    assert {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()} == old


def test_what_has_no_effect_is_a_note(settings: dict[str, str]) -> None:
    """It harms nothing, and somebody meant something else."""
    done = edged(
        "check",
        settings=settings
        | {"EDGED_EVENTS": "true", "EDGED_ZONE_PORCH": "facce@0,0 1,0 1,1"}
        | {"EDGED_MODEL_CPU": settings["EDGED_MODEL"]},
    )
    assert done.returncode == 0, done.stdout
    notes = [line for line in done.stdout.splitlines() if line.startswith("note")]
    assert [line.partition(": ")[0] for line in notes] == ["note  settings", "note  model", "note  model"]
    assert "EDGED_EVENTS does nothing while EDGED_OUTPUT is not set" in notes[0]
    assert "EDGED_ZONE_PORCH names 'facce', which the model cannot find; did you mean 'face'?" in notes[1]
    assert "EDGED_MODEL_CPU does nothing" in notes[2]


def test_a_disk_without_room_and_a_spool_that_is_none_are_told(
    settings: dict[str, str], tmp_path: Path
) -> None:
    """Detection would go on, and nothing would be kept."""
    (tmp_path / "spool").touch()
    settings |= {
        "EDGED_OUTPUT": str(tmp_path / "video"),
        "EDGED_DISK_FREE_GB": "1e9",
        "EDGED_SPOOL": str(tmp_path / "spool"),
    }
    done = edged("check", settings=settings)
    assert done.returncode == 69
    found = lines(done)
    assert "nothing is recorded until" in found["note output"]
    assert "EDGED_DISK_FREE_GB=1e+09" in found["note output"]
    assert "EDGED_SPOOL" in found["WRONG spool"]
