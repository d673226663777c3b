"""A camera's own video for whoever watches it, as it came: nothing is decoded or encoded."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_right
from collections import deque
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from edged.video.copying import Timeline
from edged.video.encoder import CLOCK_HZ, Packet
from edged.video.mp4 import Mp4Muxer, mime_type

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import av

    from edged.sources.packets.tap import PacketForm

_CODEC = "h264"
"""What browsers play, all of them."""
_MOST_WAITING = 100
"""Packets between the camera's thread and ours. More than that, and ours has no time for video."""
_REMEMBERED = 600
"""Packets whose place in the video is known when a result comes: ten seconds of 60 a second."""
_MOST_BYTES = 4 << 20
"""For one viewer who is slow: some seconds of 1080p."""


class Receiver:
    """What one viewer has not taken yet. Belongs to the event loop.

    A viewer who is slow loses what has waited, and goes on with the next keyframe; nobody waits for them.
    """

    def __init__(self) -> None:
        self.kind = ""
        """Media type of what comes, with the codec; empty as long as nothing has come."""
        self._pieces: deque[bytes] = deque()
        self._bytes = 0
        self._waits = True
        """Whether nothing but a keyframe is of use."""
        self._ended = False
        self._begun = False
        """Whether the header was taken."""
        self._news = asyncio.Event()

    def put(self, fragment: bytes, header: bytes, kind: str, *, keyframe: bool) -> None:
        """Take a fragment of one picture, behind the ``header`` of its file if it is the first."""
        if self._bytes > _MOST_BYTES:
            self._pieces.clear()
            self._bytes = 0
            self._waits = True
            self.kind = self.kind if self._begun else ""
        if self._ended or (self._waits and not keyframe):
            return
        piece = fragment if self.kind else header + fragment
        self.kind, self._waits = kind, False
        self._pieces.append(piece)
        self._bytes += len(piece)
        self._news.set()

    def end(self) -> None:
        """Nothing follows."""
        self._ended = True
        self._news.set()

    async def next(self) -> bytes | None:
        """What has come since the last call; None when nothing will come any more."""
        # What has come may have had to go again, of who is slow: that is not the end.
        while not self._pieces and not self._ended:
            self._news.clear()
            await self._news.wait()
        if not self._pieces:
            return None
        taken = b"".join(self._pieces)
        self._pieces.clear()
        self._bytes = 0
        self._begun = True
        return taken


class Relay:
    """Takes packets in the camera's thread and gives fragments of MP4 in the event loop of the pages.

    While nobody watches it wants no packets. All viewers share one muxer, which begins with a keyframe and
    ends with the last of them, or with the camera's connection: what comes then is another file.

    Args:
        call: runs something soon in the event loop; from any thread.
    """

    def __init__(self, call: Callable[[Callable[[], None]], None]) -> None:
        self.listens = False
        """Whether anybody watches. Set by the event loop, read by the camera's thread."""
        self._call = call
        self._receivers: set[Receiver] = set()
        self._paused = False
        self._muxer: Mp4Muxer | None = None
        self._kind = ""
        self._form: PacketForm | None = None
        """What is muxed."""
        self._held: Packet | None = None
        """Is in the muxer, and comes out with the packet that follows."""
        self._origin = 0
        self._came: deque[tuple[float, float]] = deque(maxlen=_REMEMBERED)
        """When packets of this file came, monotonic seconds, and at which second of it each is decoded."""
        self._taken = 0
        # What follows belongs to the camera's thread.
        self._times = Timeline()
        self._last_form: PacketForm | None = None
        self._waits = True
        self._given = 0

    @contextmanager
    def watched(self) -> Iterator[Receiver]:
        """For as long as somebody watches. In the event loop."""
        receiver = Receiver()
        if self._paused:
            receiver.end()
        self._receivers.add(receiver)
        self._heed()
        try:
            yield receiver
        finally:
            self._receivers.discard(receiver)
            self._heed()

    def pause(self, paused: bool) -> None:  # noqa: FBT001  # a value
        """Show nothing, or go on. In the event loop."""
        self._paused = paused
        if paused:
            self.close()
        self._heed()

    def second(self, frame_taken: float) -> float | None:
        """Second of the video in which the picture is shown of a frame; None if it is not there. In the loop.

        Args:
            frame_taken: as of :attr:`edged.records.Frame.taken`.
        """
        before = bisect_right(self._came, frame_taken, key=lambda came: came[0])
        return self._came[before - 1][1] if before else None

    def close(self) -> None:
        """Send everybody home. In the event loop."""
        for receiver in self._receivers:
            receiver.end()
        self._forget()

    # In the camera's thread.

    def packet(self, packet: av.Packet[Any], form: PacketForm) -> None:
        """Take a packet, if anybody watches."""
        behind = self._given - self._taken >= _MOST_WAITING
        if not self.listens or behind:
            self._waits = True
            return
        anew = form is not self._last_form
        self._last_form = form
        self._waits = self._waits or anew
        if self._waits and not packet.is_keyframe:
            return
        self._waits = False
        now = time.monotonic()
        dts, pts = self._times.follow(packet, now, anew=anew)
        copy = Packet(bytes(packet), pts, packet.is_keyframe, dts, form)
        self._given += 1
        self._call(partial(self._take, copy, now))

    def connection_ended(self) -> None:
        """What comes next is another file."""
        self._call(self._end_file)

    # In the event loop.

    def _take(self, packet: Packet, came: float) -> None:
        self._taken += 1
        if not self.listens:
            return
        if packet.form is not self._form:
            self._end_file()
        try:
            if self._muxer is None and not self._begun(packet):
                return
            assert self._muxer is not None  # noqa: S101  # it has begun
            held, self._held = self._held, packet
            fragment = self._muxer.add(packet)
        except OSError:  # this packet is of no use; perhaps the next keyframe is
            self._end_file()
            return
        self._came.append((came, (packet.order - self._origin) / CLOCK_HZ))
        if fragment and held is not None:
            for receiver in self._receivers:
                receiver.put(fragment, self._muxer.header, self._kind, keyframe=held.keyframe)

    def _begun(self, first: Packet) -> bool:
        """Whether a file begins with this packet; nobody waits for one that no browser plays."""
        if not first.keyframe:
            return False
        assert first.form is not None  # noqa: S101  # it is a camera's
        if first.form.codec == _CODEC and first.form.template is not None:
            muxer = Mp4Muxer(first, live=True)
            if kind := mime_type(muxer.header):
                self._muxer, self._kind, self._form, self._origin = muxer, kind, first.form, first.order
                return True
        self.close()
        return False

    def _end_file(self) -> None:
        """Who has seen something of it comes again, who has seen nothing goes on waiting."""
        for receiver in self._receivers:
            if receiver.kind:
                receiver.end()
        self._forget()

    def _forget(self) -> None:
        if self._muxer is not None:
            with suppress(OSError):  # else its memory would wait for the collector
                self._muxer.finish()
        self._muxer = self._form = self._held = None
        self._came.clear()

    def _heed(self) -> None:
        self.listens = bool(self._receivers) and not self._paused
        if not self.listens:
            self._forget()
