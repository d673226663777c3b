"""One line of JSON a frame: the detections payload of the MQTT contract."""

from __future__ import annotations

import os
import stat
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from edged.contract import payloads
from edged.errors import SinkError
from edged.sinks import DISK_FAULTS

if TYPE_CHECKING:
    from edged.records import Result
    from edged.settings.declared import Settings
    from edged.sinks import Context


class JsonlSink:
    """Lines to a file, or to standard output for ``-``.

    A file that is there is continued, for a daemon that starts again must not wipe out what it has seen;
    ``boot_id`` tells the runs apart. Lines are stored whole or not at all; after an error, or if somebody
    has taken the file away, the next one opens it anew.

    Args:
        target: path, or ``-``.
        boot_id: identity of this run, for the payload.
        camera: its name, for the payload.
        forgiving: whether a disk that is full, read-only or failing may be opened: that is told with the
            first result, and every further one tries again, as if it had happened later.
    """

    name = "jsonl"

    def __init__(self, target: str, *, boot_id: str, camera: str = "camera", forgiving: bool = False) -> None:
        self._target = target
        self._path = None if target == "-" else Path(target).expanduser()
        self._boot_id = boot_id
        self._camera = camera
        self._forgiving = forgiving
        self._fd: int | None = None
        self._created = False
        self._count = 0

    @classmethod
    def create(cls, settings: Settings, context: Context) -> JsonlSink:
        """As ``EDGED_JSONL`` says."""
        assert settings.jsonl is not None  # noqa: S101  # the registry asks for this sink only if it is set
        return cls(
            settings.jsonl, boot_id=context.boot_id, camera=settings.camera, forgiving=context.starting
        )

    def open(self) -> None:
        """Open the file, or create it."""
        if self._path is None:
            return
        try:
            self._created = not self._path.exists()
            self._fd = _open(self._path)
        except OSError as error:
            if not (self._forgiving and error.errno in DISK_FAULTS):
                raise self._error(error) from error

    def send(self, result: Result) -> None:
        """Write one line."""
        payload = payloads.detections(
            result, camera=self._camera, boot_id=self._boot_id, seq=self._count, now=time.time()
        )
        line = payloads.encode(payload) + b"\n"
        try:
            if self._path is None:
                sys.stdout.write(line.decode())
                sys.stdout.flush()
            else:
                self._append(self._path, line)
        except OSError as error:
            self._let_go()
            raise self._error(error) from error
        self._count += 1

    def close(self) -> None:
        """Close what is ours to close; a file that was made for nothing goes."""
        self._let_go()
        if self._path is not None and self._created and not self._count:
            # No frame came: leave no file that looks like an answer.
            with suppress(OSError):
                if not self._path.stat().st_size:  # another camera may have written there
                    self._path.unlink()

    def _append(self, path: Path, line: bytes) -> None:
        if self._fd is not None and not _is_at(path, self._fd):
            self._let_go()
        if self._fd is None:
            self._fd = _open(path)
        before = os.fstat(self._fd)
        try:
            view = memoryview(line)
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError:
            if stat.S_ISREG(before.st_mode):
                with suppress(OSError):
                    os.ftruncate(self._fd, before.st_size)
            raise

    def _let_go(self) -> None:
        if self._fd is not None:
            fd, self._fd = self._fd, None
            with suppress(OSError):  # what we know of was stored
                os.close(fd)

    def _error(self, error: OSError) -> SinkError:
        return SinkError(
            f"the output {self._target!r} cannot be written: {error.strerror}",
            mend="Set EDGED_JSONL to a file that the user of edged may write, or to - for standard output",
        )


def _is_at(path: Path, fd: int) -> bool:
    """Whether the open file is the one of that name: it may have been deleted, or moved away by logrotate."""
    try:
        there = path.stat()
    except OSError:
        return False
    return os.path.samestat(there, os.fstat(fd))


def _open(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
