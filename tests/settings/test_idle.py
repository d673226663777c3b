"""What is set and has no effect is told, and nothing else."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from loaded import load

from edged.settings import idle, loading
from edged.settings.declared import Settings
from edged.settings.field import meaning_of

if TYPE_CHECKING:
    from pathlib import Path


def notes(**environ: str) -> list[str]:
    return [*idle.notes(load(**environ))]


def test_settings_that_wait_for_another_one_are_told_together() -> None:
    assert notes(EDGED_EVENTS="true", EDGED_SEGMENT="30", EDGED_POST_ROLL="3", EDGED_HA_DISCOVERY="true") == [
        "EDGED_HA_DISCOVERY does nothing while EDGED_MQTT_URL is not set",
        "EDGED_EVENTS, EDGED_SEGMENT do nothing while EDGED_OUTPUT is not set",
    ]
    assert notes(EDGED_OUTPUT="video", EDGED_POST_ROLL="3", EDGED_MOTION_CHECK="5") == [
        "EDGED_POST_ROLL does nothing while EDGED_EVENTS is false",
        "EDGED_MOTION_CHECK does nothing while EDGED_MOTION is off",
    ]


def test_one_that_needs_two_or_either_of_two_says_which_is_missing() -> None:
    broker, webhook = {"EDGED_MQTT_URL": "mqtt://h"}, {"EDGED_WEBHOOK_URL": "http://h/"}
    small = {"EDGED_SPOOL_MAX_MB": "5", "EDGED_SPOOL_MAX_AGE": "60"}
    assert notes(EDGED_SPOOL="spool") == [
        "EDGED_SPOOL does nothing while neither EDGED_MQTT_URL nor EDGED_WEBHOOK_URL is set"
    ]
    both = "EDGED_SPOOL_MAX_AGE, EDGED_SPOOL_MAX_MB do nothing while"
    assert notes(EDGED_SPOOL="spool", **webhook, **small) == [f"{both} EDGED_MQTT_URL is not set"]
    assert notes(**broker, **small) == [f"{both} EDGED_SPOOL is not set"]
    assert notes(EDGED_SPOOL="spool", **broker, **small) == []
    assert notes(EDGED_SPOOL="spool", **webhook) == []


@pytest.mark.parametrize(
    ("environ", "note"),
    [
        ({"EDGED_CAMERA_SIZE": "640x480"}, "EDGED_SOURCE is no /dev/video or csi: camera"),
        ({"EDGED_STREAM_TRANSPORT": "udp"}, "EDGED_SOURCE is not rtsp://"),
        (
            {"EDGED_DECODER": "software", "EDGED_SOURCE": "csi:0"},
            "EDGED_SOURCE is neither a file nor a stream",
        ),
        (
            {"EDGED_DECODER": "software", "EDGED_SOURCE": "-"},
            "EDGED_SOURCE is a pipe, which software decodes",
        ),
        ({"EDGED_LOOP": "true", "EDGED_SOURCE": "rtsp://h/"}, "EDGED_SOURCE is no file"),
        (
            {"EDGED_CAMERA_SIZE": "640x480", "EDGED_DETECT_SOURCE": "rtsp://h/2"},
            "EDGED_DETECT_SOURCE is no /dev/video or csi: camera",
        ),
        (
            {"EDGED_HA_PREFIX": "ha", "EDGED_MQTT_URL": "mqtt://h"},
            "EDGED_HA_DISCOVERY is false, but for 'edged forget'",
        ),
        ({"EDGED_READ_TIMEOUT": "9"}, "EDGED_SOURCE is neither a camera nor a stream"),
        ({"EDGED_MAX_AGE": "9"}, "every frame of EDGED_SOURCE is kept (EDGED_POLICY)"),
        ({"EDGED_TRACK_SCORE": "0.6"}, "it is not below EDGED_SCORE_THRESHOLD"),
        ({"EDGED_INVOKE_TIMEOUT": "9", "EDGED_DEVICE": "cpu"}, "EDGED_DEVICE is cpu"),
        ({"EDGED_ENCODER": "libx264", "EDGED_RECORD": "copy", "EDGED_OUTPUT": "v"}, "EDGED_RECORD is copy"),
        ({"EDGED_SEGMENT": "9", "EDGED_OUTPUT": "v.mp4"}, "EDGED_OUTPUT is one file"),
        ({"EDGED_MQTT_CA": "a", "EDGED_MQTT_URL": "mqtt://h"}, "EDGED_MQTT_URL is mqtt:// and not mqtts://"),
        (
            {"EDGED_MQTT_PASSWORD_FILE": "p", "EDGED_MQTT_URL": "mqtt://h"},
            "EDGED_MQTT_URL names no user",
        ),
        ({"EDGED_WEIGHT": "2"}, "EDGED_CAMERAS is not set"),
        ({"EDGED_WEBHOOK_URL": "http://h/", "EDGED_TRACK": "false"}, "EDGED_TRACK is false"),
        ({"EDGED_ZONE_PORCH": "0,0 1,0 1,1", "EDGED_TRACK": "false"}, "EDGED_TRACK is false"),
        (
            {"EDGED_MASK_SKY": "0,0 1,0 1,1", "EDGED_TRACK": "false"},
            "neither EDGED_TRACK nor EDGED_MOTION is set",
        ),
    ],
)
def test_one_that_another_keeps_from_having_an_effect_says_how(environ: dict[str, str], note: str) -> None:
    assert [one.partition(" while ")[2] for one in notes(**environ)] == [note]


@pytest.mark.parametrize(
    "environ",
    [
        {"EDGED_HA_DISCOVERY": "false", "EDGED_SEGMENT": "60", "EDGED_MQTT_VERSION": "5"},
        {"EDGED_HTTP": "127.0.0.1:1"},
        {"EDGED_MQTT_URL": "mqtt://ann@h", "EDGED_MQTT_PASSWORD_FILE": "p"},
        {"EDGED_SOURCE": "/dev/video0", "EDGED_CAMERA_SIZE": "640x480", "EDGED_MAX_AGE": "2"},
        {"EDGED_SOURCE": "rtsp://h/", "EDGED_STREAM_TRANSPORT": "udp", "EDGED_READ_TIMEOUT": "9"},
        {"EDGED_SOURCE": "http://h/a.mp4", "EDGED_LOOP": "true", "EDGED_DECODER": "software"},
        {"EDGED_LOOP": "true", "EDGED_DECODER": "software", "EDGED_POLICY": "latest", "EDGED_MAX_AGE": "2"},
        {"EDGED_MQTT_URL": "mqtts://h", "EDGED_MQTT_CA": "ca.pem", "EDGED_TRACK_SCORE": "0.2"},
        {"EDGED_MASK_SKY": "0,0 1,0 1,1", "EDGED_TRACK": "false", "EDGED_MOTION": "pixels"},
        {"EDGED_CLASSES": "cat,dog", "EDGED_SCORES": "cat:0.5", "EDGED_ZONE_PORCH": "dog@0,0 1,0 1,1"},
    ],
)
def test_what_has_its_default_and_what_has_an_effect_is_not_told(environ: dict[str, str]) -> None:
    assert notes(**environ) == []


def test_of_two_passwords_it_is_told_which_counts() -> None:
    both = {"EDGED_MQTT_URL": "mqtt://ann:secret@h", "EDGED_MQTT_PASSWORD_FILE": "p"}
    assert notes(**both) == [
        "the password in EDGED_MQTT_URL is not used: that in EDGED_MQTT_PASSWORD_FILE is"
    ]


def test_a_folder_with_a_dot_in_its_name_is_no_file(tmp_path: Path) -> None:
    folder = tmp_path / "v.1"
    folder.mkdir()
    assert notes(EDGED_OUTPUT=str(folder), EDGED_SEGMENT="30") == []


def test_a_fifo_is_a_pipe(tmp_path: Path) -> None:
    assert notes(EDGED_SOURCE="a" * 5000, EDGED_DECODER="vaapi") == [], "there can be no such file"
    os.mkfifo(tmp_path / "fifo")
    (note,) = notes(EDGED_SOURCE=str(tmp_path / "fifo"), EDGED_DECODER="vaapi")
    assert note == "EDGED_DECODER does nothing while EDGED_SOURCE is a pipe, which software decodes"


def test_labels_that_the_classes_leave_out_are_told() -> None:
    assert notes(
        EDGED_CLASSES="cat",
        EDGED_SCORES="dog:0.5,cat:0.6",
        EDGED_ZONE_PORCH="cat,bird@0,0 1,0 1,1",
    ) == [
        "EDGED_SCORES names 'dog', which EDGED_CLASSES leaves out",
        "EDGED_ZONE_PORCH names 'bird', which EDGED_CLASSES leaves out",
    ]


def test_what_does_something_for_another_camera_is_there_for_that_one() -> None:
    two = {
        "EDGED_CAMERAS": "front,back",
        "EDGED_MODEL": "model.tflite",
        "EDGED_FRONT_SOURCE": "rtsp://h/",
        "EDGED_BACK_SOURCE": "/dev/video0",
        "EDGED_BACK_CLASSES": "person",
    }

    def told(**more: str) -> list[list[str]]:
        cameras = loading.load_all(None, two | more)
        return [[*idle.notes(settings, cameras)] for settings in cameras]

    def named(**more: str) -> list[tuple[str, str]]:
        return [*idle.by_camera(loading.load_all(None, two | more))]

    shared = {"EDGED_CAMERA_SIZE": "640x480", "EDGED_STREAM_TRANSPORT": "udp"}
    labels = {"EDGED_SCORES": "car:0.5", "EDGED_ZONE_PORCH": "car@0,0 1,0 1,1"}
    assert told(**shared, **labels) == [[], []]
    assert told(EDGED_FRONT_CAMERA_SIZE="640x480") == [
        ["EDGED_CAMERA_SIZE does nothing while EDGED_SOURCE is no /dev/video or csi: camera"],
        [],
    ]
    left_out = "EDGED_SCORES names 'car', which EDGED_CLASSES leaves out"
    assert told(EDGED_CLASSES="bird", **labels)[0][0] == told(EDGED_BACK_SCORES="car:0.5")[1][0] == left_out
    looped = "EDGED_LOOP does nothing while EDGED_SOURCE is no file"
    assert told(EDGED_LOOP="true") == [[looped]] * 2
    assert named(EDGED_LOOP="true", EDGED_BACK_SCORES="car:0.5") == [("", looped), ("back", left_out)]


def test_what_a_setting_needs_is_one_that_can_be_off() -> None:
    for field in Settings.model_fields.values():
        for needed in (one for several in meaning_of(field).needs for one in several.split("|")):
            assert Settings.model_fields[needed].default in (None, False, True, "off", ())
