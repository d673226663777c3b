"""A thread that reads from one camera, and that can be left behind when it gets stuck."""

from __future__ import annotations

import time
import traceback
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from edged import bridge
from edged.channel import Closed
from edged.errors import SourceError
from edged.pixels import bgr
from edged.settings.secrets import words_of
from edged.sources.connection import Damaged, Dated, Skipped, Through
from edged.sources.pace import turned, turned_pixel

if TYPE_CHECKING:
    import threading
    from collections import Counter
    from fractions import Fraction

    from edged.pixels import Pixels
    from edged.sources.connection import Camera
    from edged.sources.pace import Pace

log = structlog.get_logger()

_AHEAD = 2
"""Pictures between the two threads; whoever takes them takes them at once, so this is for hiccups only."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a camera may keep us waiting, seconds."""

    open_s: float = 10.0
    """From the beginning to the first whole picture."""
    read_s: float = 5.0
    """From one picture to the next."""


@dataclass(frozen=True, slots=True)
class Shot:
    """A picture as it came."""

    pixels: Pixels
    ts: float
    """UTC, seconds since the epoch."""
    captured: float
    """The same moment on the monotonic clock."""
    decoded: float
    """When it was read, or decoded, monotonic."""
    pts: float | None
    """Media time of a file; None of a camera."""
    capture_ms: float
    """From when it came to its pixels."""
    pixel: Fraction
    """Width of a pixel by its height."""
    properties: dict[str, Any]
    """What the camera said of itself when the picture came."""


class Reader:
    """One connection to a camera: opens it, reads until it fails or is told to leave, and closes it.

    All of that happens in a thread of its own, because no library can be trusted to come back: a driver may
    hang in an ioctl, a name server may not answer. Nobody else touches the camera, so a stuck thread can be
    left behind; when it comes back at last it finds that it was told to leave, closes the camera and ends.

    Args:
        camera: not yet open.
        deadlines: watched over in :meth:`take`, by whoever waits for pictures.
        pace: which pictures are wanted; the others are not even converted.
        rotate: degrees clockwise.
        waits: whether a picture that is not taken makes the camera wait, or gives way to the next one.
        paced: whether a file is given at its own pace; else it waits, as if ``waits`` were set.
        skipped: counts pictures that were not given, by cause.
        changed: the lock of all that both threads see.
    """

    def __init__(
        self,
        camera: Camera,
        *,
        deadlines: Deadlines,
        pace: Pace,
        rotate: int,
        waits: bool,
        paced: bool,
        skipped: Counter[str],
        changed: threading.Condition,
    ) -> None:
        self.ended = False
        """Whether the thread is through with the camera."""
        self._camera = camera
        self._dated = camera if isinstance(camera, Dated) else None
        self._deadlines = deadlines
        self._pace = pace
        self._rotate = rotate
        self._waits = waits
        self._paced = paced
        self._skipped = skipped
        self._changed = changed
        self._shots: deque[Shot] = deque()
        self._error: BaseException | None = None
        self._leaving = False
        self._first: float | None = None
        self._heard = time.monotonic()
        self._size = (0, 0)
        self._properties: dict[str, Any] = {}
        # No less important than the model: it drains the camera, and what it leaves there grows old unseen.
        bridge.start("camera", self._run)

    @property
    def good_s(self) -> float:
        """For how long pictures came."""
        return 0.0 if self._first is None else self._heard - self._first

    def take(self) -> Shot:
        """The next picture.

        Raises:
            Closed: :meth:`leave` was called.
            SourceError: the camera has failed, or a deadline has passed; what came before was taken.
        """
        asked = time.monotonic()
        with self._changed:
            while not self._leaving:
                if self._shots:
                    self._changed.notify_all()
                    return self._shots.popleft()
                if self.ended:
                    error, self._error = self._error, None
                    try:
                        raise error or Closed
                    finally:
                        del error  # or its traceback would keep this frame, and this frame it
                limit = self._deadlines.read_s if self._first is not None else self._deadlines.open_s
                # A camera that had to wait for us gets its whole time from now on.
                left = max(self._heard, asked) + limit - time.monotonic()
                if left <= 0:
                    kind = "first picture" if self._first is None else "picture"
                    raise SourceError(
                        f"{self._camera.name} has given no {kind} for {limit:g} s", hint=self._camera.hint
                    )
                self._changed.wait(left)
        raise Closed

    def leave(self) -> None:
        """Tell the thread to end; do not wait for it."""
        with self._changed:
            self._leaving = True
            self._shots.clear()
            self._changed.notify_all()
        self._camera.interrupt()

    # In the thread.

    def _run(self) -> None:
        try:
            try:
                self._camera.open()
                self._read()
            finally:
                self._camera.close()
        except SourceError as error:
            # Its traceback would keep all that was in use alive, until the collector finds the circle.
            self._error = error.with_traceback(None)
        except Exception as error:  # noqa: BLE001  # told, and the camera counts as lost
            # What a library makes of a camera's garbage must not end the daemon: it is one more lost camera.
            # No traceback: it would repeat the library's own words, and with them the camera's password.
            words = words_of(error)
            place = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{place.filename}:{place.lineno}"
            log.error("camera_failed", source=self._camera.name, error=words, where=where)
            self._error = SourceError(f"{self._camera.name} failed: {words}", hint=self._camera.hint)
        except BaseException as error:  # noqa: BLE001  # raised again where somebody waits
            self._error = error
        with self._changed:
            self.ended = True
            self._changed.notify_all()

    def _read(self) -> None:
        while not self._leaving:
            try:
                if not self._camera.grab():
                    continue
                taken = time.monotonic()
                pts = self._camera.media_time
                came = self._dated.captured if pts is None and self._dated is not None else None
                captured = taken if came is None else came
                moment = captured if pts is None else pts
                if self._pace.due(moment):
                    pixels = self._camera.retrieve()
                    if self._rotate:
                        pixels = turned(bgr(pixels), self._rotate)
                    self._pace.given(moment)
                    self._put(pixels, captured, taken, pts)
                else:
                    self._skipped["rate"] += 1
                    self._heard = taken
            except Damaged:
                self._skipped["corrupt"] += 1
            except Skipped:
                self._heard = time.monotonic()
            except Through:
                return

    def _put(self, pixels: Pixels, captured: float, taken: float, pts: float | None) -> None:
        done = time.monotonic()
        # Decoding is a file's own time: it waits for us.
        captured = captured if pts is None else done
        height, width = pixels.shape[:2]
        if self._size != (width, height):
            self._size = (width, height)
            self._properties = {**self._camera.properties(), "width": width, "height": height}
        pixel = turned_pixel(self._camera.pixel, self._rotate)
        ts = time.time() - (done - captured)
        capture_ms = 1e3 * (done - (captured if pts is None else taken))
        shot = Shot(pixels, ts, captured, taken, pts, capture_ms, pixel, self._properties)
        waits = self._waits or (pts is not None and not self._paced)
        with self._changed:
            if pts is not None and self._paced and self._first is not None:
                self._heard = max(self._heard, self._first + pts)  # until then it is us who wait
                self._changed.wait_for(lambda: self._leaving, self._first + pts - done)
            while waits and len(self._shots) >= _AHEAD and not self._leaving:
                self._changed.wait()
            if self._leaving:
                return
            if len(self._shots) >= _AHEAD:
                self._shots.popleft()
                self._skipped["superseded"] += 1
            self._shots.append(shot)
            self._heard = time.monotonic()
            if self._first is None:
                self._first = self._heard
            self._changed.notify_all()
