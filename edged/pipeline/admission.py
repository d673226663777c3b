"""Which frames the model looks at, and at which parts of them.

Those in which something moves, and some to make sure.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from edged.scene.motion import Background, Change

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edged.imaging.geometry import Region
    from edged.pipeline.regions import Regions
    from edged.records import Box, Frame

_ALL_OF_IT: tuple[None] = (None,)

_LINGER_S = 1.0
"""How long frames are looked at after something moved: who stops was perhaps never seen well. A picture that
has changed altogether is looked at once more after so long, when the camera has got used to the light."""
_FLICKER_S = 0.5
"""Pictures that change altogether again and again are looked at no more often than this."""


class Admission:
    """Keeps frames from the model in which nothing moves. Belongs to one thread.

    Args:
        background: what the camera sees while nothing moves; None: every frame is looked at.
        check_s: seconds, by the frames' own clock, after which a frame is looked at whatever it shows.
        regions: chooses parts of the frames; None: all of each is looked at, once.
    """

    def __init__(
        self, background: Background | None = None, *, check_s: float = 0.0, regions: Regions | None = None
    ) -> None:
        self._background = background
        self._check_s = check_s
        self._regions = regions
        self._looked_s = -math.inf
        self._until_s = -math.inf
        """Frames before this are looked at: something has just moved."""
        self._again_s = math.inf
        """A frame after this is looked at once."""

    @property
    def gated(self) -> bool:
        """Whether there are frames that the model does not get."""
        return self._background is not None

    @property
    def looks(self) -> tuple[int, int]:
        """Looks at one frame that is wanted, at the least and at the most."""
        return (self._regions.least, self._regions.most) if self._regions is not None else (1, 1)

    @property
    def complete(self) -> bool:
        """Whether the looks at a frame show every part of it."""
        return self._regions is None or self._regions.complete

    def parts(
        self, frame: Frame, base: Region, size: tuple[int, int], tracked: Sequence[Box]
    ) -> Sequence[Region | None]:
        """What of a frame that is wanted the model looks at; as :meth:`Regions.of`."""
        return self._regions.of(frame, base, size, tracked) if self._regions is not None else _ALL_OF_IT

    def wants(self, frame: Frame, *, anyway: bool) -> bool:
        """Whether the model is to look at this frame; to be asked once for each, in their order.

        Args:
            frame: the newest.
            anyway: it is looked at whatever it shows, since what was seen last is not settled.
        """
        if self._background is None:
            return True
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
