"""Packets of a quiet camera that are decoded in one go, up to the next picture that somebody looks at.

Called for one packet at a time, a decoder finds nothing of the last picture in the caches any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import av
import av.error

from edged.sources.decoding.skipping import CORRUPT, RATE

if TYPE_CHECKING:
    from collections.abc import Callable

    from edged.sources.decoding.skipping import Skipping

    _Packet = av.Packet[av.VideoStream]

_MOST = 6
"""Packets in a burst: one that comes meanwhile must not wait for long."""


class Burst:
    """Holds packets of which each needs the one before. Not thread-safe.

    Args:
        decode: what the decoder makes of a packet.
    """

    def __init__(self, decode: Callable[[_Packet], list[av.VideoFrame]]) -> None:
        self._decode = decode
        self._held: list[_Packet] = []

    def add(self, packet: _Packet) -> None:
        """Hold a packet, too."""
        self._held.append(packet)

    @property
    def has_room(self) -> bool:
        """Whether the next packet can be waited for before any of these is decoded."""
        return len(self._held) < _MOST

    def pictures(self, skipping: Skipping) -> list[av.VideoFrame]:
        """Decode them; what the last one gives. The others' pictures are counted: they would take memory.

        Raises:
            FFmpegError: the last one is damaged.
        """
        *before, last = self._held
        self._held.clear()
        whole = corrupt = 0
        for packet in before:
            try:
                pictures = self._decode(packet)
            except av.error.FFmpegError:
                corrupt += 1
                continue
            damaged = sum([picture.is_corrupt for picture in pictures])
            corrupt += damaged
            whole += len(pictures) - damaged
            del pictures
        skipping.left_out(CORRUPT, corrupt)
        skipping.left_out(RATE, whole)
        return self._decode(last)

    def leave(self, skipping: Skipping) -> None:
        """Count them: they will never be decoded."""
        skipping.left_out(RATE, len(self._held))
        self._held.clear()
