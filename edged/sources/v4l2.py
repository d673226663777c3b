"""Cameras of the kernel's Video4Linux2: USB webcams, and CSI cameras where a legacy driver serves them."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2

from edged.errors import SourceError
from edged.records import Frame

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edged.config import Settings
    from edged.records import Image


class V4l2Source:
    """``/dev/video0``.

    OpenCV's answers are not to be trusted: after an unplug ``isOpened()`` stays true. Only a frame counts.
    """

    live = True
    problem = ""

    def __init__(self, device: str) -> None:
        self._device = device
        self._stopped = threading.Event()
        self._camera = cv2.VideoCapture()
        self._first: Image | None = None

    @classmethod
    def create(cls, settings: Settings) -> V4l2Source:
        """As ``EDGED_SOURCE`` says."""
        return cls(settings.source)

    def open(self) -> None:
        """Open the device and wait for a first frame."""
        if not Path(self._device).exists():
            raise SourceError(
                f"the camera {self._device!r} does not exist", mend="'edged devices' lists the cameras there are"
            )
        # No timeout properties: with CAP_V4L2 they make the open fail.
        self._camera.open(self._device, cv2.CAP_V4L2)
        ok, image = self._camera.read() if self._camera.isOpened() else (False, None)
        if not ok:
            self._camera.release()
            raise SourceError(
                f"the camera {self._device!r} gives no frame",
                mend="Is another program using it, and is the user in the group 'video'",
            )
        self._first = image  # type: ignore[assignment]  # BGR uint8 by default

    def frames(self) -> Iterator[Frame]:
        """Pictures as the camera gives them."""
        begun = asked = time.monotonic()
        count = 0
        while not self._stopped.is_set():
            ok, image = (True, self._first) if self._first is not None else self._camera.read()
            self._first = None
            now = time.monotonic()
            if not ok or image is None:
                raise SourceError(
                    f"the camera {self._device!r} has stopped giving frames after {count}",
                    mend="Look after its cable and power; systemd starts edged again",
                )
            yield Frame(count, image, time.time(), now, now - begun, 1e3 * (now - asked))  # type: ignore[arg-type]
            count += 1
            asked = time.monotonic()

    def properties(self) -> dict[str, Any]:
        """Kind, width, height, frame rate."""
        return {
            "kind": "v4l2",
            "width": int(self._camera.get(cv2.CAP_PROP_FRAME_WIDTH)),
            "height": int(self._camera.get(cv2.CAP_PROP_FRAME_HEIGHT)),
            "fps": self._camera.get(cv2.CAP_PROP_FPS),
        }

    def stop(self) -> None:
        """End after the frame that is being waited for."""
        self._stopped.set()

    def close(self) -> None:
        """Give the device back."""
        self._camera.release()
