"""How fast and how good the models of the catalog are (models/catalog.toml, benchmarks/catalog.md).

    python benchmarks/catalog.py MODELS PICTURES --labels LABELS > benchmarks/catalog.md
    python benchmarks/catalog.py MODELS PICTURES --against MODEL > benchmarks/catalog.md

Models are recognised by their content, whatever their files are called. With LABELS, a folder with a .txt
for each picture in YOLO's format (class, centre x, centre y, width, height, 0..1; COCO's 80 classes), average
precision is the one that COCO knows; without any, what another detector is sure of counts as there.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edged.decoders import decoder_class
from edged.engines.cpu import CpuEngine
from edged.imaging.tensors import Preprocessor
from edged.model import catalog, file
from edged.model.catalog import CatalogError
from edged.model.description import describe

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from edged.model.catalog import Entry
    from edged.records import Box, Detection, Image

    Finds = Callable[[Image], Sequence[Detection]]
    There = list[tuple[str, Sequence[float]]]

_LEAST = 0.01
"""Score from which detections count: average precision wants the unsure ones, too."""
_SURE = 0.5
"""Score from which what another detector finds is there."""
_OVERLAP = 0.6
_LIMITS = np.arange(0.5, 1.0, 0.05)
"""Overlaps with which a box is right, as COCO averages over them."""
_RECALLS = np.linspace(0, 1, 101)
_WARM, _RUNS = 5, 40


def main() -> None:
    """Measure what is there and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", type=Path, help="folder with .tflite files")
    parser.add_argument("pictures", type=Path, help="folder with .jpg files")
    truth = parser.add_mutually_exclusive_group(required=True)
    truth.add_argument("--labels", type=Path, help="folder with what the pictures show")
    truth.add_argument("--against", type=Path, help="a detector whose word is taken")
    options = parser.parse_args()
    pictures = {path: read(path) for path in sorted(options.pictures.glob("*.jpg"))}
    there = known(options, pictures)
    where = f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}"
    count = sum(map(len, there))
    judge = "as labelled" if options.labels else f"as {options.against.stem} is sure of ({_SURE} or more)"
    print("# Models of the catalog\n")
    print(f"{where}; ms: the median of {_RUNS} invokes of one thread. AP: average precision over overlaps of")
    print(f"0.50 to 0.95, AP50: at 0.50, of {count} objects {judge} in {len(pictures)} pictures.\n")
    print("| model | input | ms | AP | AP50 |\n| --- | --- | --- | --- | --- |")
    files = {catalog.blob_id(path): path for path in sorted(options.models.glob("*.tflite"))}
    for entry in catalog.load().entries:
        path = source(entry, files)
        if path is None or entry.cpu_twin:
            continue
        finds, ms = opened(path, labels_of(entry, options.models))
        figures = ["-", "-"]
        if "COCO" in entry.about:
            found = [finds(picture) for picture in pictures.values()]
            figures = [f"{value:.2f}" for value in precision(found, there)]
        size = "x".join(map(str, entry.input))
        print(f"| {entry.name} | {size} | {ms:.1f} | {' | '.join(figures)} |", flush=True)


def source(entry: Entry, files: Mapping[str, Path]) -> Path | None:
    """Where the entry's model lies, whatever it is called there; None: it is not here."""
    if not entry.model.package:
        return files.get(entry.model.blob)
    try:
        return catalog.find_package_file(entry.model)
    except CatalogError:
        return None


def labels_of(entry: Entry, folder: Path) -> Path | None:
    """The labels that go with a model, where they are at hand."""
    if entry.labels is None:
        return None
    places = (folder / entry.labels.file, catalog.assets() / entry.labels.file)
    return next((place for place in places if place.is_file()), None)


def opened(path: Path, labels: Path | None) -> tuple[Finds, float]:
    """What finds things in a picture, and the milliseconds an invoke takes."""
    engine = CpuEngine(path)
    model = describe(file.read(path, labels=labels), engine.inputs, engine.outputs, engine.invoke)
    decoder = decoder_class(model)(model, score_threshold=_LEAST, iou_threshold=_OVERLAP)
    preprocess = Preprocessor(model.inputs[0], decoder.encoding)
    tensor = preprocess.new_input()

    def finds(picture: Image) -> Sequence[Detection]:
        geometry = preprocess(picture, tensor)
        return decoder.decode(engine.invoke(tensor), geometry)

    preprocess(np.full((480, 640, 3), 90, np.uint8), tensor)
    took = []
    for run in range(_WARM + _RUNS):
        began = time.perf_counter()
        engine.invoke(tensor)
        if run >= _WARM:
            took.append(1e3 * (time.perf_counter() - began))
    return finds, statistics.median(took)


def known(options: argparse.Namespace, pictures: Mapping[Path, Image]) -> list[There]:
    """What every picture shows: names and corners, pixels."""
    if options.against:
        finds, _ = opened(options.against, None)
        return [
            [(one.label, one.box) for one in finds(picture) if one.score >= _SURE]
            for picture in pictures.values()
        ]
    names = file.read_labels(catalog.assets() / "coco_labels80.txt").names
    return [
        labelled(options.labels / f"{path.stem}.txt", names, picture) for path, picture in pictures.items()
    ]


def labelled(path: Path, names: Sequence[str], picture: Image) -> There:
    """The lines of a file in YOLO's format; a picture without one shows nothing."""
    height, width = picture.shape[:2]
    made: There = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        class_id, x, y, wide, high = map(float, line.split()[:5])
        left, top = (x - wide / 2) * width, (y - high / 2) * height
        made.append((names[int(class_id)], (left, top, left + wide * width, top + high * height)))
    return made


def precision(found: Sequence[Sequence[Detection]], there: Sequence[There]) -> tuple[float, float]:
    """Average precision over all limits, and at the lowest: the mean of the labels that are there."""
    labels = sorted({label for one in there for label, _ in one})
    each = np.array([[of_label(label, found, there, limit) for limit in _LIMITS] for label in labels])
    return float(each.mean()), float(each[:, 0].mean())


def of_label(label: str, found: Sequence[Sequence[Detection]], there: Sequence[There], limit: float) -> float:
    """The area below precision over recall, of one label with one limit."""
    wanted = [[box for name, box in one if name == label] for one in there]
    claims = sorted(
        (
            (one.score, picture, one.box)
            for picture, seen in enumerate(found)
            for one in seen
            if one.label == label
        ),
        key=lambda claim: -claim[0],
    )
    taken: set[tuple[int, int]] = set()
    right = np.zeros(len(claims))
    for place, (_, picture, box) in enumerate(claims):
        overlaps = {
            number: overlap(box, other)
            for number, other in enumerate(wanted[picture])
            if (picture, number) not in taken
        }
        best = max(overlaps, key=lambda number: overlaps[number], default=None)
        if best is not None and overlaps[best] >= limit:
            taken.add((picture, best))
            right[place] = 1
    hits = right.cumsum()
    recall, exact = hits / sum(map(len, wanted)), hits / np.arange(1, len(claims) + 1)
    exact = np.maximum.accumulate(exact[::-1])[::-1]
    places = np.searchsorted(recall, _RECALLS)
    return float(np.append(exact, 0.0)[places].mean())


def overlap(one: Box | Sequence[float], other: Box | Sequence[float]) -> float:
    """Intersection over union."""
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    common = max(0.0, wide) * max(0.0, high)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return common / (areas - common)


def read(path: Path) -> Image:
    """A photo."""
    image = cv2.imread(str(path))
    assert image is not None
    return image.astype(np.uint8, copy=False)


if __name__ == "__main__":
    main()
