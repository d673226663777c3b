"""Display matrices and EXIF, compared with what FFmpeg and OpenCV make of them."""

from __future__ import annotations

import math
import shutil
import struct
import subprocess
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from source_clips import make, nothing_left_to_the_collector

from edged.sources.file import FileSource

if TYPE_CHECKING:
    from pathlib import Path

    from edged.records import Image

EIGHT = {
    "none": (1, 0, 0, 1),
    "hflip": (-1, 0, 0, 1),
    "half": (-1, 0, 0, -1),
    "vflip": (1, 0, 0, -1),
    "transpose": (0, 1, 1, 0),
    "clockwise": (0, 1, -1, 0),
    "anti-transpose": (0, -1, -1, 0),
    "counter-clockwise": (0, -1, 1, 0),
}


def turn(degrees: float) -> tuple[float, ...]:
    angle = math.radians(degrees)
    return (math.cos(angle), math.sin(angle), -math.sin(angle), math.cos(angle))


def clip(path: Path, matrix: tuple[float, ...]) -> Path:
    make(path, frames=2)
    a, b, c, d = (round(part * 65536) for part in matrix)
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def by_ffmpeg(path: Path) -> Image:
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed (package ffmpeg)")
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-i",
        str(path),
        "-frames:v",
        "1",
        "-f",
        "image2pipe",
        "-c:v",
        "bmp",
        "-",
    ]
    shown = subprocess.run(command, check=True, capture_output=True).stdout
    image = cv2.imdecode(np.frombuffer(shown, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return image  # type: ignore[return-value]  # uint8


def by_edged(path: Path, rotate: int = 0) -> Image:
    source = FileSource(str(path), rotate=rotate)
    source.open()
    return next(iter(source.frames())).image


def difference(ours: Image, theirs: Image) -> float:
    assert ours.shape == theirs.shape
    return float(np.abs(ours.astype(int) - theirs).mean())


@pytest.mark.parametrize("name", EIGHT)
def test_flips_and_turns_are_those_of_ffmpeg(tmp_path: Path, name: str) -> None:
    path = clip(tmp_path / "clip.mp4", EIGHT[name])
    shown = by_ffmpeg(path)
    assert difference(by_edged(path), shown) < 3
    turned = cv2.rotate(shown, cv2.ROTATE_90_CLOCKWISE)
    assert difference(by_edged(path, 90), turned) < 3  # type: ignore[arg-type]  # uint8


@pytest.mark.parametrize("degrees", [1, 2, 45, 89.5, 91, 135, 200, 271, 300, 359])
def test_odd_angles_are_those_of_ffmpeg(tmp_path: Path, degrees: float) -> None:
    path = clip(tmp_path / "clip.mp4", turn(degrees))
    assert difference(by_edged(path), by_ffmpeg(path)) < 8


@pytest.mark.parametrize("matrix", [(0, 0, 0, 0), (1, 0, 0, 0), (0, 0, 0, 1), (2, 0, 0, 2)])
def test_a_matrix_without_a_turn_turns_nothing(tmp_path: Path, matrix: tuple[float, ...]) -> None:
    path = clip(tmp_path / "clip.mp4", matrix)
    assert difference(by_edged(path), by_ffmpeg(path)) < 3


def exif(orientation: int) -> bytes:
    """The marker segment of a JPEG that says nothing else."""
    tiff = (
        b"MM\x00\x2a\x00\x00\x00\x08\x00\x01" + struct.pack(">HHIHH", 0x112, 3, 1, orientation, 0) + bytes(4)
    )
    return b"\xff\xe1" + struct.pack(">H", len(tiff) + 8) + b"Exif\0\0" + tiff


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "jpeg", "mjpeg", "mjpg"])
def test_exif_means_the_same_for_every_suffix(tmp_path: Path, suffix: str, orientation: int) -> None:
    image = np.zeros((96, 160, 3), np.uint8)
    image[:48, :80], image[:48, 80:], image[48:, :80] = (220, 40, 30), (30, 200, 40), (40, 30, 210)
    data = cv2.imencode(".jpg", image)[1].tobytes()
    path = tmp_path / f"photo.{suffix}"
    path.write_bytes(data[:2] + exif(orientation) + data[2:])
    expected = cv2.imread(str(path), cv2.IMREAD_COLOR)
    assert expected is not None
    assert difference(by_edged(path), expected) < 6  # type: ignore[arg-type]  # uint8


def test_a_turned_clip_leaves_nothing_in_circles(tmp_path: Path) -> None:
    path = clip(tmp_path / "clip.mp4", EIGHT["transpose"])
    with nothing_left_to_the_collector():
        by_edged(path)
