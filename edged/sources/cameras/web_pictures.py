"""Pictures over HTTP: Motion JPEG, or one for each request."""

from __future__ import annotations

import threading
import time
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from edged.errors import SourceError
from edged.sources.cameras.web import JPEG, reason_of
from edged.sources.connection import Damaged
from edged.sources.decoding.container import JpegDecoder
from edged.sources.decoding.skipping import BEHIND, CORRUPT
from edged.sources.packets.jpegs import JpegSplitter
from edged.sources.packets.tap import JpegTap, Tap

if TYPE_CHECKING:
    from collections.abc import Callable

    from edged.pixels import Pixels
    from edged.sources.cameras.web import Answer
    from edged.sources.decoding.skipping import Skipping

_CHUNK = 1 << 16
_MOST = 32 << 20
"""Bytes of a picture that is no JPEG."""
_BEHIND_S = 0.5
"""Whoever has found something to read for so long, whenever it looked, is slower than the camera."""
_CATCH_UP_S = 1.0
"""How long all but the newest picture is left out, while more comes without an end."""


class WebPictures:
    """Pictures out of an answer; where it was a single one, it is asked for again and again.

    They have no times that tell how long they have waited in the buffers of two machines, where they grow old
    by seconds if decoding is slower than the camera. Who always finds more to read than the picture that is
    due reads to the end of it and gives the newest.

    Used as :class:`~edged.sources.decoding.container.Container` is.

    Args:
        answer: its first one.
        again: asks for the next.
        name: how messages call it, without a password.
        hint: what messages advise.
        period_s: from one request to the next.
        read_s: how long a read may take.
        strict: whether pictures that FFmpeg could repair count as damaged.
        tap: gets every JPEG as a packet, before it is decoded.
        skipping: says whether pictures may be left out, and counts them; None: none is.
    """

    def __init__(
        self,
        answer: Answer,
        *,
        again: Callable[[], Answer],
        name: str,
        hint: str,
        period_s: float,
        read_s: float,
        strict: bool,
        tap: Tap | None = None,
        skipping: Skipping | None = None,
    ) -> None:
        self.strict = strict
        self._skipping = skipping
        self._tap = JpegTap(tap or Tap())
        self._answer: Answer | None = answer
        self._again = again
        self._name = name
        self._hint = hint
        self._period_s = period_s
        self._read_s = read_s
        self._stopped = threading.Event()
        self._asked = self._at_ease = time.monotonic()
        """When it was asked for the last time, and when nothing was there to be read."""
        self._over: SourceError | None = None
        """How the connection has ended, behind a picture that was to be given first."""
        self._single = not answer.kind.startswith("multipart/")
        self._other = answer.kind.startswith("image/") and answer.peek(3) != JPEG
        """Whether pictures have no beginning that is known: the whole body is one."""
        self._codec = "" if self._other else "mjpeg"
        self._splitter = JpegSplitter(lenient=not strict)
        self._body = bytearray()
        self._picture = b""
        self._decoder = JpegDecoder(strict=strict)
        answer.patience(read_s)

    def grab(self) -> bool:
        """Read on, a piece at a time. False: no picture is complete yet.

        Raises:
            Damaged: a picture is broken.
            SourceError: the connection is over.
        """
        if self._over is not None:
            raise self._over
        self._picture = self._take() or self._read_on()
        behind = time.monotonic() - self._at_ease > _BEHIND_S
        if self._picture and behind and self._skipping is not None and self._skipping.may_leave_out:
            self._catch_up(self._skipping)
        return bool(self._picture)

    def pixels(self) -> Pixels:
        """The pixels of what was grabbed.

        Raises:
            Damaged: it is none.
        """
        if self._other:
            try:
                image = cv2.imdecode(np.frombuffer(self._picture, np.uint8), cv2.IMREAD_COLOR)
            except cv2.error:
                image = None
            if image is None:
                raise Damaged
            return image  # type: ignore[return-value]  # IMREAD_COLOR gives uint8
        return self._decoder.decoded(self._picture)

    def pass_on(self) -> None:
        """Read on, and decode nothing: whole pictures go to the tap."""
        self.grab()

    def properties(self) -> dict[str, Any]:
        """The codec, and of a picture by request how often it is asked for."""
        found: dict[str, Any] = {"codec": self._codec} if self._codec else {}
        return found | ({"fps": round(1 / self._period_s, 3)} if self._single else {})

    def interrupt(self) -> None:
        """End the waiting. From any thread."""
        self._stopped.set()
        if (answer := self._answer) is not None:
            answer.hang_up()

    def close(self) -> None:
        """Hang up."""
        self._stopped.set()
        self._over = None  # or what it holds would keep all of this, and this would keep it
        self._tap.end()
        if self._answer is not None:
            self._answer.close()
            self._answer = None

    def _take(self) -> bytes:
        """The next picture of what was read; empty where none is whole."""
        picture = self._splitter.take() or b""
        if picture:
            self._tap.jpeg(picture)
        return picture

    def _read_on(self) -> bytes:
        """Read a piece; a picture that it completes."""
        data = self._read()
        if not self._other:
            self._splitter.feed(data)
            picture = self._take()
        elif data:
            self._body += data
            del self._body[_MOST:]
            picture = b""
        else:
            picture, self._body = bytes(self._body), bytearray()
        if not data:
            self._end()
        return picture

    def _catch_up(self, skipping: Skipping) -> None:
        """Go on to the newest picture of those that have come."""
        until = time.monotonic() + _CATCH_UP_S
        while time.monotonic() < until:
            try:
                newer = self._take()
                if not newer and not (self._answer is not None and self._answer.waiting):
                    break
                newer = newer or self._read_on()
            except Damaged:
                skipping.left_out(CORRUPT)
                continue
            except SourceError as error:
                self._over = error
                break
            if newer:
                self._picture = newer
                skipping.left_out(BEHIND)
                skipping.fell_behind(self._name)
        self._at_ease = time.monotonic()

    def _read(self) -> bytes:
        try:
            if self._answer is None:
                self._stopped.wait(self._asked + self._period_s - time.monotonic())
                if self._stopped.is_set():
                    raise SourceError(f"{self._name} was left", hint=self._hint)
                self._asked = time.monotonic()
                self._answer = self._again()
                self._answer.patience(self._read_s)
            if not self._answer.waiting:
                self._at_ease = time.monotonic()
            return self._answer.read(_CHUNK)
        except (OSError, HTTPException) as error:
            reason = reason_of(error, self._read_s)
            raise SourceError(f"{self._name} breaks off: {reason}", hint=self._hint) from None

    def _end(self) -> None:
        """The body is through."""
        if not self._single:
            raise SourceError(f"{self._name} has ended", hint=self._hint)
        if self._answer is not None:
            self._answer.close()
            self._answer = None
