"""The Raspberry Pi's camera program as a camera: its pictures come through a pipe."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import threading
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from edged.errors import ConfigError, SourceError
from edged.pixels import BT601, Planes
from edged.sources.connection import Damaged
from edged.sources.packets.jpegs import JpegSplitter
from edged.sources.packets.tap import JpegTap, Tap

if TYPE_CHECKING:
    from edged.pixels import Pixels

_CODECS = {"MJPG": "mjpeg", "YU12": "yuv420"}
_PROGRAMS = ("rpicam-vid", "libcamera-vid")
"""The same program; the second name is the older one."""
_ALIGNMENT = 64
"""The image processor pads the lines of raw pictures to this, and the program passes the padding on."""
_CHUNK = 1 << 16
_SAID = 2000
"""Characters of the program's messages that are kept."""
_LOOK_UP_S = 1.0
_END_S = 1.0


def rpicam_program() -> str | None:
    """Path of the camera program, if it is installed."""
    return next((path for path in map(shutil.which, _PROGRAMS) if path), None)


class RpicamCamera:
    """One run of ``rpicam-vid``.

    Motion JPEG tells its own size and where a picture begins; raw YUV saves the work of coding, and is to be
    trusted only in sizes that need no padding.

    Args:
        number: of the camera, as ``rpicam-vid --list-cameras`` counts.
        size: width and height.
        fps: frames a second.
        pixel_format: ``MJPG`` or ``YU12``.
    """

    hint = "Look after its ribbon cable; 'rpicam-vid --list-cameras' shows the cameras there are"
    media_time: float | None = None
    pixel = Fraction(1)

    def __init__(
        self,
        number: int,
        *,
        size: tuple[int, int],
        fps: float,
        pixel_format: str,
    ) -> None:
        if pixel_format not in _CODECS:
            raise ConfigError(
                f"a csi: camera does not give EDGED_CAMERA_FORMAT={pixel_format!r}", hint="Use MJPG or YU12"
            )
        if pixel_format == "YU12" and (size[0] % _ALIGNMENT or size[1] % 2):
            raise ConfigError(
                f"a csi: camera gives no raw pictures of {size[0]}x{size[1]}",
                hint=f"Set EDGED_CAMERA_SIZE to a width divisible by {_ALIGNMENT}, or use MJPG",
            )
        self.name = f"the camera 'csi:{number}'"
        self._options = [
            *("--camera", str(number), "--codec", _CODECS[pixel_format], "--framerate", f"{fps:g}"),
            *("--width", str(size[0]), "--height", str(size[1]), "--timeout", "0", "--nopreview", "--flush"),
            *("--verbose=0", "--output", "-"),
        ]
        self._size = size
        self._fps = fps
        self._format = pixel_format
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._interrupted = False
        self._said = ""
        self._silent = False
        self._jpegs = JpegSplitter()
        self._raw = bytearray()
        self._picture: bytes | None = None
        self.tap = Tap()
        self._packets = JpegTap(self.tap)

    def open(self) -> None:
        """Start the program."""
        self._packets = JpegTap(self.tap)
        program = rpicam_program()
        if program is None:
            raise SourceError(
                f"{self.name} cannot be reached: there is neither rpicam-vid nor picamera2",
                hint="Install it: apt install rpicam-apps-lite",
            )
        with self._lock:
            if self._interrupted:
                raise SourceError(f"{self.name} was given up while it was being opened")
            try:
                self._process = subprocess.Popen(  # noqa: S603  # numbers and words of our own
                    [program, *self._options],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    bufsize=0,
                )
            except OSError as error:
                raise SourceError(
                    f"{program!r} cannot be started: {error.strerror}", hint=self.hint
                ) from error
        for stream in self._streams():
            os.set_blocking(stream, False)

    def grab(self) -> bool:
        """The bytes of the next picture."""
        self._picture = self._next()
        if self._picture is None:
            self._wait()
            self._picture = self._next()
        if self._picture is not None and self._format == "MJPG":
            self._packets.jpeg(self._picture)
        return self._picture is not None

    def retrieve(self) -> Pixels:
        """The bytes as pixels."""
        assert self._picture is not None  # noqa: S101  # grab() comes first
        data = np.frombuffer(self._picture, np.uint8)
        if self._format == "MJPG":
            try:
                image = cv2.imdecode(data, cv2.IMREAD_COLOR)
            except cv2.error:  # it is none at all
                raise Damaged from None
            if image is None:
                raise Damaged
            return image  # type: ignore[return-value]  # IMREAD_COLOR gives uint8
        # Full range, as the program asks the camera for.
        width, height = self._size
        return Planes.packed(data.reshape(height * 3 // 2, width), matrix=BT601, full_range=True)

    def properties(self) -> dict[str, Any]:
        """Kind, pixel format and the frame rate that was asked for."""
        return {"kind": "csi", "codec": self._format, "fps": self._fps}

    def interrupt(self) -> None:
        """Kill the program: its end of the pipe closes."""
        with self._lock:
            self._interrupted = True
            if self._process is not None:
                self._process.kill()

    def close(self) -> None:
        """End the program; it lets go of the camera."""
        self._packets.end()
        process = self._process
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()

    def _streams(self) -> list[int]:
        assert self._process is not None  # noqa: S101  # open() comes first
        return [pipe.fileno() for pipe in (self._process.stdout, self._process.stderr) if pipe is not None]

    def _wait(self) -> None:
        """Take in what the program has written since, or wait a while until it writes."""
        output, messages = self._streams()
        watched = [output] if self._silent else [output, messages]
        # For how long silence is borne is watched from outside; it ends with the program being killed.
        ready, _, _ = select.select(watched, [], [], _LOOK_UP_S)
        if messages in ready:
            self._listen(messages)
        if output in ready:
            data = os.read(output, _CHUNK if self._format == "MJPG" else self._raw_size() - len(self._raw))
            if not data:
                raise SourceError(f"{self.name} has stopped: {self._reason()}", hint=self.hint)
            if self._format == "MJPG":
                self._jpegs.feed(data)
            else:
                self._raw += data

    def _next(self) -> bytes | None:
        if self._format == "MJPG":
            return self._jpegs.take()
        if len(self._raw) < self._raw_size():
            return None
        picture, self._raw = bytes(self._raw), bytearray()
        return picture

    def _listen(self, messages: int) -> None:
        data = os.read(messages, _CHUNK)
        self._silent = not data
        self._said = (self._said + data.decode(errors="replace"))[-_SAID:]

    def _raw_size(self) -> int:
        return self._size[0] * self._size[1] * 3 // 2

    def _reason(self) -> str:
        """The last thing the program said, or how it ended."""
        assert self._process is not None  # noqa: S101
        status = self._process.wait()
        _, messages = self._streams()
        while not self._silent:
            self._listen(messages)
        lines = [line.strip() for line in self._said.splitlines() if line.strip()]
        return (
            lines[-1].removeprefix("ERROR:").strip(" *")
            if lines
            else f"rpicam-vid ended with status {status}"
        )
