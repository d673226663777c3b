"""Network streams: RTSP, HTTP (MJPEG, MPEG-TS) and bare MPEG-TS over TCP or UDP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edged.errors import SourceError
from edged.settings.secrets import PERCENT_ENCODE, has_credentials, without_credentials
from edged.sources.connection import Damaged
from edged.sources.container import Container
from edged.sources.live import LiveSource
from edged.sources.reader import Deadlines

if TYPE_CHECKING:
    from edged.records import Image
    from edged.settings.declared import Settings

_DOUBTFUL = 10
"""Pictures that a strict decoder may refuse, with none that it accepts, before a lenient one is tried."""


class StreamCamera:
    """One connection by FFmpeg.

    Args:
        url: with user and password, if any.
        transport: ``tcp`` or ``udp``, for RTSP. Over UDP a lost packet smears the picture until the next
            keyframe; over TCP it costs time.
        deadlines: FFmpeg ends what takes longer by itself, so that no thread stays behind.
    """

    def __init__(self, url: str, *, transport: str, deadlines: Deadlines) -> None:
        self.name = f"the stream {without_credentials(url)!r}"
        self.mend = "Look after the camera and the network; 'ffprobe' shows what comes from that address"
        if has_credentials(url):
            self.mend += f". {PERCENT_ENCODE}"
        self._url = url
        self._transport = transport
        self._deadlines = deadlines
        self._container: Container | None = None
        self._strict = True
        self._refused = 0

    def open(self) -> None:
        """Connect, and learn what kind of video comes."""
        options = {}
        if self._url.startswith("rtsp"):
            options = {"rtsp_transport": self._transport, "allowed_media_types": "video"}
        # FFmpeg counts twice, for connecting and for probing.
        timeout = (self._deadlines.open_s / 2, self._deadlines.read_s)
        self._container = Container(
            self._url, name=self.name, mend=self.mend, options=options, timeout=timeout, strict=self._strict
        )

    def grab(self) -> bool:
        """The next picture, decoded."""
        assert self._container is not None  # noqa: S101  # open() comes first
        try:
            found = self._container.grab()
        except EOFError:
            raise SourceError(f"{self.name} has ended", mend=self.mend) from None
        except Damaged:
            self._refused += 1
            if self._refused == _DOUBTFUL and self._container.strict:
                # Some cameras never send a picture that a strict decoder accepts: rather theirs than none.
                self._strict = False
                self._container.close()
                self.open()
            raise
        if found:
            self._refused = _DOUBTFUL
        return found

    def retrieve(self) -> Image:
        """Its pixels."""
        assert self._container is not None  # noqa: S101  # open() comes first
        return self._container.image()

    def properties(self) -> dict[str, Any]:
        """Kind, codec, and the frame rate where the stream tells it."""
        return {"kind": "stream", **(self._container.properties() if self._container else {})}

    def interrupt(self) -> None:
        """FFmpeg heeds its timeouts only."""

    def close(self) -> None:
        """Hang up, and let go of the decoder: its memory must not wait for the next connection."""
        if self._container is not None:
            self._container.close()
            self._container = None


class StreamSource(LiveSource):
    """A camera that is reached by URL. Its end is a fault: a camera has none."""

    @classmethod
    def create(cls, settings: Settings) -> StreamSource:
        """As the settings say."""
        url, transport = settings.source, settings.stream_transport
        deadlines = Deadlines(settings.open_timeout, settings.read_timeout)
        return cls(
            lambda: StreamCamera(url, transport=transport, deadlines=deadlines),
            deadlines=deadlines,
            fps=settings.fps,
            rotate=settings.rotate,
            waits=settings.policy == "all",
        )
