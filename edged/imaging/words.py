"""Text to be laid over pictures.

OpenCV 5 unpacks its fonts anew for every thread that writes or measures text, 6 MB and a tenth of a second
each, and never gives them back. So one thread writes for all, and is the process's own: one that ended would
leave its fonts behind.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import lru_cache
from queue import SimpleQueue
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edged import bridge

if TYPE_CHECKING:
    from edged.records import Image

_FONT = cv2.FONT_HERSHEY_SIMPLEX


@dataclass(frozen=True, slots=True)
class Written:
    """One line of text."""

    mask: Image
    """uint8, height x width, both even: how much of each pixel is covered, 255 for all."""
    half: Image
    """The same in half the size."""
    base: tuple[int, int]
    """x, y in ``mask``: where the base line begins."""


@dataclass(slots=True)
class _Job:
    text: str
    scale: float
    weight: int
    margin: int
    done: threading.Event = field(default_factory=threading.Event)
    written: Written | None = None
    error: BaseException | None = None


class _Writer:
    """Owns the thread, which begins with the first text and goes with the process."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[_Job] = SimpleQueue()
        self._lock = threading.Lock()
        self._begun = False

    def write(self, text: str, scale: float, weight: int, margin: int) -> Written:
        with self._lock:
            if not self._begun:
                bridge.start("words", self._run)
                self._begun = True
        job = _Job(text, scale, weight, margin)
        self._jobs.put(job)
        job.done.wait()
        if job.error is not None:
            raise job.error
        assert job.written is not None  # noqa: S101  # it is done
        return job.written

    def _run(self) -> None:
        while True:
            job = self._jobs.get()
            try:
                job.written = _written(job.text, job.scale, job.weight, job.margin)
            except BaseException as error:  # noqa: BLE001  # handed on to who waits
                job.error = error
            job.done.set()
            del job


_WRITER = _Writer()


@lru_cache(maxsize=256)
def written(text: str, scale: float, weight: int, margin: int) -> Written:
    """The text, of a size and weight as OpenCV has them, with so many pixels around it. From any thread."""
    return _WRITER.write(text, scale, weight, margin)


def _written(text: str, scale: float, weight: int, margin: int) -> Written:
    (width, height), below = cv2.getTextSize(text, _FONT, scale, weight)
    wide, high = width + 2 * margin, height + below + 2 * margin
    mask = np.zeros((high + high % 2, wide + wide % 2), np.uint8)
    base = margin, margin + height
    cv2.putText(mask, text, base, _FONT, scale, 255, weight, cv2.LINE_AA)
    half = cv2.resize(mask, (mask.shape[1] // 2, mask.shape[0] // 2), interpolation=cv2.INTER_AREA)
    return Written(mask, half, base)  # type: ignore[arg-type]  # uint8 as given
