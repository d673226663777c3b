"""Results as the pipeline makes them, of moving pictures and chosen detections."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edged.imaging.picture import Picture
from edged.records import Box, Detection, Frame, Result

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edged.records import Image

START = 1_795_402_882.0
"""2026-11-23T03:01:22Z."""
SOMETHING = Detection(0, "person", 0.9, Box(10, 20, 60, 90))


def picture(number: int, size: tuple[int, int] = (160, 120), *, noise: bool = False) -> Image:
    """A disc that moves; with ``noise`` nothing can be compressed."""
    width, height = size
    image: Image = np.full((height, width, 3), 40, np.uint8)
    if noise:
        image = np.random.default_rng(number).integers(0, 255, (height, width, 3), np.uint8)
    x = 10 + 7 * number % (width - 20)
    cv2.circle(image, (x, height // 2), 8, (0, 200, 255), -1)
    return image


def result(
    number: int,
    *,
    pts: float,
    ts: float,
    size: tuple[int, int] = (160, 120),
    seen: bool = False,
    noise: bool = False,
    waits: bool = True,
) -> Result:
    """One result."""
    image = picture(number, size, noise=noise)
    found = (SOMETHING,) if seen else ()
    frame = Frame(number, image, ts, time.monotonic(), pts)
    timings = {"capture": 1.0, "predict": 5.0 + number % 3, "total": 7.0}
    return Result(frame, "a-model", found, timings, Picture(image, found), waits=waits)


def results(
    seconds: float,
    *,
    fps: float = 20,
    size: tuple[int, int] = (160, 120),
    seen: Callable[[float], bool] = lambda _: False,
    start: float = 0.0,
    noise: bool = False,
) -> Iterator[Result]:
    """A stream of results.

    Args:
        seconds: how long.
        fps: how many a second.
        size: of the pictures.
        seen: whether there is something at a media time.
        start: media time of the first one.
        noise: as in :func:`picture`.
    """
    for number in range(round(seconds * fps)):
        pts = start + number / fps
        yield result(number, pts=pts, ts=START + pts, size=size, seen=seen(pts), noise=noise)
