"""Where boxes go: a constant-velocity Kalman filter for all tracks at once, by time and not by frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

MEASURED = 0.1
"""Standard deviation of an edge of a detected box, as a part of its height."""
WANDERS = 0.1
"""How far a box strays from its course in a second, as a part of its height."""
TURNS = 0.3
"""How much its speed changes in a second, in heights a second."""
SPEED = 1.0
"""What speed a new object may have, in heights a second."""


class BoxFilter:
    """Centre and size of ``n`` boxes with their speeds; each of the four is a filter of its own.

    Noise grows with the time between two frames and is told in heights of the box, so that neither the
    frame rate nor the size of the picture matters. SORT and its heirs have noise a frame, and more of it; a
    steadier course is what carries an object through the frames in which a detector misses it.
    """

    def __init__(self) -> None:
        self._state: Floats = np.empty((11, 0))
        """A column a box: centre x, centre y, width and height in pixels, the same a second, and the
        covariance, which is one for all four: of the place, of place and speed, of the speed. In one piece,
        since every step of NumPy costs more than what it does for a few boxes."""

    def add(self, boxes: Floats) -> None:
        """Begin with boxes (x1, y1, x2, y2) that were seen for the first time."""
        new = np.zeros((11, len(boxes)))
        new[:4] = centred(boxes.T)
        new[8] = (2 * MEASURED * new[3]) ** 2
        new[10] = (SPEED * new[3]) ** 2
        self._state = np.concatenate([self._state, new], axis=1)

    def keep(self, chosen: list[int]) -> None:
        """Forget all others."""
        self._state = self._state[:, chosen]

    def predict(self, elapsed_s: float, missed: list[int], resting: list[int]) -> None:
        """Go ``elapsed_s`` ahead; boxes ``missed`` keep their size, those of them ``resting`` their place."""
        state = self._state
        place, speed, spread, both, pace = state[:4], state[4:8], state[8], state[9], state[10]
        if missed:
            speed[2:, missed] = 0.0
        if resting:
            speed[:, resting] = 0.0
        place += elapsed_s * speed
        np.maximum(place[2:], 1.0, out=place[2:])
        unit = place[3]
        spread += 2 * elapsed_s * both + elapsed_s**2 * pace + elapsed_s * (WANDERS * unit) ** 2
        both += elapsed_s * pace
        pace += elapsed_s * (TURNS * unit) ** 2

    def correct(self, rows: list[int], boxes: Floats) -> None:
        """Take in what was seen: ``boxes`` (x1, y1, x2, y2) of ``rows``."""
        if not rows:
            return
        seen = self._state[:, rows]
        place, speed, spread, both, pace = seen[:4], seen[4:8], seen[8], seen[9], seen[10]
        total = spread + (MEASURED * place[3]) ** 2
        gain, drift = spread / total, both / total
        error = centred(boxes.T) - place
        pace -= both * drift
        both -= spread * drift
        spread -= spread * gain
        place += gain * error
        speed += drift * error
        np.maximum(place[2:], 1.0, out=place[2:])
        self._state[:, rows] = seen

    def rest(self) -> None:
        """Nothing moves."""
        self._state[4:8] = 0.0

    def boxes(self) -> Floats:
        """Corners x1, y1, x2, y2 in pixels, shape (n, 4)."""
        centre = self._state[:2]
        half = self._state[2:4] / 2
        return np.concatenate((centre - half, centre + half)).T


def centred(corners: Floats) -> Floats:
    """Corners to centre and size, a column a box."""
    first, second = corners[:2], corners[2:]
    return np.concatenate(((first + second) / 2, np.maximum(second - first, 1.0)))
