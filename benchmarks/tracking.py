"""Tracks against ground truth: HOTA, IDF1, identity switches and cost of edged.scene, and of its rivals.

    python benchmarks/tracking.py [--data ../shared/tracking] [--lines RUN.jsonl]

With --lines it judges a whole run of edged instead: EDGED_JSONL of the clip that shows PETS09-S2L1 at 0.625
of its size.

Needs an environment of its own with numpy, `trackers==2.6.1` and `supervision`, which are no dependencies of
edged: `python3 -m venv E; E/bin/pip install trackers==2.6.1 supervision`, then this with `E/bin/python`.
Detections are given with each sequence; only objects that have a name by now are told (no look back), and one
that was missed for no longer than 0.2 s where it is predicted to be.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from edged.records import Box, Detection, Frame  # noqa: E402  # from this checkout, installed or not
from edged.scene import Scene, SceneRules  # noqa: E402  # as above
from edged.scene.tracks import Tracker, TrackRules  # noqa: E402  # as above
from edged.settings.areas import Area  # noqa: E402  # as above

SEQUENCES = {"KITTI-17": 10, "MOT16-09": 30, "PETS09-S2L1": 7, "TUD-Campus": 25}
"""Frames a second."""
COAST_S = 0.2


def evaluation(data: Path) -> Any:
    """The module that comes with the data."""
    spec = importlib.util.spec_from_file_location("evaluate", data / "evaluate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def follow(detections: Any, frames: range, rate: float) -> tuple[list[tuple[float, ...]], float]:
    """Lines of a tracks file, and seconds of CPU a frame."""
    tracker = Tracker(TrackRules(), itertools.count(1))
    lines: list[tuple[float, ...]] = []
    spent = 0.0
    for count, frame in enumerate(frames, 1):
        rows = detections[detections[:, 0] == frame]
        boxes = np.concatenate([rows[:, 2:4], rows[:, 2:4] + rows[:, 4:6]], axis=1)
        now = frame / rate
        started = time.thread_time()
        tracker.update(now, boxes, rows[:, 6])
        spent += time.thread_time() - started
        for track in tracker.tracks:
            if track.known and now - track.seen_s <= COAST_S:
                x1, y1, x2, y2 = track.box
                lines.append((count, track.id, x1, y1, x2 - x1, y2 - y1, 1, 1, 1))
    return lines, spent / len(frames)


def figures(module: Any, step: int) -> None:
    """One line of the table."""
    cells, found, costs = [], [], []
    for name, rate in SEQUENCES.items():
        last = int(module.truth(name)[:, 0].max())
        lines, cost = follow(module.detections(name), range(1, last + 1, step), rate)
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
            np.savetxt(file.name, np.array(lines), fmt="%d,%d,%.2f,%.2f,%.2f,%.2f,%d,%d,%d")
            result = module.evaluate(name, Path(file.name), step)
        found.append(result)
        costs.append(cost)
        cells.append(f"{result['HOTA']:.1f} / {result['IDF1']:.1f} / {result['switches']}")
    hota = statistics.mean(result["HOTA"] for result in found)
    idf1 = statistics.mean(result["IDF1"] for result in found)
    switches = sum(result["switches"] for result in found)
    label = "all" if step == 1 else f"every {step}."
    mean = f"{hota:.1f} / {idf1:.1f}, {switches}"
    print(f"| edged, {label} | {' | '.join(cells)} | {mean} | {1e3 * max(costs):.2f} |")


def walkers(count: int) -> Iterator[tuple[float, Any, Any]]:
    """Time, boxes and scores of ``count`` objects that walk and are seen with noise."""
    random = np.random.default_rng(1)
    place = random.uniform((0, 0), (1920, 1080), (count, 2))
    speed = random.normal(0, 40, (count, 2))
    for frame in range(300):
        now = frame / 15
        corner = place + now * speed + random.normal(0, 2, (count, 2))
        boxes = np.concatenate([corner, corner + np.array([40, 90])], axis=1)
        yield now, boxes, random.uniform(0.2, 0.9, count)


def cost(count: int) -> tuple[float, float]:
    """Milliseconds of CPU a frame, median: of the tracker, and of a scene with a zone and a line."""
    tracker = Tracker(TrackRules(), itertools.count(1))
    zone = Area("porch", ((0.5, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 1.0)))
    scene = Scene(SceneRules(zones=(zone,), lines=(Area("gate", ((0.5, 0.0), (0.5, 1.0))),)))
    image = np.zeros((1080, 1920, 3), np.uint8)
    times: tuple[list[float], list[float]] = [], []
    for number, (now, boxes, scores) in enumerate(walkers(count)):
        found = [
            Detection(0, "person", score, Box(*box))
            for score, box in zip(scores.tolist(), boxes.tolist(), strict=True)
        ]
        started = time.thread_time()
        tracker.update(now, boxes, scores)
        between = time.thread_time()
        scene.update(Frame(number, image, 1e9 + now, now, now), found)
        times[0].append(between - started)
        times[1].append(time.thread_time() - between)
    return 1e3 * statistics.median(times[0]), 1e3 * statistics.median(times[1])


def whole_run(module: Any, lines: Path) -> None:
    """What the detections of a run say of who is who."""
    boxes = []
    for text in lines.read_text(encoding="utf-8").splitlines():
        message = json.loads(text)
        for found in message["detections"]:
            if found["label"] == "person" and found["track"] is not None:
                x1, y1, x2, y2 = found["box"]
                boxes.append((message["frame_id"] + 1, found["track"], x1, y1, x2 - x1, y2 - y1, 1, 1, 1))
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        np.savetxt(file.name, np.array(boxes), fmt="%d,%d,%.2f,%.2f,%.2f,%.2f,%d,%d,%d")
        result = module.evaluate("PETS09-S2L1", Path(file.name), 1, 0.625)
    ids = len({box[1] for box in boxes})
    print(f"HOTA {result['HOTA']:.1f}, IDF1 {result['IDF1']:.1f}, {result['switches']} switches, {ids} ids")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/tracking")
    parser.add_argument("--lines", type=Path)
    options = parser.parse_args()
    module = evaluation(options.data)
    if options.lines is not None:
        whole_run(module, options.lines)
        return
    print(f"| HOTA / IDF1 / switches | {' | '.join(SEQUENCES)} | mean HOTA / IDF1, sum | CPU ms a frame |")
    print("| --- " * 7 + "|")
    for step in (1, 2, 3, 5):
        figures(module, step)
    print("\n| objects | CPU ms a frame (median) | a whole scene |\n| --- | --- | --- |")
    for count in (1, 10, 30, 100):
        of_tracker, of_scene = cost(count)
        print(f"| {count} | {of_tracker:.2f} | {of_scene:.2f} |")


if __name__ == "__main__":
    main()
