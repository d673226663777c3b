"""How many frames a source gives, and which way up: the same for all of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fractions import Fraction

    from edged.records import Image


_SMOOTHING = 0.1
"""Share of the newest gap between frames in the mean gap."""
_MOST_OWED = 3.0
"""Frames that may be ahead of the rate."""
_PAID_BACK = 0.25
"""By what part the distances to the next frames grow until those that came early are paid back."""


class Pace:
    """At most so many frames a second, evenly spread.

    The moments may be media time or the monotonic clock, as long as they do not run backwards. Frames are due
    at even distances, and of each the one that lies nearest is given: a camera whose frames jitter keeps its
    rate, and over time the limit is not exceeded.

    Args:
        fps: frames a second, or None for all of them.
    """

    def __init__(self, fps: float | None) -> None:
        self._period = 1.0 / fps if fps else 0.0
        self._due = -math.inf
        self._last: float | None = None
        self._gap: float | None = None
        self._passed = 0
        self._early = 0
        self._owed = 0.0
        """Periods by which frames came early."""

    def hurry(self, count: int) -> None:
        """Give so many frames as soon as they come; later ones wait longer for it. From any thread."""
        self._early = max(self._early, count) if self._period else 0

    def due(self, moment: float) -> bool:
        """Whether a frame of this moment (seconds) is to be given. To be asked once for each frame."""
        if self._last is not None:
            gap = min((moment - self._last) / (1 + self._passed), self._period)
            self._gap = gap if self._gap is None else self._gap + _SMOOTHING * (gap - self._gap)
        self._last, self._passed = moment, 0
        # The next one will probably come a gap later: is this one nearer?
        return self._hurries or moment + (self._gap or 0.0) / 2 >= self._due

    def may_be_due(self, later_s: float) -> bool:
        """Whether a frame so many seconds after the last one that was asked for may be due then."""
        if self._last is None or self._hurries:
            return True
        return self._last + later_s + (self._gap or 0.0) / 2 >= self._due

    def passed(self, count: int) -> None:
        """So many frames came, and nobody asks whether they are due."""
        self._passed += count

    def given(self, moment: float) -> None:
        """Count a frame that was given; one that turned out to be damaged does not count."""
        late = moment >= self._due + self._period
        if self._hurries and moment + (self._gap or 0.0) / 2 < self._due:
            self._owed += (self._due - moment) / self._period
            late = True
        elif late and self._owed:  # so much less came meanwhile than might have
            self._owed = max(0.0, self._owed - (moment - self._due) / self._period)
        self._early = max(0, self._early - 1)
        paid = min(self._owed, _PAID_BACK) if not late else 0.0
        self._owed -= paid
        self._due = (moment if late else self._due) + self._period * (1 + paid)

    @property
    def _hurries(self) -> bool:
        return self._early > 0 and self._owed < _MOST_OWED


class MediaClock:
    """Media time that always rises, from 0.

    Args:
        step: seconds from one frame to the next where their timestamps do not tell.
    """

    def __init__(self, step: float) -> None:
        self._step = step
        self._origin: float | None = None
        self._last = -step

    def at(self, timestamp: float | None) -> float:
        """The time of the next frame, by its timestamp if that is of use."""
        moment = None if timestamp is None or self._origin is None else timestamp - self._origin
        if moment is None or moment <= self._last:
            # At the seams of joined recordings, and where timestamps are missing, time goes on evenly.
            moment = self._last + self._step
            self._origin = None if timestamp is None else timestamp - moment
        self._last = moment
        return moment


def turned(image: Image, degrees: int) -> Image:
    """The picture turned clockwise by 0, 90, 180 or 270 degrees."""
    if degrees == 0:
        return image
    import cv2  # noqa: PLC0415  # slow to import, and most pictures are upright

    turn = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}[degrees]
    return cv2.rotate(image, turn)  # type: ignore[return-value]  # uint8 as given


def turned_pixel(pixel: Fraction, degrees: int) -> Fraction:
    """Width of a pixel by its height, in a picture that was turned so."""
    return 1 / pixel if degrees % 180 else pixel
