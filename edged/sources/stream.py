"""Network streams: RTSP and HTTP (MJPEG, MPEG-TS, HLS)."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from edged.errors import SourceError
from edged.records import Frame

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edged.config import Settings
    from edged.sources.container import Container

_OPEN_S = 10.0
_READ_S = 5.0
"""A stream that stays silent for so long is lost. FFmpeg ends the read itself, so no thread is left behind."""


class StreamSource:
    """A camera that is reached by URL. Its end is always a fault: a camera has none.

    RTSP runs over TCP: over UDP one lost packet smears the picture until the next keyframe.
    """

    live = True
    problem = ""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stopped = threading.Event()
        self._container: Container | None = None

    @classmethod
    def create(cls, settings: Settings) -> StreamSource:
        """As ``EDGED_SOURCE`` says."""
        return cls(settings.source)

    @property
    def name(self) -> str:
        """The URL without user and password."""
        parts = urlsplit(self._url)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()

    def open(self) -> None:
        """Connect, and learn what kind of video comes."""
        from edged.sources.container import Container  # noqa: PLC0415  # FFmpeg is slow to import

        options = {"fflags": "nobuffer", "flags": "low_delay"}
        if self._url.startswith("rtsp"):
            options["rtsp_transport"] = "tcp"
        self._container = Container(self._url, name=self.name, options=options, timeout=(_OPEN_S, _READ_S))

    def frames(self) -> Iterator[Frame]:
        """Pictures as they arrive."""
        assert self._container is not None  # noqa: S101  # open() comes first
        begun = asked = time.monotonic()
        for count, (image, _) in enumerate(self._container.pictures()):
            if self._stopped.is_set():
                return
            now = time.monotonic()
            yield Frame(count, image, time.time(), now, now - begun, 1e3 * (now - asked))
            asked = time.monotonic()
        if not self._stopped.is_set():
            raise SourceError(
                f"the stream {self.name!r} has ended", mend="Look after the camera; systemd starts edged again"
            )

    def properties(self) -> dict[str, Any]:
        """Kind, width, height, codec, frame rate."""
        return {"kind": "stream", **(self._container.properties() if self._container else {})}

    def stop(self) -> None:
        """End after the frame, or the timeout, that is being waited for."""
        self._stopped.set()

    def close(self) -> None:
        """Hang up."""
        if self._container is not None:
            self._container.close()
