"""Settings: declared once, read from file and environment, and every mistake told at once."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from edged.cli import main
from edged.errors import ConfigError
from edged.settings import declared, loading, tables
from edged.settings.reading import Reading
from edged.settings.systemd import service_manager

if TYPE_CHECKING:
    from pathlib import Path

    from edged.settings.declared import Settings

REQUIRED = {"EDGED_SOURCE": "clip.mp4", "EDGED_MODEL": "model.tflite"}
SECRET = "hunter2"  # noqa: S105  # the word that must show up nowhere


def load(**environ: str) -> Settings:
    """Settings of an environment with what is required."""
    return loading.load(None, REQUIRED | environ)


def load_file(tmp_path: Path, text: str, **environ: str) -> Settings:
    file = tmp_path / "edged.env"
    file.write_text(text, encoding="utf-8")
    return loading.load(file, environ)


def refused(**environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(**environ)
    return str(caught.value)


def refused_file(tmp_path: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_file(tmp_path, text)
    return str(caught.value)


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


def test_a_value_on_the_edge_of_its_range_is_taken_and_one_beyond_is_not() -> None:
    assert load(EDGED_WORKERS="16", EDGED_SCORE_THRESHOLD="1", EDGED_MQTT_KEEPALIVE="65535").workers == 16
    for name, value in (
        ("EDGED_WORKERS", "17"),
        ("EDGED_SCORE_THRESHOLD", "0"),
        ("EDGED_SCORE_THRESHOLD", "1.01"),
        ("EDGED_MQTT_KEEPALIVE", "65536"),
        ("EDGED_STATS_INTERVAL", "0"),
        ("EDGED_IOU_THRESHOLD", "nan"),
        ("EDGED_STOP_TIMEOUT", "inf"),
    ):
        assert f"{name}={value!r}: input should be" in refused(**{name: value})


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


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    text = "EDGED_SOURCE=a\nEDGED_MODEL=b\nEDGED_WORKERS=2\nEDGED_CAMERA=door\n"
    settings = load_file(tmp_path, text, EDGED_WORKERS="3")
    assert (settings.source, settings.workers, settings.camera) == ("a", 3, "door")


def test_an_empty_value_stands_for_the_default(tmp_path: Path) -> None:
    text = "EDGED_SOURCE=a\nEDGED_MODEL=b\nEDGED_OUTPUT=\nEDGED_LOOP=true\nEDGED_CAMERA=door\n"
    settings = load_file(tmp_path, text, EDGED_LOOP="", EDGED_CAMERA="")
    assert settings.output is None
    assert settings.loop is False
    assert settings.camera == "camera"


def test_an_env_file_may_have_quotes_comments_blanks_and_export(tmp_path: Path) -> None:
    text = (
        "# a comment\n\nexport EDGED_SOURCE='a clip.mp4'\r\nEDGED_MODEL = \"b.tflite\"\n"
        "EDGED_CAMERA=door # front\nEDGED_JSONL=a#b\n"
    )
    settings = load_file(tmp_path, text)
    assert settings.source == "a clip.mp4"
    assert settings.model.name == "b.tflite"
    assert settings.camera == "door"
    assert settings.jsonl == "a#b"


def test_malformed_lines_are_named_with_their_number_beside_everything_else(tmp_path: Path) -> None:
    text = "# settings\n\n\nEDGED_SOURCE a\n\nEDGED_LOOP\n= 3\nEDGED_WORKERS=none\n\nEDGED_CAMERA='door\n"
    told = refused_file(tmp_path, text)
    assert told.startswith("7 settings are wrong (env file ")
    for line in (
        "line 4: 'EDGED_SOURCE...' is not NAME=value",
        "line 6: 'EDGED_LOOP' is not NAME=value",
        "line 7: '= 3' is not NAME=value",
        "line 10: 'EDGED_CAMERA...' is not NAME=value",
        "EDGED_WORKERS='none'",
        "EDGED_SOURCE is not set",
        "EDGED_MODEL is not set",
    ):
        assert f"\n  {line}" in told


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00", "folder"])
def test_an_env_file_that_cannot_be_read_is_told(tmp_path: Path, content: bytes | str | None) -> None:
    file = tmp_path / "edged.env"
    if content == "folder":
        file.mkdir()
    elif isinstance(content, bytes):
        file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        loading.load(file, {})
    assert repr(str(file)) in caught.value.problem
    assert "edged env" in caught.value.hint


@pytest.mark.parametrize("text", ["true", "True", "1", "yes", "on"])
def test_words_for_yes(text: str) -> None:
    assert load(EDGED_LOOP=text).loop is True


@pytest.mark.parametrize("text", ["false", "FALSE", "0", "no", "off"])
def test_words_for_no(text: str) -> None:
    assert load(EDGED_MQTT_EMPTY=text).mqtt_empty is False


@pytest.mark.parametrize(
    ("text", "labels"),
    [("person", ("person",)), ("person, traffic light ,cat", ("person", "traffic light", "cat")), (",,", ())],
)
def test_a_list_is_separated_by_commas(text: str, labels: tuple[str, ...]) -> None:
    assert load(EDGED_CLASSES=text).classes == labels


def test_auto_stands_for_no_number_of_threads() -> None:
    assert load(EDGED_THREADS="auto").threads is None
    assert load(EDGED_THREADS="4").threads == 4


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


@pytest.mark.parametrize(
    "line",
    [
        f"EDGED_MQTT_URL mqtt://user:{SECRET}@broker",
        f"EDGED_MQTT_URL='mqtt://user:{SECRET}@broker",
        f"EDGED_MQTT_PASSWORD {SECRET}",
        f"=mqtt://user:{SECRET}@broker",
    ],
)
def test_no_complaint_about_a_line_repeats_a_password(line: str, tmp_path: Path) -> None:
    told = refused_file(tmp_path, f"EDGED_SOURCE=a\nEDGED_MODEL=b\n{line}\n")
    assert "line 3" in told
    assert SECRET not in told


def test_a_published_fingerprint_changes_with_every_setting_but_a_password() -> None:
    seen = {load().fingerprint, load(EDGED_WORKERS="2").fingerprint, load(EDGED_CLASSES="cat").fingerprint}
    url = "mqtt://user:{}@broker"
    first, second = (load(EDGED_MQTT_URL=url.format(secret)).fingerprint for secret in (SECRET, "other"))
    assert len(seen | {first}) == 4
    assert first == second, "who reads it could find a short password by trying"
    assert (
        load(EDGED_SOURCE=f"rtsp://u:{SECRET}@c/s").fingerprint
        == load(EDGED_SOURCE="rtsp://u:x@c/s").fingerprint
    )


def test_a_fingerprint_is_the_same_in_every_process() -> None:
    script = "from edged.settings import loading; print(loading.load().fingerprint)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=REQUIRED | {"EDGED_NODE": "lab"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.strip() == load(EDGED_NODE="lab").fingerprint


def env_file(capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["env"]) == 0
    return capsys.readouterr().out


def test_the_printed_env_file_loads_once_the_required_settings_are_filled_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = env_file(capsys)
    for name, value in REQUIRED.items():
        assert text.count(f"\n{name}=\n") == 1
        text = text.replace(f"\n{name}=\n", f"\n{name}={value}\n")
    assert load_file(tmp_path, text) == load()


def test_the_commented_value_is_the_default(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [f"{name}={value}" for name, value in REQUIRED.items()]
    lines += [line[1:] for line in env_file(capsys).splitlines() if line.startswith("#EDGED_")]
    assert len(lines) == len(list(tables.declarations())), "every setting is in the file"
    assert load_file(tmp_path, "\n".join(lines)) == load()


def test_every_setting_has_help_and_a_default_that_can_be_shown() -> None:
    assert len(tables.declarations()) == len(declared.Settings.model_fields), "every section is in the tables"
    for setting in tables.declarations():
        assert setting.help
        assert setting.section
        assert setting.required or setting.default not in {"", "None", "()"}, setting.name


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load().workers = 2


def test_a_reading_holds_while_what_was_read_stays_the_same() -> None:
    reading = Reading(load(EDGED_WORKERS="2", EDGED_CAMERA="door"))
    assert (reading.workers, reading.camera) == (2, "door")
    assert reading.holds_for(load(EDGED_WORKERS="2", EDGED_CAMERA="door"))
    assert reading.holds_for(load(EDGED_WORKERS="2", EDGED_CAMERA="door", EDGED_SCORE_THRESHOLD="0.9"))
    assert not reading.holds_for(load(EDGED_WORKERS="3", EDGED_CAMERA="door"))
    assert not reading.holds_for(load(EDGED_WORKERS="2"))


def test_a_reading_of_nothing_always_holds() -> None:
    assert Reading(load()).holds_for(load(EDGED_WORKERS="3"))


def test_a_file_that_is_read_counts_by_what_is_in_it(tmp_path: Path) -> None:
    """A password may be changed by an edit of its file; what edged writes itself changes all the time."""
    secret, video = tmp_path / "secret", tmp_path / "out.mp4"
    settings = load(EDGED_MQTT_PASSWORD_FILE=str(secret), EDGED_OUTPUT=str(video))
    reading = Reading(settings)
    assert (reading.mqtt_password_file, reading.output) == (secret, video)
    video.write_text("a")
    assert reading.holds_for(settings)
    secret.write_text("first")
    assert not reading.holds_for(settings), "there was none"
    reading = Reading(settings)
    assert reading.mqtt_password_file == secret
    assert reading.holds_for(settings)
    secret.write_text("second")
    assert not reading.holds_for(settings)


def test_a_reading_notes_what_is_read_later() -> None:
    reading = Reading(load())
    assert reading.holds_for(load(EDGED_LOOP="true"))
    assert reading.loop is False
    assert not reading.holds_for(load(EDGED_LOOP="true"))


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


def test_zones_have_names_and_belong_to_a_camera_like_every_setting() -> None:
    common = {"EDGED_CAMERAS": "front,back", "EDGED_LINE_GATE": "0.1,0.5 0.9,0.5"}
    front, back = loading.load_all(
        None,
        REQUIRED | common | {"EDGED_FRONT_ZONE_PORCH": "person,car@0,0.5 0.5,0.5 0.5,1 dwell=3"},
    )
    (porch,) = front.zone
    assert (porch.name, porch.labels, porch.dwell_s) == ("porch", frozenset({"person", "car"}), 3.0)
    assert porch.points == ((0.0, 0.5), (0.5, 0.5), (0.5, 1.0))
    assert back.zone == ()
    assert [line.name for line in front.line] == [line.name for line in back.line] == ["gate"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EDGED_ZONE_PORCH", "0,0 1,0"),
        ("EDGED_ZONE_PORCH", "0,0 1,0 1,200"),
        ("EDGED_ZONE_PORCH", "0,0 1,0 1,1 dwell=long"),
        ("EDGED_LINE_GATE", "0,0 0,0"),
        ("EDGED_LINE_GATE", "0,0 1,1 dwell=3"),
        ("EDGED_MASK_ROAD", "here"),
        ("EDGED_SCORES", "person"),
        ("EDGED_SCORES", "person:2"),
        ("EDGED_AREAS", "person:0.5-0.1"),
    ],
)
def test_bad_zones_are_told_with_name_and_value(name: str, value: str) -> None:
    told = refused(**{name: value})
    assert f"{name}={value!r}" in told
    assert told.startswith("a setting is wrong:")


ENOUGH = "EDGED_SOURCE=clip.mp4\nEDGED_MODEL=model.tflite\n"


def test_a_setting_that_is_given_twice_is_told(tmp_path: Path) -> None:
    """Which of two values is in force is not for the reader to guess; the same value twice does no harm."""
    with pytest.raises(ConfigError, match=r"line 4: EDGED_CAMERA is given a second time, after line 3"):
        load_file(tmp_path, ENOUGH + "EDGED_CAMERA=front\nEDGED_CAMERA=back\n")
    assert load_file(tmp_path, ENOUGH + "EDGED_CAMERA=front\nEDGED_CAMERA=front\n").camera == "front"


@pytest.mark.parametrize("value", ["$HOSTNAME", "${HOSTNAME}", "pi-${NAME}-1"])
def test_a_variable_in_the_env_file_is_told(tmp_path: Path, value: str) -> None:
    """Neither systemd nor edged replaces it, and a node called $HOSTNAME is nobody's wish."""
    with pytest.raises(ConfigError, match=r"line 3: EDGED_NODE=.*variables are not replaced"):
        load_file(tmp_path, ENOUGH + f"EDGED_NODE={value}\n")


