"""Files that are replaced as a whole: there is the old or the new content, and what is to last does."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from edged.durable.atomic import replace_file

if TYPE_CHECKING:
    from pathlib import Path


class Disk:
    """Notes in which order files and folders are synced and renamed; all of it is done, too."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.did: list[str] = []
        self.refuses_folders = False
        self._fsync, self._rename = os.fsync, os.replace
        monkeypatch.setattr(os, "fsync", self.fsync)
        monkeypatch.setattr(os, "replace", self.rename)

    def fsync(self, descriptor: int) -> None:
        found = os.fstat(descriptor)
        folder = stat.S_ISDIR(found.st_mode)
        self.did.append("sync folder" if folder else f"sync {found.st_size} bytes")
        if folder and self.refuses_folders:
            raise OSError(22, "Invalid argument")
        self._fsync(descriptor)

    def rename(self, old: str, new: str) -> None:
        self.did.append("rename")
        self._rename(old, new)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


@pytest.mark.parametrize("lasting", [False, True])
def test_a_file_and_its_folders_are_made_and_replaced_and_nothing_is_left_beside_it(
    tmp_path: Path, *, lasting: bool
) -> None:
    path = tmp_path / "none" / "of these" / "kept.json"
    open_before = len(list(os.scandir("/proc/self/fd")))
    for content in (b"the first, which is longer", b"the second", b""):
        replace_file(path, content, lasting=lasting)
        assert path.read_bytes() == content
    assert [one.name for one in path.parent.iterdir()] == ["kept.json"]
    assert len(list(os.scandir("/proc/self/fd"))) == open_before


def test_what_is_to_last_is_on_the_disk_before_it_has_its_name_and_so_is_the_name_then(
    tmp_path: Path, disk: Disk
) -> None:
    replace_file(tmp_path / "kept", b"12345", lasting=True)
    assert disk.did == ["sync 5 bytes", "rename", "sync folder"]


def test_what_need_not_last_waits_for_no_disk(tmp_path: Path, disk: Disk) -> None:
    replace_file(tmp_path / "kept", b"12345")
    assert disk.did == ["rename"]


def test_a_file_system_that_syncs_no_folders_is_borne(tmp_path: Path, disk: Disk) -> None:
    disk.refuses_folders = True
    replace_file(tmp_path / "kept", b"12345", lasting=True)
    assert disk.did[-1] == "sync folder"
    assert (tmp_path / "kept").read_bytes() == b"12345"


def test_a_disk_that_does_not_take_it_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    path.write_bytes(b"old")
    (tmp_path / "kept.new").mkdir()
    with pytest.raises(IsADirectoryError):
        replace_file(path, b"new")
    assert path.read_bytes() == b"old"
