"""Decoding a container or stream with FFmpeg (PyAV), shared by the file and stream sources."""

from __future__ import annotations

import time
from collections import deque
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Protocol, Self

import av
import av.container
import av.error
from av.stream import Disposition

from edged.errors import SourceError
from edged.sources.connection import Damaged
from edged.sources.decoding.decoder import Decoding
from edged.sources.decoding.hardware import SOFTWARE, DecoderChoice
from edged.sources.decoding.orientation import orientation_of
from edged.sources.decoding.upright import Upright
from edged.sources.pace import turned_pixel
from edged.sources.packets.arrivals import Arrivals
from edged.sources.packets.tap import StreamTap, Tap

if TYPE_CHECKING:
    from types import TracebackType

    from edged.pixels import Pixels
    from edged.sources.decoding.skipping import Skipping

_STRICT = frozenset({"mjpeg"})
"""Codecs whose decoder hides damage unless it is told to refuse; the others mark damaged pictures."""
_BARE = frozenset({"av1", "cavsvideo", "evc", "h264", "hevc", "m4v", "mpegvideo", "obu", "vvc"})
"""Formats without a container, and so without timestamps."""
_NO_TIMES = 0x80
"""``AVFMT_NOTIMESTAMPS`` of FFmpeg, which then makes up some."""
_TEXT = frozenset({"adf", "bin", "idf", "tty", "xbin"})
"""Formats that FFmpeg draws pictures of, most of them known by the end of a name, as ``.txt``."""
_LIST = "concat"
"""A list of files to be played one after the other: of one's own, but not of whoever answers as a camera."""
_IN_PARTS = frozenset({"dash", "hls"})
"""Formats that come a few seconds at a time: that those are older than the newest is no lag."""


class Readable(Protocol):
    """Bytes in order, from a pipe or a connection: nobody seeks in it."""

    def read(self, size: int, /) -> bytes:
        """At most so many, and at the end none."""
        ...


