"""Tracks against ground truth: HOTA, IDF1, identity switches and cost of edged.scene, and of its rivals.

    python benchmarks/tracking.py [--data ../shared/tracking] [--cost]
    python benchmarks/tracking.py --clip CLIP --model MODEL.tflite [--program .venv/bin/python]

With --clip it runs the whole daemon instead, by a Python that has edged: on the clip that shows PETS09-S2L1
at 0.625 of its size, and asks the live page of it for counts and crossings. --cost only tells the cost.

Needs an environment of its own with numpy, `trackers==2.6.1` and `supervision`, which are no dependencies of
edged: `python3 -m venv E; E/bin/pip install trackers==2.6.1 supervision`, then this with `E/bin/python`.
Detections are given with each sequence; only objects that have a name by now are told (no look back), and one
that counts (is confirmed) and was missed for no longer than 0.2 s where it is predicted to be.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from contextlib import suppress
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
PETS, MIDDLE = (768, 576), 0.5
"""Size of PETS09-S2L1 in pixels; where both lines and the edge of the zone are."""


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
        tracker.update(now, [Box(*box) for box in boxes.tolist()], rows[:, 6].tolist())
        spent += time.thread_time() - started
        for track in tracker.tracks:
            if track.sightings > 1 and now - track.seen_s <= (COAST_S if track.confirmed else 0.0):
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
        places, weights = [one.box for one in found], [one.score for one in found]
        started = time.thread_time()
        tracker.update(now, places, weights)
        between = time.thread_time()
        scene.update(Frame(number, image, 1e9 + now, now, now), found)
        times[0].append(between - started)
        times[1].append(time.thread_time() - between)
    return 1e3 * statistics.median(times[0]), 1e3 * statistics.median(times[1])


def costs() -> None:
    """The table of what an update costs."""
    print("| objects | CPU ms a frame (median) | a whole scene |\n| --- | --- | --- |")
    for count in (1, 10, 30, 100):
        of_tracker, of_scene = cost(count)
        print(f"| {count} | {of_tracker:.2f} | {of_scene:.2f} |")


def watch(url: str, daemon: subprocess.Popen[bytes]) -> dict[int, Any]:
    """By frame what the live page says of who is there, for as long as the daemon runs."""
    seen: dict[int, Any] = {}
    while daemon.poll() is None:
        with suppress(OSError, ValueError), urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310  # ours
            page = json.load(answer)
            if page["presence"] is not None:
                seen[page["frame_id"]] = page["presence"]
        time.sleep(0.01)
    return seen


def whole_run(module: Any, program: str, model: Path, clip: Path) -> None:
    """A run of the daemon over the clip that shows PETS09-S2L1: who is who, how many, who crosses what."""
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as place:
        lines, port = Path(folder) / "run.jsonl", place.getsockname()[1]
        place.close()
        variables = {
            "EDGED_SOURCE": clip.resolve(),
            "EDGED_MODEL": model.resolve(),
            "EDGED_DEVICE": "cpu",
            "EDGED_CLASSES": "person",
            "EDGED_JSONL": lines,
            "EDGED_HTTP": f"127.0.0.1:{port}",
            "EDGED_ZONE_LEFT": "0,0 0.5,0 0.5,1 0,1",
            "EDGED_LINE_UPRIGHT": "0.5,0 0.5,1",
            "EDGED_LINE_LEVEL": "0,0.5 1,0.5",
        }
        env_file = Path(folder) / "edged.env"
        env_file.write_text("".join(f"{name}={value}\n" for name, value in variables.items()), "utf-8")
        command = [program, "-m", "edged", "run", "--env-file", str(env_file)]
        with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as daemon:
            seen = watch(f"http://127.0.0.1:{port}/live.json", daemon)
        names(module, lines)
    numbers(module, seen)


def names(module: Any, lines: Path) -> None:
    """What the lines of a run say of who is who."""
    boxes = []
    for text in lines.read_text(encoding="utf-8").splitlines():
        message = json.loads(text)
        for found in message["detections"]:
            if found["track"] is not None:
                x1, y1, x2, y2 = found["box"]
                boxes.append((message["frame_id"] + 1, found["track"], x1, y1, x2 - x1, y2 - y1, 1, 1, 1))
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        np.savetxt(file.name, np.array(boxes), fmt="%d,%d,%.2f,%.2f,%.2f,%.2f,%d,%d,%d")
        result = module.evaluate("PETS09-S2L1", Path(file.name), 1, 0.625)
    print("| what | truth | edged |\n| --- | --- | --- |")
    print(
        f"| HOTA / IDF1 / switches | | {result['HOTA']:.1f} / {result['IDF1']:.1f} / {result['switches']} |"
    )
    print(f"| ids | 19 | {len({box[1] for box in boxes})} |")


def numbers(module: Any, seen: dict[int, Any]) -> None:
    """What the page said of how many there were, and of who had crossed a line."""
    whole, left, crossed = true_course(module)
    frames = sorted(frame for frame in seen if frame < len(whole))
    there = [seen[frame]["counts"].get("person", 0) for frame in frames]
    beside = [seen[frame]["zones"]["left"].get("person", 0) for frame in frames]
    off = np.abs(np.array(there) - whole[frames]).mean()
    beside_off = np.abs(np.array(beside) - left[frames]).mean()
    changes = [np.count_nonzero(np.diff(counts)) for counts in (whole[frames], there)]
    print(f"| frames of which the page told | {len(whole)} | {len(frames)} |")
    print(f"| count is off by, whole picture | | {off:.2f} |")
    print(f"| count is off by, left half as a zone | | {beside_off:.2f} |")
    print(f"| changes of the count | {changes[0]} | {changes[1]} |")
    for line in ("upright", "level"):
        told = seen[frames[-1]]["lines"][line]
        found = [told[way] for way in ("in", "out")]
        true = [crossed[line, way] for way in ("in", "out")]
        print(f"| crossings of the {line} line, in / out | {true[0]} / {true[1]} | {found[0]} / {found[1]} |")


def true_course(module: Any) -> tuple[Any, Any, Counter[tuple[str, str]]]:
    """By frame how many there are in the picture and in its left half; and who crosses its middle."""
    rows = module.truth("PETS09-S2L1")
    width, height = PETS
    frames = int(rows[:, 0].max())
    standing = (rows[:, 2] + rows[:, 4] / 2) / width, (rows[:, 3] + rows[:, 5]) / height
    order = rows[:, 0].astype(int) - 1
    whole = np.bincount(order, minlength=frames)
    left = np.bincount(order[standing[0] < MIDDLE], minlength=frames)
    crossed: Counter[tuple[str, str]] = Counter()
    for line, now in (("upright", MIDDLE - standing[0]), ("level", standing[1] - MIDDLE)):
        for who in np.unique(rows[:, 1]):
            course = np.sign(now[rows[:, 1] == who])
            turns = np.diff(course[course != 0])
            crossed[line, "in"] += int(np.count_nonzero(turns > 0))
            crossed[line, "out"] += int(np.count_nonzero(turns < 0))
    return whole, left, crossed


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/tracking")
    parser.add_argument("--clip", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--program", default=sys.executable)
    parser.add_argument("--cost", action="store_true")
    options = parser.parse_args()
    if options.cost:
        costs()
        return
    module = evaluation(options.data)
    if options.clip is not None:
        whole_run(module, options.program, options.model, options.clip)
        return
    print(f"| HOTA / IDF1 / switches | {' | '.join(SEQUENCES)} | mean HOTA / IDF1, sum | CPU ms a frame |")
    print("| --- " * 7 + "|")
    for step in (1, 2, 3, 5):
        figures(module, step)
    print()
    costs()


if __name__ == "__main__":
    main()
