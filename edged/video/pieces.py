"""A file that grows by whole pieces, on a disk that may be full, read-only or gone."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from edged.durable.atomic import sync_folder

if TYPE_CHECKING:
    from pathlib import Path

PART = ".part"
"""A file in the making is ``.name.part`` beside its place; it gets its name with its first piece."""


class GrowingFile:
    """Pieces are stored whole or not at all, and there is no file before there is a piece.

    After an error the file is as it was before; the next :meth:`append` opens it anew. A file that was
    deleted or cut under our hands begins again.

    Args:
        path: where it will be.
        header: what it begins with, stored together with the first piece.
        replace: whether a file that is there may go.
    """

    def __init__(self, path: Path, *, header: bytes = b"", replace: bool = False) -> None:
        self.path = path
        self.size = 0
        """Bytes stored."""
        self.part = path.with_name(f".{path.name}{PART}")
        """Where it is before it has its name; may stay behind if the disk goes away just then."""
        self._header = header
        self._replace = replace
        self._fd: int | None = None

    def reserve(self) -> None:
        """Find out whether there can be such a file; from now on nobody else can take its name.

        Raises:
            FileExistsError: the name is taken.
            OSError: there can be no file here.
        """
        self._create()

    def growth(self, piece: bytes) -> int:
        """Bytes by which it grows with a piece: what it begins with comes with the first one."""
        return len(piece) if self.size else len(self._header) + len(piece)

    def append(self, piece: bytes) -> None:
        """Store one piece.

        Raises:
            OSError: it could not be stored; the file is as it was.
        """
        if self._fd is not None and os.fstat(self._fd).st_nlink == 0:
            self._forget()
        if self._fd is None:
            self._reopen()
        assert self._fd is not None  # noqa: S101  # _reopen() opened it
        data = piece if self.size else self._header + piece
        try:
            _write(self._fd, data, self.size)
            # On the disk, not only in memory: the power may go at any time.
            os.fdatasync(self._fd)
            if not self.size:
                self.part.rename(self.path)
                sync_folder(self.path.parent)
        except OSError:
            self._undo()
            raise
        self.size += len(data)
        # Nobody reads it soon: free the memory.
        with contextlib.suppress(OSError):
            os.posix_fadvise(self._fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def close(self) -> None:
        """Let go of the file; a reserved name without a piece is free again."""
        if self._fd is None:
            return
        empty = not self.size
        self._let_go()
        if empty:
            self.part.unlink(missing_ok=True)

    def _create(self) -> None:
        if self._replace:
            self.part.unlink(missing_ok=True)
        self._fd = os.open(self.part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        # Only now: whoever else was after this name has it by now, or finds the part.
        if not self._replace and self.path.exists():
            self._undo()
            raise FileExistsError(f"{self.path} is there")

    def _reopen(self) -> None:
        if self.size:
            try:
                self._fd = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                self.size = 0
            else:
                if os.fstat(self._fd).st_size >= self.size:
                    return
                self._forget()
        self._create()

    def _undo(self) -> None:
        """Away with what is behind the last whole piece."""
        assert self._fd is not None  # noqa: S101  # there is something to undo
        with contextlib.suppress(OSError):
            os.ftruncate(self._fd, self.size)
        self._let_go()
        if not self.size:
            with contextlib.suppress(OSError):
                self.part.unlink()

    def _forget(self) -> None:
        self._let_go()
        self.size = 0

    def _let_go(self) -> None:
        if self._fd is not None:
            fd, self._fd = self._fd, None
            # An error of an earlier write may come up here; what we know of was stored.
            with contextlib.suppress(OSError):
                os.close(fd)


def _write(fd: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, offset)
        view, offset = view[written:], offset + written
