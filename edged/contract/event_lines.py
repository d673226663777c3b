"""Events as lines of JSON, read again: from the end of a file, or while it grows."""

from __future__ import annotations

import io
import json
import os
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edged.contract.event_messages import EventMessage

_TEXTS = ("type", "event_id", "camera", "boot_id", "label", "ended_by")
_NUMBERS = ("ts", "duration_s")
_MOST = 1e11
"""What is more is neither a time in seconds nor anything else."""
_LISTS = ("changes", "current_zones", "entered_zones", "lines")


def parsed(text: bytes) -> EventMessage | None:
    """The event of one line, None if it is none."""
    try:
        content = json.loads(text)
        is_one = (
            all(isinstance(content[name], str) for name in _TEXTS)
            and isinstance(content.get("sub_label", ""), str)
            and all(is_number(content[name]) for name in _NUMBERS)
            and all(isinstance(content[name], list) for name in _LISTS)
            and all(isinstance(name, str) for name in [*content["changes"], *content["entered_zones"]])
            and all(isinstance(name, str) for name in content["current_zones"])
            and all(isinstance(one["line"] + one["direction"], str) for one in content["lines"])
        )
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    return cast("EventMessage", content) if is_one else None


def is_number(value: object) -> bool:
    """Whether it may be a time, a duration or a score, and no text or truth value, or NaN, taken for one."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _MOST


def last(path: Path, size: int) -> Iterator[EventMessage]:
    """The events in the last ``size`` bytes of a file.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        start = max(0, stream.seek(0, os.SEEK_END) - size)
        stream.seek(start)
        if start:
            stream.readline()  # a half of one
        for text in stream:
            if (event := parsed(text)) is not None:
                yield event


class Tail:
    """Reads a file while it grows, and its successor of the same name where it was moved away.

    Args:
        path: need not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stream: io.FileIO | None = None
        """Kept open: what was written last before it was moved away is found in no file of its name."""
        self._done = 0
        """Bytes that were read, to the end of a line."""

    def read(self) -> list[EventMessage]:
        """What is new since the last call.

        Raises:
            OSError: it cannot be read.
        """
        try:
            stream = io.FileIO(self._path)
        except FileNotFoundError:
            return self._new()
        if self._stream is not None and os.path.sameopenfile(stream.fileno(), self._stream.fileno()):
            stream.close()
            return self._new()
        left = self._new()
        self.close()
        self._stream, self._done = stream, 0
        return left + self._new()

    def close(self) -> None:
        """Read no more."""
        if self._stream is not None:
            self._stream.close()

    def _new(self) -> list[EventMessage]:
        """What is new in the file that is open."""
        stream = self._stream
        if stream is None:
            return []
        if os.fstat(stream.fileno()).st_size < self._done:  # it was emptied
            self._done = 0
        stream.seek(self._done)
        whole, end, _ = stream.readall().rpartition(b"\n")
        self._done += len(whole) + len(end)
        return [event for text in whole.split(b"\n") if (event := parsed(text)) is not None]
