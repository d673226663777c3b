"""Where a box goes: a constant-velocity Kalman filter, by time and not by frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edged.records import Box

if TYPE_CHECKING:
    from collections.abc import Sequence

MEASURED = 0.1
"""Standard deviation of an edge of a detected box, as a part of its height."""
DOUBT = 1.25
"""How much noise a doubtful box has more than a good one: so much of the usual variance a unit of score."""
SIZED = 0.7
"""How much of a change of size is believed: people come nearer slowly, while boxes are cut at once."""
WANDERS = 0.1
"""How far a box strays from its course in a second, as a part of its height."""
TURNS = 0.3
"""How much its speed changes in a second, in heights a second."""
SPEED = 1.0
"""What speed a new object may have, in heights a second."""


class Course:
    """Centre and size of a box with their speeds; each of the four is a filter of its own.

    Noise grows with the time between two frames and is told in heights of the box, so that neither the
    frame rate nor the size of the picture matters. SORT and its heirs have noise a frame, and more of it; a
    steadier course is what carries an object through the frames in which a detector misses it.

    Plain numbers: what NumPy takes to begin a step is more than what all steps take for one box, the more
    so beside a model, which leaves nothing of either in the caches.

    Args:
        box: x1, y1, x2, y2 in pixels, where it was seen first.
    """

    __slots__ = (
        "_across", "_both", "_down", "_grows", "_high", "_pace", "_rises", "_spread", "_wide", "_x", "_y"
    )  # fmt: skip

    def __init__(self, box: Sequence[float]) -> None:
        self._x, self._y, self._wide, self._high = centred(box)
        self._across = self._down = self._grows = self._rises = 0.0
        """Speeds of the four, a second."""
        spread, pace = 2 * MEASURED * self._high, SPEED * self._high
        self._spread = spread * spread
        self._both = 0.0
        self._pace = pace * pace
        """The covariance, which is one for all four: of the place, of place and speed, of the speed."""

    def predict(self, elapsed_s: float, *, missed: bool = False, rests: bool = False) -> None:
        """Go ``elapsed_s`` ahead; a box that was ``missed`` keeps its size, one that ``rests`` its place."""
        if missed:
            self._grows = self._rises = 0.0
        if rests:
            self._across = self._down = self._grows = self._rises = 0.0
        self._x += elapsed_s * self._across
        self._y += elapsed_s * self._down
        wide, high = self._wide + elapsed_s * self._grows, self._high + elapsed_s * self._rises
        self._wide = wide if wide > 1.0 else 1.0  # noqa: FURB136  # quicker, and done to every object
        self._high = high = high if high > 1.0 else 1.0  # noqa: FURB136  # as above
        wanders, turns = WANDERS * high, TURNS * high
        both, pace = self._both, self._pace
        self._spread += 2 * elapsed_s * both + elapsed_s**2 * pace + elapsed_s * (wanders * wanders)
        self._both = both + elapsed_s * pace
        self._pace = pace + elapsed_s * (turns * turns)

    def correct(self, box: Sequence[float], score: float) -> None:
        """Take in where it was seen: x1, y1, x2, y2, and how good that is, 0..1."""
        spread, both, measured = self._spread, self._both, MEASURED * self._high
        total = spread + measured * measured * (1.0 + DOUBT * (0.5 - score))
        gain, drift = spread / total, both / total
        self._pace -= both * drift
        self._both = both - spread * drift
        self._spread = spread - spread * gain
        x, y, wide, high = centred(box)
        x -= self._x
        y -= self._y
        wide = SIZED * (wide - self._wide)
        high = SIZED * (high - self._high)
        self._x += gain * x
        self._y += gain * y
        self._across += drift * x
        self._down += drift * y
        self._grows += drift * wide
        self._rises += drift * high
        # Neither the box nor what is believed is smaller than a pixel: so nothing between them is.
        self._wide += gain * wide
        self._high += gain * high

    def rest(self) -> None:
        """Nothing moves."""
        self._across = self._down = self._grows = self._rises = 0.0

    @property
    def corners(self) -> tuple[float, float, float, float]:
        """Where it is: x1, y1, x2, y2 in pixels."""
        x, y, across, down = self._x, self._y, self._wide / 2, self._high / 2
        return x - across, y - down, x + across, y + down

    @property
    def box(self) -> Box:
        """The same, for who keeps it."""
        return Box(*self.corners)


def centred(box: Sequence[float]) -> tuple[float, float, float, float]:
    """Corners to centre and size; no box is smaller than a pixel."""
    x1, y1, x2, y2 = box
    wide, high = x2 - x1, y2 - y1
    if wide < 1.0 or high < 1.0:
        wide, high = max(1.0, wide), max(1.0, high)
    return (x1 + x2) / 2, (y1 + y2) / 2, wide, high
