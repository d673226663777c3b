"""Where a camera's own packets are handed on, encoded as they came: to who records or measures them."""

from __future__ import annotations

import io
import re
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, cast, runtime_checkable

from edged.sources.packets.jpegs import jpeg_size

if TYPE_CHECKING:
    from collections.abc import Iterable

    import av

COPIED = ("h264", "hevc", "mjpeg")
"""Codecs whose packets can be put into MP4 as they are."""

NOT_COPIED = f"EDGED_RECORD=copy cannot keep %s: it takes {', '.join(COPIED)}"
"""What is told of others."""

_HEAD = 4096
"""Bytes of a keyframe among which its parameter sets are."""
_SEQUENCE = {
    # Sequence parameter sets, NAL types 7 (H.264, 7.4.1) and 33 (H.265, 7.4.2.2), up to the next start code.
    "h264": re.compile(rb"\x00\x00\x01[\x07\x27\x47\x67].*?(?=\x00\x00[\x00\x01])", re.DOTALL),
    "hevc": re.compile(rb"\x00\x00\x01\x42.*?(?=\x00\x00[\x00\x01])", re.DOTALL),
}

_NEW_RECORD: Final = "new_extradata"
"""FFmpeg's name for parameter sets that a stream sends anew beside its packets (FLV, MP4)."""


@dataclass(frozen=True, slots=True, eq=False)
class PacketForm:
    """What packets are of, until the codec or the size changes: each connection has a form of its own."""

    codec: str
    """FFmpeg's name: ``h264``, ``hevc``, ``mjpeg`` ..."""
    width: int
    """Pixels, as the stream says; 0 where it does not."""
    height: int
    template: av.VideoStream | None
    """For ``add_stream_from_template``, with the parameter sets. It has nothing of the connection in it any
    more, so that it may be kept and used in any thread. None for codecs other than :data:`COPIED`."""


class PacketListener(Protocol):
    """Takes packets in the thread that reads the camera: must neither block nor raise."""

    @property
    def listens(self) -> bool:
        """Whether it wants packets now; if not, it may get some all the same."""
        ...

    def packet(self, packet: av.Packet[Any], form: PacketForm) -> None:
        """Take a packet before it is decoded, in decoding order.

        Args:
            packet: valid until this returns; whoever keeps it keeps a copy of its bytes. Its times are in
                its own ``time_base``, and are None where the camera sends none, as with pictures over HTTP.
            form: the same object as long as nothing has changed.
        """
        ...

    def connection_ended(self) -> None:
        """No packet follows until the camera is found again, with another form."""
        ...


class Tap:
    """Hands on what passes. Belongs to a source and outlives its connections. Thread-safe."""

    def __init__(self) -> None:
        self._listeners: tuple[PacketListener, ...] = ()
        self._passing = threading.Lock()
        """Held while listeners are told something: one that was let go hears nothing after that."""

    @property
    def heard(self) -> bool:
        """Whether anybody listens; if not, a camera need not make packets of what it has."""
        for listener in self._listeners:  # noqa: SIM110  # no generator for each packet
            if listener.listens:
                return True
        return False

    def hand_to(self, listeners: Iterable[PacketListener]) -> None:
        """From the next packet on hand all of them to these, and to nobody else. From any thread.

        To who gets none any more the connection has ended: nobody else would say so.
        """
        with self._passing:
            before, self._listeners = self._listeners, tuple(listeners)
            for listener in before:
                if listener not in self._listeners:
                    listener.connection_ended()

    def packet(self, packet: av.Packet[Any], form: PacketForm) -> None:
        """Hand on a packet."""
        with self._passing:
            for listener in self._listeners:
                listener.packet(packet, form)

    def end_connection(self) -> None:
        """Say that no packet follows of this connection."""
        with self._passing:
            for listener in self._listeners:
                listener.connection_ended()


class StreamTap:
    """Hands on what is demuxed.

    Args:
        tap: gets it.
        stream: what the packets are of.
    """

    def __init__(self, tap: Tap, stream: av.VideoStream) -> None:
        self._tap = tap
        self._stream = stream
        self._form: PacketForm | None = None
        self._told: object = None
        """What the last keyframe said of its size."""
        self._record = _record(stream, stream.codec_context.extradata)
        """The parameter sets, where they are beside the packets and not in them."""
        self._missed = False
        """Whether packets went by of which the container, which knows how they began, has not told."""

    def packet(self, packet: av.Packet[Any]) -> None:
        """Hand on a packet, if anybody listens."""
        if packet.is_keyframe and packet.has_sidedata(_NEW_RECORD):
            self._record = _record(self._stream, bytes(packet.get_sidedata(_NEW_RECORD)))
        if not self._tap.heard:
            self._form = self._told = None
            self._missed = True
            return
        if self._form is None:
            self._form = form_of(self._stream)
        if packet.is_keyframe:
            self._form = self._now(self._form, bytes(packet))
        self._tap.packet(packet, self._form)

    def _now(self, form: PacketForm, keyframe: bytes) -> PacketForm:
        """The form, or another one: a camera that is set to another may go on in the same connection."""
        record = self._record
        codec, told = (form.codec, record) if record else _sequence(form.codec, keyframe)
        if told is None or told == self._told:
            return form
        changed, self._told = self._told is not None or self._missed, told
        self._missed = False
        if not changed:
            return form
        now = form_of_record(self._stream, record, keyframe) if record else form_of_data(codec, keyframe)
        return now or form

    def end(self) -> None:
        """Say that no packet follows of this connection."""
        if self._form is not None:
            self._form = None
            self._tap.end_connection()


