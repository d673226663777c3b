"""What a folder of segments may take of its disk: the oldest go first."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import time
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import structlog

from edged.video.segments import LINES, PICTURE, VIDEO, own_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_SHARE = 4
"""A segment ends early at this part of the budget, so that there is always an older one that can go."""
_FUTURE = timedelta(days=1)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Stored:
    """A segment on the disk."""

    name: str
    size: int
    """Bytes of its files together."""


class Retention:
    """Keeps the segments of a folder within a budget and the disk from filling up.

    Only plain files in the folder itself that edged has named are ever counted or deleted. Segments with
    times to come were recorded under a clock that was wrong, and go before all others.

    Args:
        folder: of the segments.
        budget: bytes that all segments may take; None is without limit.
        reserve: bytes that stay free on the disk.
        clock: UTC, seconds since the epoch.
    """

    def __init__(
        self,
        folder: Path,
        *,
        budget: int | None,
        reserve: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._folder = folder
        self._budget = budget
        self._reserve = reserve
        self._clock = clock
        self._others: deque[Stored] = deque()
        self._total = 0

    @property
    def largest_segment(self) -> int | None:
        """Bytes at which a segment should end, whatever its length; None is without limit."""
        return None if self._budget is None else max(1, self._budget // _SHARE)

    def began(self, name: str) -> None:
        """A segment has begun, which is not deleted while it is being recorded.

        Raises:
            OSError: the folder cannot be read.
        """
        found = self._scan()
        self._total = sum(segment.size for segment in found)
        self._others = deque(segment for segment in found if segment.name != name)

    def make_room(self, needed: int) -> None:
        """Delete the oldest segments until ``needed`` bytes fit, and count them as taken.

        Raises:
            OSError: they do not fit (ENOSPC), or what has to go cannot be deleted.
        """
        if self._budget is not None:
            while self._others and self._total + needed > self._budget:
                self._delete_first()
        # By the sizes of the files: some file systems give space back only after a while.
        missing = self._reserve + needed - shutil.disk_usage(self._folder).free
        while self._others and missing > 0:
            missing -= self._delete_first()
        if missing > 0 and self._reserve:
            raise OSError(errno.ENOSPC, "the disk is down to what EDGED_DISK_FREE_GB keeps free")
        self._total += needed

    def missing(self) -> int:
        """Bytes that the disk lacks to record anything, even if all segments went; 0 or less: there is room.

        Raises:
            OSError: the folder cannot be read.
        """
        own = sum(segment.size for segment in self._scan())
        return self._reserve - own - shutil.disk_usage(self._folder).free

    def delete_oldest(self) -> int:
        """Delete one segment, for the disk is full all the same; its bytes, 0 if there is none.

        Raises:
            OSError: it cannot be deleted.
        """
        return self._delete_first() if self._others else 0

    def _delete_first(self) -> int:
        """Delete the first segment in the order of deletion; gives its bytes."""
        segment = self._others[0]
        pictures = self._folder.glob(f"{segment.name}.*{PICTURE}")
        others = [path for path in pictures if own_name(path.name) == segment.name]
        for path in (
            self._folder / f"{segment.name}{VIDEO}",
            self._folder / f"{segment.name}{LINES}",
            *others,
        ):
            if path.is_file() and not path.is_symlink():
                path.unlink(missing_ok=True)
        self._others.popleft()
        self._total -= segment.size
        log.debug("segment_deleted", name=segment.name, bytes=segment.size)
        return segment.size

    def _scan(self) -> list[Stored]:
        """All segments in the order of deletion."""
        sizes: dict[str, int] = {}
        with os.scandir(self._folder) as entries:
            for entry in entries:
                name = own_name(entry.name)
                if name is None:
                    continue
                try:
                    found = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                if stat.S_ISREG(found.st_mode):
                    sizes[name] = sizes.get(name, 0) + found.st_size
        tomorrow = (datetime.fromtimestamp(self._clock(), UTC) + _FUTURE).strftime("%Y-%m-%dT")
        ordered = sorted(sizes, key=lambda name: (name < tomorrow, name))
        return [Stored(name, sizes[name]) for name in ordered]
