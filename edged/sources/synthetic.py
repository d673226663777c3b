"""Moving shapes: a source that needs no camera and no file, for tests, benchmarks and a first look."""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import cv2
import numpy as np

from edged.errors import ConfigError
from edged.records import Frame

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edged.config import Settings
    from edged.records import Image

_DEFAULTS = {"width": "640", "height": "480", "fps": "30", "count": "0", "live": "true"}
_SMALLEST = 16
_RING = 16
"""Pictures that are drawn once and given over and over: drawing must not be what is measured."""


class SyntheticSource:
    """``synthetic:?width=640&height=480&fps=30&count=0&live=true``.

    Args:
        width: pixels.
        height: pixels.
        fps: frames a second; 0 gives them as fast as they are taken.
        count: frames until the end; 0 goes on for ever.
        live: whether it behaves as a camera (frames not taken are lost) or as a file (it waits).
    """

    problem = ""

    def __init__(self, *, width: int, height: int, fps: float, count: int, live: bool) -> None:
        self.live = live
        self._width = width
        self._height = height
        self._fps = fps
        self._count = count
        self._stopped = threading.Event()
        self._ring: list[Image] = []

    @classmethod
    def create(cls, settings: Settings) -> SyntheticSource:
        """As ``EDGED_SOURCE`` says behind ``synthetic:``."""
        text = settings.source.removeprefix("synthetic:").removeprefix("?")
        chosen = _DEFAULTS | dict(parse_qsl(text, keep_blank_values=True))
        try:
            if unknown := sorted(chosen.keys() - _DEFAULTS.keys()):
                raise ValueError(f"there is no {unknown[0]!r}")
            if chosen["live"] not in {"true", "false"}:
                raise ValueError(f"live={chosen['live']!r} is neither true nor false")
            width, height, count = (int(chosen[name]) for name in ("width", "height", "count"))
            fps = float(chosen["fps"])
            if min(width, height) < _SMALLEST or min(count, fps) < 0 or not fps < float("inf"):
                raise ValueError(f"sizes start at {_SMALLEST} pixels, counts and rates at 0")
        except ValueError as error:
            raise ConfigError(
                f"EDGED_SOURCE={settings.source!r} is malformed: {error}",
                mend="Write synthetic:?width=640&height=480&fps=30&count=0&live=true; any part may be left out",
            ) from error
        return cls(width=width, height=height, fps=fps, count=count, live=chosen["live"] == "true")

    def open(self) -> None:
        """Draw the pictures."""
        self._ring = [self._draw(step / _RING) for step in range(_RING)]

    def frames(self) -> Iterator[Frame]:
        """Pictures at the chosen rate; one that is late does not delay those after it."""
        begun = time.monotonic()
        number = 0
        while not self._stopped.is_set() and not (self._count and number >= self._count):
            due = number / self._fps if self._fps else time.monotonic() - begun
            if (pause := begun + due - time.monotonic()) > 0 and self._stopped.wait(pause):
                return
            # A copy, as from a camera: whoever draws on a frame must not draw on a later one.
            image = self._ring[number % _RING].copy()
            yield Frame(number, image, time.time(), time.monotonic(), due)
            number += 1

    def properties(self) -> dict[str, Any]:
        """Kind, width, height and frame rate."""
        found: dict[str, Any] = {"kind": "synthetic", "width": self._width, "height": self._height}
        if self._fps:
            found["fps"] = self._fps
        return found

    def stop(self) -> None:
        """End now."""
        self._stopped.set()

    def close(self) -> None:
        """Free the pictures."""
        self._ring = []

    def _draw(self, phase: float) -> Image:
        """A dark gradient with a disc and a square that go round; ``phase`` 0..1."""
        ramp = np.linspace(20, 70, self._width, dtype=np.uint8)
        image: Image = np.repeat(np.tile(ramp, (self._height, 1))[:, :, None], 3, axis=2)
        radius = max(4, min(self._width, self._height) // 8)
        angle = 2 * math.pi * phase
        x = int(self._width / 2 + (self._width / 2 - radius) * math.cos(angle))
        y = int(self._height / 2 + (self._height / 2 - radius) * math.sin(angle))
        cv2.circle(image, (x, y), radius, (60, 180, 250), -1)
        x, y = self._width - x, self._height - y
        cv2.rectangle(image, (x - radius, y - radius), (x + radius, y + radius), (200, 120, 40), -1)
        return image
