"""Which frames the model looks at: those in which something moves, and some to make sure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from edged.scene.motion import Background, Change

if TYPE_CHECKING:
    from edged.records import Frame

_LINGER_S = 1.0
"""How long frames are looked at after something moved: who stops was perhaps never seen well. A picture that
has changed altogether is looked at once more after so long, when the camera has got used to the light."""
_FLICKER_S = 0.5
"""Pictures that change altogether again and again are looked at no more often than this."""


class Admission:
    """Keeps frames from the model in which nothing moves. Belongs to one thread.

    Args:
        background: what the camera sees while nothing moves.
        check_s: seconds, by the frames' own clock, after which a frame is looked at whatever it shows.
    """

    def __init__(self, background: Background, *, check_s: float) -> None:
        self._background = background
        self._check_s = check_s
        self._looked_s = -math.inf
        self._until_s = -math.inf
        """Frames before this are looked at: something has just moved."""
        self._again_s = math.inf
        """A frame after this is looked at once."""

    def wants(self, frame: Frame, *, anyway: bool) -> bool:
        """Whether the model is to look at this frame; to be asked once for each, in their order.

        Args:
            frame: the newest.
            anyway: it is looked at whatever it shows, since what was seen last is not settled.
        """
        now = frame.pts
        if now < self._looked_s:  # a clock that begins anew
            self._looked_s = self._until_s = -math.inf
            self._again_s = math.inf
        change = self._background.look(frame.pixels, now)
        if change is Change.PART:
            self._until_s = now + _LINGER_S
        elif change is Change.ALL:
            anyway = anyway or now - self._looked_s >= _FLICKER_S
            self._again_s = now + _LINGER_S
        anyway = anyway or now < self._until_s or now >= self._again_s
        if not anyway and now - self._looked_s < self._check_s:
            return False
        self._looked_s = now
        if now >= self._again_s:
            self._again_s = math.inf
        return True


__all__ = ["Admission"]
