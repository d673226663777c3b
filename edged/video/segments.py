"""Segments: video, detections and pictures of events, under a common name that tells when they begin."""

from __future__ import annotations

import contextlib
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING

import structlog

from edged.video.encoder import CLOCK_HZ
from edged.video.mp4 import Mp4Muxer
from edged.video.pieces import PART, GrowingFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from edged.video.encoder import Packet

    Store = Callable[[GrowingFile, bytes], None]
    """Appends a piece to a file, having made room for it; raises OSError."""

log = structlog.get_logger()

VIDEO, LINES, PICTURE = ".mp4", ".jsonl", ".jpg"
FILES = frozenset({VIDEO, ".m4v", ".mov"})
"""How the name of an output ends that is one file, and no folder."""
STAMP = "%Y-%m-%dT%H-%M-%SZ"
"""How the name of a segment tells when it begins, UTC."""
_NAME = r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ(?:_\d{2,})?"
_SUFFIX = rf"(?:{re.escape(VIDEO)}|{re.escape(LINES)}|\.[0-9a-f]{{16}}{re.escape(PICTURE)})"
_OWN = re.compile(rf"({_NAME}){_SUFFIX}", re.ASCII)
_OWN_PART = re.compile(rf"\.{_NAME}{_SUFFIX}{re.escape(PART)}", re.ASCII)
_STALE_S = 60.0
"""A part lives for a fragment or two; what is older was left by a crash."""


@dataclass(frozen=True, slots=True)
class Remarks:
    """What was found in pictures that have come before, of a camera that does not wait for the model."""

    placed: tuple[tuple[bytes, int], ...] = ()
    """Lines of JSON, and ticks at which their pictures are shown: each then says where in the video."""
    seen: bool = False
    """Whether there is anything that matters among it."""
    pictures: tuple[tuple[str, bytes], ...] = ()
    """As of :class:`Sample`."""


NOTHING = Remarks()


@dataclass(frozen=True, slots=True)
class Sample:
    """One encoded picture with what was found in it."""

    packet: Packet
    ts: float
    """When it was captured: UTC, seconds since the epoch."""
    line: bytes
    """The detections, a line of JSON; empty where none have come."""
    seen: bool
    """Whether there are any."""
    first: bool = False
    """Whether it is the first of its encoder: with those before it shares no segment."""
    pictures: tuple[tuple[str, bytes], ...] = ()
    """Ids of events with the best picture so far, a JPEG, where there is a new one."""
    remarks: Remarks = NOTHING
    """For a camera's own packets, which do not wait for the model: about pictures that came before."""


