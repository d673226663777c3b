"""A camera's own packets on their way to the disk, with what was found in their pictures."""

from __future__ import annotations

import threading
import time
from bisect import bisect_right
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from edged.sources.packets.tap import COPIED, NOT_COPIED
from edged.video.encoder import CLOCK_HZ, Packet
from edged.video.segments import Remarks, Sample
from edged.video.writer import BehindError

if TYPE_CHECKING:
    from fractions import Fraction

    import av

    from edged.records import Frame
    from edged.sources.packets.tap import PacketForm
    from edged.video.writer import Writer

_REMEMBERED = 600
"""Packets whose time is known when a result comes: ten seconds of 60 a second."""
_NOTES = 600
"""Results that wait for a packet to go with, which takes all of them along, or for room at the disk."""
_JUMP = 10 * CLOCK_HZ
"""Ticks by which one step of a stream may differ from the clock; beyond that its times were set anew."""
_BACK = CLOCK_HZ // 2
"""Ticks by which it may go back for that."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Note:
    """What is to be kept of a result beside the video."""

    ts: float
    """When the frame was captured: UTC, seconds since the epoch."""
    line: bytes
    """The detections, a line of JSON."""
    seen: bool
    """Whether there are any that matter."""
    pictures: tuple[tuple[str, bytes], ...] = ()
    """As of :class:`~edged.video.segments.Sample`."""


class Timeline:
    """Times of one camera's packets that always grow, through gaps, jumps, wraps and connections."""

    def __init__(self) -> None:
        self._last = -1
        self._heard: float | None = None
        self._shift: int | None = None
        """From the stream's own ticks to these."""

    def follow(self, packet: av.Packet[Any], now: float, *, anew: bool) -> tuple[int, int]:
        """When a packet is decoded and when it is shown, ticks of :data:`CLOCK_HZ` since the first one.

        Args:
            packet: the next one.
            now: when it came, monotonic seconds.
            anew: whether it is the first of a connection, or of another form.
        """
        passed = 0 if self._heard is None else round((now - self._heard) * CLOCK_HZ)
        self._heard = now
        due = self._last + max(1, passed)
        base = packet.time_base
        shown, decoded = _ticks(packet.pts, base), _ticks(packet.dts, base)
        known = shown if decoded is None else decoded
        if known is None:  # a camera without a clock of its own
            self._last = due
            return due, due
        if self._shift is None or anew or not self._fits(known + self._shift, due):
            self._shift = due - known
        dts = self._last = max(self._last + 1, known + self._shift)
        pts = dts if shown is None else max(dts, shown + self._shift)
        return dts, (pts if pts - dts < _JUMP else dts)

    def _fits(self, ticks: int, due: int) -> bool:
        return abs(ticks - due) <= _JUMP and ticks > self._last - _BACK


class Copier:
    """Records packets as they come. Nobody waits for it: not the camera, and not who takes results.

    What was found in a picture goes to the disk with the packet that comes next after the model has answered,
    or by itself where none comes. It is stored beside that picture, though the next file may have begun.

    Args:
        writer: stores them; used by this object only.
    """

    def __init__(self, writer: Writer) -> None:
        self.listens = True
        """Whether it wants packets: always."""
        self.copied = 0
        """Packets handed to the disk's thread, since the start."""
        self.dropped = 0
        """Packets left out, since the start: the disk was behind or at fault, or MP4 does not take them."""
        self.problem = ""
        """Why packets are left out; empty while none are."""
        self._writer = writer
        self._lock = threading.Lock()
        self._times = Timeline()
        self._came: deque[tuple[float, int | None]] = deque(maxlen=_REMEMBERED)
        """When packets came, monotonic seconds, and when they are decoded, ticks; None of those left out,
        and where a connection ended: there is no picture from then on."""
        self._notes: deque[tuple[Note, int]] = deque(maxlen=_NOTES)
        self._ended = False
        """Whether the connection has ended, and no packet has come since."""
        self._form: PacketForm | None = None
        self._first = True
        """Whether the next packet that is recorded is the first of its form."""
        self._waits = True
        """Whether nothing but a keyframe is of use."""

    def note(self, note: Note, frame: Frame) -> None:
        """Keep what was found in a frame, with the next packet; not if no video came when it was taken."""
        with self._lock:
            before = bisect_right(self._came, frame.taken, key=lambda came: came[0])
            if before and (ticks := self._came[before - 1][1]) is not None:
                self._notes.append((note, ticks))
                if self._ended:
                    self._hand_over()

    def packet(self, packet: av.Packet[Any], form: PacketForm) -> None:
        """Take a packet, in the thread of the camera."""
        with self._lock:
            now, ts = time.monotonic(), time.time()
            anew = form is not self._form
            if anew:
                self._form = form
                self._first = self._waits = True
            if form.template is None:
                self._refuse(form)
                return
            dts, pts = self._times.follow(packet, now, anew=anew)
            self._ended = False
            taken = False
            if not self._waits or packet.is_keyframe:
                copy = Packet(bytes(packet), pts, packet.is_keyframe, dts, form)
                remarks = self._remarks()
                taken = self._put(Sample(copy, ts, b"", remarks.seen, self._first, remarks.pictures, remarks))
            elif self.problem:
                self.dropped += 1
            self._came.append((now, dts if taken else None))
            if taken:
                self._notes.clear()

    def connection_ended(self) -> None:
        """Have stored what there is: who knows when the camera is found again."""
        with self._lock:
            self._ended = True
            self._came.append((time.monotonic(), None))
            self._hand_over()
            self._writer.rest()

    def close(self) -> Remarks:
        """What has waited for a packet in vain; nothing is taken any more."""
        with self._lock:
            remarks = self._remarks()
            self._notes.clear()
            return remarks

    def _remarks(self) -> Remarks:
        """All that waits."""
        return Remarks(
            tuple((note.line, ticks) for note, ticks in self._notes),
            any(note.seen for note, _ in self._notes),
            tuple(picture for note, _ in self._notes for picture in note.pictures),
        )

    def _hand_over(self) -> None:
        if self._notes and self._writer.found(self._remarks()):
            self._notes.clear()

    def _put(self, sample: Sample) -> bool:
        """Whether the disk's thread has taken it."""
        problem = self._writer.problem
        if not problem:
            try:
                self._writer.put(sample, patience_s=0.0)
            except BehindError:
                problem = "the disk does not keep up with the camera's video"
        if problem:
            self.dropped += 1
            self._waits = True
            if not self.problem:
                log.warning("packets_left_out", reason=problem)
            self.problem = problem
            return False
        self.copied += 1
        self._first = self._waits = False
        if self.problem:
            self.problem = ""
            log.info("packets_again", left_out=self.dropped)
        return True

    def _refuse(self, form: PacketForm) -> None:
        self.dropped += 1
        problem = NOT_COPIED % form.codec
        if self.problem != problem:
            self.problem = problem
            log.error("packets_refused", codec=form.codec, takes=COPIED)


def _ticks(time_: int | None, base: Fraction | None) -> int | None:
    if time_ is None or not base:
        return None
    # To the nearest one, in whole numbers: two thousand fractions a minute were a tenth of all the work here.
    return (2 * time_ * base.numerator * CLOCK_HZ // base.denominator + 1) // 2
