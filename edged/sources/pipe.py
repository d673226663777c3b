"""Video or pictures that another program writes: standard input, or a FIFO."""

from __future__ import annotations

import fcntl
import os
import select
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edged.errors import ConfigError, SourceError
from edged.records import Frame
from edged.sources.connection import Damaged
from edged.sources.decoding import media
from edged.sources.decoding.container import Container
from edged.sources.pace import Pace, turned_pixel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edged.settings.declared import Settings

_STDIN = "/dev/stdin"
_WANTED = "Pipe a video or JPEG pictures into it"
_HINT = (
    "Look at what is written into it with 'ffprobe'. MP4 can be read from a pipe only if its index comes "
    "first (ffmpeg -movflags +faststart); MPEG-TS, Matroska and MJPEG always can"
)


class PipeSource:
    """Any container that FFmpeg reads, or JPEGs one after the other, as the writer gives them, once.

    No frame is lost: a writer that is faster than the model waits.

    Args:
        spec: ``/dev/stdin`` or the path of a FIFO.
        fps: frames a second of media time at the most, or None for all.
        rotate: degrees clockwise.
        open_s: seconds that the writer has for its first byte.
    """

    live = False
    problem = ""
    reconnects = 0

    def __init__(self, spec: str, *, fps: float | None = None, rotate: int = 0, open_s: float = 10.0) -> None:
        self.skipped: Counter[str] = Counter({"rate": 0, "corrupt": 0})
        self._name = f"the source {spec!r}"
        self._spec = spec
        self._pace = Pace(fps)
        self._rotate = rotate
        self._open_s = open_s
        self._pipe = _ReadEnd()
        self._container: Container | None = None
        self._pictures: Iterator[media.StoredPicture] = iter(())
        self._first: media.StoredPicture | None = None
        self._properties: dict[str, Any] = {}

    @classmethod
    def create(cls, settings: Settings) -> PipeSource:
        """As the settings say.

        Raises:
            ConfigError: it shall be replayed.
        """
        if settings.loop:
            raise ConfigError(
                f"EDGED_LOOP cannot replay EDGED_SOURCE={settings.source!r}: a pipe can be read once",
                hint="Unset EDGED_LOOP, or give a file",
            )
        return cls(settings.source, fps=settings.fps, rotate=settings.rotate, open_s=settings.open_timeout)

    def open(self) -> None:
        """Wait for the writer, and for its first whole picture."""
        with media.reading(self._spec):
            self._pipe.open(str(Path(self._spec).expanduser()))
        if not self._pipe.wait(self._open_s):
            raise SourceError(
                f"nobody has written into {self._spec!r} for {self._open_s:g} s",
                hint="Start the program that writes into it; EDGED_OPEN_TIMEOUT says how long to wait for it",
            )
        if not self._pipe.peek():
            raise SourceError(f"{self._name} is empty", hint=_WANTED)
        try:
            self._container = Container(self._pipe, name=self._name, hint=_HINT)
        except SourceError:
            if media.is_text(self._pipe.head):
                raise SourceError(f"{self._name} is text, and no video", hint=_WANTED) from None
            raise
        self._pictures = media.grabbed(self._container, self._name, self.skipped)
        try:
            self._first = next(self._pictures)
            height, width = self._first.pixels(self._rotate).shape[:2]
        except SourceError as error:
            raise SourceError(error.problem, hint=_HINT) from None
        except Damaged:
            raise SourceError(f"{self._name} begins with a damaged picture", hint=_HINT) from None
        self._properties = {
            "kind": "pipe",
            "width": width,
            "height": height,
            **self._container.properties(),
        }

    def frames(self) -> Iterator[Frame]:
        """Every frame until the writer closes its end."""
        number, asked = 0, time.monotonic()
        for picture in self._remaining():
            if self._pace.due(picture.time):
                self._pace.given(picture.time)
                if (pixels := media.converted(picture, self._rotate, self.skipped)) is None:
                    continue
                now = time.monotonic()
                pixel = turned_pixel(picture.pixel, self._rotate)
                yield Frame(number, pixels, time.time(), now, picture.time, 1e3 * (now - asked), pixel)
                number += 1
            else:
                self.skipped["rate"] += 1
            if self._pipe.stopped:
                return
            asked = time.monotonic()

    def properties(self) -> dict[str, Any]:
        """Kind, width, height, codec and rate."""
        return self._properties

    def stop(self) -> None:
        """End after the current frame, whether or not the writer writes."""
        self._pipe.stop()

    def close(self) -> None:
        """Free the decoder, and let go of the pipe: a writer that still writes gets SIGPIPE."""
        self._pipe.stop()
        self._first = None
        self._pictures = iter(())
        if self._container is not None:
            self._container.close()
            self._container = None
        self._pipe.close()

    def _remaining(self) -> Iterator[media.StoredPicture]:
        first, self._first = self._first, None
        if first is not None:
            yield first
        try:
            yield from self._pictures
        except SourceError:
            if not self._pipe.stopped:  # else we have cut it short ourselves
                raise


class _ReadEnd:
    """The pipe as a file that FFmpeg reads, and a way to end a read that waits for the writer."""

    def __init__(self) -> None:
        self.stopped = False
        self._fd = -1
        self._peeked = b""
        self.head = b""
        """How what was read begins."""
        self._lock = threading.Lock()
        self._wake: tuple[int, int] | None = None

    def open(self, path: str) -> None:
        """Open it, writer or not.

        Raises:
            OSError: there is none, or it may not be read.
            SourceError: another reader would take its share.
        """
        # A FIFO without a writer would hold up an opening that blocks.
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            if path != _STDIN:
                raise
            self._fd = os.dup(0)  # a socket, or a pipe of another user: it is open already
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SourceError(
                f"somebody else is reading from {path!r}", hint="End the other reader: each would get a part"
            ) from error
        self._wake = os.pipe()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Until there is data or the writer has gone; False if neither came in time, or at a stop."""
        if self._wake is None or self.stopped:
            return False
        # Unlike a read, a poll waits for the first writer of a FIFO, too.
        poll = select.poll()
        for fd in (self._fd, self._wake[0]):
            poll.register(fd, select.POLLIN)
        ready = poll.poll(None if timeout_s is None else 1e3 * timeout_s)
        return bool(ready) and not self.stopped

    def peek(self) -> bytes:
        """The first bytes; empty if the writer went without any."""
        self._peeked = self.read(1)
        return self._peeked

    def read(self, size: int) -> bytes:
        """At most so many bytes, as soon as there are any; none at the end or at a stop."""
        if self._peeked:
            data, self._peeked = self._peeked, b""
            return data
        while self.wait():
            try:
                data = os.read(self._fd, size)
            except BlockingIOError:
                continue
            self.head += data[: media.HEAD - len(self.head)]
            return data
        return b""

    def stop(self) -> None:
        """Have reads end. From any thread."""
        with self._lock:
            self.stopped = True
            if self._wake is not None:
                os.write(self._wake[1], b"x")

    def close(self) -> None:
        """Free the descriptors."""
        with self._lock:
            fds, self._wake, self._fd = [self._fd, *(self._wake or ())], None, -1
        for fd in fds:
            if fd >= 0:
                os.close(fd)
