"""Decoding a container or stream with FFmpeg (PyAV), shared by the file and stream sources."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import av
import av.error
import cv2

from edged.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from edged.records import Image

_TURNS = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}
"""OpenCV's name for a display matrix of so many degrees (counter-clockwise, as FFmpeg gives it)."""


class Container:
    """The first video stream of a file or URL, decoded to upright BGR pictures.

    Args:
        url: path or URL.
        name: how messages call it, without a password.
        options: FFmpeg's options for opening.
        timeout: seconds for opening and for one read, or None to wait for ever.

    Raises:
        SourceError: nothing there can be decoded.
    """

    def __init__(
        self,
        url: str,
        *,
        name: str,
        options: dict[str, str] | None = None,
        timeout: tuple[float, float] | None = None,
    ) -> None:
        self._name = name
        try:
            self._container = av.open(url, options=options or {}, timeout=timeout)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise SourceError(f"the source {name!r} cannot be opened: {_reason(error)}", mend=_MEND) from error
        if not self._container.streams.video:
            self._container.close()
            raise SourceError(f"the source {name!r} has no video in it", mend=_MEND)
        self._stream = self._container.streams.video[0]
        # One thread: frame threads would hold more frames in memory, and cores have better things to do.
        self._stream.codec_context.thread_count = 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the decoder and the file or connection."""
        self._container.close()

    def properties(self) -> dict[str, Any]:
        """Width, height, codec and, where known, frames per second."""
        context = self._stream.codec_context
        found: dict[str, Any] = {"width": context.width, "height": context.height, "codec": context.name}
        if self._stream.average_rate:
            found["fps"] = round(float(self._stream.average_rate), 3)
        return found

    def pictures(self) -> Iterator[tuple[Image, float]]:
        """Every picture with its time in seconds since the first one.

        Raises:
            SourceError: the data ends or breaks before the container says it should.
        """
        first: float | None = None
        last = 0.0
        count = 0
        packets = 0
        try:
            for packet in self._container.demux(self._stream):
                packets += packet.size > 0
                for picture in packet.decode():
                    now = float(picture.time) if picture.time is not None else last + self._frame_time()
                    first = now if first is None else first
                    # Broken timestamps never make time run backwards.
                    last = max(last, now - first)
                    image: Image = picture.to_ndarray(format="bgr24")  # type: ignore[assignment]  # bgr24 is uint8
                    if picture.rotation % 360 in _TURNS:
                        image = cv2.rotate(image, _TURNS[picture.rotation % 360])  # type: ignore[assignment]
                    yield image, last
                    count += 1
        except av.error.FFmpegError as error:
            raise SourceError(
                f"the source {self._name!r} breaks off after {count} frames: {_reason(error)}", mend=_DAMAGED
            ) from error
        if count == 0:
            raise SourceError(f"the source {self._name!r} has no picture in it", mend=_DAMAGED)
        if self._stream.frames > packets:
            raise SourceError(
                f"the source {self._name!r} ends after {count} of {self._stream.frames} frames", mend=_DAMAGED
            )

    def _frame_time(self) -> float:
        return 1.0 / float(self._stream.average_rate or 25)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


_MEND = "Set EDGED_SOURCE to something that 'ffprobe' can read"
_DAMAGED = "The data is damaged or cut short; everything before that was processed"
