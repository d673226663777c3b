"""The last seconds before something is seen, kept encoded."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import structlog

from edged.video.encoder import CLOCK_HZ

if TYPE_CHECKING:
    from edged.video.segments import Sample

_MOST_BYTES = 32 << 20
"""Five seconds of 1080p take about three million; this is for whoever asks for a minute of it."""

_HINT = "Lower EDGED_PRE_ROLL, or the camera's bit rate or the time between its keyframes"

log = structlog.get_logger()


class PreRoll:
    """A ring of samples that always begins with a keyframe.

    Args:
        reach_s: how far it reaches back; up to the keyframe before that.
        most_bytes: when it is larger it reaches back less, which is told once; a single group of pictures
            that is larger than that is left out whole.
    """

    def __init__(self, reach_s: float, *, most_bytes: int = _MOST_BYTES) -> None:
        self._ticks = round(reach_s * CLOCK_HZ)
        self._most_bytes = most_bytes
        self._samples: deque[Sample] = deque()
        self._keyframes: deque[int] = deque()
        """Times of the keyframes among the samples."""
        self._placed: deque[tuple[bytes, int]] = deque()
        """Lines about pictures of these samples, as of :class:`~edged.video.segments.Remarks`."""
        self._bytes = 0
        self._told = False

    def add(self, sample: Sample) -> None:
        """Keep one; those that are too old go. What comes before the first keyframe is of no use."""
        packet = sample.packet
        if packet.keyframe:
            self._keyframes.append(packet.order)
        if not self._keyframes:
            return
        self._samples.append(sample)
        self._bytes += _size(sample)
        while len(self._keyframes) > 1 and (
            self._keyframes[1] <= packet.order - self._ticks or self._bytes > self._most_bytes
        ):
            if self._keyframes[1] > packet.order - self._ticks:
                self._tell((packet.order - self._keyframes[1]) / CLOCK_HZ)
            self._keyframes.popleft()
            while self._samples[0].packet.order < self._keyframes[0]:
                self._bytes -= _size(self._samples.popleft())
            while self._placed and self._placed[0][1] < self._keyframes[0]:
                self._bytes -= len(self._placed.popleft()[0])
        if self._bytes > self._most_bytes and len(self._samples) > 1:
            self._tell(0.0)
            self.take()

    def place(self, line: bytes, ticks: int) -> None:
        """Keep a line about the picture that is shown then, as long as that is kept."""
        if self._keyframes and ticks >= self._keyframes[0]:
            self._placed.append((line, ticks))
            self._bytes += len(line)

    def take(self) -> tuple[list[Sample], list[tuple[bytes, int]]]:
        """All samples in order, and the lines about them; the ring is empty then."""
        taken = list(self._samples), list(self._placed)
        self._samples.clear()
        self._placed.clear()
        self._keyframes.clear()
        self._bytes = 0
        return taken

    def _tell(self, reaches_s: float) -> None:
        if not self._told:
            self._told = True
            most_mb = self._most_bytes >> 20
            log.warning("preroll_short", reaches_s=round(reaches_s, 1), most_mb=most_mb, hint=_HINT)


def _size(sample: Sample) -> int:
    return len(sample.packet.data) + len(sample.line) + sum(len(jpeg) for _, jpeg in sample.pictures)
