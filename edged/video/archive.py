"""What lies in a folder of segments: which one shows a moment, and its bytes. Never writes."""

from __future__ import annotations

import json
import math
import os
import stat
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, BinaryIO

from edged.video.segments import LINES, PICTURE, STAMP, VIDEO, own_name

if TYPE_CHECKING:
    from collections.abc import Container
    from pathlib import Path

_BLOCK = 64 << 10
"""Bytes of lines that are read one after the other; longer files are halved until so much is left."""
_MOST_PICTURE = 16 << 20
_LATE_S = 1.0
"""A segment of a camera's own packets is named after the second in which the first was read: its picture may
have come before."""
_ROUNDED_S = 0.001
"""By so much moments are rounded."""
_SLACK_S = 2.0
"""A moment so long after the last line still belongs to the segment: the next may be in the making."""


class Archive:
    """The segments of one camera. Its methods may block as long as the disk does.

    Args:
        folder: what EDGED_OUTPUT names.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def open(self, name: str) -> BinaryIO:
        """A file of video that edged has named itself, for reading: no link, and nothing outside the folder.

        Raises:
            FileNotFoundError: there is no such file.
            OSError: it cannot be read.
        """
        if own_name(name) is None or not name.endswith(VIDEO):
            raise FileNotFoundError(name)
        return _opened(self._folder / name)

    def pictures(self, event_ids: Container[str]) -> dict[str, str]:
        """Names of the stored pictures of these events, by event."""
        found: dict[str, str] = {}
        with suppress(OSError):
            for path in self._folder.iterdir():
                event_id = path.stem.rpartition(".")[2]
                if path.suffix == PICTURE and event_id in event_ids and own_name(path.name) is not None:
                    found[event_id] = path.name
        return found

    def picture(self, name: str) -> bytes:
        """A stored picture.

        Raises:
            OSError: it cannot be read, or is not there any more.
        """
        with _opened(self._folder / name) as stream:
            return stream.read(_MOST_PICTURE)

    def find(self, ts: float) -> tuple[str, float] | None:
        """The file that shows a moment, and after how many seconds of it; None if none does.

        Args:
            ts: UTC, seconds since the epoch.
        """
        begun: list[tuple[float, str]] = []
        with suppress(OSError):
            names = (path.name for path in self._folder.iterdir() if path.suffix == VIDEO)
            begun = sorted((start, name) for name in names if (start := _start(name)) <= ts + _LATE_S)
        # Where the clock has gone back, or the last segment is in the making, it may be the one before.
        for start, name in reversed(begun[-3:]):
            lines = self._folder / f"{name.removesuffix(VIDEO)}{LINES}"
            with suppress(OSError, ValueError, KeyError, TypeError):
                if start > ts and _first(lines) > ts + _ROUNDED_S:
                    continue
                after_s = _offset(lines, ts)
                if after_s is not None:
                    return name, after_s
        return None


def _start(name: str) -> float:
    """When a segment begins, to the second, by its name; never for files that edged has not named."""
    stem = own_name(name)
    with suppress(ValueError):
        if stem is not None:
            return datetime.strptime(stem.partition("_")[0], STAMP).replace(tzinfo=UTC).timestamp()
    return math.inf


def _first(lines: Path) -> float:
    """When the first frame was captured of which there is a line."""
    with _opened(lines) as stream:
        return _times(stream.readline())[0]


def _offset(lines: Path, ts: float) -> float | None:
    """Seconds from the beginning of the video to a moment, by the lines beside it."""
    with _opened(lines) as stream:
        first = stream.readline()
        first_pts = 0.0 if b'"at":' in first else _times(first)[1]
        low, high = 0, os.fstat(stream.fileno()).st_size
        while high - low > _BLOCK:
            middle = (low + high) // 2
            stream.seek(middle)
            stream.readline()
            line = stream.readline()
            if line and _times(line)[0] < ts:
                low = middle
            else:
                high = middle
        stream.seek(low)
        if low:
            stream.readline()
        found, pts = -math.inf, first_pts
        for line in stream:
            if found >= ts or not line.endswith(b"\n"):
                break
            found, pts = _times(line)
    return None if found < ts - _SLACK_S else max(0.0, pts - first_pts)


def _times(line: bytes) -> tuple[float, float]:
    """When a frame was captured (UTC, seconds) and its media time, of its line of detections.

    Where a camera's own packets were recorded that is the time in the video itself.
    """
    found = json.loads(line)
    return float(found["ts_capture"]), float(found.get("at", found["pts"]))


def _opened(path: Path) -> BinaryIO:
    stream = os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    if stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        return stream
    stream.close()
    raise FileNotFoundError(str(path))