class JpegTap:
    """Makes packets of pictures that come as JPEGs without times.

    Args:
        tap: gets them.
    """

    def __init__(self, tap: Tap) -> None:
        self._tap = tap
        self._form: PacketForm | None = None
        self._size: tuple[int, int] | None = None

    def jpeg(self, data: bytes) -> None:
        """Hand on a picture, if anybody listens and it is one."""
        if not self._tap.heard:
            return
        size = jpeg_size(data)
        if self._form is None or size != self._size:
            self._form, self._size = form_of_data("mjpeg", data), size
        if self._form is not None:
            import av  # noqa: PLC0415  # slow to import and 15 MB, and every source knows this module

            packet = av.Packet(data)
            packet.is_keyframe = True
            self._tap.packet(packet, self._form)

    def end(self) -> None:
        """Say that no picture follows of this connection."""
        if self._form is not None:
            self._form = None
            self._tap.end_connection()


@runtime_checkable
class Tapped(Protocol):
    """A camera, or a source, whose packets can be had."""

    tap: Tap


@runtime_checkable
class PacketTaker(Protocol):
    """What may want a camera's packets."""

    @property
    def listener(self) -> PacketListener | None:
        """Takes them; None if none are wanted."""
        ...


def form_of(stream: av.VideoStream) -> PacketForm:
    """The form of what a container gives."""
    context = stream.codec_context
    template = _detached(stream) if context.name in COPIED else None
    return PacketForm(context.name, context.width, context.height, template)


def form_of_data(codec: str, data: bytes) -> PacketForm | None:
    """The form that a keyframe tells itself, a JPEG or Annex B with parameter sets; None if it does not."""
    import av  # noqa: PLC0415  # as above
    import av.error  # noqa: PLC0415  # likewise

    try:
        with av.open(io.BytesIO(data), format=codec) as sample:
            form = form_of(sample.streams.video[0])
    except (av.error.FFmpegError, ValueError, IndexError):
        return None
    return form if form.width else None


def form_of_record(stream: av.VideoStream, record: bytes, keyframe: bytes) -> PacketForm | None:
    """The form of a stream from a keyframe on that came with these parameter sets; None if it is none."""
    import av  # noqa: PLC0415  # as above
    import av.error  # noqa: PLC0415  # likewise

    codec = stream.codec_context.name
    context = cast("av.VideoCodecContext", av.CodecContext.create(codec, "r"))
    context.thread_count, context.extradata = 1, record
    try:
        context.decode(av.Packet(keyframe))
    except av.error.FFmpegError:
        return None
    if not context.width:
        return None
    # As in _detached(). What is set here comes into what others copy when the muxer is started.
    muxer = av.open(io.BytesIO(), "w", format="mp4")
    template = muxer.add_stream_from_template(stream, opaque=True)
    own = template.codec_context
    own.extradata, own.width, own.height = record, context.width, context.height
    muxer.start_encoding()
    return PacketForm(codec, context.width, context.height, template)


def _record(stream: av.VideoStream, configuration: bytes | None) -> bytes | None:
    """Parameter sets as MP4 and FLV have them, beside packets without start codes; None for others."""
    watched = stream.codec_context.name in _SEQUENCE
    return configuration if watched and configuration and configuration[0] == 1 else None


def _sequence(codec: str, keyframe: bytes) -> tuple[str, object]:
    """Codec of a keyframe, and what it says of the pictures' size, to be compared; None if it says nothing.

    A stream without connections goes on when the camera begins anew with another codec. What begins a
    sequence in one of them stands in no keyframe of the other.
    """
    if codec == "mjpeg":
        return codec, jpeg_size(keyframe)
    if codec in _SEQUENCE and keyframe.startswith((b"\x00\x00\x01", b"\x00\x00\x00\x01")):
        for name in (codec, *(_SEQUENCE.keys() - {codec})):
            if found := _SEQUENCE[name].search(keyframe, 0, _HEAD):
                return name, found.group()
    return codec, None


def _detached(stream: av.VideoStream) -> av.VideoStream:
    import av  # noqa: PLC0415  # as above

    # The stream of a muxer that is never started: nothing is written, and nobody closes it under our hands.
    return av.open(io.BytesIO(), "w", format="mp4").add_stream_from_template(stream, opaque=True)
