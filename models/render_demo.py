# ruff: noqa: INP001  # a script beside its product, not a module of the package
"""Render demo.mp4: two public-domain portraits hang, move and leave on a drawn wall.

This is how the clip was made; nobody needs to run it to use edged. In a throw-away virtual environment:

    pip install scikit-image==0.26.0 matplotlib==3.10.8 opencv-python-headless==5.0.0.93 av==18.1.0
    python models/render_demo.py models/demo.mp4

The same versions give the same bytes: nothing is random, and the encoder runs in one thread.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import av
import cv2
import matplotlib as mpl
import numpy as np
import skimage

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels: TypeAlias = npt.NDArray[np.uint8]

WIDTH, HEIGHT, FPS, SECONDS = 640, 480, 25, 8
MAT = 16
"""Width of the white edge of a print, pixels of the photo."""


@dataclass(frozen=True, slots=True)
class Pose:
    """Where a print hangs at one moment."""

    t: float
    """Seconds since the start of the clip."""
    x: float
    y: float
    """Centre, pixels of the clip; prints far outside are not seen."""
    scale: float
    """Pixels of the clip to one pixel of the photo."""
    degrees: float
    """Turned counter-clockwise."""


ASTRONAUT = (
    Pose(0.9, -240, 300, 0.62, 6),
    Pose(1.7, 225, 290, 0.62, -2),
    Pose(2.8, 250, 285, 0.86, 1),
    Pose(3.8, 165, 262, 0.66, -1),
    Pose(5.0, 190, 246, 0.66, 2),
    Pose(5.8, 190, -260, 0.62, -5),
)
HOPPER = (
    Pose(2.9, 860, 250, 0.50, -6),
    Pose(3.7, 480, 262, 0.50, 2),
    Pose(4.8, 462, 250, 0.58, 0),
    Pose(5.7, 372, 262, 0.72, -2),
    Pose(6.4, 330, 270, 0.66, 1),
    Pose(7.2, 330, 760, 0.66, -3),
)


def pose_at(poses: tuple[Pose, ...], t: float) -> Pose:
    """Between two poses a print starts and stops softly."""
    if t <= poses[0].t:
        return poses[0]
    for before, after in pairwise(poses):
        if t < after.t:
            way = (t - before.t) / (after.t - before.t)
            way = way * way * (3 - 2 * way)
            return Pose(
                t,
                before.x + (after.x - before.x) * way,
                before.y + (after.y - before.y) * way,
                before.scale + (after.scale - before.scale) * way,
                before.degrees + (after.degrees - before.degrees) * way,
            )
    return poses[-1]


def photo(path: Path) -> Pixels:
    """The photo, slightly smoothed because it will be shrunk, with the edge of a print."""
    pixels: Any = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if pixels is None:
        raise FileNotFoundError(path)
    pixels = cv2.GaussianBlur(pixels, (0, 0), 0.7)
    return np.asarray(
        cv2.copyMakeBorder(pixels, MAT, MAT, MAT, MAT, cv2.BORDER_CONSTANT, value=(244, 247, 248)), np.uint8
    )


def wall() -> Pixels:
    """A wall lit from above, a rail and a dark skirting board."""
    down = np.linspace(0, 1, HEIGHT, dtype=np.float32)[:, None, None]
    across = np.linspace(-1, 1, WIDTH, dtype=np.float32)[None, :, None]
    paint = np.array([150, 142, 116], np.float32)
    pixels = (paint * (1.12 - 0.38 * down - 0.10 * across**2)).clip(0, 255).astype(np.uint8)
    cv2.rectangle(pixels, (0, 26), (WIDTH, 33), (92, 118, 146), cv2.FILLED)
    cv2.line(pixels, (0, 34), (WIDTH, 34), (70, 84, 98), 1)
    cv2.rectangle(pixels, (0, 452), (WIDTH, HEIGHT), (44, 52, 60), cv2.FILLED)
    return pixels


def draw_time(picture: Pixels, t: float) -> None:
    """A red slider on the rail, with a notch every second: any frame tells its time."""
    for second in range(1, SECONDS):
        x = second * WIDTH // SECONDS
        cv2.line(picture, (x, 27), (x, 32), (52, 66, 82), 2)
    x = round(t / SECONDS * WIDTH)
    cv2.rectangle(picture, (x - 5, 23), (x + 5, 36), (40, 40, 190), cv2.FILLED)


def hang(picture: Pixels, print_: Pixels, pose: Pose) -> Pixels:
    """The picture with a print and its shadow."""
    height, width = print_.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), pose.degrees, pose.scale)
    matrix[:, 2] += (pose.x - width / 2, pose.y - height / 2)
    size = (WIDTH, HEIGHT)
    solid = np.full((height, width), 255, np.uint8)
    mask = np.asarray(cv2.warpAffine(solid, matrix, size), np.float32)[..., None] / 255
    moved = cv2.warpAffine(print_, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    matrix[:, 2] += (7, 9)
    shade = cv2.GaussianBlur(cv2.warpAffine(solid, matrix, size), (0, 0), 6)
    dark = 1 - 0.45 * np.asarray(shade, np.float32)[..., None] / 255
    return np.asarray((picture * dark * (1 - mask) + moved * mask).round(), np.uint8)


def frames() -> list[Pixels]:
    """All frames of the clip, blue-green-red."""
    astronaut = photo(Path(skimage.__file__).parent / "data" / "astronaut.png")
    hopper = photo(Path(mpl.get_data_path()) / "sample_data" / "grace_hopper.jpg")
    empty = wall()
    pictures = []
    for number in range(FPS * SECONDS):
        t = number / FPS
        picture = empty.copy()
        draw_time(picture, t)
        picture = hang(picture, astronaut, pose_at(ASTRONAUT, t))
        pictures.append(hang(picture, hopper, pose_at(HOPPER, t)))
    return pictures


def encode(pictures: list[Pixels], path: Path) -> None:
    """H.264 in MP4 with true timestamps, the index in front."""
    options = {"movflags": "+faststart", "fflags": "+bitexact"}
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.thread_count = 1
        stream.codec_context.options = {"crf": "24", "preset": "veryslow", "g": "50", "threads": "1"}
        for number, pixels in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(pixels, format="bgr24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def main() -> None:
    """Render the clip to the path that was given."""
    parser = argparse.ArgumentParser(description="render the demo clip")
    parser.add_argument("path", type=Path)
    encode(frames(), parser.parse_args().path)


if __name__ == "__main__":
    main()
