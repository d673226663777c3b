"""Pictures in, H.264 packets out."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import av.error
import cv2
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from edged.pixels import BT601, BT709, Planes, bgr

if TYPE_CHECKING:
    from av.video.codeccontext import VideoCodecContext

    from edged.pixels import Pixels
    from edged.records import Image
    from edged.sources.packets.tap import PacketForm

CLOCK_HZ = 90_000
"""Ticks a second of all timestamps: the clock of MPEG, which every usual frame rate divides well enough."""
SOFTWARE = "libx264"
HARDWARE = "h264_v4l2m2m"
"""The encoder of the Raspberry Pi up to 4, and of other boards with a V4L2 codec driver."""
KEYFRAME_S = 1.0
"""A file grows by what lies between two keyframes, so this is what a crash can cost at the most."""

_TIME_BASE = Fraction(1, CLOCK_HZ)
_USUAL_RATE = 30
"""Frames a second that encoders plan with; true times are those of the packets."""
_BITS_A_PIXEL = 0.1
"""The hardware encoder's, which knows no constant quality: 2.8 Mbit/s for 720p at 30 frames a second."""
_MOST_DELAY = 60
"""Frames that an encoder may hold back; one that still gives nothing is not going to."""

_HD_WIDTH, _SD_HEIGHT = 1280, 576

_START_CODE = re.compile(rb"\x00\x00\x01(.)", re.DOTALL)
_NAL_TYPE = 0x1F
_SLICES = frozenset(range(1, 6))
_IDR, _SPS = 5, 7


class EncoderError(Exception):
    """The encoder cannot be opened, or failed; another one may do."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One encoded picture."""

    data: bytes
    """As :attr:`form` says; our own encoders give Annex B: a keyframe carries the parameter sets, so that a
    file can begin with it."""
    pts: int
    """When it is shown, ticks of :data:`CLOCK_HZ`."""
    keyframe: bool
    dts: int | None = None
    """When it is decoded, ticks. Our own encoders give None: as there are no B-frames, that is ``pts``."""
    form: PacketForm | None = None
    """What a camera's own packets are of; None of our own encoders, which are H.264."""

    @property
    def order(self) -> int:
        """When it is decoded, ticks; always more than that of the packet before."""
        return self.pts if self.dts is None else self.dts


class Encoder:
    """One stream of pictures of one size.

    Packets come out in order, one for each picture, usually at once (libx264) or some pictures later
    (hardware). There is a keyframe at least every second, of media time and of real time.

    Args:
        codec: :data:`SOFTWARE` or :data:`HARDWARE`.
        width: pixels, even.
        height: pixels, even.
        pixel: width of a pixel by its height, as the source has them.
        matrix: that of the planes which will come, by H.273; None: the usual one of this size.

    Raises:
        EncoderError: there is no such encoder here.
    """

    def __init__(
        self, codec: str, width: int, height: int, pixel: Fraction = Fraction(1), matrix: int | None = None
    ) -> None:
        self.codec = codec
        self._matrix = matrix or (BT709 if _is_hd(width, height) else BT601)
        self.width = width
        self.height = height
        self._last_pts = -1
        self._keyframe_pts = 0.0
        self._keyframe_at = 0.0
        self._delayed = 0
        self._packets = Packets()
        self._reformatter = VideoReformatter()
        try:
            self._context = _open(codec, width, height, pixel, self._matrix)
        except (av.error.FFmpegError, ValueError, OSError) as error:
            # FFmpeg's own text names its functions; what helps is the size.
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise EncoderError(
                f"the encoder {codec} cannot be opened for pictures of {width}x{height} pixels: {reason}"
            ) from error

    def encode(self, picture: Pixels, pts_s: float, *, keyframe: bool = False) -> list[Packet]:
        """Encode one picture.

        Args:
            picture: of any size; another one than the encoder's is padded or scaled to it. Planes of its
                own size and colours go in as they are.
            pts_s: media time, seconds; it must rise.
            keyframe: begin anew with this picture.

        Raises:
            EncoderError: the encoder failed, and will go on failing.
        """
        frame = self._converted(picture)
        # Timestamps must rise strictly; a source that stands still moves on by one tick.
        frame.pts = self._last_pts = max(round(pts_s * CLOCK_HZ), self._last_pts + 1)
        frame.time_base = _TIME_BASE
        now = time.monotonic()
        if keyframe or pts_s >= self._keyframe_pts or now >= self._keyframe_at:
            frame.pict_type = av.video.frame.PictureType.I
            self._keyframe_pts, self._keyframe_at = pts_s + KEYFRAME_S, now + KEYFRAME_S
        self._delayed += 1
        packets = self._through(frame)
        if self._delayed > _MOST_DELAY:
            raise EncoderError(f"the encoder {self.codec} takes pictures and gives nothing")
        return packets

    def finish(self) -> list[Packet]:
        """What the encoder still holds; it takes nothing more.

        Raises:
            EncoderError: the encoder failed.
        """
        return self._through(None)

    def _converted(self, picture: Pixels) -> av.VideoFrame:
        """Studio range, by the matrix of the video; in memory that stays, for hardware may hold it."""
        size = (self.height, self.width)
        if isinstance(picture, Planes) and picture.shape[:2] == size and picture.matrix == self._matrix:
            yuv = picture.studio()
        else:
            image = _fit(bgr(picture), self.width, self.height)
            if self._matrix == BT709:
                frame = av.VideoFrame.from_ndarray(image, format="bgr24")
                return self._reformatter.reformat(
                    frame, format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
                )
            # OpenCV knows BT.601 only, and converts faster than FFmpeg's scaler.
            yuv = cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420)  # type: ignore[assignment]  # uint8 as given
        if self.height % 4:  # PyAV would round it down, and look for the colours in the wrong place
            return av.VideoFrame.from_ndarray(yuv, format="yuv420p")
        # The array is not copied.
        return av.VideoFrame.from_numpy_buffer(yuv, format="yuv420p")

    def _through(self, frame: av.VideoFrame | None) -> list[Packet]:
        try:
            found = self._context.encode(frame)
        except (av.error.FFmpegError, OSError) as error:
            raise EncoderError(f"the encoder {self.codec} failed: {error}") from error
        packets = [
            packet
            for raw in found
            if (packet := self._packets.take(bytes(raw), self._last_pts if raw.pts is None else raw.pts))
        ]
        self._delayed -= len(packets)
        return packets


