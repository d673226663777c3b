"""One media file, a clip or an image: its pictures with their times."""

from __future__ import annotations

import codecs
import errno
import os
import stat
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edged.contract.words import counted
from edged.errors import SourceError
from edged.settings import sandbox
from edged.sources.connection import Damaged, Skipped
from edged.sources.decoding import heif
from edged.sources.decoding.truncation import is_cut_short
from edged.sources.pace import MediaClock, turned

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator

    from edged.pixels import Pixels
    from edged.records import Image
    from edged.sources.decoding.container import Container
    from edged.sources.decoding.hardware import DecoderChoice
    from edged.sources.decoding.skipping import Skipping

IMAGES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}) | heif.SUFFIXES
CLIPS = frozenset(
    {
        ".3gp", ".asf", ".avi", ".flv", ".gif", ".h264", ".h265", ".hevc", ".ivf", ".m2ts",
        ".m4v", ".mjpeg", ".mjpg", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf",
        ".nut", ".ogv", ".ts", ".vob", ".webm", ".wmv", ".y4m",
    }
)  # fmt: skip
"""Suffixes that count in a folder; a file that is named may have any."""
_IMAGE_S = 1.0
"""How long an image is shown."""
HINT = "Set EDGED_SOURCE to a video or image, a folder of them, /dev/video0, rtsp://..., csi:0 or synthetic:"
_CUT = "Set EDGED_SOURCE to a whole copy of it"
HEAD = 256
"""Bytes that tell whether it is text."""
_DAMAGED = "The data is damaged or cut short; everything before that was processed"


@dataclass(frozen=True, slots=True)
class StoredPicture:
    """One picture of a file, not yet turned into pixels."""

    time: float
    """Seconds since the first one; always more than before."""
    frame_time: float
    """How long it is shown, seconds, on average."""
    pixel: Fraction
    """Width of a pixel by its height, upright."""
    pixels: Callable[[int], Pixels]
    """Upright and turned clockwise by so many degrees. Valid until the next picture is asked for."""


def converted(picture: StoredPicture, rotate: int, skipped: Counter[str]) -> Pixels | None:
    """Its pixels, turned by so many degrees; None if they are damaged, which is counted."""
    try:
        return picture.pixels(rotate)
    except Damaged:
        skipped["corrupt"] += 1
        return None


def is_image(path: Path) -> bool:
    """Whether it holds one picture and no time."""
    return path.suffix.lower() in IMAGES


def is_text(begin: bytes) -> bool:
    """Whether what begins so is text: FFmpeg says of that, too, that its data is invalid."""
    try:
        words = codecs.getincrementaldecoder("utf-8")().decode(begin)  # its last letter may be cut
    except UnicodeDecodeError:
        return False
    return all(one.isprintable() or one.isspace() for one in words)


def probe(
    path: Path, rotate: int, skipping: Skipping | None = None, choice: DecoderChoice | None = None
) -> dict[str, Any]:
    """Kind, width and height as given, and of a clip codec and frame rate.

    Raises:
        SourceError: there is not one whole picture in it.
    """
    _check(path)
    if is_image(path):
        height, width = _read_image(path, rotate).shape[:2]
        return {"kind": "image", "width": width, "height": height}
    with _clip(path, skipping, choice) as container:
        while True:
            try:
                if container.grab():
                    height, width = container.pixels(rotate).shape[:2]
                    break
            except Damaged:
                continue
            except EOFError:
                raise SourceError(f"the source {str(path)!r} has no picture in it", hint=HINT) from None
        return {"kind": "file", "width": width, "height": height, **container.properties()}


def pictures(
    path: Path, skipped: Counter[str], skipping: Skipping, choice: DecoderChoice
) -> Iterator[StoredPicture]:
    """All whole pictures of a file that are needed, in order; ``skipped`` counts the damaged ones.

    Raises:
        SourceError: the file breaks off; what comes before that was given.
    """
    _check(path)
    if is_image(path):
        try:
            image = _read_image(path, 0)
        except SourceError:
            skipped["corrupt"] += 1
            raise
        yield StoredPicture(0.0, _IMAGE_S, Fraction(1), lambda rotate: turned(image, rotate))
        return
    with _clip(path, skipping, choice) as container:
        name = f"the source {str(path)!r}"
        count = 0
        for picture in grabbed(container, name, skipped):
            yield picture
            count += 1
        if is_cut_short(path):
            raise SourceError(f"{name} is cut short: it ends after {counted(count, 'frame')}", hint=_DAMAGED)


