"""Whether a media file is all there, by what its container says of its own length.

FFmpeg reads what there is of a file that was cut short, and does not tell. Counting frames against the
container's count is no way to find out: hidden frames, edit lists and dropped frames all change it.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from pathlib import Path

_MP4_BEGINS = frozenset({b"ftyp", b"styp", b"moov", b"mdat", b"free", b"skip", b"wide"})
_EBML = b"\x1a\x45\xdf\xa3"
_SEGMENT = b"\x18\x53\x80\x67"
_FILLERS = tuple(
    pattern * 512 for pattern in (b"", b"\x5a\xc3\x17", b"\xfe\xfd\xfb", b"\xf0\x5f\xa9", b"\xe1\x9d")
)
"""Data that decodes to different pixels, wherever a picture still needs data."""
_UNFINISHED_RIFF = frozenset({0, 0xFFFF_FFFF})


def is_cut_short(path: Path) -> bool:
    """Whether the file says that it is longer than it is. False where it does not say (MPEG-TS, FLV, ...)."""
    length = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(12)
        stream.seek(0)
        if head[4:8] in _MP4_BEGINS:
            return _mp4_end(stream, length) > length
        if head[:4] == b"RIFF":
            return _riff_end(stream, length) > length
        if head[:4] == _EBML:
            return _matroska_end(stream, length) > length
        if head[:2] == b"\xff\xd8":
            data = stream.read()
            return not _jpeg_ends(data) and not _has_all_pixels(data)
    return False


def _mp4_end(stream: BinaryIO, length: int) -> int:
    """Where the last box ends: a row of boxes, each with a 32-bit or 64-bit length, 0 for "to the end"."""
    at = 0
    while at < length:
        stream.seek(at)
        head = stream.read(16)
        if len(head) < 8:  # noqa: PLR2004  # the size of the smallest box
            return length  # a few bytes behind the last box
        size = int.from_bytes(head[:4], "big")
        if size == 1:
            size = int.from_bytes(head[8:16], "big")
        if size < 8:  # noqa: PLR2004  # 0: to the end, or zeros behind the last box; else garbage
            return length
        at += size
    return at


def _riff_end(stream: BinaryIO, length: int) -> int:
    """Where the last RIFF chunk ends (AVI; large ones are a row of them), padded to even."""
    at = 0
    while at < length:
        stream.seek(at)
        head = stream.read(8)
        if head[:4] != b"RIFF" or len(head) < 8:  # noqa: PLR2004
            break
        (size,) = struct.unpack("<I", head[4:])
        if size in _UNFINISHED_RIFF:
            break
        at += 8 + size + size % 2
    return at


def _matroska_end(stream: BinaryIO, length: int) -> int:
    """Where the segment ends (Matroska, WebM); 0 where it was written without knowing."""
    stream.seek(4)
    header = _vint(stream)
    if header is None:
        return 0
    if stream.tell() + header > length:  # perhaps by more than a file can have
        return stream.tell() + header
    stream.seek(header, 1)
    if stream.read(4) != _SEGMENT:
        return 0
    size = _vint(stream)
    return 0 if size is None else stream.tell() + size


def _vint(stream: BinaryIO) -> int | None:
    """An EBML length: as many leading zero bits as bytes follow; all ones is "unknown"."""
    first = stream.read(1)
    if not first or not first[0]:
        return None
    more = 8 - first[0].bit_length()
    value = int.from_bytes(bytes([first[0] & (0x7F >> more)]) + stream.read(more), "big")
    return None if value == (1 << (7 * (more + 1))) - 1 else value


def _jpeg_ends(data: bytes) -> bool:
    """Whether the end marker comes after the pixels; one before them belongs to a thumbnail."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:  # noqa: PLR2004
        if data[at + 1] == 0xDA:  # noqa: PLR2004  # start of scan
            return data.find(b"\xff\xd9", at) >= 0
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return False


def _has_all_pixels(data: bytes) -> bool:
    """Whether a JPEG without an end marker lacks nothing else: what is put behind it changes no pixel."""
    import cv2  # noqa: PLC0415  # slow to import, and needed for such files only
    import numpy as np  # noqa: PLC0415

    decoded = []
    for filler in _FILLERS:
        whole = data.rstrip(b"\xff") + filler + b"\xff\xd9"
        try:
            decoded.append(cv2.imdecode(np.frombuffer(whole, np.uint8), cv2.IMREAD_COLOR))
        except cv2.error:
            return False
    plain = decoded[0]
    return plain is not None and all(image is not None and np.array_equal(plain, image) for image in decoded)
