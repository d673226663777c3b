"""README and docs/ say what is: their tables are those of the code, their examples run, their names exist.

A table that differs is printed as it should be, to be copied between its marks.
"""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from daemon import ROOT, environment

from edged import errors, registry
from edged.cli import COMMANDS
from edged.contract import schema
from edged.settings import tables

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

README = (ROOT / "README.md").read_text(encoding="utf-8")
SETTINGS = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
DOCUMENTS = sorted(path for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")] if path.stem != "CHANGELOG")
SETTING = r"\bEDGED_[A-Z0-9_]*[A-Z0-9]\b(?!\*|_)"
COMMAND = r"(?:`|\$ |'|&& )edged ([a-z]+)"
LINK = r"\]\((?!https?://|#|mailto:)([^)#\s]+)"
PLACE = r"`([\w.-]+/[\w./-]*)`"
TARGET = r"\bmake ([a-z]+)"
MOST_LINES = 400
"""Longer is no five minutes' reading: chapters that only some need go to docs/."""


def test_the_readme_can_be_read_in_five_minutes() -> None:
    assert README.count("\n") <= MOST_LINES


def test_fields_that_only_some_messages_have_are_told() -> None:
    told = (ROOT / "docs" / "mqtt.md").read_text(encoding="utf-8")
    found = schema.document()["components"]["schemas"]
    for name in ("DetectionItem", "events", "detections", "state", "timings"):
        for field in found[name]["properties"].keys() - found[name].get("required", ()):
            assert f"`{field}`" in told, (name, field)
    for field in found["DetectionItem"]["required"]:
        assert f"`{field}`" in told, field


def test_the_readme_leads_to_every_chapter() -> None:
    for chapter in ROOT.glob("docs/*.md"):
        assert f"](docs/{chapter.name})" in README, chapter.name


def between(mark: str, text: str = README) -> str:
    found = re.search(rf"<!-- {mark} -->\n(.*?)\n<!-- /{mark} -->", text, re.DOTALL)
    assert found, f"there is no <!-- {mark} --> ... <!-- /{mark} -->"
    return found[1]


def rows(table: str) -> list[list[str]]:
    """Cells of a table without its head."""
    lines = [line for line in table.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def table_under(heading: str, text: str = README) -> list[list[str]]:
    """The first table below a heading."""
    found = re.search(rf"^#+ {heading}$(.*?)(?=^#+ |\Z)", text, re.DOTALL | re.MULTILINE)
    assert found, f"there is no heading {heading!r}"
    return rows(found[1])


def settings_tables() -> str:
    """The settings as they should stand in docs/settings.md: a table a section."""
    lines: list[str] = []
    for section, settings in itertools.groupby(tables.declarations(), lambda setting: setting.section):
        lines += ["", f"## {section}", "", "| name | default | meaning |", "| --- | --- | --- |"]
        for setting in settings:
            default = f"`{setting.default}`"
            if setting.required:
                default = "required"
            elif setting.described:
                default = setting.default
            meaning = setting.help.replace("|", "\\|").replace("<", "&lt;")
            lines.append(f"| {setting.name} | {default} | {meaning} |")
    return "\n".join(lines)


def test_the_settings_are_those_there_are() -> None:
    expected = settings_tables()
    if between("settings", SETTINGS) != expected:
        print(f"\n<!-- settings -->\n{expected}\n<!-- /settings -->")
    assert between("settings", SETTINGS) == expected


def kinds(kind: type[errors.EdgedError] = errors.EdgedError) -> Iterator[type[errors.EdgedError]]:
    for inner in kind.__subclasses__():
        if inner.__module__ == errors.__name__:
            yield inner
            yield from kinds(inner)


def test_the_exit_codes_are_those_of_the_errors() -> None:
    told = {int(code) for code, _ in rows(between("exits"))}
    assert told == {0, errors.EdgedError.exit_code} | {kind.exit_code for kind in kinds()}


def test_the_topics_are_those_of_the_contract() -> None:
    document = schema.document()
    expected: dict[str, tuple[str, str]] = {}
    for name, channel in document["channels"].items():
        how: dict[str, Any] = document["operations"][name]["bindings"]["mqtt"]
        topic = channel["address"].removeprefix("{prefix}/{node}/").replace("{", "<").replace("}", ">")
        expected[topic] = ("yes" if how["retain"] else "no", str(how["qos"]))
    told = {}
    for topics, retained, qos, *_ in table_under("MQTT"):
        for topic in re.findall(r"`([^`]+)`", topics):
            told[topic] = (retained, qos)
    assert told == expected


def test_the_model_families_are_those_of_the_registry() -> None:
    chapter = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    assert {row[0] for row in table_under("Models", chapter)} == set(registry.DECODERS)


def blocks() -> Iterator[tuple[str, str]]:
    """Marked examples by their first line."""
    for path in DOCUMENTS:
        for text in re.findall(r"<!-- run -->\n```console\n(.*?)\n```", path.read_text("utf-8"), re.DOTALL):
            yield text.splitlines()[0], text


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in blocks()])
def test_a_marked_example_runs_and_prints_what_it_shows(text: str, tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    command = programs / "edged"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m edged "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    folder = tmp_path / "here"
    folder.mkdir()
    lines = text.splitlines()
    script = "\n".join(line.removeprefix("$ ") for line in lines if line.startswith("$ "))
    settings = environment()
    del settings["EDGED_NODE"], settings["EDGED_CAMERA"]
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env=settings | {"PATH": f"{programs}:{settings['PATH']}"},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
    for line in lines:
        if not line.startswith("$ ") and line.strip() not in {"", "..."}:
            assert line in done.stdout.splitlines()


def test_there_is_something_to_check() -> None:
    """What looks for words in documents would find nothing wrong where it finds no words."""
    assert list(blocks())
    assert {"CONTRIBUTING.md", "README.md", "mqtt.md"} <= {path.name for path in DOCUMENTS}
    for pattern in (SETTING, COMMAND, LINK, TARGET):
        assert len(set(re.findall(pattern, README))) > 1, pattern
    assert len(re.findall(PLACE, (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))) > 20


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.name))
def test_every_setting_that_is_named_exists(path: Path) -> None:
    of_tests = {"EDGED_SHARED", "EDGED_TESTS_NO_SKIPS"}
    named = set(re.findall(SETTING, path.read_text(encoding="utf-8")))
    # The cameras that examples have.
    named = {re.sub(r"^EDGED_(FRONT|BACK|FRONT_DOOR)_", "EDGED_", name) for name in named}
    named -= {"EDGED_FRONT_DOOR"}
    assert [name for name in sorted(named - of_tests) if not tables.exists(name)] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.name))
def test_every_command_that_is_named_exists(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    named = set(re.findall(COMMAND, text))
    assert named <= set(COMMANDS)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.name))
def test_every_file_that_is_linked_exists(path: Path) -> None:
    for target in re.findall(LINK, path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), target


def test_every_file_that_contributors_are_led_to_exists() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for target in re.findall(PLACE, text):
        if not target.startswith(("build/", ".ci/")):
            assert (ROOT / target).exists() or (ROOT / "edged" / target).exists(), target


def test_the_two_commands_are_there() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(TARGET, README):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_every_command_is_told_of_somewhere() -> None:
    for command in COMMANDS:
        assert f"edged {command}" in README or f"make {command}" in README, command
