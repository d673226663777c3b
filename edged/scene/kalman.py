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


class Motion:
    """Centre and size of ``n`` boxes with their speeds; each of the four is a filter of its own.

    Noise grows with the time between two frames and is told in heights of the box, so that neither the
    frame rate nor the size of the picture matters. SORT and its heirs have noise a frame, and more of it; a
    steadier course is what carries an object through the frames in which a detector misses it.
    """

    def __init__(self) -> None:
        self.place: Floats = np.empty((0, 4))
        """Centre x, centre y, width, height in pixels."""
        self.speed: Floats = np.empty((0, 4))
        """The same, a second."""
        self._spread: Floats = np.empty((3, 0, 4))
        """Covariance: of the place, of place and speed, of the speed."""

    def add(self, boxes: Floats) -> None:
        """Begin with boxes (x1, y1, x2, y2) that were seen for the first time."""
        place = centred(boxes)
        unit = np.repeat(place[:, 3:], 4, axis=1)
        spread = np.stack([(2 * MEASURED * unit) ** 2, 0 * unit, (SPEED * unit) ** 2])
        self.place = np.concatenate([self.place, place])
        self.speed = np.concatenate([self.speed, np.zeros_like(place)])
        self._spread = np.concatenate([self._spread, spread], axis=1)

    def keep(self, chosen: npt.NDArray[np.bool_]) -> None:
        """Forget all others."""
        self.place, self.speed, self._spread = (
            self.place[chosen],
            self.speed[chosen],
            self._spread[:, chosen],
        )

    def predict(self, elapsed: float, seen: npt.NDArray[np.bool_], resting: npt.NDArray[np.bool_]) -> None:
        """Go ``elapsed`` seconds ahead; boxes out of sight keep their size, ``resting`` ones their place."""
        self.speed[~seen, 2:] = 0.0
        self.speed[~seen & resting] = 0.0
        self.place = self.place + elapsed * self.speed
        self.place[:, 2:] = np.maximum(self.place[:, 2:], 1.0)
        place, both, speed = self._spread
        unit = self.place[:, 3:]
        place = place + 2 * elapsed * both + elapsed**2 * speed + elapsed * (WANDERS * unit) ** 2
        self._spread = np.stack([place, both + elapsed * speed, speed + elapsed * (TURNS * unit) ** 2])

    def correct(self, rows: list[int], boxes: Floats) -> None:
        """Take in what was seen: ``boxes`` (x1, y1, x2, y2) of ``rows``."""
        if not rows:
            return
        place, both, speed = self._spread[:, rows]
        unit = self.place[rows, 3:]
        total = place + (MEASURED * unit) ** 2
        error = centred(boxes) - self.place[rows]
        self.place[rows] += place / total * error
        self.speed[rows] += both / total * error
        self._spread[:, rows] = np.stack(
            [place - place**2 / total, both - place * both / total, speed - both**2 / total]
        )
        self.place[rows, 2:] = np.maximum(self.place[rows, 2:], 1.0)

    def boxes(self) -> Floats:
        """Corners x1, y1, x2, y2 in pixels, shape (n, 4)."""
        half = self.place[:, 2:] / 2
        return np.concatenate([self.place[:, :2] - half, self.place[:, :2] + half], axis=1)


def centred(boxes: Floats) -> Floats:
    """Corners to centre and size."""
    size = np.maximum(boxes[:, 2:] - boxes[:, :2], 1.0)
    return np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, size], axis=1)
