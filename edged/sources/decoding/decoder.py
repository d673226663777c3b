"""Which packets of a stream are decoded: all, or only those in which something seems to move.

All but those for which there is no time: who has fallen behind a live camera begins anew at a keyframe.

While nothing moves, keyframes only: what follows one is kept, as it came. When the size of a packet stands
out, the decoder takes up where it stopped, at what it has decoded last or at the last keyframe, and catches
up. No packet is ever left out that a later picture needs, and none is decoded twice but a keyframe.

Where everything is decoded, a quiet scene is decoded in bursts, up to each picture that somebody looks at.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, cast

import av
import av.error
import structlog

from edged.sources.connection import Skipped
from edged.sources.decoding.burst import Burst
from edged.sources.decoding.haste import Haste, Order
from edged.sources.decoding.skipping import BEHIND, QUIET, RATE
from edged.sources.packets.nal import Headers
from edged.sources.packets.sizes import Sizes

if TYPE_CHECKING:
    from collections.abc import Callable

    from edged.sources.decoding.hardware import DecoderChoice
    from edged.sources.decoding.skipping import Skipping
    from edged.sources.packets.arrivals import Arrival

    _Packet = av.Packet[av.VideoStream]

log = structlog.get_logger()

WATCHED = frozenset({"h264", "hevc"})
"""Codecs whose packets can be watched."""
_MOST_BYTES = 32 * 1024 * 1024
_MOST_PACKETS = 600
"""What is kept of one group of pictures at the most: 20 s of 30 pictures a second."""
_AT_ONCE = 60
"""Packets that are decoded in one go, so that whoever waits for us hears of us in between."""
_WHOLE = frozenset({"mjpeg"})
"""Codecs in which no picture needs another one."""
_DOUBTFUL = 10
"""Packets in a row of which a device makes nothing but errors, before it is given up."""
_BLIND_S = 0.5
"""Seconds between looks where sizes tell nothing."""


class _Context:
    """FFmpeg's decoder, or a device in its place as long as that decodes.

    Args:
        own: FFmpeg's decoder, not yet in use.
        choice: says what decodes in its place.
    """

    def __init__(self, own: av.VideoCodecContext, choice: DecoderChoice) -> None:
        self._own = own
        self._choice = choice
        self._context = context = choice.context(own)
        context.thread_count = 1
        self._errors = 0

    def decode(self, packet: _Packet | None) -> list[av.VideoFrame]:
        """What it makes of a packet; a device that makes nothing of many is given up.

        Raises:
            FFmpegError: it is damaged.
        """
        try:
            pictures = self._context.decode(packet)
        except (av.error.FFmpegError, RuntimeError) as error:
            self._errors += 1
            if self._context is not self._own and self._errors >= _DOUBTFUL:
                self._choice.failed(getattr(error, "strerror", None) or str(error) or type(error).__name__)
                self._context = self._own
            if isinstance(error, RuntimeError):  # PyAV's word for what a device cannot do
                raise av.error.InvalidDataError(1, str(error)) from None
            raise
        if pictures:
            self._errors = 0
        return pictures

    def drain(self, last: _Packet) -> list[av.VideoFrame]:
        """What it still holds back; ``last`` was the last packet. It begins anew then."""
        end = cast("_Packet", av.Packet())
        end.time_base = last.time_base  # the pictures have theirs from it
        try:
            return self.decode(end)
        finally:
            self.flush()

    @property
    def reorders(self) -> bool:
        """Whether pictures come out later than their packets went in."""
        return bool(self._context.has_b_frames)

    def flush(self) -> None:
        """Forget what it has, and begin anew."""
        self._context.flush_buffers()


class Decoding:
    """The decoder of one connection. Belongs to one thread.

    Args:
        own: FFmpeg's decoder, not yet in use.
        choice: says what decodes in its place.
        skipping: what need not be decoded; None: everything is.
        name: how messages call the stream.
        clock: seconds; only differences mean something.
    """

    def __init__(
        self,
        own: av.VideoCodecContext,
        choice: DecoderChoice,
        skipping: Skipping | None,
        *,
        name: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._context = _Context(own, choice)
        self._tick = 0.0
        """Seconds of one step of the timestamps."""
        self._skipping = skipping
        self._name = name
        self._whole = own.name in _WHOLE
        self._headers = Headers(own.name, own.extradata)
        self._watches = skipping is not None and skipping.check_s is not None and own.name in WATCHED
        self._sizes = Sizes()
        self._clock = clock
        self._haste = Haste(clock=clock)
        self._leaving = False
        """Whether all is left out up to a keyframe."""
        self._burst = Burst(self._context.decode)
        self._bursts = own.name in WATCHED
        self._kept: deque[_Packet] = deque()
        self._bytes = 0
        self._shown = 0
        """Packets that are kept though their picture was given already: the keyframe."""
        self._catching_up = False
        self._fresh = False
        """Whether the decoder has begun anew, and no later keyframe has come."""
        self._before = QUIET
        """Why what came before that was left out."""
        self._read: float | None = None
        """Timestamp of the picture that was given last."""
        self._looked = 0.0
        """When the last packet was decoded, by the time of the stream."""
        self._told = False
        if skipping is not None:
            skipping.wake()  # whatever another connection has seen

    @property
    def watches(self) -> bool:
        """Whether packets are left alone while nothing moves."""
        return self._watches

    def read(self, picture_s: float | None) -> None:
        """A picture is given on, with this timestamp in seconds."""
        self._read = picture_s

    def pictures(self, packet: _Packet | None, arrival: Arrival) -> list[av.VideoFrame]:
        """What the decoder makes of the next packet; of None, or an empty one: what it still holds back.

        Raises:
            Skipped: nobody needs a picture of it now, or there is no time for it.
            FFmpegError: it is damaged.
        """
        skipping = self._skipping
        if skipping is None:
            return self._context.decode(packet)
        if packet is None or not packet.size:
            return [*self._last(skipping), *self._context.decode(packet)]
        if skipping.may_leave_out and (held := self._hasten(packet, arrival, skipping)) is not None:
            return held
        if not self._watches or not (skipping.resting or self._kept):
            return self._wanted(packet, skipping)
        if skipping.resting and packet.is_keyframe and self._headers.begins_anew(memoryview(packet)):
            return self._begin_anew(packet, skipping)
        if skipping.resting:
            self._watch(packet, skipping)
        self._keep(packet)
        if not skipping.resting or self._is_time(packet, skipping):
            self._catching_up = True
        if not self._catching_up:
            raise Skipped
        return self._catch_up(skipping, _AT_ONCE)

    def close(self) -> None:
        """Count what was kept or held and will never be decoded."""
        if self._skipping is not None:
            self._forget(self._skipping)

    def _hasten(self, packet: _Packet, arrival: Arrival, skipping: Skipping) -> list[av.VideoFrame] | None:
        """Leave a packet out if there is no time for it, or begin anew with it; None: it is like any other.

        Raises:
            Skipped: it was left out, and no picture that came before it is held back.
        """
        fresh = packet.is_keyframe and self._headers.begins_anew(memoryview(packet))
        order = self._haste.judge(arrival, fresh=fresh)
        if order is Order.ANEW:
            self._leaving = False
            self._fresh, self._before = True, BEHIND
            self._sizes.passed(key=True)
            self._looked = self._moment(packet)
            return self._context.decode(packet)
        if order is Order.DECODE:
            return None
        spare = self._whole or (packet.pts is not None and self._headers.is_spare(memoryview(packet)))
        if order is Order.SPARE and not spare:
            return None
        self._sizes.passed(key=packet.is_keyframe)
        skipping.left_out(BEHIND)
        skipping.fell_behind(self._name)
        if order is Order.LEAVE and not self._leaving:
            self._leaving = True
            self._forget(skipping, BEHIND)
            return self._context.drain(packet)
        if order is Order.GIVE_UP:  # nothing is heard of it, then, and it is lost
            return []
        raise Skipped

    def _wanted(self, packet: _Packet, skipping: Skipping) -> list[av.VideoFrame]:
        """Decode a packet, unless nobody looks at its picture and no other picture needs it."""
        if skipping.unhurried and self._bursts:
            self._watch(packet, skipping)
        else:
            self._sizes.passed(key=packet.is_keyframe)
        moment = self._looked = self._moment(packet)
        early = self._read is not None and not skipping.is_wanted(moment - self._read)
        if early and packet.pts is not None and self._headers.is_spare(memoryview(packet)):
            skipping.left_out(RATE)
            return []
        if self._fresh and self._is_lost(packet):
            skipping.left_out(self._before)
            return []
        self._burst.add(packet)
        if early and self._may_wait(skipping):
            raise Skipped
        return self._burst.pictures(skipping)

    def _may_wait(self, skipping: Skipping) -> bool:
        """Whether the next packet may be waited for before any of the burst is decoded."""
        # Where pictures come out in another order, one that is wanted may need the packet after its own.
        return skipping.unhurried and self._bursts and self._burst.has_room and not self._context.reorders

    def _is_lost(self, packet: _Packet) -> bool:
        """Whether a picture needs some that were left out before the keyframe."""
        self._fresh = not packet.is_keyframe
        return self._fresh and self._headers.is_lost(memoryview(packet))

    def _watch(self, packet: _Packet, skipping: Skipping) -> None:
        """While nothing moves: if the packet's size stands out its picture is looked at at once."""
        if packet.is_keyframe:  # large whatever it shows
            self._sizes.passed(key=True)
            return
        if skipping.moved:
            skipping.moved = False
            self._sizes.moved()
        if self._sizes.stands_out(packet.size):
            skipping.wake()
            skipping.hurry()

    def _is_time(self, packet: _Packet, skipping: Skipping) -> bool:
        """Whether what is kept is to be looked at although nothing stands out."""
        if self._bytes >= _MOST_BYTES or len(self._kept) >= _MOST_PACKETS:
            if not self._told:
                log.info("packets_many", source=self._name, packets=len(self._kept), bytes=self._bytes)
            self._told = True
            return True
        moment = self._moment(packet)
        check_s = skipping.check_s or 0.0
        limit_s = check_s if self._sizes.tell else min(_BLIND_S, check_s)
        due = self._read is None or skipping.is_wanted(moment - self._read)
        return due and abs(moment - self._looked) >= limit_s

    def _begin_anew(self, packet: _Packet, skipping: Skipping) -> list[av.VideoFrame]:
        """Look at a keyframe; what was kept before it is of no use any more."""
        self._forget(skipping)
        self._sizes.passed(key=True)
        self._looked = self._moment(packet)
        skipping.hurry()  # what it costs is decoded, not looked at
        self._context.flush()
        pictures = self._context.decode(packet)
        if not pictures:
            # The decoder waits for pictures that are shown earlier: to have this one now it must be emptied,
            # and then it begins at the keyframe once more.
            pictures = self._context.drain(packet)
            self._keep(packet)
            self._shown = len(pictures)
        self._fresh, self._before = True, QUIET
        return pictures[-1:]

    def _keep(self, packet: _Packet) -> None:
        self._kept.append(packet)
        self._bytes += packet.size

    def _forget(self, skipping: Skipping, cause: str = QUIET) -> None:
        self._burst.leave(skipping)
        skipping.left_out(cause, len(self._kept) - self._shown)
        self._kept.clear()
        self._bytes = self._shown = 0
        self._catching_up = False

    def _last(self, skipping: Skipping) -> list[av.VideoFrame]:
        """At the end of a stream: what is worth a look of what was kept."""
        if not skipping.resting and self._kept:
            return self._catch_up(skipping, len(self._kept))
        self._forget(skipping)
        return []

    def _catch_up(self, skipping: Skipping, most: int) -> list[av.VideoFrame]:
        """Decode what was kept, so many packets at the most; only the newest picture is given.

        Raises:
            Skipped: not all of it is decoded yet.
        """
        pictures: list[av.VideoFrame] = []
        count, came = min(most, len(self._kept)), 0
        for _ in range(count):
            packet = self._kept.popleft()
            self._bytes -= packet.size
            if self._kept and self._headers.is_spare(memoryview(packet)):
                continue
            try:
                decoded = self._context.decode(packet)
                pictures, came = decoded or pictures, came + len(decoded)
            except av.error.FFmpegError:
                pictures = []
        if came <= self._shown:  # the keyframe's once more: of those after it none has come out yet
            pictures = []
        done = not self._kept
        skipping.left_out(QUIET, max(0, count - self._shown - (1 if done and pictures else 0)))
        self._shown = 0
        if not done:
            raise Skipped
        self._catching_up = False
        self._looked = self._moment(packet)
        return pictures[-1:]

    def _moment(self, packet: _Packet) -> float:
        """When a packet's picture is shown, in seconds: by its timestamp, or now where it has none."""
        if packet.pts is None:
            return self._clock()
        self._tick = self._tick or float(packet.time_base)  # fractions are slow, and all packets have one
        return packet.pts * self._tick