def grabbed(container: Container, name: str, skipped: Counter[str]) -> Iterator[StoredPicture]:
    """All whole pictures of a container, in order, from whatever time the first one has.

    Args:
        container: just opened.
        name: how messages call it.
        skipped: counts those that are damaged.

    Raises:
        SourceError: it breaks off, or there was not one picture.
    """
    clock = MediaClock(container.frame_time)
    count = 0
    while True:
        try:
            if not container.grab():
                continue
        except Skipped:
            continue
        except Damaged:
            skipped["corrupt"] += 1
            continue
        except EOFError:
            break
        except SourceError as error:
            raise SourceError(f"{error.problem} after {counted(count, 'frame')}", hint=_DAMAGED) from None
        count += 1
        yield StoredPicture(clock.at(container.time), container.frame_time, container.pixel, container.pixels)
    if count == 0:
        raise SourceError(f"{name} has no picture in it", hint=_DAMAGED)


@contextmanager
def reading(name: object) -> Iterator[None]:
    """Have the operating system's refusals told as what is wrong with the source ``name``.

    Raises:
        SourceError: it may not be read, or went away.
    """
    try:
        yield
    except OSError as error:
        raise SourceError(
            f"the source {str(name)!r} cannot be read: {error.strerror or error}",
            hint=sandbox.explained(
                Path(str(name)),
                "Give the user of edged the right to read it, and to look into the folders above it",
            ),
        ) from error


def _check(path: Path) -> None:
    """Find out what FFmpeg would only call invalid."""
    with reading(path):
        if not path.exists():
            raise SourceError(f"the source {str(path)!r} does not exist", hint=sandbox.explained(path, HINT))
        state = path.stat()
        if stat.S_ISCHR(state.st_mode) or stat.S_ISBLK(state.st_mode):
            raise SourceError(f"the source {str(path)!r} is a device, and no camera", hint=HINT)
        if state.st_size == 0:
            raise SourceError(f"the source {str(path)!r} is empty", hint=HINT)
        if not os.access(path, os.R_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _clip(path: Path, skipping: Skipping | None, choice: DecoderChoice | None) -> Container:
    from edged.sources.decoding.container import Container  # noqa: PLC0415  # FFmpeg is slow to import

    try:
        # As a file: URL, a name with a colon in it is just a name, and so without patterns one with %d.
        return Container(
            f"file:{path}",
            name=f"the source {str(path)!r}",
            hint=HINT,
            options={"pattern_type": "none"},
            skipping=skipping,
            choice=choice,
        )
    except SourceError as error:
        if is_cut_short(path):
            raise SourceError(f"{error.problem}; it is cut short", hint=_CUT) from None
        with path.open("rb") as stream:
            if is_text(stream.read(HEAD)):
                raise SourceError(f"the source {str(path)!r} is text, and no video", hint=HINT) from None
        raise


def _read_image(path: Path, rotate: int) -> Image:
    import cv2  # noqa: PLC0415  # slow to import, and not needed to look at a path
    import numpy as np  # noqa: PLC0415

    with reading(path):
        if is_cut_short(path):
            raise SourceError(f"the source {str(path)!r} is cut short", hint=_CUT)
        try:
            data = np.fromfile(path, np.uint8)
            if heif.is_heif(bytes(data[:64])):
                return turned(heif.read(path), rotate)
            if bytes(data[:2]) == b"\xff\xd8":
                data = np.append(
                    data, np.frombuffer(b"\xff\xd9", np.uint8)
                )  # OpenCV insists on an end marker
            image = cv2.imdecode(data, cv2.IMREAD_COLOR)
        except cv2.error:  # a header that lies, or more pixels than OpenCV takes
            image = None
    if image is None:
        raise SourceError(f"the source {str(path)!r} is no image that can be read", hint=HINT)
    return turned(image, rotate)  # type: ignore[arg-type]  # IMREAD_COLOR gives uint8
