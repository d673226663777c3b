"""The env file: how its lines are read, and what is said of those that cannot be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from loaded import REQUIRED, SECRET, load, load_file

from edged.cli import main
from edged.errors import ConfigError
from edged.settings import loading, tables

if TYPE_CHECKING:
    from pathlib import Path


def refused_file(tmp_path: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_file(tmp_path, text)
    return str(caught.value)


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
