"""One line of JSON a frame: the detections payload of the MQTT contract."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from edged.errors import SinkError
from edged.mqtt import payloads

if TYPE_CHECKING:
    from edged.config import Settings
    from edged.records import Result
    from edged.sinks import Context


class JsonlSink:
    """Lines to a file, or to standard output for ``-``.

    A file that is there is continued, for a daemon that starts again must not wipe out what it has seen;
    ``boot_id`` tells the runs apart.

    Args:
        target: path, or ``-``.
        boot_id: identity of this run, for the payload.
    """

    name = "jsonl"

    def __init__(self, target: str, *, boot_id: str) -> None:
        self._target = target
        self._boot_id = boot_id
        self._stream: TextIO | None = None
        self._created: Path | None = None
        self._count = 0

    @classmethod
    def create(cls, settings: Settings, context: Context) -> JsonlSink:
        """As ``EDGED_JSONL`` says."""
        assert settings.jsonl is not None  # noqa: S101  # the registry asks for this sink only if it is set
        return cls(settings.jsonl, boot_id=context.boot_id)

    def open(self) -> None:
        """Open the file, or create it."""
        if self._target == "-":
            self._stream = sys.stdout
            return
        path = Path(self._target).expanduser()
        existed = path.exists()
        try:
            # Line buffered: who follows the file sees whole lines, and a crash costs at most one.
            self._stream = path.open("a", buffering=1, encoding="utf-8")
        except OSError as error:
            raise self._error(error) from error
        self._created = None if existed else path

    def send(self, result: Result) -> None:
        """Write one line."""
        assert self._stream is not None  # noqa: S101  # open() comes first
        payload = payloads.detections(result, boot_id=self._boot_id, seq=self._count, now=time.time())
        try:
            self._stream.write(payloads.encode(payload).decode() + "\n")
        except OSError as error:
            raise self._error(error) from error
        self._count += 1

    def close(self) -> None:
        """Flush, and close what is ours to close."""
        if self._stream is None:
            return
        try:
            self._stream.flush()
            if self._stream is not sys.stdout:
                self._stream.close()
            if self._created is not None and self._count == 0:
                self._created.unlink()  # no frame came: leave no file that looks like an answer
        except OSError as error:
            raise self._error(error) from error

    def _error(self, error: OSError) -> SinkError:
        return SinkError(
            f"the output {self._target!r} cannot be written: {error.strerror}",
            mend="Set EDGED_JSONL to a file that the user of edged may write, or to - for standard output",
        )
