"""Video and image files."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edged.errors import SourceError
from edged.records import Frame

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edged.config import Settings
    from edged.records import Image

_IMAGES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


class FileSource:
    """A video file in any container that FFmpeg reads, or an image: one frame.

    Args:
        path: the file.
        loop: begin again at the end, with frame numbers and media time going on.
        realtime: give frames at the pace of their timestamps, as a camera would, not as fast as they are taken.
    """

    live = False
    problem = ""

    def __init__(self, path: Path, *, loop: bool, realtime: bool) -> None:
        self._path = path
        self._loop = loop
        self._realtime = realtime
        self._stopped = threading.Event()
        self._properties: dict[str, Any] = {}

    @classmethod
    def create(cls, settings: Settings) -> FileSource:
        """As the settings say."""
        return cls(
            Path(settings.source).expanduser(), loop=settings.loop, realtime=settings.policy == "latest"
        )

    def open(self) -> None:
        """Find out whether there is a picture in the file at all."""
        if not self._path.exists():
            raise SourceError(f"the source {str(self._path)!r} does not exist", mend=_MEND)
        if not self._path.is_file():
            raise SourceError(f"the source {str(self._path)!r} is not a file", mend=_MEND)
        if self._path.stat().st_size == 0:
            raise SourceError(f"the source {str(self._path)!r} is empty", mend=_MEND)
        if self._is_image():
            height, width = self._read_image().shape[:2]
            self._properties = {"kind": "image", "width": width, "height": height}
            return
        from edged.sources.container import Container  # noqa: PLC0415  # FFmpeg is slow to import

        with Container(str(self._path), name=str(self._path)) as container:
            self._properties = {"kind": "file", **container.properties()}

    def frames(self) -> Iterator[Frame]:
        """Every frame of the file, in order."""
        count = 0
        offset = 0.0
        begun = time.monotonic()
        while True:
            pts = 0.0
            asked = time.monotonic()
            for image, media_time in self._pictures():
                pts = media_time
                capture_ms = 1e3 * (time.monotonic() - asked)
                if self._realtime:
                    self._stopped.wait(max(0.0, begun + offset + pts - time.monotonic()))
                if self._stopped.is_set():
                    return
                yield Frame(count, image, time.time(), time.monotonic(), offset + pts, capture_ms)
                count += 1
                asked = time.monotonic()
            if not self._loop or self._stopped.is_set():
                return
            offset += pts + self._frame_time()

    def properties(self) -> dict[str, Any]:
        """Kind, width, height, and of a video codec and frame rate."""
        return self._properties

    def stop(self) -> None:
        """End after the current frame."""
        self._stopped.set()

    def close(self) -> None:
        """Nothing is left open between passes."""

    def _is_image(self) -> bool:
        return self._path.suffix.lower() in _IMAGES

    def _frame_time(self) -> float:
        return 1.0 / float(self._properties.get("fps") or 1.0)

    def _pictures(self) -> Iterator[tuple[Image, float]]:
        if self._is_image():
            yield self._read_image(), 0.0
            return
        from edged.sources.container import Container  # noqa: PLC0415

        with Container(str(self._path), name=str(self._path)) as container:
            yield from container.pictures()

    def _read_image(self) -> Image:
        import cv2  # noqa: PLC0415  # slow to import, and not needed to look at a path

        image = cv2.imread(str(self._path), cv2.IMREAD_COLOR)
        if image is None:
            raise SourceError(f"the source {str(self._path)!r} is no image that can be read", mend=_MEND)
        return image  # type: ignore[return-value]  # IMREAD_COLOR gives uint8


_MEND = "Set EDGED_SOURCE to a video or image file, /dev/video0, rtsp://..., http://... or synthetic:"