def test_a_dollar_in_a_password_is_no_variable(tmp_path: Path) -> None:
    """In a URL it may be a part of a credential."""
    settings = load_file(tmp_path, "EDGED_SOURCE=rtsp://u:pa$WORD@cam/1\nEDGED_MODEL=model.tflite\n")
    assert settings.source.startswith("rtsp://u:pa$WORD")


@pytest.mark.parametrize("name", ["EDGED_CAMERA", "EDGED_NODE", "EDGED_MQTT_PREFIX", "EDGED_HA_PREFIX"])
def test_a_part_of_a_topic_is_refused_in_words(name: str) -> None:
    needed = {"EDGED_SOURCE": "x", "EDGED_MODEL": "m"}
    with pytest.raises(
        ConfigError, match="a blank, '/' cannot stand: write letters, digits, _ and -"
    ) as told:
        loading.load(environ={**needed, name: "front door/a"})
    assert "pattern" not in str(told.value)


def test_video_that_would_stand_still_is_refused() -> None:
    given = {"EDGED_SOURCE": "rtsp://camera/", "EDGED_MODEL": "m.tflite", "EDGED_OUTPUT": "video"}
    told = refused(**given, EDGED_MOTION="packets")
    assert "EDGED_MOTION='packets' decodes nothing while nothing moves" in told
    assert "EDGED_OUTPUT='video'" in told
    assert load(**given, EDGED_MOTION="packets", EDGED_RECORD="copy").motion == "packets"


