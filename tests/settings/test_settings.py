"""Settings: declared once, read from file and environment, and every mistake told at once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from loaded import REQUIRED, SECRET, load, load_file, refused

from edged.errors import ConfigError
from edged.settings import declared, loading, tables
from edged.settings.systemd import service_manager

if TYPE_CHECKING:
    from pathlib import Path


def test_only_source_and_model_are_required() -> None:
    assert [setting.name for setting in tables.declarations() if setting.required] == list(REQUIRED)
    with pytest.raises(ConfigError) as caught:
        loading.load(None, {})
    told = str(caught.value)
    for name in REQUIRED:
        assert f"{name} is not set: " in told


def test_every_bad_setting_is_told_at_once_with_its_value() -> None:
    wrong = {
        "EDGED_LOOP": "perhaps",
        "EDGED_POLICY": "newest",
        "EDGED_SCORE_THRESHOLD": "1.5",
        "EDGED_MAX_AGE": "inf",
        "EDGED_THREADS": "0",
        "EDGED_WORKERS": "two",
        "EDGED_NODE": "a/b",
        "EDGED_MQTT_URL": "http://broker",
        "EDGED_HTTP": "8080",
        "EDGED_MQTT_QUEUE": "-1",
        "EDGED_LOG_LEVEL": "loud",
        "EDGED_COLOUR": "blue",
    }
    told = refused(EDGED_MQTT_CERT="cert.pem", **wrong)
    for name, value in wrong.items():
        assert f"{name}={value!r}" in told
    assert "EDGED_MQTT_CERT and EDGED_MQTT_KEY belong together" in told
    assert told.startswith(f"{len(wrong) + 1} settings are wrong:")


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("EDGED_MODLE", "EDGED_MODEL"),
        ("EDGED_SCORE_TRESHOLD", "EDGED_SCORE_THRESHOLD"),
        ("EDGED_MQTT_PASSWORD", "EDGED_MQTT_PASSWORD_FILE"),
        ("EDGED_STATS", "EDGED_STATS_INTERVAL"),
        ("edged_workers", "EDGED_WORKERS"),
    ],
)
def test_an_unknown_name_is_an_error_that_suggests_the_nearest(wrong: str, meant: str) -> None:
    assert f"there is no such setting; did you mean {meant}?" in refused(**{wrong: "1"})


def test_a_name_that_is_like_no_other_leads_to_the_list() -> None:
    assert "EDGED_XYZZY='1': there is no such setting; 'edged env' lists all" in refused(EDGED_XYZZY="1")


def test_names_of_other_programs_are_none_of_ours(tmp_path: Path) -> None:
    text = "EDGED_SOURCE=a\nEDGED_MODEL=b\nTZ=UTC\nNO_COLOR\n"
    assert load_file(tmp_path, text, PATH="/bin", HOME="/root").source == "a"


@pytest.mark.parametrize(
    "environ",
    [
        {"EDGED_MQTT_URL": f"http://user:{SECRET}@broker"},
        {"EDGED_MQTT_URL": f"mqtt://user:{SECRET}@broker:port"},
        {"EDGED_MQTT_URL": f"user:{SECRET}@broker"},
        {"EDGED_MQTT_URL": f"mqtt://user:{SECRET}@"},
        {"EDGED_MQTT_URI": f"mqtt://user:{SECRET}@broker"},
        {"EDGED_MQTT_PASSWORD": SECRET},
        {"EDGED_HTTP_TOKEN": SECRET},
        {"EDGED_NODE": f"mqtt://user:{SECRET}@broker"},
        {"EDGED_HTTP": f"http://user:{SECRET}@host"},
        {"EDGED_CAMERA": f"rtsp://user:{SECRET}@camera/stream"},
        {"EDGED_CAMERA": f"http://camera/stream?user=admin&pwd={SECRET}"},
    ],
    ids=str,
)
def test_no_message_repeats_a_password(environ: dict[str, str]) -> None:
    told = refused(**environ)
    assert SECRET not in told
    assert next(iter(environ)) in told


def test_every_setting_has_help_and_a_default_that_can_be_shown() -> None:
    assert len(tables.declarations()) == len(declared.Settings.model_fields), "every section is in the tables"
    for setting in tables.declarations():
        assert setting.help
        assert setting.section
        assert setting.required or setting.default not in {"", "None", "()"}, setting.name


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load().workers = 2


@pytest.mark.parametrize(
    ("environ", "socket", "watchdog_s"),
    [
        ({}, None, None),
        ({"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "20000000"}, "/run/notify", 20.0),
        ({"NOTIFY_SOCKET": "", "WATCHDOG_USEC": "0"}, None, None),
        ({"WATCHDOG_USEC": "soon"}, None, None),
    ],
)
def test_what_systemd_says_of_itself(
    environ: dict[str, str], socket: str | None, watchdog_s: float | None
) -> None:
    manager = service_manager(environ)
    assert (manager.socket, manager.watchdog_s) == (socket, watchdog_s)


def test_the_settings_can_be_dumped_as_json() -> None:
    assert json.loads(load().model_dump_json())["camera"] == "camera"


def test_video_that_would_stand_still_is_refused() -> None:
    given = {"EDGED_SOURCE": "rtsp://camera/", "EDGED_MODEL": "m.tflite", "EDGED_OUTPUT": "video"}
    told = refused(**given, EDGED_MOTION="packets")
    assert "EDGED_MOTION='packets' decodes nothing while nothing moves" in told
    assert "EDGED_OUTPUT='video'" in told
    assert load(**given, EDGED_MOTION="packets", EDGED_RECORD="copy").motion == "packets"


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("EDGED_ZONE_my-porch", "EDGED_ZONE_MY_PORCH"),
        ("EDGED_SCORE-THRESHOLD", "EDGED_SCORE_THRESHOLD"),
        ("edged_zone_gate", "EDGED_ZONE_GATE"),
    ],
)
def test_a_name_in_another_spelling_is_told_in_the_right_one(wrong: str, meant: str) -> None:
    assert f"did you mean {meant}? Names of settings have capitals, digits and _" in refused(**{wrong: "1"})


def test_lines_of_frames_and_of_events_do_not_go_into_one_file() -> None:
    assert "are both 'a.jsonl'" in refused(EDGED_JSONL="a.jsonl", EDGED_EVENTS_JSONL="a.jsonl")
    assert load(EDGED_JSONL="a.jsonl", EDGED_EVENTS_JSONL="b.jsonl").jsonl == "a.jsonl"
