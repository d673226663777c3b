"""The files beside the spool: whose they are, and what becomes of those of cameras that are gone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from loaded import load
from structlog.testing import capture_logs

from edged.durable.owner import Owner
from edged.durable.spool_folder import SpoolFolder, keep, read_kept, spool_folder

if TYPE_CHECKING:
    import pytest


def test_files_are_called_as_those_that_earlier_versions_have_left() -> None:
    folder = SpoolFolder(Path("/spool"))
    named = (
        folder.messages("Lab 1"),
        folder.switched("Lab 1", "Front"),
        folder.names("0123abcd"),
        folder.webhook("0123abcd", "front"),
    )
    assert [path.name for path in named] == [
        "edged-lab_1.sqlite3",
        "edged-lab_1--front.switched.json",
        "edged-0123abcd.names.json",
        "edged-0123abcd-front.webhook.json",
    ]
    assert {path.parent for path in named} == {Path("/spool")}


def test_the_folder_is_the_one_of_the_settings_and_may_be_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/lab")
    assert spool_folder(load()) is None
    assert spool_folder(load(EDGED_SPOOL="~/spool")) == SpoolFolder(Path("/home/lab/spool"))


def owner(origin: str) -> Owner:
    """A daemon that has entered the folder, and is called so in it."""
    one = Owner()
    one.origin, one.knows = origin, True
    return one


def test_cameras_that_are_called_otherwise_leave_no_files_and_other_daemons_keep_theirs(
    tmp_path: Path,
) -> None:
    folder = SpoolFolder(tmp_path)
    ours = [folder.switched("lab", "front"), folder.webhook("0123abcd", "front")]
    gone = [folder.switched("lab", "old"), folder.webhook("0123abcd", "old")]
    others = [
        folder.switched("lab--2", "old"),
        folder.switched("lab-", "old"),
        folder.switched("lab.2", "old"),
        folder.switched("lab2", "old"),
        folder.webhook("0ther", "old"),
        folder.names("0123abcd"),
        folder.messages("lab"),
        tmp_path / "edged-lab.events.json",
    ]
    for path in (*ours, *gone, *others):
        path.write_text("{}", encoding="utf-8")
    folder.tidy("lab", owner("0123abcd"), {"front", "back"})
    assert set(tmp_path.iterdir()) == {*ours, *others}
    folder.tidy("lab--2", owner("0ther"), {"front"})
    assert set(tmp_path.iterdir()) == {*ours, *others[1:4], *others[5:]}


def test_a_folder_that_is_not_there_has_nothing_to_tidy(tmp_path: Path) -> None:
    SpoolFolder(tmp_path / "nowhere").tidy("lab", owner("0123abcd"), {"front"})
    assert list(tmp_path.iterdir()) == []


def test_what_is_kept_is_read_again_and_what_is_damaged_is_told(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "kept.json"
    assert read_kept(path, dict, {"a": 1}) == {"a": 1}
    keep(path, {"b": 2})
    assert read_kept(path, dict, {}) == {"b": 2}
    path.write_text("{", encoding="utf-8")
    with capture_logs() as logs:
        assert read_kept(path, dict, {"a": 1}) == {"a": 1}
        keep(path / "below", {})
    assert [entry["event"] for entry in logs] == ["kept_file_unreadable", "file_not_kept"]
