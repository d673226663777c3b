"""What the motion gate misses, and what it saves, where things do move (benchmarks/less.md).

    python benchmarks/moving.py ../shared [--model models/yolov8n_640_full_integer_quant.tflite]

`edged run` on each of the shared clips in which something moves, once with every frame inferred and once with
EDGED_MOTION=pixels. An object is a track that the first run saw for half a second or more. It is found with
the gate on if boxes of its label lie on its own (an overlap of a half) in at least half of its frames; every
frame has a result, also those that the model was not shown. How loaded the machine is changes nothing: a file
waits, and the gate goes by the time of the frames.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import av

Box: TypeAlias = tuple[float, float, float, float]
CLIPS = (
    "car_768x432_h264_30s.mp4",
    "cars_640x360_msmpeg4v2.avi",
    "pedestrians_626x360_h264.mp4",
    "people_walking_720p30_h264.mp4",
    "vtest_pets2009_480x360_10fps_79s.mp4",
)
CAR = CLIPS[0]
QUIET = ((0.5, 4.0), (10.5, 14.0))
"""Seconds of the car clip in which nothing moves but leaves: the car park is empty."""
_LEAST_S = 0.5
_OVERLAP = 0.5
_SHARE = 0.5


@dataclass(frozen=True)
class Seen:
    """What a run has told of a clip."""

    inferred: list[bool]
    """By frame: whether the model was shown it."""
    boxes: list[list[tuple[str, int | None, Box]]]
    """By frame: label, track, box."""


def main() -> None:
    """Run all clips, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shared", type=Path, help="folder with models/ and clips/")
    parser.add_argument("--model", type=Path, default=Path("models/yolov8n_640_full_integer_quant.tflite"))
    options = parser.parse_args()
    print("| clip | frames | inferred with the gate | objects | found with the gate on |")
    print("| --- | --- | --- | --- | --- |")
    objects = found = 0
    for name in CLIPS:
        clip, model = options.shared / "clips" / name, options.shared / options.model
        every, gated = (run(clip.resolve(), model.resolve(), motion) for motion in ("off", "pixels"))
        fps = rate(clip)
        tracks = followed(every, least=round(_LEAST_S * fps))
        hits = [covered(boxes, label, gated) >= _SHARE for (label, _), boxes in tracks.items()]
        objects, found = objects + len(hits), found + sum(hits)
        print(
            f"| {name} | {len(every.inferred)} | {sum(gated.inferred)} | {len(hits)} | {sum(hits)} |",
            flush=True,
        )
        if name == CAR:
            for begin, end in QUIET:
                stretch = slice(round(begin * fps), round(end * fps))
                took = [sum(one.inferred[stretch]) for one in (every, gated)]
                print(f"| of it {begin:g} to {end:g} s, quiet | {took[0]} | {took[1]} | | |")
    print(f"| all | | | {objects} | {found}: {100 * found / objects:.1f} % |")


def run(clip: Path, model: Path, motion: str) -> Seen:
    """What the daemon tells of a clip."""
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder) / "lines.jsonl"
        settings = {
            "EDGED_SOURCE": str(clip),
            "EDGED_MODEL": str(model),
            "EDGED_MOTION": motion,
            "EDGED_JSONL": str(lines),
        }
        plain = {name: value for name, value in os.environ.items() if not name.startswith("EDGED_")}
        subprocess.run(
            [sys.executable, "-m", "edged", "run"],
            env=plain | settings,
            check=True,
            stderr=subprocess.DEVNULL,
        )
        told: list[dict[str, Any]] = [json.loads(line) for line in lines.read_text().splitlines()]
    return Seen(
        [one["inferred"] for one in told],
        [
            [(found["label"], found["track"], tuple(found["box"])) for found in one["detections"]]
            for one in told
        ],
    )


def rate(clip: Path) -> float:
    """Frames a second."""
    with av.open(str(clip)) as container:
        return float(container.streams.video[0].average_rate or 25)


def followed(seen: Seen, *, least: int) -> dict[tuple[str, int], dict[int, Box]]:
    """Boxes by frame of every track that was seen in ``least`` frames."""
    tracks: defaultdict[tuple[str, int], dict[int, Box]] = defaultdict(dict)
    for frame, boxes in enumerate(seen.boxes):
        for label, track, box in boxes:
            if track is not None:
                tracks[label, track][frame] = box
    return {key: boxes for key, boxes in tracks.items() if len(boxes) >= least}


def covered(boxes: dict[int, Box], label: str, seen: Seen) -> float:
    """In which share of its frames an object was seen in another run, too."""
    hits = sum(
        any(other == label and overlap(box, its) >= _OVERLAP for other, _, its in seen.boxes[frame])
        for frame, box in boxes.items()
    )
    return hits / len(boxes)


def overlap(one: Box, other: Box) -> float:
    """Intersection over union."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(right - left) * (low - high) for left, high, right, low in (one, other)]
    return width * height / (sum(areas) - width * height)


if __name__ == "__main__":
    main()
