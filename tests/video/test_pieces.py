"""Pieces are stored whole or not at all."""

from __future__ import annotations

import os
import resource
import signal
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edged.video.pieces import GrowingFile

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """The kernel refuses to write beyond ``size`` bytes, in the middle of a piece (EFBIG)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


def test_the_file_is_there_with_its_first_piece_and_not_before(tmp_path: Path) -> None:
    path = tmp_path / "a"
    file = GrowingFile(path, header=b"head ")
    file.reserve()
    assert not path.exists()
    file.append(b"one ")
    assert path.read_bytes() == b"head one "
    file.append(b"two ")
    file.close()
    assert path.read_bytes() == b"head one two "
    assert list(tmp_path.iterdir()) == [path]


def test_a_reserved_name_without_a_piece_leaves_nothing(tmp_path: Path) -> None:
    file = GrowingFile(tmp_path / "a")
    file.reserve()
    file.close()
    assert list(tmp_path.iterdir()) == []


def test_a_name_is_given_once(tmp_path: Path) -> None:
    first, second = GrowingFile(tmp_path / "a"), GrowingFile(tmp_path / "a")
    first.reserve()
    with pytest.raises(FileExistsError):
        second.reserve()
    first.append(b"mine")
    with pytest.raises(FileExistsError):
        second.reserve()
    first.close()
    assert (tmp_path / "a").read_bytes() == b"mine"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_piece_that_does_not_fit_leaves_no_trace_and_the_next_may(tmp_path: Path) -> None:
    path = tmp_path / "a"
    file = GrowingFile(path)
    file.append(b"x" * 1000)
    with no_file_larger_than(1500):
        with pytest.raises(OSError, match="File too large"):
            file.append(b"y" * 1000)
        assert path.read_bytes() == b"x" * 1000
        file.append(b"z" * 400)
    file.append(b"y" * 1000)
    file.close()
    assert path.read_bytes() == b"x" * 1000 + b"z" * 400 + b"y" * 1000


def test_a_first_piece_that_does_not_fit_leaves_nothing(tmp_path: Path) -> None:
    file = GrowingFile(tmp_path / "a", header=b"h" * 100)
    file.reserve()
    with no_file_larger_than(500), pytest.raises(OSError, match="File too large"):
        file.append(b"x" * 1000)
    assert list(tmp_path.iterdir()) == []
    file.append(b"x")
    file.close()
    assert (tmp_path / "a").read_bytes() == b"h" * 100 + b"x"


@pytest.mark.parametrize("harm", ["deleted", "deleted after an error", "cut after an error"])
def test_what_others_do_to_the_file_makes_it_begin_again(tmp_path: Path, harm: str) -> None:
    path = tmp_path / "a"
    file = GrowingFile(path, header=b"head ", replace=True)
    file.append(b"one ")
    if "error" in harm:
        with no_file_larger_than(10), pytest.raises(OSError, match="File too large"):
            file.append(b"x" * 100)
    if "deleted" in harm:
        path.unlink()
    else:
        path.write_bytes(b"he")
    file.append(b"two ")
    file.close()
    assert path.read_bytes() == b"head two "


def test_after_an_error_it_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a"
    file = GrowingFile(path, header=b"head ")
    file.append(b"one ")
    with no_file_larger_than(10), pytest.raises(OSError, match="File too large"):
        file.append(b"x" * 100)
    file.append(b"two ")
    file.close()
    assert path.read_bytes() == b"head one two "


def test_every_piece_is_on_the_disk_before_it_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The power may go at any time: first the bytes, then the name, then the folder that has the name."""
    done: list[str] = []
    sync_data, sync, rename = os.fdatasync, os.fsync, Path.rename

    def fdatasync(fd: int) -> None:
        done.append(f"{os.fstat(fd).st_size} bytes")
        sync_data(fd)

    def fsync(fd: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file")
        sync(fd)

    def renamed(path: Path, target: Path) -> Path:
        done.append("name")
        return rename(path, target)

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "rename", renamed)
    file = GrowingFile(tmp_path / "film", header=b"head")
    file.append(b"one")
    file.append(b"two")
    file.close()
    assert done == ["7 bytes", "name", "folder", "10 bytes"]
