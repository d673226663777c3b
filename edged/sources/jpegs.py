"""Cutting a byte stream of JPEG pictures, one right after the other, into pictures."""

from __future__ import annotations

from edged.sources.connection import Damaged

_BEGIN = b"\xff\xd8\xff"
_END = b"\xff\xd9"
_MOST = 32 * 1024 * 1024
"""Bytes without the end of a picture after which they are no picture."""


class JpegSplitter:
    """Takes bytes as they come and gives whole pictures at once, without waiting for the next to begin.

    Between the markers of beginning and end the pixels never contain an end marker; the cameras this is for
    send no thumbnails, which would.
    """

    def __init__(self) -> None:
        self._data = bytearray()
        self._searched = 0

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        self._data += data
        if len(self._data) > _MOST:
            self._data.clear()
            self._searched = 0

    def take(self) -> bytes | None:
        """The next picture, or None until there is a whole one. What lies between pictures is dropped.

        Raises:
            Damaged: a picture has no end; the one after it can be taken next.
        """
        begin = self._data.find(_BEGIN)
        if begin < 0:
            # The last two bytes may be the first of the marker.
            del self._data[:-2]
            self._searched = 0
            return None
        if begin:
            del self._data[:begin]
            self._searched = 0
        end = self._data.find(_END, max(len(_BEGIN), self._searched))
        if end < 0:
            self._searched = len(self._data) - 1
            return None
        cut = self._data.find(_BEGIN, len(_BEGIN), end)
        if cut >= 0:
            # Another picture began before this one had ended.
            del self._data[:cut]
            self._searched = 0
            raise Damaged
        picture = bytes(self._data[: end + len(_END)])
        del self._data[: end + len(_END)]
        self._searched = 0
        return picture
