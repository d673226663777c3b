"""Network streams: RTSP, HTTP (MJPEG, pictures by request, MPEG-TS, HLS) and bare MPEG-TS over TCP or UDP."""

from __future__ import annotations

from fractions import Fraction
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

from edged.errors import SourceError
from edged.settings.secrets import PERCENT_ENCODE, has_credentials, without_credentials
from edged.sources.cameras import web
from edged.sources.cameras.beside import PassingStream
from edged.sources.cameras.live import LiveSource
from edged.sources.cameras.reader import Deadlines
from edged.sources.cameras.web_pictures import WebPictures
from edged.sources.connection import Damaged, Through
from edged.sources.decoding.container import Container
from edged.sources.decoding.hardware import DecoderChoice
from edged.sources.pace import MediaClock
from edged.sources.packets.tap import Tap

if TYPE_CHECKING:
    from edged.pixels import Pixels
    from edged.settings.declared import Settings
    from edged.sources.decoding.skipping import Skipping

_DOUBTFUL = 10
"""Pictures that a strict decoder may refuse, with none that it accepts, before a lenient one is tried."""
_POLL_S = 1.0
"""From one request for a picture to the next, unless EDGED_FPS says otherwise."""
_FROM_ITS_BEGINNING = (
    "The server gives files from their beginning only (no Accept-Ranges). MP4 can then be played if its "
    "index comes first (ffmpeg -movflags +faststart); else download it and give the file"
)


class StreamCamera:
    """One connection: by FFmpeg, or to pictures over HTTP (:mod:`edged.sources.cameras.web_pictures`).

    Args:
        url: with user and password, if any.
        transport: ``tcp`` or ``udp``, for RTSP. Over UDP a lost packet smears the picture until the next
            keyframe; over TCP it costs time.
        deadlines: FFmpeg ends what takes longer by itself, so that no thread stays behind.
        poll_s: seconds between requests, where the server gives a picture for each.
        loop: whether a file begins again at its end.
        choice: what decodes; None: FFmpeg, on the CPU.
    """

    def __init__(
        self,
        url: str,
        *,
        transport: str,
        deadlines: Deadlines,
        poll_s: float = _POLL_S,
        loop: bool = False,
        choice: DecoderChoice | None = None,
    ) -> None:
        self.name = f"the stream {without_credentials(url)!r}"
        self.hint = "Look after the camera and the network; 'ffprobe' shows what comes from that address"
        if has_credentials(url):
            self.hint += f". {PERCENT_ENCODE}"
        self.media_time: float | None = None
        self.captured: float | None = None
        self.pixel = Fraction(1)
        self.tap = Tap()
        self._url = url
        self._transport = transport
        self._deadlines = deadlines
        self._poll_s = poll_s
        self._loop = loop
        self.skipping: Skipping | None = None
        """What need not be decoded; None: everything is."""
        self._choice = choice
        self._answer: web.Answer | None = None
        self._media: Container | WebPictures | None = None
        self._clock: MediaClock | None = None
        """A file's, which has an end that is no fault."""
        self._strict = True
        self._refused = 0

    def open(self) -> None:
        """Connect, and learn what kind of video comes."""
        try:
            self._answer = self._ask() if self._url.startswith(("http://", "https://")) else None
            self._media = self._opened(self._answer)
        except (OSError, HTTPException) as error:
            reason = web.reason_of(error, self._deadlines.read_s)
            raise SourceError(f"{self.name} cannot be opened: {reason}", hint=self.hint) from None

    def grab(self) -> bool:
        """The next picture."""
        assert self._media is not None  # noqa: S101  # open() comes first
        try:
            found = self._media.grab()
        except EOFError:
            self._end()
            return False
        except Damaged:
            self._refuse()
            raise
        if found and isinstance(self._media, Container):
            self._refused = _DOUBTFUL
            self.captured = self._media.came()
            if self._clock is not None:
                self.media_time = self._clock.at(self._media.time)
        return found

    def pass_on(self) -> None:
        """Hand the next packet to the tap, and decode nothing."""
        assert self._media is not None  # noqa: S101  # open() comes first
        try:
            self._media.pass_on()
        except EOFError:
            raise SourceError(f"{self.name} has ended", hint=self.hint) from None

    def retrieve(self) -> Pixels:
        """Its pixels."""
        assert self._media is not None  # noqa: S101  # open() comes first
        try:
            pixels = self._media.pixels()
        except Damaged:
            self._refuse()
            raise
        if isinstance(self._media, Container):
            self.pixel = self._media.pixel
        self._refused = _DOUBTFUL
        return pixels

    def properties(self) -> dict[str, Any]:
        """Kind, codec, and the frame rate where the stream tells it."""
        return {"kind": "stream", **(self._media.properties() if self._media else {})}

    def interrupt(self) -> None:
        """End the wait for what comes over HTTP; FFmpeg's own connections heed their timeouts only."""
        if isinstance(media := self._media, WebPictures):
            media.interrupt()
        elif (answer := self._answer) is not None:
            answer.hang_up()

    def close(self) -> None:
        """Hang up, and let go of the decoder: its memory must not wait for the next connection."""
        if self._media is not None:
            self._media.close()
            self._media = None
        if self._answer is not None:
            self._answer.close()
            self._answer = None

    def _ask(self) -> web.Answer | None:
        # As FFmpeg, which counts twice, for connecting and for probing.
        return web.ask(self._url, timeout_s=self._deadlines.open_s / 2)

    def _opened(self, answer: web.Answer | None) -> Container | WebPictures:
        if answer is None:
            return self._container(self._url)
        if answer.has_pictures:
            return WebPictures(
                answer,
                again=self._ask_again,
                name=self.name,
                hint=self.hint,
                period_s=self._poll_s,
                read_s=self._deadlines.read_s,
                strict=self._strict,
                tap=self.tap,
                skipping=self.skipping,
            )
        if answer.is_web_page:
            raise SourceError(
                f"{self.name} is a web page, not a video",
                hint="Give the address of the stream or the picture itself; the camera's manual has it",
            )
        bounded = answer.length is not None and not answer.is_playlist
        if answer.is_for_reading_on:
            answer.patience(self._deadlines.read_s)
            container = self._container(answer)
        else:
            answer.close()
            if bounded and not answer.seekable:
                self.hint = _FROM_ITS_BEGINNING
            container = self._container(self._url)
        if self._clock is None and (bounded or container.duration):
            self._clock = MediaClock(container.frame_time)
        return container

    def _ask_again(self) -> web.Answer:
        answer = self._ask()
        if answer is not None and answer.has_pictures:
            return answer
        if answer is not None:
            answer.close()
        raise SourceError(f"{self.name} gives no picture any more", hint=self.hint)

    def _container(self, origin: str | web.Answer) -> Container:
        options = {}
        if self._url.startswith("rtsp"):
            options = {"rtsp_transport": self._transport, "allowed_media_types": "video"}
        timeouts_s = (self._deadlines.open_s / 2, self._deadlines.read_s)
        return Container(
            origin,
            name=self.name,
            hint=self.hint,
            options=options,
            timeouts_s=timeouts_s,
            strict=self._strict,
            tap=self.tap,
            skipping=self.skipping,
            choice=self._choice,
        )

    def _end(self) -> None:
        """What a camera sends has no end; a file begins again, or is through.

        Raises:
            Through: it is through.
            SourceError: it is no file, or there was nothing in it.
        """
        if self._clock is None:
            raise SourceError(f"{self.name} has ended", hint=self.hint)
        if self.media_time is None:
            raise SourceError(f"{self.name} has no picture in it", hint=self.hint)
        if not self._loop:
            raise Through
        self.close()
        self.open()

    def _refuse(self) -> None:
        """Count a damaged picture; some cameras never send one that a strict decoder accepts."""
        assert self._media is not None  # noqa: S101  # open() comes first
        self._refused += 1
        if self._refused == _DOUBTFUL and self._media.strict:
            self._strict = False  # rather theirs than none
            self.close()
            self.open()


