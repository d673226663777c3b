"""Looking at recorded video with two players: PyAV and ffprobe."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import av

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Film:
    """What a player shows."""

    codec: str
    width: int
    height: int
    times: list[float]
    """When each picture is shown, seconds."""
    keyframes: list[float]


def play(path: Path) -> Film:
    """Decode all pictures."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        pictures = list(container.decode(stream))
        assert all(picture.time is not None for picture in pictures)
        times = [float(picture.time or 0) for picture in pictures]
        keyframes = [float(picture.time or 0) for picture in pictures if picture.key_frame]
        return Film(context.name, pictures[-1].width, pictures[-1].height, times, keyframes)


def complaints(path: Path) -> str:
    """What ffprobe dislikes about a file when it decodes all of it; it must find pictures there."""
    done = subprocess.run(
        ["ffprobe", "-v", "error", "-count_frames", "-show_entries", "stream=nb_read_frames",
         "-of", "default=nw=1:nk=1", str(path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert int(done.stdout.strip() or 0) > 0, f"{path.name} has no picture: {done.stderr}"
    return done.stderr


def lines(path: Path) -> list[dict[str, Any]]:
    """The detections beside a segment."""
    return [json.loads(line) for line in path.with_suffix(".jsonl").read_text("utf-8").splitlines()]


def segments(folder: Path) -> list[Path]:
    """The video of a folder in the order of names."""
    return sorted(folder.glob("*.mp4"))
