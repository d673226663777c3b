"""``edged env`` prints a file to start from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daemon import edged

from edged.cli import main
from edged.settings import loading, tables

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def printed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    assert main(["env"]) == 0
    return capsys.readouterr().out.splitlines()


def test_every_setting_is_there_once_with_its_help_before_it(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys)
    for setting in tables.declarations():
        places = [
            number for number, line in enumerate(lines) if line.lstrip("#").startswith(f"{setting.name}=")
        ]
        assert len(places) == 1, setting.name
        assert lines[places[0] - 1].startswith("# ")
        assert setting.help.split()[0] in " ".join(lines[places[0] - 5 : places[0]])


def test_only_what_is_required_is_not_commented(capsys: pytest.CaptureFixture[str]) -> None:
    live = [line for line in printed(capsys) if line and not line.startswith("#")]
    assert live == ["EDGED_SOURCE=", "EDGED_MODEL="]


def test_sections_stand_together(capsys: pytest.CaptureFixture[str]) -> None:
    sections = [line for line in printed(capsys) if line.startswith("# --- ")]
    assert len(sections) == len(set(sections)) >= 5


def test_it_fits_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert max(map(len, printed(capsys))) <= 100


def test_it_is_the_same_whatever_the_environment_says() -> None:
    plain, set_up = edged("env"), edged("env", settings={"EDGED_WORKERS": "3", "EDGED_NONSENSE": "1"})
    assert set_up.returncode == 0
    assert plain.stdout == set_up.stdout
    assert plain.stderr == ""


def test_several_cameras_have_lines_of_their_own(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """With sources and a model it is a whole file; a name that cannot be a camera's is refused."""
    assert main(["env", "--cameras", "front,back"]) == 0
    text = capsys.readouterr().out
    live = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert live == ["EDGED_CAMERAS=front,back", "EDGED_MODEL=", "EDGED_FRONT_SOURCE=", "EDGED_BACK_SOURCE="]
    file = tmp_path / "edged.env"
    file.write_text(text.replace("_SOURCE=\n", "_SOURCE=a.mp4\n").replace("_MODEL=\n", "_MODEL=m.tflite\n"))
    assert [one.camera for one in loading.load_all(file, {})] == ["front", "back"]
    assert main(["env", "--cameras", "mqtt"]) == 78
    assert "EDGED_MQTT_URL begins like that" in capsys.readouterr().err
