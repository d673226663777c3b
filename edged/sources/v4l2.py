"""Cameras of the kernel's Video4Linux2: USB webcams, and CSI cameras where a legacy driver serves them."""

from __future__ import annotations

import grp
import os
import stat
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import structlog

from edged.backoff import Backoff
from edged.errors import SourceError
from edged.settings import sandbox
from edged.sources.cameras.live import LiveSource
from edged.sources.cameras.reader import Deadlines
from edged.sources.connection import Damaged

if TYPE_CHECKING:
    from edged.records import Image
    from edged.settings.declared import Settings

_MOST_S = 5.0
_ERRORS_ONLY = 2
"""OpenCV's level of its log."""

log = structlog.get_logger()


class V4l2Camera:
    """One opening of a device by OpenCV.

    OpenCV's answers are not to be trusted: after an unplug ``isOpened()`` stays true, and a driver may block
    a read for as long as it likes. Only pictures count, and the deadlines are watched from outside. Its own
    timeouts must not be set: the V4L2 backend does not know them and refuses to open.

    Args:
        device: ``/dev/video0``, or a lasting name such as ``/dev/v4l/by-id/...``.
        size: width and height to ask for, or None for the camera's own.
        fps: frames a second to ask for, or None.
        pixel_format: four letters to ask for, or None.
    """

    hint = "Look after its cable and power, and whether another program uses it"
    media_time: float | None = None
    pixel = Fraction(1)

    def __init__(
        self, device: str, *, size: tuple[int, int] | None, fps: float | None, pixel_format: str | None
    ) -> None:
        self.name = f"the camera {device!r}"
        self._device = device
        self._size = size
        self._fps = fps
        self._pixel_format = pixel_format
        self._capture = cv2.VideoCapture()

    def open(self) -> None:
        """Open the device and ask for what was chosen."""
        self._check()
        # What is wrong is told by our own messages, once; OpenCV would print it at every attempt.
        quieten = getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel  # 4, 5
        quieten(_ERRORS_ONLY)
        if not self._capture.open(self._device, cv2.CAP_V4L2):
            raise SourceError(f"{self.name} cannot be opened as a camera", hint=self.hint)
        if self._pixel_format is not None:
            self._capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*self._pixel_format))
        if self._size is not None:
            self._capture.set(cv2.CAP_PROP_FRAME_WIDTH, self._size[0])
            self._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, self._size[1])
        if self._fps is not None:
            self._capture.set(cv2.CAP_PROP_FPS, self._fps)
        self._compare()

    def grab(self) -> bool:
        """Wait for the driver to fill a buffer."""
        if not self._capture.grab():
            raise SourceError(f"{self.name} has stopped giving pictures", hint=self.hint)
        return True

    def retrieve(self) -> Image:
        """The buffer as pixels; this is where motion JPEG is decoded."""
        try:
            whole, image = self._capture.retrieve()
        except cv2.error:  # what should be a JPEG is none at all
            raise Damaged from None
        if not whole or image is None:
            raise Damaged
        return image  # type: ignore[return-value]  # BGR uint8 by default

    def properties(self) -> dict[str, Any]:
        """Kind, pixel format and, where the driver tells it, frames per second."""
        found: dict[str, Any] = {"kind": "v4l2"}
        if pixel_format := self._current_format():
            found["codec"] = pixel_format
        if (fps := self._capture.get(cv2.CAP_PROP_FPS)) > 0:
            found["fps"] = round(fps, 3)
        return found

    def interrupt(self) -> None:
        """Nothing can interrupt a driver."""

    def close(self) -> None:
        """Give the device back."""
        self._capture.release()

    def _check(self) -> None:
        """Tell apart what OpenCV would not."""
        path = Path(self._device)
        if not path.exists():
            hint = sandbox.explained(path, "'edged devices' lists the cameras there are")
            raise SourceError(f"{self.name} does not exist", hint=hint)
        if not stat.S_ISCHR(path.stat().st_mode):
            raise SourceError(f"{self.name} is no device", hint="'edged devices' lists the cameras there are")
        if not os.access(path, os.R_OK | os.W_OK):
            raise SourceError(f"{self.name} may not be read", hint=_group_hint(path))
        try:
            os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC))
        except OSError as error:
            hint = sandbox.device_explained(error, self.hint)
            raise SourceError(f"{self.name} cannot be opened: {error.strerror}", hint=hint) from error

    def _compare(self) -> None:
        """Say where the camera gives something else than was asked for; it is better than nothing."""
        width, height = (
            int(self._capture.get(what)) for what in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
        )
        if self._size is not None and self._size != (width, height):
            log.warning("camera_size_differs", source=self.name, asked=self._size, given=(width, height))
        given = self._current_format()
        if self._pixel_format is not None and self._pixel_format != given:
            log.warning("camera_format_differs", source=self.name, asked=self._pixel_format, given=given)

    def _current_format(self) -> str:
        code = int(self._capture.get(cv2.CAP_PROP_FOURCC))
        return code.to_bytes(4, "little", signed=code < 0).decode("ascii", "replace").strip("\0 ")


def _group_hint(path: Path) -> str:
    """What gives a service, or a person, the rights that the group of a device has."""
    try:
        group = grp.getgrgid(path.stat().st_gid).gr_name
    except KeyError:
        group = str(path.stat().st_gid)
    return (
        f"Add the user to the group {group!r}: sudo usermod -aG {group} USER, or SupplementaryGroups={group} "
        "in the unit"
    )


class V4l2Source(LiveSource):
    """``/dev/video0``."""

    @classmethod
    def create(cls, settings: Settings) -> V4l2Source:
        """As the settings say."""
        device, size = settings.source, settings.camera_size
        fps, pixel_format = settings.camera_fps, settings.camera_format
        return cls(
            lambda: V4l2Camera(device, size=size, fps=fps, pixel_format=pixel_format),
            deadlines=Deadlines(settings.open_timeout, settings.read_timeout),
            fps=settings.fps,
            rotate=settings.rotate,
            waits=settings.policy == "all",
            # To look whether a device is there costs nothing, and bothers nobody.
            backoff=Backoff(most_s=_MOST_S),
        )