class Segment:
    """A segment that is being recorded. Any error of the disk leaves both files whole up to some fragment.

    What was found in its last pictures may come when it has ended: :meth:`settle` stores that.

    Args:
        folder: where; it is created if it is not there.
        first: the keyframe that it begins with.
        store: how pieces get into files.

    Raises:
        OSError: there can be no files here.
    """

    def __init__(self, folder: Path, first: Sample, store: Store) -> None:
        self._store = store
        self._muxer = Mp4Muxer(first.packet)
        self.origin = first.packet.order
        """Ticks at which it begins."""
        self._shown_from = first.packet.pts
        self._added = self._stored = -1
        """Ticks at which the last picture is shown, of all and of those on the disk."""
        self._video, self._lines = _reserve(folder, first.ts, self._muxer.header)
        self.name = self._video.path.stem
        self._pending: list[tuple[bytes, int]] = []
        """Lines that are not on the disk, and ticks at which their pictures are shown."""
        self._pictures: dict[str, bytes] = {}

    @property
    def size(self) -> int:
        """Bytes stored."""
        return self._video.size + self._lines.size

    @property
    def parts(self) -> list[Path]:
        """What may stay behind if the disk goes away."""
        return [self._video.part, self._lines.part]

    def length(self, packet: Packet) -> int:
        """Ticks from the beginning to ``packet``."""
        return packet.order - self.origin

    def shows(self, ticks: int) -> bool:
        """Whether the picture is on the disk that is shown then."""
        return self._shown_from <= ticks <= self._stored

    def add(self, sample: Sample) -> None:
        """Take one sample; a keyframe stores what is between it and the one before.

        Raises:
            OSError: it could not be stored.
        """
        self._save(self._muxer.add(sample.packet))
        self._added = max(self._added, sample.packet.pts)
        self._pending.append((sample.line, sample.packet.pts))
        self.keep(sample.pictures)

    def place(self, line: bytes, ticks: int) -> None:
        """Take a line about the picture that is shown then."""
        self._pending.append((_placed(line, (ticks - self.origin) / CLOCK_HZ), ticks))

    def keep(self, pictures: Iterable[tuple[str, bytes]]) -> None:
        """Take pictures of events."""
        self._pictures.update(pictures)

    def finish(self) -> None:
        """Store the rest.

        Raises:
            OSError: it could not be stored.
        """
        try:
            fragment, index = self._muxer.finish()
            self._save(fragment)
            if index:
                self._store(self._video, index)
        finally:
            self.abandon()

    def settle(self) -> None:
        """After the end: store what was taken since, of pictures that are on the disk.

        Raises:
            OSError: it could not be stored.
        """
        self._pending = [(line, ticks) for line, ticks in self._pending if self.shows(ticks)]
        if not self._video.path.exists():  # it had to make room meanwhile, or has not come to a fragment
            self._pending, self._pictures = [], {}
        try:
            self._save_beside()
        finally:
            self.abandon()

    def settles(self) -> bool:
        """The same once more after an error; whether it is stored. If not, that is told."""
        try:
            self.settle()
        except OSError as error:
            log.warning("detections_not_stored", segment=self.name, reason=error.strerror)
            return False
        return True

    def abandon(self) -> None:
        """Leave it as it is; nothing stays of a segment that has no fragment."""
        for file in (self._video, self._lines):
            with contextlib.suppress(OSError):
                file.close()

    def _save(self, fragment: bytes) -> None:
        if fragment:
            self._store(self._video, fragment)
            self._stored = self._added
            self._save_beside()

    def _save_beside(self) -> None:
        if lines := b"".join(line for line, _ in self._pending):
            self._store(self._lines, lines)
        self._pending = []
        while self._pictures:
            event_id, jpeg = self._pictures.popitem()
            path = self._video.path.with_suffix(f".{event_id}{PICTURE}")
            picture = GrowingFile(path, replace=True)
            with contextlib.closing(picture):
                self._store(picture, jpeg)


def _placed(line: bytes, at: float) -> bytes:
    """A line that says at which second of the video its picture is."""
    return b'%s,"at":%.3f}\n' % (line.rstrip()[:-1], at)


def own_name(name: str) -> str | None:
    """The name of the segment that a file belongs to; None for every file that edged has not named."""
    found = _OWN.fullmatch(name)
    return found.group(1) if found else None


def sweep(folder: Path) -> None:
    """Away with the parts that a crash has left.

    Raises:
        OSError: the folder cannot be read.
    """
    if not folder.is_dir():
        return
    now = time.time()
    for path in folder.iterdir():
        if _OWN_PART.fullmatch(path.name):
            with contextlib.suppress(OSError):
                if abs(now - path.lstat().st_mtime) > _STALE_S:
                    path.unlink()


def _reserve(folder: Path, ts: float, header: bytes) -> tuple[GrowingFile, GrowingFile]:
    """Two files of one name that is free, even if the clock has gone back to a time that was recorded."""
    folder.mkdir(parents=True, exist_ok=True)
    stamp = datetime.fromtimestamp(ts, UTC).strftime(STAMP)
    for number in count(1):
        # Sorts right behind the name without a number.
        name = stamp if number == 1 else f"{stamp}_{number:02d}"
        video = GrowingFile(folder / f"{name}{VIDEO}", header=header)
        lines = GrowingFile(folder / f"{name}{LINES}")
        try:
            video.reserve()
            lines.reserve()
        except FileExistsError:
            video.close()
        except OSError:
            video.close()
            raise
        else:
            return video, lines
    raise AssertionError("numbers do not end")