class Container:
    """The video of a file or URL, picture by picture: ``grab``, then ``pixels``.

    Among several streams it takes the one that is marked as the default, else the largest, as FFmpeg does.

    Args:
        origin: path or URL, or what gives the bytes of one.
        name: how messages call it, without a password.
        hint: what messages advise when it cannot be opened or read.
        options: FFmpeg's options for opening.
        timeouts_s: seconds for opening and for one read, or None to wait for ever.
        strict: whether pictures that were repaired count as damaged.
        tap: gets every packet of the video before it is decoded, in the thread that calls :meth:`grab`.
        skipping: what need not be decoded; None: everything is.
        choice: what decodes; None: FFmpeg, on the CPU.

    Raises:
        SourceError: nothing there can be decoded.
    """

    def __init__(
        self,
        origin: str | Readable,
        *,
        name: str,
        hint: str,
        options: dict[str, str] | None = None,
        timeouts_s: tuple[float, float] | None = None,
        strict: bool = True,
        tap: Tap | None = None,
        skipping: Skipping | None = None,
        choice: DecoderChoice | None = None,
    ) -> None:
        self._name = name
        self._hint = hint
        self._timeouts_s = timeouts_s or (0.0, 0.0)
        began = time.monotonic()
        try:
            self._container = av.open(origin, mode="r", options=options or {}, timeout=timeouts_s)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            # FFmpeg's own message has the URL in it, and with that the password: it goes no further.
            limit_s = self._timeouts_s[0]
            # FFmpeg has other words for some answers that did not come, such as "invalid data" over RTSP.
            late = 0 < limit_s <= time.monotonic() - began
            reason = self._reason(TimeoutError() if late else error, limit_s)
            raise SourceError(f"{name} cannot be opened: {reason}", hint=hint) from None
        try:
            self._stream = _video(self._container, stored=str(origin).startswith("file:"))
        except ValueError as error:
            self._container.close()
            raise SourceError(f"{name} {error}", hint=hint) from None
        # One thread: frame threads would hold more frames in memory, and cores have better things to do.
        self._stream.codec_context.thread_count = 1
        self.strict = strict and self._stream.codec_context.name in _STRICT
        """Whether the decoder was told to refuse what it could repair."""
        if self.strict:
            self._stream.codec_context.options = {"err_detect": "explode"}
        self._packets = self._container.demux(self._stream)
        self._tap = StreamTap(tap or Tap(), self._stream)
        self._choice = choice or DecoderChoice()
        self._decoding = Decoding(self._stream.codec_context, self._choice, skipping, name=name)
        self._arrivals = Arrivals()
        self._tick = float(self._stream.time_base or 0)
        """Seconds of one step of the timestamps; fractions are slow."""
        self._timed = _has_times(self._container.format)
        self._decoded: deque[av.VideoFrame] = deque()
        self._picture: av.VideoFrame | None = None
        self._upright = Upright()
        # Words, not exceptions: the traceback of one that is kept would hold the decoder in a circle.
        self._failure = ""
        self._ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the decoder and the file or connection."""
        self._decoding.close()
        self._container.close()
        self._tap.end()

    def properties(self) -> dict[str, Any]:
        """Codec and, where known, frames per second and their number; whether packets are watched."""
        found: dict[str, Any] = {"codec": self._stream.codec_context.name}
        if self._decoding.watches:
            found["motion"] = "packets"
        if self._choice.running != SOFTWARE:
            found["decoder"] = self._choice.running
        if self._rate:
            found["fps"] = round(float(self._rate), 3)
        if self._stream.frames:
            found["frames"] = self._stream.frames
        return found

    @property
    def duration(self) -> float:
        """Seconds that it takes from its beginning to its end; 0 where nobody knows, or there is no end."""
        return max(0.0, (self._container.duration or 0) / av.time_base)

    @property
    def frame_time(self) -> float:
        """Seconds from one picture to the next, on average."""
        return 1.0 / float(self._rate or 25)

    @property
    def _rate(self) -> Fraction | None:
        """Frames per second. For a bare stream FFmpeg takes 25 for granted, whatever its own header says."""
        bare = self._container.format.name in _BARE
        return self._stream.guessed_rate if bare else self._stream.average_rate

    def grab(self) -> bool:
        """Read on to the next picture. False: the data that came completes none, there may be more.

        Raises:
            Damaged: a picture came and is broken.
            Skipped: data came, and there is no need of a picture.
            EOFError: the end; everything that can be decoded was.
            SourceError: reading failed; everything that came before was grabbed.
        """
        if not self._decoded:
            self._decode()
        if not self._decoded:
            return False
        self._picture = self._decoded.popleft()
        self._decoding.read(self.time)
        if self._picture.is_corrupt:
            raise Damaged
        return True

    def pass_on(self) -> None:
        """Hand the next packet to the tap, and decode nothing.

        Raises:
            EOFError: the end.
            SourceError: reading failed.
        """
        try:
            packet = next(self._packets)
        except StopIteration:
            raise EOFError from None
        except (av.error.FFmpegError, OSError) as error:
            reason = self._reason(error, self._timeouts_s[1])
            raise SourceError(f"{self._name} breaks off: {reason}", hint=self._hint) from None
        if packet.size:
            self._tap.packet(packet)

    @property
    def time(self) -> float | None:
        """Timestamp of what was grabbed, seconds from an arbitrary moment; None where there is none."""
        assert self._picture is not None  # noqa: S101  # grab() comes first
        return None if self._picture.time is None else float(self._picture.time)

    def came(self) -> float:
        """When what was grabbed came from a camera, monotonic seconds; to be asked once for each."""
        return self._arrivals.picture(self.time if self._timed else None)

    @property
    def pixel(self) -> Fraction:
        """Width of a pixel of the upright picture by its height."""
        assert self._picture is not None  # noqa: S101  # grab() comes first
        said = self._stream.sample_aspect_ratio or self._stream.codec_context.sample_aspect_ratio
        orientation = orientation_of(self._picture)
        sideways = orientation is not None and orientation.sideways
        return turned_pixel(said or Fraction(1), 90 if sideways else 0)

    def pixels(self, rotate: int = 0) -> Pixels:
        """What was grabbed as an upright picture, turned clockwise by so many degrees."""
        assert self._picture is not None  # noqa: S101  # grab() comes first
        return self._upright(self._picture, rotate)

    def _decode(self) -> None:
        """Feed the decoder one packet; at the end let go of what it holds back."""
        if self._failure:
            raise SourceError(self._failure, hint=self._hint)
        if self._ended:
            raise EOFError
        asked = time.monotonic()
        try:
            packet = next(self._packets)
        except StopIteration:
            self._ended = True
            return
        except (av.error.FFmpegError, OSError) as error:
            self._failure = f"{self._name} breaks off: {self._reason(error, self._timeouts_s[1])}"
            packet = None
        arrival = self._arrivals.read(asked, time.monotonic(), self._stamp(packet))
        if packet is not None and packet.size:
            self._tap.packet(packet)
        try:
            self._decoded.extend(self._decoding.pictures(packet, arrival))
        except av.error.FFmpegError:
            raise Damaged from None
        if self.strict and not self._decoded and packet is not None and packet.size:
            raise Damaged  # there, a packet is a picture

    def _stamp(self, packet: av.Packet[av.VideoStream] | None) -> float | None:
        """The time of a packet by its stream, seconds, where that says how late it is."""
        if packet is None or not self._timed:
            return None
        stamp = packet.pts if packet.dts is None else packet.dts
        return None if stamp is None else stamp * self._tick

    @staticmethod
    def _reason(error: Exception, timeout_s: float) -> str:
        if isinstance(error, av.error.ExitError | TimeoutError):
            return f"no answer within {timeout_s:g} s"
        return getattr(error, "strerror", None) or type(error).__name__


def _has_times(form: av.ContainerFormat) -> bool:
    """Whether packets have times that tell how late they are."""
    return not int(form.flags) & _NO_TIMES and not _IN_PARTS.intersection(form.name.split(","))


def _video(container: av.container.InputContainer, *, stored: bool) -> av.VideoStream:
    """The stream to be shown, of a file that is ``stored`` here or of what comes from elsewhere.

    Raises:
        ValueError: there is none that anybody has filmed; says so as the end of a sentence.
    """
    if container.format.name in _TEXT:
        raise ValueError("is text, of which FFmpeg would draw pictures")
    if container.format.name == _LIST and not stored:
        raise ValueError("is a list of files, no video")
    if not container.streams.video:
        raise ValueError("has no video in it")
    stream = max(container.streams.video, key=_rank)
    if stream.codec_context is None:
        raise ValueError("has video in a format that FFmpeg does not know")
    return stream


def _rank(stream: av.VideoStream) -> int:
    """Which of several streams FFmpeg would show: the highest, and of equals the first.

    The figures are those of ``map_auto_video`` in FFmpeg's fftools.
    """
    if stream.codec_context is None:
        return 0  # type: ignore[unreachable]  # PyAV's types do not know of it
    if stream.disposition & Disposition.attached_pic:
        return 1
    default = 5_000_000 if stream.disposition & Disposition.default else 0
    return 2 + stream.codec_context.width * stream.codec_context.height + default


class JpegDecoder:
    """Pixels of JPEGs that come one by one, as FFmpeg makes them of Motion JPEG.

    Args:
        strict: whether to refuse what could be repaired.
    """

    def __init__(self, *, strict: bool) -> None:
        self._context = av.CodecContext.create("mjpeg", "r")
        self._context.thread_count = 1
        if strict:
            self._context.options = {"err_detect": "explode"}
        self._upright = Upright()

    def decoded(self, jpeg: bytes) -> Pixels:
        """An upright picture.

        Raises:
            Damaged: it is none.
        """
        try:
            frames = self._context.decode(av.Packet(jpeg))
        except av.error.FFmpegError:
            raise Damaged from None
        if not frames or frames[-1].is_corrupt:
            raise Damaged
        return self._upright(frames[-1], 0)
