"""Packets in, pieces of fragmented MP4 out. Nothing here touches a disk.

FFmpeg's muxer writes into memory, and whoever stores the pieces decides what to do about a full disk: a
muxer that meets one itself leaves half a fragment behind and cannot go on.
"""

from __future__ import annotations

import errno
import io
from contextlib import contextmanager
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import av.error

from edged.video.encoder import CLOCK_HZ

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edged.video.encoder import Packet

_TIME_BASE = Fraction(1, CLOCK_HZ)
_LONGEST = 2**31 - 1
"""Ticks that one sample may last in FFmpeg's muxer: 6 h 37 min."""
_OPTIONS = {
    # Every fragment has its own index: what was stored before a crash or a power cut plays.
    "movflags": "frag_keyframe+empty_moov+default_base_moof",
    "flush_packets": "1",
}
_COPIED = _OPTIONS | {"movflags": "empty_moov+default_base_moof", "frag_duration": "1000000"}
"""Cameras have keyframes as seldom as they like, or nothing else: here a fragment is a second long."""
_LIVE = _OPTIONS | {"movflags": "frag_every_frame+empty_moov+default_base_moof+skip_trailer"}
"""For who watches: nobody waits for more than the next picture. There is no index at the end, for which the
muxer would remember every picture for as long as somebody watches, which a screen on a wall does for ever."""


class Mp4Muxer:
    """One file, as a header and then one fragment for each keyframe with what follows it.

    Fragments of a camera's own packets are about a second long, whatever its keyframes are.

    Args:
        first: the keyframe that the file begins with; it tells the muxer size and parameter sets.
        live: whether each packet is a fragment of its own, given with the one that follows.

    Raises:
        OSError: it is no such keyframe.
    """

    def __init__(self, first: Packet, *, live: bool = False) -> None:
        self._origin = first.order
        self._last = first.order
        self._left_out = 0
        """Ticks that FFmpeg's muxer does not know of, because they were in gaps too long for it."""
        self._pipe = _Pipe()
        with _translated():
            options = _LIVE if live else _COPIED if first.form else _OPTIONS
            self._container = av.open(self._pipe, "w", format="mp4", container_options=options)
            self._stream = self._new_stream(first)
            self._stream.time_base = _TIME_BASE
            self._container.start_encoding()
        self.header = self._pipe.take()
        """What the file begins with. The first fragment belongs right behind it."""

    def add(self, packet: Packet) -> bytes:
        """Take one packet; gives the fragment before it if that is complete with it, else nothing.

        Raises:
            OSError: the packet is malformed or out of order.
        """
        left_out = self._left_out
        if packet.keyframe and packet.order - self._last > _LONGEST:
            self._left_out += packet.order - self._last - CLOCK_HZ
        self._last = packet.order
        muxed = av.Packet(packet.data)
        # The file begins at 0, wherever the stream was when it was begun.
        muxed.pts = packet.pts - self._origin - self._left_out
        muxed.dts = packet.order - self._origin - self._left_out
        muxed.time_base = _TIME_BASE
        muxed.stream = self._stream
        muxed.is_keyframe = packet.keyframe
        with _translated():
            self._container.mux_one(muxed)
        # What is complete now ended before this packet, and before a gap that came with it.
        return _later(self._pipe.take(), left_out)

    def _new_stream(self, first: Packet) -> av.VideoStream:
        if first.form is not None:
            if first.form.template is None:
                raise ValueError(f"MP4 does not take {first.form.codec}")
            return self._container.add_stream_from_template(first.form.template, opaque=True)
        with av.open(io.BytesIO(first.data), format="h264") as sample:
            return self._container.add_stream_from_template(sample.streams.video[0])

    def finish(self) -> tuple[bytes, bytes]:
        """The last fragment, and an index of all fragments that makes seeking fast; nothing can follow.

        Raises:
            OSError: the muxer failed.
        """
        with _translated():
            self._container.close()
        rest = self._pipe.take()
        index = next((offset for kind, offset in boxes(rest) if kind == b"mfra"), len(rest))
        # The index has the times of the muxer: without one, players read those of the fragments.
        return _later(rest[:index], self._left_out), b"" if self._left_out else rest[index:]


def mime_type(header: bytes) -> str:
    """What browsers are told of H.264 that begins so: profile and level (RFC 6381, 3.3); empty for others."""
    at = header.find(b"avcC")
    return f'video/mp4; codecs="avc1.{header[at + 5 : at + 8].hex()}"' if at >= 0 else ""


def boxes(data: bytes) -> Iterator[tuple[bytes, int]]:
    """Kind and offset of the boxes in a piece of MP4 (ISO 14496-12, 4.2), none of them larger than 4 GB."""
    offset = 0
    while offset + 8 <= len(data):
        yield data[offset + 4 : offset + 8], offset
        offset += max(8, int.from_bytes(data[offset : offset + 4], "big"))


def _later(fragment: bytes, ticks: int) -> bytes:
    """A fragment that begins so much later: its time is 64 bits wide (ISO 14496-12, 8.8.12)."""
    if not ticks or not fragment:
        return fragment
    moved = bytearray(fragment)
    at, end = 0, len(moved)
    while at + 8 <= end:
        kind = bytes(moved[at + 4 : at + 8])
        if kind == b"tfdt":
            begin = int.from_bytes(moved[at + 12 : at + 20], "big") + ticks
            moved[at + 12 : at + 20] = begin.to_bytes(8, "big")
        # Into those two, past all others.
        at += 8 if kind in {b"moof", b"traf"} else max(8, int.from_bytes(moved[at : at + 4], "big"))
    return bytes(moved)


@contextmanager
def _translated() -> Iterator[None]:
    """To who records, a muxer that fails is an output that fails."""
    try:
        yield
    except (av.error.FFmpegError, ValueError, IndexError) as error:
        raise OSError(errno.EIO, f"the video cannot be muxed: {error}") from error


class _Pipe:
    """What the muxer takes for a file that cannot be rewound."""

    def __init__(self) -> None:
        self._written = bytearray()

    def write(self, data: bytes) -> int:
        self._written += data
        return len(data)

    def take(self) -> bytes:
        taken = bytes(self._written)
        self._written.clear()
        return taken