class StreamSource(LiveSource):
    """A camera that is reached by URL, whose end is a fault: a camera has none. Or a file, played once."""

    choice: DecoderChoice | None = None
    """What decodes, through all connections."""

    @property
    def degraded(self) -> str:
        """Why it is not what was asked for."""
        said = [self.choice.problem if self.choice is not None else "", self.skipping.problem]
        return "; ".join(problem for problem in said if problem)

    @staticmethod
    def gives_packets(settings: Settings) -> bool:  # noqa: ARG004  # others look at them
        """Whether there are packets to be had: always."""
        return True

    @staticmethod
    def passing(settings: Settings) -> PassingStream:
        """The same stream, of which nothing is decoded."""
        url, transport = settings.source, settings.stream_transport
        deadlines = Deadlines(settings.open_timeout, settings.read_timeout)
        return PassingStream(
            lambda: StreamCamera(url, transport=transport, deadlines=deadlines),
            sideways=settings.rotate % 180 == 90,  # noqa: PLR2004  # degrees
        )

    @classmethod
    def create(cls, settings: Settings) -> StreamSource:
        """As the settings say."""
        url, transport, loop = settings.source, settings.stream_transport, settings.loop
        poll_s = 1 / settings.fps if settings.fps else _POLL_S
        # A picture that is asked for seldom comes seldom.
        read_s = settings.read_timeout + (poll_s if settings.read_timeout < 2 * poll_s else 0.0)
        deadlines = Deadlines(settings.open_timeout, read_s)
        choice = DecoderChoice(settings.decoder)
        # Cameras know nothing of the source: in a circle its memory would wait for the collector.
        source = cls(
            lambda: StreamCamera(
                url,
                transport=transport,
                deadlines=deadlines,
                poll_s=poll_s,
                loop=loop,
                choice=choice,
            ),
            deadlines=deadlines,
            fps=settings.fps,
            rotate=settings.rotate,
            waits=settings.policy == "all",
            paced=settings.policy == "latest",
        )
        source.choice = choice
        if settings.motion == "packets":
            source.skipping.watch_packets(settings.motion_check)
        return source