def test_all_wrong_zones_and_lines_are_told_at_once() -> None:
    told = refused(
        EDGED_ZONE_A="0,0 1,0",
        EDGED_ZONE_B="0,0 1,0 2,1",
        EDGED_ZONE_C="0,0 1,0 1,1 dwel=3",
        EDGED_LINE_D="0,0",
    )
    assert told.startswith("4 settings are wrong:")
    assert [line.partition("=")[0].strip() for line in told.splitlines()[1:]] == [
        "EDGED_ZONE_A",
        "EDGED_ZONE_B",
        "EDGED_ZONE_C",
        "EDGED_LINE_D",
    ]
    assert "dwell=3 may stand" in told


@pytest.mark.parametrize("corners", ["0.1,0.5 0.1,0.5 0.1,0.5", "0,0 0.5,0.5 1,1", "0.2,0.3 0.4,0.3 0.9,0.3"])
def test_a_polygon_with_nothing_inside_is_refused(corners: str) -> None:
    assert "all of its corners lie on one line" in refused(EDGED_ZONE_PORCH=corners)


@pytest.mark.parametrize(
    ("name", "value", "how"),
    [
        ("EDGED_MQTT_URL", "mqtt://ann:a#b@host", "percent-encoded"),
        ("EDGED_MQTT_URL", "broker.lan", "Write mqtt://broker.lan"),
        ("EDGED_HTTP", "8080", "Write 127.0.0.1:8080"),
    ],
)
def test_a_wrong_address_is_told_with_its_mend(name: str, value: str, how: str) -> None:
    """Beside everything else that is wrong."""
    told = refused(**{name: value, "EDGED_FPS": "many"})
    assert told.startswith("2 settings are wrong:")
    assert how in told


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