class Packets:
    """Makes packets of what an encoder gives.

    libx264 begins every keyframe with the parameter sets. V4L2 encoders may give them only once, and in a
    buffer of their own.
    """

    def __init__(self) -> None:
        self._parameters = b""

    def take(self, data: bytes, pts: int) -> Packet | None:
        """The packet, or nothing if there is no picture in the data."""
        kinds = nal_types(data)
        if not kinds & _SLICES:
            if _SPS in kinds:
                self._parameters = data
            else:
                self._parameters += data
            return None
        keyframe = _IDR in kinds
        if keyframe and _SPS not in kinds:
            data = self._parameters + data
        return Packet(data, pts, keyframe)


def nal_types(data: bytes) -> set[int]:
    """The kinds of units in a piece of H.264 in Annex B form (ITU-T H.264, table 7-1)."""
    return {found.group(1)[0] & _NAL_TYPE for found in _START_CODE.finditer(data)}


def _is_hd(width: int, height: int) -> bool:
    """Whether players that see no tag take BT.709 for granted, not BT.601: the rule of mpv and others."""
    return width >= _HD_WIDTH or height > _SD_HEIGHT


def _open(codec: str, width: int, height: int, pixel: Fraction, matrix: int) -> VideoCodecContext:
    context = av.CodecContext.create(codec, "w")
    assert isinstance(context, av.VideoCodecContext)  # noqa: S101  # both codecs are
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.time_base = _TIME_BASE
    context.framerate = Fraction(_USUAL_RATE)
    context.color_primaries = context.color_trc = context.colorspace = matrix
    context.color_range = ColorRange.MPEG.value
    context.sample_aspect_ratio = pixel
    # Keyframes are asked for by time; this is for encoders that do not listen.
    context.gop_size = int(_USUAL_RATE * KEYFRAME_S)
    if codec == SOFTWARE:
        # A keyframe comes when it is asked for, at whatever frame rate.
        context.gop_size = 100 * _USUAL_RATE
        # One thread keeps up with any camera and leaves the cores to the model.
        context.thread_count = 1
        context.options = {"preset": "ultrafast", "tune": "zerolatency", "crf": "23", "forced-idr": "1"}
    else:
        context.bit_rate = int(width * height * _USUAL_RATE * _BITS_A_PIXEL)
    context.open()
    return context


def _fit(picture: Image, width: int, height: int) -> Image:
    """A picture in the size of the video: padded by a pixel, or scaled between bars."""
    high, wide = picture.shape[:2]
    right, bottom = width - wide, height - high
    if right == bottom == 0:
        return picture
    if 0 <= right <= 1 and 0 <= bottom <= 1:
        return cv2.copyMakeBorder(picture, 0, bottom, 0, right, cv2.BORDER_REPLICATE)  # type: ignore[return-value]
    scale = min(width / wide, height / high)
    inner = max(1, round(wide * scale)), max(1, round(high * scale))
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    resized = cv2.resize(picture, inner, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return cv2.copyMakeBorder(  # type: ignore[return-value]  # uint8 as given
        resized, top, height - inner[1] - top, left, width - inner[0] - left, cv2.BORDER_CONSTANT
    )
