"""Cameras of Video4Linux: which device files are cameras, and what formats they give. Opens, asks, closes.

A camera has several files (metadata, still pictures), and decoders have files of the same name; only the
kernel tells them apart. Layouts follow <linux/videodev2.h>.
"""

from __future__ import annotations

import fcntl
import os
import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# _IOR('V', 0, struct v4l2_capability) and _IOWR('V', n, ...): direction, size, letter, number.
_QUERYCAP = 0x80685600
_ENUM_FMT = 0xC0405602
_ENUM_FRAMESIZES = 0xC02C564A
_ENUM_FRAMEINTERVALS = 0xC034564B
_CAPABILITY = struct.Struct("=16s32s32sIII12x")
_FORMAT = struct.Struct("=III32sI16x")
_SIZE = struct.Struct("=III24s8x")
_INTERVAL = struct.Struct("=IIIII24s8x")
_CAPTURE, _CAPTURE_PLANES = 0x1, 0x1000
_MEMORY_TO_MEMORY = 0x8000 | 0x4000
_OF_THIS_NODE = 0x80000000
"""``device_caps`` is filled in; without it there is only what all files of the camera can do together."""
_DISCRETE = 1
_MOST = 64
"""Formats, sizes and rates that are asked for: more than any camera has; some driver may know no end."""
_RAW = {"unicam", "bcm2835-isp", "rp1-cfe", "pispbe", "bcm2835-codec", "rpivid", "rpi-hevc-dec"}
"""Drivers of the Raspberry Pi that give raw sensor data or no pictures at all; its cameras are csi:N."""


@dataclass(frozen=True, slots=True)
class Format:
    """A pixel format with its sizes."""

    code: str
    """Four letters: ``MJPG``, ``YUYV``."""
    sizes: tuple[tuple[int, int, float], ...]
    """Width, height and most frames a second (0 where the driver does not say)."""


@dataclass(frozen=True, slots=True)
class Node:
    """A device file that gives pictures."""

    path: str
    card: str
    """What the camera calls itself."""
    driver: str
    bus: str
    formats: tuple[Format, ...]


def find(dev: Path) -> tuple[list[Node], list[str]]:
    """All cameras below a folder, and a sentence for each file that could not be asked."""
    found: list[Node] = []
    remarks: list[str] = []
    for path in sorted(dev.glob("video*"), key=_number):
        try:
            node = _ask(path)
        except OSError as error:
            hint = ": add the user to the group 'video'" if isinstance(error, PermissionError) else ""
            remarks.append(f"{path} cannot be asked ({error.strerror}){hint}")
        else:
            found += [node] if node else []
    return found, remarks


def _number(path: Path) -> int:
    digits = re.search(r"\d+$", path.name)
    return int(digits[0]) if digits else 0


def _ask(path: Path) -> Node | None:
    """What a file is; None if it is no camera.

    Raises:
        OSError: it cannot be opened, or is no device of Video4Linux.
    """
    # Without O_NONBLOCK some drivers wait for who uses the camera now.
    descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        answer = bytearray(_CAPABILITY.size)
        fcntl.ioctl(descriptor, _QUERYCAP, answer)
        driver, card, bus, _, all_files, this_file = _CAPABILITY.unpack(answer)
        can = this_file if all_files & _OF_THIS_NODE else all_files
        if not can & (_CAPTURE | _CAPTURE_PLANES) or can & _MEMORY_TO_MEMORY or _text(driver) in _RAW:
            return None
        kind = 1 if can & _CAPTURE else 9
        formats = tuple(_formats(descriptor, kind))
        return Node(str(path), _text(card), _text(driver), _text(bus), formats) if formats else None
    finally:
        os.close(descriptor)


def _formats(descriptor: int, kind: int) -> Iterator[Format]:
    for number in range(_MOST):
        answer = bytearray(_FORMAT.pack(number, kind, 0, b"", 0))
        if not _answers(descriptor, _ENUM_FMT, answer):
            return
        *_, code = _FORMAT.unpack(answer)
        yield Format(_four_letters(code), tuple(_sizes(descriptor, code)))


def _sizes(descriptor: int, code: int) -> Iterator[tuple[int, int, float]]:
    for number in range(_MOST):
        answer = bytearray(_SIZE.pack(number, code, 0, b""))
        if not _answers(descriptor, _ENUM_FRAMESIZES, answer):
            return
        _, _, kind, sizes = _SIZE.unpack(answer)
        if kind == _DISCRETE:
            width, height = struct.unpack_from("=II", sizes)
        else:  # any size between two: the largest is what one asks about
            _, width, _, _, height, _ = struct.unpack("=6I", sizes)
        yield width, height, _most_fps(descriptor, code, width, height)
        if kind != _DISCRETE:
            return


def _most_fps(descriptor: int, code: int, width: int, height: int) -> float:
    most = 0.0
    for number in range(_MOST):
        answer = bytearray(_INTERVAL.pack(number, code, width, height, 0, b""))
        if not _answers(descriptor, _ENUM_FRAMEINTERVALS, answer):
            break
        *_, kind, intervals = _INTERVAL.unpack(answer)
        # Seconds as a fraction; a range begins with the shortest.
        numerator, denominator = struct.unpack_from("=II", intervals)
        if numerator:
            most = max(most, round(denominator / numerator, 2))
        if kind != _DISCRETE:
            break
    return most


def _answers(descriptor: int, request: int, answer: bytearray) -> bool:
    """Whether there is an entry of that number."""
    try:
        fcntl.ioctl(descriptor, request, answer)
    except OSError:  # EINVAL after the last one, ENOTTY where the driver cannot tell
        return False
    return True


def _four_letters(code: int) -> str:
    return "".join(chr(code >> shift & 0x7F) for shift in (0, 8, 16, 24)).strip()


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode(errors="replace")