@pytest.mark.parametrize("name", ["EDGED_SOURCE", "EDGED_DETECT_SOURCE"])
@pytest.mark.parametrize("url", ["rstp://ann:hunter2@192.0.2.1/x", "FILE:///clips/a.mp4"])
def test_a_url_that_no_source_knows_is_told_with_everything_else(name: str, url: str) -> None:
    told = refused(**{name: url, "EDGED_FPS": "many"})
    assert told.startswith("2 settings are wrong:")
    assert f"{name}=" in told
    assert "there is no source for such a URL, only for rtsp://, " in told
    assert SECRET not in told
    assert ("a file has no scheme" in told) is url.startswith("FILE")


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e300", "9" * 400])
def test_no_number_is_none_or_more_than_can_be_reckoned_with(value: str) -> None:
    """What is waited for, or multiplied, ended in a traceback long after the start."""
    numbers = [
        f"EDGED_{name.upper()}"
        for name, field in declared.Settings.model_fields.items()
        if re.search(r"\b(int|float)\b", str(field.annotation)) and "tuple" not in str(field.annotation)
    ]
    assert len(numbers) > 25
    told = refused(**dict.fromkeys(numbers, value))
    assert [name for name in numbers if f"{name}=" not in told] == []


def test_lines_of_frames_and_of_events_do_not_go_into_one_file() -> None:
    assert "are both 'a.jsonl'" in refused(EDGED_JSONL="a.jsonl", EDGED_EVENTS_JSONL="a.jsonl")
    assert load(EDGED_JSONL="a.jsonl", EDGED_EVENTS_JSONL="b.jsonl").jsonl == "a.jsonl"
