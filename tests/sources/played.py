"""Files that tests of the file source play."""

from __future__ import annotations

import subprocess
from itertools import pairwise
from shutil import which
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from edged.errors import SourceError

if TYPE_CHECKING:
    from pathlib import Path

    from edged.records import Frame
    from edged.sources.file import FileSource


def played(source: FileSource) -> tuple[list[Frame], SourceError | None]:
    """All frames, and what was raised after the last."""
    source.open()
    frames: list[Frame] = []
    try:
        frames.extend(source.frames())  # extend() keeps what came before the error
    except SourceError as error:
        return frames, error
    finally:
        source.close()
    return frames, None


def in_order(frames: list[Frame]) -> bool:
    """Whether numbers have no gaps and times rise."""
    return [frame.frame_id for frame in frames] == list(range(len(frames))) and all(
        earlier.pts < later.pts for earlier, later in pairwise(frames)
    )


def image_file(path: Path, level: int) -> Path:
    """A noisy picture, so that every block of it has data of its own."""
    noise = np.random.default_rng(level).integers(0, 255, (48, 64, 3), np.uint8)
    cv2.imwrite(str(path), noise)
    return path


def run_ffmpeg(*arguments: str) -> bytes:
    if which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed (package ffmpeg)")
    return subprocess.run(["ffmpeg", "-v", "error", *arguments], check=True, capture_output=True).stdout
