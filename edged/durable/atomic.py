"""Small files that are replaced as a whole."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def replace_file(path: Path, content: bytes, *, lasting: bool = False) -> None:
    """Write a file of which there is always either the old or the new content; missing folders are made.

    Args:
        path: the file.
        content: all of it.
        lasting: whether a loss of power must not bring back the old one; that takes as long as the disk does.

    Raises:
        OSError: the disk does not take it; the old one stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    with new.open("wb") as stream:
        stream.write(content)
        if lasting:
            stream.flush()
            os.fsync(stream.fileno())
    new.replace(path)
    if lasting:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Have the names in it on the disk, too."""
    with contextlib.suppress(OSError):  # not every file system can
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
