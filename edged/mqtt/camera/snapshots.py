"""Annotated pictures: not every one, and only while something is seen."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from edged.imaging.jpeg import encoded

if TYPE_CHECKING:
    from edged.records import Result

_QUALITY = 85


class Snapshots:
    """Decides which result becomes a picture.

    Args:
        interval_s: seconds between two pictures; 0: only those that are asked for.
    """

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._due = 0.0
        self._asked = threading.Event()

    def ask(self) -> None:
        """Want a picture of the next frame, whatever it shows. Safe from any thread."""
        self._asked.set()

    def of(self, result: Result) -> bytes | None:
        """A JPEG, if one is due."""
        regular = self._interval_s > 0 and result.detections and result.frame.captured >= self._due
        if not regular and not self._asked.is_set():
            return None
        self._asked.clear()
        self._due = result.frame.captured + self._interval_s
        return encoded(result.picture(), _QUALITY)
