"""Annotated video: H.264 in fragmented MP4, without a display."""

from __future__ import annotations

import time
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import av.error
import cv2
import numpy as np

from edged.errors import SinkError

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.video.stream import VideoStream

    from edged.config import Settings
    from edged.metrics import Meter
    from edged.records import Image, Result
    from edged.sinks import Context

_TIME_BASE = Fraction(1, 90_000)
"""The clock of MPEG: every usual frame rate divides it well enough."""
_KEYFRAME_S = 1.0
"""A fragment ends before every keyframe, so a crash costs at most the last second."""


class VideoSink:
    """Writes every result as a frame of a video file, at its true time.

    Fragmented MP4 has its index at the start of each fragment: what was written before a crash or a power
    cut plays, there is no index at the end of the file that could be missing.

    Args:
        path: the file; it is created, or overwritten, when the first frame comes and not before.
        meter: gets the latencies of ``annotate`` and ``encode``.
    """

    name = "video"

    def __init__(self, path: Path, meter: Meter) -> None:
        self._path = path
        self._meter = meter
        self._container: OutputContainer | None = None
        self._stream: VideoStream | None = None
        self._yuv = np.empty((0, 0), np.uint8)
        self._last_pts = -1
        self._keyframe_due = 0.0

    @classmethod
    def create(cls, settings: Settings, context: Context) -> VideoSink:
        """As ``EDGED_OUTPUT`` says."""
        assert settings.output is not None  # noqa: S101  # the registry asks for this sink only if it is set
        return cls(settings.output.expanduser(), context.meter)

    def open(self) -> None:
        """Find out whether the file can be written, without touching what may be there."""
        if self._path.suffix.lower() not in {".mp4", ".m4v", ".mov"}:
            raise SinkError(
                f"the output {str(self._path)!r} does not end in .mp4",
                mend="Set EDGED_OUTPUT to a file such as out.mp4",
            )
        existed = self._path.exists()
        try:
            with self._path.open("ab"):
                pass
            if not existed:
                self._path.unlink()
        except OSError as error:
            raise self._error(error) from error

    def send(self, result: Result) -> None:
        """Draw and encode one frame."""
        started = time.perf_counter()
        picture = result.picture()
        drawn = time.perf_counter()
        try:
            self._encode(picture, result.frame.pts)
        except (av.error.FFmpegError, OSError) as error:
            raise self._error(error) from error
        self._meter.observe("annotate", 1e3 * (drawn - started))
        self._meter.observe("encode", 1e3 * (time.perf_counter() - drawn))

    def close(self) -> None:
        """Write what the encoder still holds, and the end of the file."""
        if self._container is None or self._stream is None:
            return
        container, self._container = self._container, None
        try:
            container.mux(self._stream.encode(None))
            container.close()
        except (av.error.FFmpegError, OSError) as error:
            raise self._error(error) from error

    def _encode(self, picture: Image, pts_s: float) -> None:
        if self._container is None:
            self._start(picture)
        assert self._container is not None  # noqa: S101  # _start() made both
        assert self._stream is not None  # noqa: S101
        width, height = self._stream.width, self._stream.height
        if picture.shape[:2] != (height, width):
            picture = _fit(picture, width, height)
        # OpenCV converts four times as fast as FFmpeg's scaler.
        cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420, dst=self._yuv)
        frame = av.VideoFrame.from_ndarray(self._yuv, format="yuv420p")
        # Timestamps must rise strictly; a source that stands still moves on by one tick.
        frame.pts = self._last_pts = max(int(pts_s / _TIME_BASE), self._last_pts + 1)
        frame.time_base = _TIME_BASE
        if pts_s >= self._keyframe_due:
            frame.pict_type = av.video.frame.PictureType.I
            self._keyframe_due = pts_s + _KEYFRAME_S
        self._container.mux(self._stream.encode(frame))

    def _start(self, first: Image) -> None:
        """Create the file in the size of the first frame, even for the sake of the colour planes."""
        height, width = (size + size % 2 for size in first.shape[:2])
        container = av.open(
            str(self._path),
            "w",
            format="mp4",
            container_options={"movflags": "frag_keyframe+empty_moov+default_base_moof", "flush_packets": "1"},
        )
        # Half a frame rate more or less does not matter: every frame carries its own time.
        stream = container.add_stream("libx264", rate=30, options={"preset": "ultrafast", "crf": "23"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = _TIME_BASE
        stream.codec_context.gop_size = 300
        # One thread keeps up with any camera and leaves the cores to the model.
        stream.codec_context.thread_count = 1
        self._yuv = np.empty((height * 3 // 2, width), np.uint8)
        self._container, self._stream = container, stream

    def _error(self, error: Exception) -> SinkError:
        reason = getattr(error, "strerror", None) or str(error)
        return SinkError(
            f"the output {str(self._path)!r} cannot be written: {reason}",
            mend="Set EDGED_OUTPUT to a place where the user of edged may write and the disk has room",
        )


def _fit(picture: Image, width: int, height: int) -> Image:
    """A picture of another size in the size of the video: padded by a pixel, or scaled if the source has changed."""
    right, bottom = width - picture.shape[1], height - picture.shape[0]
    if 0 <= right <= 1 and 0 <= bottom <= 1:
        return cv2.copyMakeBorder(picture, 0, bottom, 0, right, cv2.BORDER_REPLICATE)  # type: ignore[return-value]
    return cv2.resize(picture, (width, height))  # type: ignore[return-value]  # uint8 as given
