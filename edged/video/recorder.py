"""What becomes of encoded samples: one file, or segments in a folder, all the time or only at events."""

from __future__ import annotations

import contextlib
import errno
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from edged.video.encoder import CLOCK_HZ
from edged.video.mp4 import Mp4Muxer
from edged.video.pieces import GrowingFile
from edged.video.preroll import PreRoll
from edged.video.segments import Segment, sweep

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from edged.records import Result
    from edged.video.retention import Retention
    from edged.video.segments import Remarks, Sample

NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})
_PROBE_BYTES = 1 << 20
"""About what a fragment takes: when so much can be stored again, it is worth to go on."""
_MOST_DELETED = 32 << 20
"""Bytes that are deleted for one fragment, before it is given up."""


class Recorder(Protocol):
    """Takes samples. Used by one thread; every method may block as long as the disk does."""

    target: Path
    """What EDGED_OUTPUT names."""
    one_size: bool
    """Whether pictures of another size must be brought to that of the first ones."""
    pictures: bool
    """Whether pictures of events are kept beside the video."""

    def open(self) -> None:
        """Find out whether there can be files, without touching any that are there.

        Raises:
            OSError: there can be none.
        """
        ...

    def take(self, sample: Sample) -> None:
        """Record one sample; the first one of a recording is a keyframe, others before that are dropped.

        Raises:
            OSError: the disk failed. What is on it plays; the next sample that is used is a keyframe.
        """
        ...

    def found(self, remarks: Remarks) -> None:
        """Take what was found in pictures that were recorded, with no other to follow soon.

        Raises:
            OSError: the disk failed.
        """
        ...

    def rest(self) -> None:
        """Nothing follows for a while: end what can be gone on with in another file.

        Raises:
            OSError: the disk failed.
        """
        ...

    def probe(self) -> None:
        """After an error: see whether it is worth to go on.

        Raises:
            OSError: it is not.
        """
        ...

    def close(self) -> None:
        """Store the rest.

        Raises:
            OSError: the disk failed.
        """
        ...


class FileRecorder:
    """Everything in one file, which replaces one that is there when its first fragment is complete.

    Args:
        path: ends in ``.mp4``.
    """

    one_size = True
    pictures = False

    def __init__(self, path: Path) -> None:
        self.target = path
        self._path = path.resolve()
        self._muxer: Mp4Muxer | None = None
        self._file: GrowingFile | None = None
        self._broken = False
        """After an error, until the next keyframe."""
        self._gaps = False

    def open(self) -> None:
        """Create a file beside the place, and remove it."""
        if self._path.exists() and not self._path.is_file():
            raise OSError(errno.EINVAL, "it is there and no plain file")
        _probe(self._path.parent, 0)

    def take(self, sample: Sample) -> None:
        """Record one sample."""
        packet = sample.packet
        if self._broken or self._muxer is None:
            if not packet.keyframe:
                return
            self._broken = False
        if self._muxer is None or self._file is None:
            self._muxer = Mp4Muxer(packet)
            self._file = GrowingFile(self._path, header=self._muxer.header, replace=True)
        self._store(self._muxer.add(packet))

    def found(self, remarks: Remarks) -> None:
        """Nothing is beside the file."""

    def rest(self) -> None:
        """There is no other file."""

    def probe(self) -> None:
        """Store something beside the file, and remove it."""
        _probe(self._path.parent, _PROBE_BYTES)

    def close(self) -> None:
        """Store the last fragment, and the index if it is still true."""
        if self._muxer is None or self._file is None:
            return
        muxer, self._muxer = self._muxer, None
        try:
            fragment, index = muxer.finish()
            self._store(fragment)
            if not self._gaps:
                self._store(index)
        finally:
            self._file.close()

    def _store(self, piece: bytes) -> None:
        if not piece or self._file is None:
            return
        try:
            self._file.append(piece)
        except OSError:
            self._broken = self._gaps = True
            raise


@dataclass(frozen=True, slots=True)
class Events:
    """Recording only around what is seen."""

    pre_roll_s: float
    """Seconds before."""
    post_roll_s: float
    """Seconds after, up to the next keyframe."""
    labels: frozenset[str] = frozenset()
    """The only labels that matter; empty: all."""
    zones: frozenset[str] = frozenset()
    """The only zones that matter; empty: the whole frame."""

    def seen_in(self, result: Result) -> bool:
        """Whether anything that matters is there: objects that count, detections where none are followed."""
        there = result.presence
        if there is None:
            labels = {found.label for found in result.detections}
        elif self.zones:
            labels = {label for zone in self.zones for label in there.zones.get(zone, ())}
        else:
            labels = set(there.counts)
        return bool(labels & self.labels if self.labels else labels)


