"""A file of lines, which others read, move away and fill up the disk of, or standard output."""

from __future__ import annotations

import errno
import os
import stat
import sys
from contextlib import suppress
from pathlib import Path

from edged.errors import SinkError
from edged.settings import sandbox
from edged.sinks import DISK_FAULTS


class LineFile:
    """Lines to a file, or to standard output for ``-``.

    A file that is there is continued, for a daemon that starts again must not wipe out what it has seen.
    Lines are stored whole or not at all; after an error, or if somebody has taken the file away, the next one
    opens it anew.

    Args:
        target: path, or ``-``.
        setting: that names it, for messages.
    """

    def __init__(self, target: str, setting: str) -> None:
        self.path = None if target == "-" else Path(target).expanduser()
        self._target = target
        self._setting = setting
        self._fd: int | None = None
        self._created = False
        self._filled = False

    def open(self, *, forgiving: bool) -> None:
        """Open the file, or create it.

        Args:
            forgiving: whether a disk that is full, read-only or failing may be opened: that is told with the
                first line, and every further one tries again, as if it had happened later.

        Raises:
            SinkError: it cannot be written.
        """
        if self.path is None:
            if sys.stdout is None:
                raise self._error(OSError(errno.EBADF, "standard output is closed"))
            return
        try:
            self._created = not self.path.exists()
            self._fd = _open(self.path)
        except OSError as error:
            if not (forgiving and error.errno in DISK_FAULTS):
                raise self._error(error) from error

    def write(self, line: bytes) -> None:
        """Append one line, or several with ends between them; the last end is ours.

        Raises:
            SinkError: it was not stored.
        """
        try:
            if self.path is None:
                sys.stdout.write(line.decode() + "\n")
                sys.stdout.flush()
            else:
                self._append(self.path, line + b"\n")
        except OSError as error:
            self._let_go()
            raise self._error(error) from error
        self._filled = True

    def close(self) -> None:
        """Close what is ours to close; a file that was made for nothing goes."""
        self._let_go()
        if self.path is not None and self._created and not self._filled:
            # Nothing came: leave no file that looks like an answer.
            with suppress(OSError):
                if not self.path.stat().st_size:  # another camera may have written there
                    self.path.unlink()

    def _append(self, path: Path, line: bytes) -> None:
        fd, before = self._place(path)
        try:
            view = memoryview(line)
            while view:
                view = view[os.write(fd, view) :]
        except OSError:
            if stat.S_ISREG(before.st_mode):
                with suppress(OSError):
                    os.ftruncate(fd, before.st_size)
            raise

    def _place(self, path: Path) -> tuple[int, os.stat_result]:
        """The file of that name, and how it is: the open one may have been deleted, or moved by logrotate."""
        if self._fd is not None:
            state = os.fstat(self._fd)
            with suppress(OSError):
                if os.path.samestat(path.stat(), state):
                    return self._fd, state
            self._let_go()
        self._fd = _open(path)
        return self._fd, os.fstat(self._fd)

    def _let_go(self) -> None:
        if self._fd is not None:
            fd, self._fd = self._fd, None
            with suppress(OSError):  # what we know of was stored
                os.close(fd)

    def _error(self, error: OSError) -> SinkError:
        hint = f"Set {self._setting} to a file that the user of edged may write, or to - for standard output"
        return SinkError(
            f"the output {self._target!r} cannot be written: {error.strerror}",
            hint=hint if self.path is None else sandbox.explained(self.path, hint, writing=True),
        )


def _open(path: Path) -> int:
    """Open a file to go on behind its last line, which gets an end if it has none: the next stands alone."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
    try:
        if stat.S_ISREG(os.fstat(fd).st_mode) and _is_torn(path):
            os.write(fd, b"\n")
    except OSError:
        os.close(fd)
        raise
    return fd


def _is_torn(path: Path) -> bool:
    """Whether the last line was not stored to its end, since the power went meanwhile."""
    with suppress(PermissionError), path.open("rb") as stream:  # who may only write goes on
        if stream.seek(0, os.SEEK_END):
            stream.seek(-1, os.SEEK_END)
            return stream.read(1) != b"\n"
    return False
