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

    __slots__ = ("_state", "corners")

    def __init__(self, box: Sequence[float]) -> None:
        x, y, wide, high = centred(box)
        spread, pace = 2 * MEASURED * high, SPEED * high
        self._state = x, y, wide, high, 0.0, 0.0, 0.0, 0.0, spread * spread, 0.0, pace * pace
        """Centre and size, their speeds a second, and the covariance, which is one for all four: of the
        place, of place and speed, of the speed. In one piece, for every step reads and writes all of it."""
        self.corners = x - wide / 2, y - high / 2, x + wide / 2, y + high / 2
        """Where it is: x1, y1, x2, y2 in pixels."""

    def predict(self, elapsed_s: float, *, missed: bool = False, rests: bool = False) -> None:
        """Go ``elapsed_s`` ahead; a box that was ``missed`` keeps its size, one that ``rests`` its place."""
        x, y, wide, high, across, down, grows, rises, spread, both, pace = self._state
        if missed:
            grows = rises = 0.0
        if rests:
            across = down = grows = rises = 0.0
        x += elapsed_s * across
        y += elapsed_s * down
        wide += elapsed_s * grows
        high += elapsed_s * rises
        if wide < 1.0:  # noqa: PLR1730  # quicker than a call of max, and done to every object
            wide = 1.0
        if high < 1.0:  # noqa: PLR1730  # as above
            high = 1.0
        wanders, turns = WANDERS * high, TURNS * high
        spread += 2 * elapsed_s * both + elapsed_s**2 * pace + elapsed_s * (wanders * wanders)
        both += elapsed_s * pace
        pace += elapsed_s * (turns * turns)
        self._state = x, y, wide, high, across, down, grows, rises, spread, both, pace
        aside, above = wide / 2, high / 2
        self.corners = x - aside, y - above, x + aside, y + above

    def correct(self, box: Sequence[float], score: float) -> None:
        """Take in where it was seen: x1, y1, x2, y2, and how good that is, 0..1."""
        x, y, wide, high, across, down, grows, rises, spread, both, pace = self._state
        measured = MEASURED * high
        total = spread + measured * measured * (1.0 + DOUBT * (0.5 - score))
        gain, drift = spread / total, both / total
        right, lower, wider, higher = centred(box)
        right -= x
        lower -= y
        wider = SIZED * (wider - wide)
        higher = SIZED * (higher - high)
        x += gain * right
        y += gain * lower
        # Neither the box nor what is believed is smaller than a pixel: so nothing between them is.
        wide += gain * wider
        high += gain * higher
        self._state = (
            x, y, wide, high,
            across + drift * right, down + drift * lower, grows + drift * wider, rises + drift * higher,
            spread - spread * gain, both - spread * drift, pace - both * drift,
        )  # fmt: skip
        aside, above = wide / 2, high / 2
        self.corners = x - aside, y - above, x + aside, y + above

    def rest(self) -> None:
        """Nothing moves."""
        x, y, wide, high, _, _, _, _, spread, both, pace = self._state
        self._state = x, y, wide, high, 0.0, 0.0, 0.0, 0.0, spread, both, pace

    @property
    def box(self) -> Box:
        """Where it is, for who keeps it."""
        return tuple.__new__(Box, self.corners)  # a call less than by its own constructor


def centred(box: Sequence[float]) -> tuple[float, float, float, float]:
    """Corners to centre and size; no box is smaller than a pixel."""
    x1, y1, x2, y2 = box
    wide, high = x2 - x1, y2 - y1
    if wide < 1.0 or high < 1.0:
        wide, high = max(1.0, wide), max(1.0, high)
    return (x1 + x2) / 2, (y1 + y2) / 2, wide, high
