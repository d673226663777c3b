"""Cutting a byte stream of JPEG pictures into pictures, whatever lies between them."""

from __future__ import annotations

import re

from edged.sources.connection import Damaged

_BEGIN = b"\xff\xd8\xff"
_END = b"\xff\xd9"
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
"""What ends the pixels of a scan: any marker that may not stand among them (ITU-T T.81, B.1.1)."""
_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})
"""Markers without a length."""
_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA
_NO_FRAME = frozenset({0xC4, 0xC8, 0xCC})
"""Those among the markers C0 to CF that begin no frame (B.1.1.3)."""
_MOST = 32 * 1024 * 1024
"""Bytes without the end of a picture after which they are no picture."""


class JpegSplitter:
    """Takes bytes as they come and gives whole pictures at once, without waiting for the next to begin.

    It walks from marker to marker, so that a thumbnail inside a picture does not end it, and needs nothing of
    what carries the pictures: boundaries and lengths may be missing or wrong.

    Args:
        lenient: whether a picture without its end is given as far as it came.
    """

    def __init__(self, *, lenient: bool = False) -> None:
        self._lenient = lenient
        self._data = bytearray()
        self._searched = 0
        self._forget()

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        self._data += data
        if len(self._data) > _MOST:
            self._data.clear()
            self._forget()

    def take(self) -> bytes | None:
        """The next picture, or None until there is a whole one. What lies between pictures is dropped.

        Raises:
            Damaged: a picture has no end; the one after it can be taken next.
        """
        if not self._at and not self._find_beginning():
            return None
        if not self._broken and (end := self._find_end()):
            return self._cut(end)
        if not self._broken:
            return None
        following = self._data.find(_BEGIN, self._searched)
        if following < 0:
            self._searched = max(self._searched, len(self._data) - 2)
            return None
        picture = self._cut(following)
        if self._lenient:
            return picture + _END
        raise Damaged

    def _forget(self) -> None:
        self._at = 0
        """Where the walk through a picture has come to; 0 outside of pictures."""
        self._segment = 0
        """The marker before that."""
        self._searched = 0
        self._broken = False

    def _find_beginning(self) -> bool:
        begin = self._data.find(_BEGIN)
        # The last two bytes may be the first of the marker.
        del self._data[: begin if begin >= 0 else -2]
        self._at = 2 if begin >= 0 else 0
        self._searched = 0
        return begin >= 0

    def _find_end(self) -> int:
        """Walk on; where the picture ends, or 0 if it does not yet, or not at all."""
        data = self._data
        while self._at + 1 < len(data):
            marker = data[self._at + 1]
            if data[self._at] != 0xFF or marker in {0, _SOI}:  # noqa: PLR2004
                # Where a segment leads astray the next picture may have begun in what it skipped.
                self._broken, self._searched = True, self._segment + 1
                return 0
            if marker == _EOI:
                return self._at + 2
            if marker == 0xFF or marker in _ALONE:  # noqa: PLR2004  # filling
                self._at += 1 if marker == 0xFF else 2  # noqa: PLR2004
                continue
            if self._at + 4 > len(data):
                return 0
            behind = self._at + 2 + int.from_bytes(data[self._at + 2 : self._at + 4], "big")
            if marker == _SOS:
                found = _MARKER.search(data, max(behind, self._searched))
                if found is None:
                    self._searched = max(self._searched, len(data) - 1)
                    return 0
                behind = found.start()
            self._segment, self._at = self._at, behind
        return 0

    def _cut(self, end: int) -> bytes:
        picture = bytes(self._data[:end])
        del self._data[:end]
        self._forget()
        return picture


def jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Width and height in pixels, as the header of a picture says; None if it says none."""
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:  # noqa: PLR2004  # what every marker begins with
        marker = data[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in _NO_FRAME:  # noqa: PLR2004  # SOF0 to SOF15
            height, width = data[at + 5 : at + 7], data[at + 7 : at + 9]
            return int.from_bytes(width, "big"), int.from_bytes(height, "big")
        filling = marker == 0xFF  # noqa: PLR2004  # as above
        at += 1 if filling else 2 if marker in _ALONE else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None
