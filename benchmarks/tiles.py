"""What EDGED_TILES finds of small things, and what it costs (benchmarks/tiles.md, docs/less.md).

    python benchmarks/tiles.py ../shared > benchmarks/tiles.md

The shared photos are shrunk into frames of 1920x1080, sixteen in each, in an order that changes from frame to
frame, so that seams cut them here and there; and each by itself is enlarged to such a frame, so that tiles
show no more than pieces of things. What is there is what another model has found in the photos as they are.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import av
import cv2
import numpy as np

from edged.model import detector
from edged.pipeline.admission import Admission
from edged.pipeline.follow import Follower
from edged.pipeline.regions import Attention, Tiles
from edged.pipeline.seams import merged
from edged.records import Box, Frame
from edged.scene import Scene, SceneRules
from edged.scene.motion import Background
from edged.settings.declared import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edged.imaging.geometry import Region
    from edged.model.detector import Detector
    from edged.pipeline.regions import Regions
    from edged.records import Detection, Image

MODELS = ("yolov8n_416_full_integer_quant", "yolov8n_640_full_integer_quant")
REFERENCE = "yolo11n_640_full_integer_quant"
WIDTH, HEIGHT = 1920, 1080
LAYOUTS = {(4, 4): 6, (1, 1): 16}
"""Photos beside and below each other, and frames of that kind."""
WAYS = {"whole": (None, True), "3x2": ((3, 2), False), "3x2 and whole": ((3, 2), True)}
"""Tiles, and whether all of the frame is looked at, too."""
CLIP = "clips/people_walking_720p30_h264.mp4"
_RATE, _STEP, _FRAMES = 30, 6, 50
BEGINS = 0.4
"""EDGED_SCORE_THRESHOLD as it is by default."""
SMALL = 32
"""Pixels, as the square root of the area, below which COCO calls an object small."""
_SURE = 0.5
"""Least score of what counts as there."""
_SCORE = 0.25
"""Least score of what counts as found."""
_HIT = 0.5
"""Overlap with which an object counts as found."""
_INSIDE = 0.8


@dataclass(slots=True)
class Tally:
    """What one way of looking came to."""

    there: Counter[str] = field(default_factory=Counter)
    """Objects by size: small, large."""
    found: Counter[str] = field(default_factory=Counter)
    twice: int = 0
    """Second boxes of an object that has one."""
    pieces: int = 0
    """Boxes that lie within an object which has another one."""
    wrong: int = 0
    """Boxes of nothing that is known to be there, those above included."""
    boxes: int = 0
    took_ms: list[float] = field(default_factory=list)


def main() -> None:
    """Measure all of it and print tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shared", type=Path, help="folder with models/, images/ and clips/")
    options = parser.parse_args()
    shared: Path = options.shared.resolve()
    photos = [read(path) for path in sorted((shared / "images").glob("*.jpg"))]
    there = [objects(shared, photo) for photo in photos]
    where = f"{platform.system()} {platform.release()}, {len(os.sched_getaffinity(0))} cores"
    print("# Small things in large frames\n")
    print(f"{where}, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f} (shared).")
    print(
        f"The shared photos, {len(photos)} of them, in frames of {WIDTH}x{HEIGHT}. There is what {REFERENCE}"
    )
    print(
        f"finds in the photos in full size at {_SURE}; the models' scores from {_SCORE}; found: an overlap of"
    )
    print(f"{_HIT}. Small: below {SMALL} pixels. Twice: a second box of an object; pieces: a box in one that")
    print(
        "is found; wrong: all boxes of nothing known; much of it is there, but the reference is less sure.\n"
    )
    print("| photos a frame | model | looks | small found | larger | boxes | twice | pieces | wrong | ms |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for (columns, rows), frames in LAYOUTS.items():
        sheets = [sheet(photos, there, number, columns, rows) for number in range(frames)]
        for name in MODELS:
            finds = load(shared, name, _SCORE)
            for kind, (tiles, whole) in WAYS.items():
                tally = Tally()
                for image, known in sheets:
                    count(look(finds, image, tiles, whole=whole, tally=tally), known, tally)
                print(row(columns * rows, name, kind, tally))
            finds.close()
    on_clip(shared)


def on_clip(shared: Path) -> None:
    """Crops around what moves and what is followed, beside the other ways, on a clip as a camera gives it."""
    print(f"\n{CLIP}, every {_STEP}th frame, {MODELS[-1]}, scores from {BEGINS}.")
    print("There is what 3x2 and whole finds in a frame; the first second is left out.\n")
    print("| looks | small found | larger | boxes | twice | pieces | invokes a frame |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    finds = load(shared, MODELS[-1], _SCORE)
    ways: dict[str, Regions | None] = {
        "3x2 and whole": Tiles(3, 2),
        "whole": None,
        "auto": Attention(Background(), watches=True),
    }
    known: list[list[tuple[str, Box]]] = []
    for kind, regions in ways.items():
        tally, follower, invokes = Tally(), Follower(Scene(SceneRules(begins=BEGINS, continues=_SCORE))), []
        admission = Admission(regions=regions)
        for number, frame in enumerate(frames(shared / CLIP)):
            seen, looks = look_as_daemon(finds, frame, admission, follower)
            strong = [one for one in seen if one.score >= BEGINS]
            if len(known) <= number:
                known.append([(one.label, one.box) for one in strong])
            if frame.pts >= 1:
                count(strong, known[number], tally)
                invokes.append(looks)
        shares = [f"{tally.found[size]} of {tally.there[size]}" for size in ("small", "large")]
        figures = [tally.boxes, tally.twice, tally.pieces, f"{statistics.mean(invokes):.1f}"]
        print("| " + " | ".join([kind, *shares, *map(str, figures)]) + " |")
    finds.close()


def look_as_daemon(
    finds: Detector, frame: Frame, admission: Admission, follower: Follower
) -> tuple[Sequence[Detection], int]:
    """What the scene makes of all looks at a frame, and how many there were."""
    preprocess, base = finds.preprocess, finds.preprocess.geometry(frame.width, frame.height).region
    parts = admission.parts(frame, base, preprocess.size, follower.places)
    tensor, looks = preprocess.new_input(), []
    for part in parts:
        geometry = preprocess(frame.pixels, tensor, part)
        looks.append((geometry.region, finds.decoder.decode(finds.engines[0].invoke(tensor), geometry)))
    known = None if admission.complete else follower.places
    found = merged(looks, base, known=known)
    return follower.look(frame, found).detections, len(parts)


def frames(path: Path) -> Iterator[Frame]:
    """Some of a clip's."""
    with av.open(str(path)) as clip:
        for number, picture in enumerate(clip.decode(video=0)):
            if number >= _STEP * _FRAMES:
                break
            if number % _STEP == 0:
                image = picture.to_ndarray(format="bgr24").astype(np.uint8)
                yield Frame(number, image, 1e9 + number / _RATE, number / _RATE, number / _RATE)


def read(path: Path) -> Image:
    """A photo."""
    image = cv2.imread(str(path))
    assert image is not None
    return image.astype(np.uint8, copy=False)


def load(shared: Path, name: str, score: float) -> Detector:
    """A model on the CPU."""
    path = shared / "models" / f"{name}.tflite"
    return detector.load(Settings(model=path, source="-", score_threshold=score, track=False))


def objects(shared: Path, photo: Image, _cache: dict[str, Detector] = {}) -> list[Detection]:  # noqa: B006
    """What is in a photo."""
    if not _cache:
        _cache[""] = load(shared, REFERENCE, _SURE)
    return look(_cache[""], photo, None, whole=True, tally=Tally())


def look(
    finds: Detector, image: Image, tiles: tuple[int, int] | None, *, whole: bool, tally: Tally
) -> list[Detection]:
    """All looks at one image, brought together as the pipeline does it."""
    preprocess, base = finds.preprocess, finds.preprocess.geometry(image.shape[1], image.shape[0]).region
    parts: Sequence[Region | None] = (None,)
    if tiles is not None:
        parts = Tiles(*tiles).of(None, base, preprocess.size, ())  # type: ignore[arg-type]  # all are alike
        parts = parts if whole else parts[1:]
    tensor = preprocess.new_input()
    began = time.perf_counter()
    looks = []
    for part in parts:
        geometry = preprocess(image, tensor, part)
        found = finds.decoder.decode(finds.engines[0].invoke(tensor), geometry)
        looks.append((geometry.region, found))
    result = merged(looks, base) if len(looks) > 1 else list(looks[0][1])
    tally.took_ms.append(1e3 * (time.perf_counter() - began))
    return result


def sheet(
    photos: Sequence[Image], there: Sequence[Sequence[Detection]], number: int, columns: int, rows: int
) -> tuple[Image, list[tuple[str, Box]]]:
    """A frame full of photos, and what is in it."""
    order = np.random.default_rng(number).permutation(len(photos)) if columns > 1 else [number]
    wide, high = WIDTH // columns, HEIGHT // rows
    image = np.full((HEIGHT, WIDTH, 3), 114, np.uint8)
    placed = []
    for cell, index in enumerate(order):
        photo = photos[index]
        scale = min(wide / photo.shape[1], high / photo.shape[0])
        size = (int(photo.shape[1] * scale), int(photo.shape[0] * scale))
        left, top = cell % columns * wide, cell // columns * high
        resized = cv2.resize(photo, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        image[top : top + size[1], left : left + size[0]] = resized
        for one in there[index]:
            x1, y1, x2, y2 = (edge * scale for edge in one.box)
            placed.append((one.label, Box(left + x1, top + y1, left + x2, top + y2)))
    return image, placed


def count(found: Sequence[Detection], there: Sequence[tuple[str, Box]], tally: Tally) -> None:
    """Match what was found with what is there, best score first."""
    taken: set[int] = set()
    tally.boxes += len(found)
    for _, box in there:
        tally.there[size_of(box)] += 1
    for one in found:
        overlaps = [overlap(one.box, box)[0] if one.label == label else 0.0 for label, box in there]
        free = [n for n, value in enumerate(overlaps) if value >= _HIT and n not in taken]
        if free:
            best = max(free, key=lambda n: overlaps[n])
            taken.add(best)
            tally.found[size_of(there[best][1])] += 1
            continue
        tally.wrong += 1
        if any(value >= _HIT for value in overlaps):
            tally.twice += 1
        elif any(one.label == there[n][0] and overlap(one.box, there[n][1])[1] >= _INSIDE for n in taken):
            tally.pieces += 1


def size_of(box: Box) -> str:
    """As the table has it."""
    return "small" if ((box.x2 - box.x1) * (box.y2 - box.y1)) ** 0.5 < SMALL else "large"


def overlap(one: Box, other: Box) -> tuple[float, float]:
    """Intersection over union, and over the first."""
    wide = min(one.x2, other.x2) - max(one.x1, other.x1)
    high = min(one.y2, other.y2) - max(one.y1, other.y1)
    common = max(0.0, wide) * max(0.0, high)
    first, second = ((box.x2 - box.x1) * (box.y2 - box.y1) for box in (one, other))
    return common / (first + second - common), common / max(first, 1e-9)


def row(photos: int, model: str, kind: str, tally: Tally) -> str:
    """One line of the table."""
    shares = [f"{tally.found[size]} of {tally.there[size]}" for size in ("small", "large")]
    figures = [tally.boxes, tally.twice, tally.pieces, tally.wrong, f"{statistics.median(tally.took_ms):.0f}"]
    return "| " + " | ".join([str(photos), model, kind, *shares, *map(str, figures)]) + " |"


if __name__ == "__main__":
    main()
