"""Lines and zones against ground truth: is every crossing told, of the right person and the right way?

    python benchmarks/crossings.py ../shared/tracking > benchmarks/crossings.md
    python benchmarks/crossings.py ../shared/tracking --lines lines.jsonl   # of edged's own detections, too

The boxes of the ground truth are fed to a scene as detections. Lines are 18 straight ones, 100 through the
whole picture in any direction and 100 segments of it; zones are 100 polygons of three to six corners, drawn
by lot. ``--lines`` is EDGED_JSONL of a run on the clip that shows PETS09-S2L1 at 0.625 of its size, with
EDGED_TRACK=false, EDGED_CLASSES=person and EDGED_SCORE_THRESHOLD=0.1. Needs no more than edged itself.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import math
import random
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from edged.records import Box, Detection, Frame  # noqa: E402  # from this checkout, installed or not
from edged.scene import Scene, SceneRules  # noqa: E402  # as above
from edged.scene.events import _overlap as overlap  # noqa: E402  # as above
from edged.scene.zones import inside, passes_between, place, side  # noqa: E402  # as above
from edged.settings.areas import Area, Point  # noqa: E402  # as above

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edged.records import Event

    Shot = tuple[int, list[tuple[int, Box]], list[tuple[float, Box]]]
    """Number of the frame; who is where; scores and boxes that are detected."""
    Walk = list[tuple[float, Point, float]]
    """Of one person: seconds, place and height as fractions of the frame."""

SEQUENCES = {
    "KITTI-17": (10, 1224, 370),
    "MOT16-09": (30, 1920, 1080),
    "PETS09-S2L1": (7, 768, 576),
    "TUD-Campus": (25, 640, 480),
}
"""Frames a second, width and height."""
CLIP, SCALE = (10, 480, 360), 0.625
MATCHES = 0.4
"""Overlap from which a detection is a person."""
NEAR = 0.02
"""So near to a line, in heights, nobody sees on which side of it somebody stands."""
SETTLE_S = 0.3
"""So long somebody must have been over the edge of a zone."""


def straight() -> list[Area]:
    """Upright and level, from 0.3 to 0.7."""
    at = [0.3 + 0.05 * n for n in range(9)]
    ends = [((x, 0.0), (x, 1.0)) for x in at] + [((0.0, y), (1.0, y)) for y in at]
    return [Area(f"straight{n}", line) for n, line in enumerate(ends)]


def drawn(count: int, *, whole: bool) -> list[Area]:
    """Lines in any direction, through the ``whole`` picture or between two points of it."""
    chance = random.Random(1 if whole else 2)  # noqa: S311  # a repeatable draw
    found: list[Area] = []
    while len(found) < count:
        (ax, ay), (bx, by) = ((chance.random(), chance.random()) for _ in range(2))
        if math.dist((ax, ay), (bx, by)) < (0.2 if whole else 0.1):
            continue
        far = 20 if whole else 0
        dx, dy = far * (bx - ax), far * (by - ay)
        found.append(
            Area(f"{'whole' if whole else 'part'}{len(found)}", ((ax - dx, ay - dy), (bx + dx, by + dy)))
        )
    return found


def polygons(count: int) -> list[Area]:
    """Corners around a point, at any distance of it."""
    chance = random.Random(3)  # noqa: S311  # a repeatable draw
    found = []
    for number in range(count):
        x, y = chance.uniform(0.2, 0.8), chance.uniform(0.2, 0.8)
        turns = sorted(chance.uniform(0, 2 * math.pi) for _ in range(chance.randint(3, 6)))
        corners = [
            (x + far * math.cos(turn), y + far * math.sin(turn))
            for turn, far in ((turn, chance.uniform(0.1, 0.4)) for turn in turns)
        ]
        found.append(
            Area(f"zone{number}", tuple((min(max(a, 0.0), 1.0), min(max(b, 0.0), 1.0)) for a, b in corners))
        )
    return found


@dataclass(slots=True)
class Course:
    """What was, and what was told of it."""

    walks: dict[int, Walk] = field(default_factory=lambda: defaultdict(list))
    """By person."""
    told: Counter[tuple[int | None, str]] = field(default_factory=Counter)
    """By person and change, such as ``line_crossed:gate:in``."""
    dwell_s: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """By zone, of all together."""


def watch(shots: Iterator[Shot], size: tuple[int, int, int], rules: SceneRules) -> Course:
    """Let a scene see it."""
    rate, width, height = size
    image = np.broadcast_to(np.zeros((1, 1, 3), np.uint8), (height, width, 3))
    scene, course, owner = Scene(rules), Course(), dict[int, int]()

    def hear(events: Sequence[Event]) -> None:
        for event in events:
            who = owner.get(event.track)
            course.told.update((who, change) for change in event.changes)
            if event.kind == "end":
                for zone, seconds in event.dwell_s.items():
                    course.dwell_s[zone] += seconds

    for number, there, found in shots:
        now = number / rate
        for who, box in there:
            where = place(box, width, height)
            course.walks[who].append((now, where, (box.y2 - box.y1) / height))
        detections = [Detection(0, "person", score, box) for score, box in found]
        view = scene.update(Frame(number, image, 1e9 + now, now, now), detections)
        owner.update(whose(view.detections, there))
        hear(view.events)
    hear(scene.end("stop"))
    return course


def whose(found: Sequence[Detection], there: list[tuple[int, Box]]) -> Iterator[tuple[int, int]]:
    """Track and person, those first that agree best."""
    tracked = [one for one in found if one.track is not None]
    pairs = [(overlap(one.box, box), one.track, who) for one in tracked for who, box in there]
    taken: set[tuple[str, int]] = set()
    for much, track, who in sorted(pairs, reverse=True):
        if much >= MATCHES and track is not None and not {("track", track), ("who", who)} & taken:
            taken |= {("track", track), ("who", who)}
            yield track, who


def crossings(walk: Walk, line: Area, frame: tuple[int, int]) -> Iterator[tuple[str, bool]]:
    """Each change of side between the ends of a line, and whether it was plain.

    It was not if the person was ``NEAR`` the line for all of its way on one side.
    """
    ends = line.points
    ((x1, y1), (x2, y2)), (width, height) = ends, frame
    pixels = math.hypot((x2 - x1) * width, (y2 - y1) * height)
    stretches: list[tuple[bool, float, bool]] = []
    last: tuple[Point, float] | None = None
    for _, where, tall in walk:
        now = side(where, ends)
        if not now:
            continue
        if last is None or last[1] * now < 0:
            stretches.append((now > 0, 0.0, last is not None and passes_between(last[0], where, ends)))
        last = where, now
        deep = abs(now) * width * height / pixels / (tall * height)
        inward, deepest, through = stretches[-1]
        stretches[-1] = inward, max(deepest, deep), through
    for before, (inward, deepest, through) in itertools.pairwise(stretches):
        if through:
            yield "in" if inward else "out", min(before[1], deepest) >= NEAR


def stays(walk: Walk, zone: Area) -> tuple[int, int, float]:
    """How often a person enters and leaves a zone, and the seconds in it."""
    entered = left = 0
    spent_s, since_s, changed_s = 0.0, None, None
    for number, (now, where, _) in enumerate(walk):
        if inside(where, zone.points) == (since_s is not None):
            changed_s = None
            continue
        if changed_s is None:
            changed_s = now if number else now - SETTLE_S
        if now - changed_s < SETTLE_S:
            continue
        if since_s is None:
            entered, since_s = entered + 1, max(changed_s, walk[0][0])
        else:
            left, spent_s, since_s = left + 1, spent_s + changed_s - since_s, None
        changed_s = None
    return entered, left, spent_s + (walk[-1][0] - since_s if since_s is not None else 0.0)


def of_lines(course: Course, lines: list[Area], frame: tuple[int, int]) -> str:
    """Cells of the table: crossings, those missed, the plain ones, those missed, and those that are none."""
    true: Counter[tuple[int | None, str]] = Counter()
    plain: Counter[tuple[int | None, str]] = Counter()
    for who, walk in course.walks.items():
        for line in lines:
            for direction, is_plain in crossings(walk, line, frame):
                true[who, f"line_crossed:{line.name}:{direction}"] += 1
                plain[who, f"line_crossed:{line.name}:{direction}"] += is_plain
    names = {line.name for line in lines}
    told = Counter(
        {key: n for key, n in course.told.items() if ":" in key[1] and key[1].split(":")[1] in names}
    )
    cells = true, true - told, plain, plain - told, told - true
    return " | ".join(str(one.total()) for one in cells)


def of_zones(course: Course, zones: list[Area]) -> str:
    """Cells of the table: entered and left, missed, and none; seconds in all, and how far off by zone."""
    true: Counter[tuple[int | None, str]] = Counter()
    true_s: dict[str, float] = defaultdict(float)
    for who, walk in course.walks.items():
        for zone in zones:
            entered, left, spent_s = stays(walk, zone)
            true_s[zone.name] += spent_s
            true[who, f"zone_entered:{zone.name}"], true[who, f"zone_left:{zone.name}"] = entered, left
    told = Counter({key: n for key, n in course.told.items() if key[1].startswith("zone")})
    off_s = [abs(true_s[key] - course.dwell_s[key]) for key in true_s]
    counts = " | ".join(str(one.total()) for one in (true, true - told, told - true))
    return f"{counts} | {sum(true_s.values()):.0f} | {100 * sum(off_s) / sum(true_s.values()):.1f} %"


def given(path: Path, sequence: str, step: int) -> Iterator[Shot]:
    """The ground truth as detections."""
    for number, there in truth(path, sequence, step, 1.0):
        yield number, there, [(1.0, box) for _, box in there]


def detected(path: Path, lines: Path, step: int) -> Iterator[Shot]:
    """What a run on the clip has found."""
    texts = lines.read_text("utf-8").splitlines()
    for number, there in truth(path, "PETS09-S2L1", step, SCALE):
        found = json.loads(texts[number - 1])["detections"]
        yield number, there, [(one["score"], Box(*one["box"])) for one in found]


def truth(path: Path, sequence: str, step: int, scale: float) -> Iterator[tuple[int, list[tuple[int, Box]]]]:
    """Frame by frame, from 1, who is where in pixels."""
    spec = importlib.util.spec_from_file_location("evaluate", path / "evaluate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    rows = module.truth(sequence)
    for number in range(1, int(rows[:, 0].max()) + 1, step):
        there = []
        for _, who, x, y, wide, high in rows[rows[:, 0] == number][:, :6].tolist():
            there.append((int(who), Box(*(scale * side for side in (x, y, x + wide, y + high)))))
        yield number, there


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--lines", type=Path)
    options = parser.parse_args()
    kinds = {
        "18 straight": straight(),
        "100 whole": drawn(100, whole=True),
        "100 parts": drawn(100, whole=False),
    }
    zones = polygons(100)
    rules = SceneRules(zones=tuple(zones), lines=tuple(line for lines in kinds.values() for line in lines))
    courses = {}
    for step in (1, 3):
        every = "" if step == 1 else ", every third"
        for name, size in SEQUENCES.items():
            courses[name + every] = size, watch(given(options.data, name, step), size, rules)
        if options.lines is not None:
            courses[f"edged's own{every}"] = (
                CLIP,
                watch(detected(options.data, options.lines, step), CLIP, rules),
            )
    print(
        "| boxes | lines | crossings | missed | plain ones | missed | told that are none |\n"
        + "| --- " * 7
        + "|"
    )
    for name, (size, course) in courses.items():
        for kind, lines in kinds.items():
            print(f"| {name} | {kind} | {of_lines(course, lines, size[1:])} |")
    print(
        "\n| boxes | entered and left | missed | told that are none | person seconds | off by |\n"
        + "| --- " * 6
        + "|"
    )
    for name, (_, course) in courses.items():
        print(f"| {name} | {of_zones(course, zones)} |")


if __name__ == "__main__":
    main()
