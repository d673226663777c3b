"""Moving shapes: a source that needs no camera and no file, for tests, benchmarks and a first look."""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import cv2
import numpy as np

from edged.errors import ConfigError
from edged.records import Frame
from edged.sources.pace import Pace, turned

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edged.records import Image
    from edged.settings.declared import Settings

_DEFAULTS = {"width": "640", "height": "480", "fps": "30", "count": "0", "live": "true"}
_SMALLEST = 16
_LARGEST = 16384
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
        limit: frames a second at the most, or None for all.
        rotate: degrees clockwise.
    """

    problem = ""
    reconnects = 0

    def __init__(
        self,
        *,
        width: int = 640,
        height: int = 480,
        fps: float = 30.0,
        count: int = 0,
        live: bool = True,
        limit: float | None = None,
        rotate: int = 0,
    ) -> None:
        self.live = live
        self.skipped: Counter[str] = Counter({"rate": 0})
        self._width = width
        self._height = height
        self._fps = fps
        self._count = count
        self._pace = Pace(limit)
        self._rotate = rotate
        self._stopped = threading.Event()
        self._ring: list[Image] = []

    @classmethod
    def create(cls, settings: Settings) -> SyntheticSource:
        """As ``EDGED_SOURCE`` says behind ``synthetic:``, and the settings for all sources."""
        text = settings.source.removeprefix("synthetic:").removeprefix("?")
        chosen = _DEFAULTS | dict(parse_qsl(text, keep_blank_values=True))
        try:
            width, height, count = (int(chosen[name]) for name in ("width", "height", "count"))
            fps = float(chosen["fps"])
            wrong = _wrong(chosen, (width, height), min(count, fps), fps)
        except ValueError as error:
            wrong = str(error)
        if wrong:
            raise ConfigError(
                f"EDGED_SOURCE={settings.source!r} is malformed: {wrong}",
                hint="Write synthetic:?width=640&height=480&fps=30&count=0&live=true, or parts of it",
            )
        return cls(
            width=width,
            height=height,
            fps=fps,
            count=count,
            live=chosen["live"] == "true",
            limit=settings.fps,
            rotate=settings.rotate,
        )

    def open(self) -> None:
        """Draw the pictures."""
        self._ring = [turned(self._draw(step / _RING), self._rotate) for step in range(_RING)]

    def frames(self) -> Iterator[Frame]:
        """Pictures at the chosen rate; one that is late does not delay those after it."""
        begun = time.monotonic()
        given = 0
        for number in range(self._count) if self._count else itertools.count():
            due = number / self._fps if self._fps else time.monotonic() - begun
            pause = begun + due - time.monotonic()
            if self._stopped.is_set() or (pause > 0 and self._stopped.wait(pause)):
                return
            if not self._pace.due(due):
                self.skipped["rate"] += 1
                continue
            self._pace.given(due)
            # A copy, as from a camera: whoever draws on a frame must not draw on a later one.
            image = self._ring[number % _RING].copy()
            yield Frame(given, image, time.time(), time.monotonic(), due)
            given += 1

    def properties(self) -> dict[str, Any]:
        """Kind, width, height and frame rate."""
        width, height = (
            (self._width, self._height) if self._rotate % 180 == 0 else (self._height, self._width)
        )
        found: dict[str, Any] = {"kind": "synthetic", "width": width, "height": height}
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


def _wrong(chosen: dict[str, str], size: tuple[int, int], least: float, fps: float) -> str:
    """What is wrong with the parts of the URL; empty if nothing is."""
    if unknown := sorted(chosen.keys() - _DEFAULTS.keys()):
        return f"there is no {unknown[0]!r}"
    if chosen["live"] not in {"true", "false"}:
        return f"live={chosen['live']!r} is neither true nor false"
    if min(size) < _SMALLEST or max(size) > _LARGEST or least < 0 or not math.isfinite(fps):
        return f"sizes are {_SMALLEST} to {_LARGEST} pixels, counts and rates start at 0"
    return ""