class FolderRecorder:
    """Segments in a folder.

    Args:
        folder: created if it is not there.
        retention: keeps it small.
        length_s: of a segment; it ends with the first keyframe after that.
        events: None records all the time.
        phase: share of a segment, 0..1, by which the first one is shorter: cameras that begin together do not
            all end a segment, and give it to the disk, in one moment.
    """

    one_size = False
    pictures = True

    def __init__(
        self,
        folder: Path,
        retention: Retention,
        *,
        length_s: float,
        events: Events | None,
        phase: float = 0.0,
    ) -> None:
        self.target = folder
        self._retention = retention
        self._ticks = round(length_s * CLOCK_HZ)
        self._ends_at = self._ticks - round(phase * self._ticks)
        """Ticks of the present segment."""
        self._events = events
        self._preroll = PreRoll(events.pre_roll_s if events else 0.0)
        self._segment: Segment | None = None
        self._before: Segment | None = None
        """The one that has ended last: what was found in its pictures may come only now."""
        self._recording = events is None
        self._seen_pts: int | None = None
        self._last_pts = 0
        """When the last sample is shown, ticks."""
        self._debris: list[Path] = []

    def open(self) -> None:
        """Create the folder and a file in it, remove the file, and what a crash has left."""
        self.target.mkdir(parents=True, exist_ok=True)
        sweep(self.target)
        try:
            _probe(self.target, 0)
        except OSError as error:
            if error.errno not in NO_SPACE:
                raise
            # A disk that is full may be so by our own segments, and detection goes on in any case.

    def take(self, sample: Sample) -> None:
        """Record one sample, or keep it for the event that may come."""
        self._last_pts = sample.packet.pts
        if sample.first:
            self._preroll.take()
            self._end()
        if self._events is None:
            self._record(sample)
        else:
            self._record_event(sample, self._events)
        self._place(sample.remarks.placed)

    def found(self, remarks: Remarks) -> None:
        """Store it beside the pictures; where they are still waiting for an event, it may be one."""
        self._place(remarks.placed)
        if remarks.seen and self._events is not None:
            self._seen_pts = self._last_pts
            self._begin()
            self._end()
        # The segment before belongs to what they are of only if that is still going on.
        if self._recording and (segment := self._segment or self._before) is not None:
            segment.keep(remarks.pictures)
        if self._before is not None:
            self._before.settle()

    def _record_event(self, sample: Sample, events: Events) -> None:
        if sample.seen:
            self._seen_pts = sample.packet.pts
        wanted = self._wanted(sample, events)
        if not self._recording:
            self._preroll.add(sample)
            if wanted:
                self._begin()
        elif wanted or not sample.packet.keyframe:
            self._record(sample)
        else:
            # It ends where the next ring can begin: an event right after this one begins without a gap.
            self._recording = False
            self._preroll.add(sample)
            self._end()

    def _begin(self) -> None:
        """An event has begun: record from before it on."""
        self._recording = True
        samples, placed = self._preroll.take()
        for kept in samples:
            self._record(kept)
        self._place(placed)

    def rest(self) -> None:
        """End the segment."""
        self._end()

    def probe(self) -> None:
        """Make room for a megabyte, store it, and remove it and what the fault has left."""
        self.target.mkdir(parents=True, exist_ok=True)
        self._retention.began("")
        self._retention.make_room(_PROBE_BYTES)
        _probe(self.target, _PROBE_BYTES)
        while self._debris:
            self._debris[-1].unlink(missing_ok=True)
            self._debris.pop()
        if self._before is not None and not self._before.settles():
            self._before = None  # the disk is well: nothing else has to wait for that file

    def close(self) -> None:
        """End the segment."""
        self._end()

    def _wanted(self, sample: Sample, events: Events) -> bool:
        if self._seen_pts is None:
            return False
        return sample.packet.pts - self._seen_pts <= events.post_roll_s * CLOCK_HZ

    def _record(self, sample: Sample) -> None:
        packet = sample.packet
        if packet.keyframe and self._segment is not None and self._is_full(self._segment, sample):
            self._end()
            self._ends_at = self._ticks
        if self._segment is None:
            if not packet.keyframe:
                return
            sweep(self.target)
            self._segment = Segment(self.target, sample, self._store)
            self._retention.began(self._segment.name)
        try:
            self._segment.add(sample)
        except OSError:
            self._segment.abandon()
            self._debris = self._segment.parts
            self._before, self._segment = self._segment, None
            raise

    def _place(self, placed: Iterable[tuple[bytes, int]]) -> None:
        """Have each line beside the picture that it is about; away with those of pictures that are gone."""
        late = False
        for line, ticks in placed:
            if self._before is not None and self._before.shows(ticks):
                self._before.place(line, ticks)
                late = True
            elif self._segment is not None and ticks >= self._segment.origin:
                self._segment.place(line, ticks)
            else:
                self._preroll.place(line, ticks)
        if late and self._before is not None:
            self._before.settle()

    def _is_full(self, segment: Segment, sample: Sample) -> bool:
        largest = self._retention.largest_segment
        return segment.length(sample.packet) >= self._ends_at or (
            largest is not None and segment.size >= largest
        )

    def _end(self) -> None:
        if self._segment is not None:
            segment, self._segment = self._segment, None
            self._before, self._debris = segment, segment.parts
            segment.finish()
            self._debris = []

    def _store(self, file: GrowingFile, piece: bytes) -> None:
        """Append, and if there is no room at the cost of the oldest segments."""
        self._retention.make_room(file.growth(piece))
        deleted = 0
        while True:
            try:
                file.append(piece)
            except OSError as error:
                # So much was deleted and there is still no room: deleting does not help.
                if error.errno not in NO_SPACE or deleted > _MOST_DELETED:
                    raise
                more = self._retention.delete_oldest()
                if not more:
                    raise
                deleted += more
            else:
                return


def _probe(folder: Path, size: int) -> None:
    """Store ``size`` bytes in ``folder``, and remove them.

    Raises:
        OSError: it could not be done.
    """
    path = folder / ".edged-probe.part"
    try:
        with path.open("wb", buffering=0) as stream:
            left = size
            while left > 0:
                left -= stream.write(bytes(min(left, 1 << 16)))
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
