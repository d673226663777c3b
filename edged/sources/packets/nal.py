"""What the packets of H.264 and HEVC say of themselves before they are decoded.

The types of NAL units are those of ITU-T H.264, table 7-1, and H.265, table 7-1.
"""

from __future__ import annotations

_LONGEST_PREFIX = 4096
"""Bytes before the picture itself that are looked at: parameter sets, and what an encoder tells of itself,
which of x265 are 2400 at every keyframe."""
_SHORTEST_CONFIGURATION = {"h264": 7, "hevc": 23}
"""Bytes of the records in MP4 that say how long the lengths of NAL units are."""
_LENGTH_AT = {"h264": 4, "hevc": 21}
"""Where they say it, in the two lowest bits, less one."""

_H264_IDR = 5
_HEVC_SKIPPED = range(8, 10)
"""RASL pictures: shown before the keyframe they follow, and made of what came before it."""
_HEVC_FRESH = range(16, 22)
"""BLA, IDR and CRA pictures. A decoder that begins at one leaves out by itself what it cannot decode then."""


class Headers:
    """Reads the header of the first NAL unit of a packet that is a part of a picture.

    Args:
        codec: ``h264`` or ``hevc``; packets of others say nothing.
        configuration: the stream's own, as FFmpeg calls it ``extradata``; bytes of MP4's record mean that
            every NAL unit begins with its length, else it begins with a start code.
    """

    def __init__(self, codec: str, configuration: bytes | None) -> None:
        self._codec = codec
        self._length = 0
        """Bytes of the length before a NAL unit; 0: start codes."""
        if codec in _LENGTH_AT and configuration and configuration[0] == 1:
            self._length = (configuration[_LENGTH_AT[codec]] & 3) + 1 if self._is_record(configuration) else 0

    def _is_record(self, configuration: bytes) -> bool:
        return len(configuration) >= _SHORTEST_CONFIGURATION[self._codec]

    def begins_anew(self, packet: memoryview) -> bool:
        """Whether all that follows can be decoded without what came before.

        A keyframe of H.264 that is no IDR picture may be followed by pictures that need earlier ones, or be
        right only some pictures later: it does not count.
        """
        header = self._first(bytes(packet[:_LONGEST_PREFIX]))
        if header is None:
            return False
        if self._codec == "h264":
            return header & 0x1F == _H264_IDR
        return header >> 1 & 0x3F in _HEVC_FRESH

    def is_spare(self, packet: memoryview) -> bool:
        """Whether no other picture needs this one; said of H.264 only.

        HEVC says the same of its temporal layers only, one by one.
        """
        if self._codec != "h264":
            return False
        header = self._first(bytes(packet[:_LONGEST_PREFIX]))
        return header is not None and header & 0x60 == 0

    def is_lost(self, packet: memoryview) -> bool:
        """Whether its picture cannot be made by a decoder that began at the keyframe before it."""
        if self._codec != "hevc":
            return False
        header = self._first(bytes(packet[:_LONGEST_PREFIX]))
        return header is not None and header >> 1 & 0x3F in _HEVC_SKIPPED

    def _first(self, data: bytes) -> int | None:
        """The first byte of the first NAL unit with a part of a picture; None if there is none."""
        at = self._after_mark(data, 0)
        while at is not None and at < len(data):
            header = data[at]
            kind = header & 0x1F if self._codec == "h264" else header >> 1 & 0x3F
            if 1 <= kind <= _H264_IDR if self._codec == "h264" else kind < 32:  # noqa: PLR2004  # VCL
                return header
            at = self._after_mark(data, at)
        return None

    def _after_mark(self, data: bytes, at: int) -> int | None:
        """Where the NAL unit begins that follows the one at ``at``; 0: the first."""
        if not self._length:
            mark = data.find(b"\0\0\1", at)
            return None if mark < 0 else mark + 3
        if at:
            at += int.from_bytes(data[at - self._length : at], "big")
        return at + self._length
