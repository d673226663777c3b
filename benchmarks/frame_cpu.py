"""CPU a frame beyond invoke and decoding, of two states of the code in turns (benchmarks/frame_cpu.md).

    git worktree add /tmp/before 9d20344
    python benchmarks/frame_cpu.py ../shared --before /tmp/before > /tmp/table.md

The real thing, ``edged run`` on a 720p H.264 clip, one thread for the model. Inside of the process the CPU
time of the thread is taken around every invoke and every packet that is decoded; what the whole process takes
besides is what edged itself costs. With video on, the same is taken around what the sink for video does for a
frame: drawing, encoding, and its line of JSON. What begins or ends only once is left out: it is measured from
one invoke to another. Both states take turns, so that what else the machine does hits both, and the ratio is
the median of those of the turns.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

CLIP = "clips/people_walking_720p30_h264.mp4"
MODEL_640, MODEL_224 = "yolov8n_640_full_integer_quant", "yolov8n_224_full_integer_quant"
_WARM = 30
"""Invokes after which it is measured: what begins only once is over."""
_WORTH_MS = 0.01
"""Threads that take less are not told."""


@dataclass(frozen=True)
class Kind:
    """One thing to measure."""

    what: str
    model: str
    frames: int
    """That are counted, after the first ones."""
    figure: str
    """``beyond`` of the whole process, or ``video``."""
    wanted: tuple[float, float] | None = None
    """Milliseconds that are wanted, and those before, on a quiet machine; on another their ratio counts."""
    settings: dict[str, str] = field(default_factory=dict)


_OFF = {"EDGED_TRACK": "false"}
_VIDEO = {"EDGED_OUTPUT": "out.mp4"}
KINDS = (
    Kind("yolov8n_640, lines of JSON", MODEL_640, 120, "beyond", (2.0, 3.3)),
    Kind("the same, EDGED_TRACK=false", MODEL_640, 120, "beyond", (2.0, 3.3), _OFF),
    Kind("yolov8n_224, lines of JSON", MODEL_224, 280, "beyond", (0.6, 1.1)),
    Kind("the same, EDGED_TRACK=false", MODEL_224, 280, "beyond", (0.6, 1.1), _OFF),
    Kind(
        "drawing and encoding, yolov8n_224: the sink for video", MODEL_224, 280, "video", (3.6, 4.2), _VIDEO
    ),
)


def main() -> None:
    """Measure both and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shared", type=Path, help="folder with models/ and clips/")
    parser.add_argument("--before", type=Path, help="another state of the code", required=True)
    parser.add_argument("--rounds", type=int, default=5, help="runs of each kind (default: %(default)s)")
    parser.add_argument("--only", default="", help="what must occur in the name of what is measured")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    trees = {"before": options.before.resolve(), "now": Path(__file__).resolve().parents[1]}
    kinds = [kind for kind in KINDS if options.only in kind.what]
    found: dict[tuple[int, str], list[dict[str, float]]] = {}
    rounds = 0
    with suppress(KeyboardInterrupt):  # turns that are whole are told
        while rounds < options.rounds:
            for number, kind in enumerate(kinds):
                for when, tree in trees.items():
                    ms = measured(tree, options.shared.resolve(), kind)
                    found.setdefault((number, when), []).append(ms)
            rounds += 1
    if not rounds:
        sys.exit("there was no time for one turn")
    found = {what: runs[:rounds] for what, runs in found.items()}
    print(f"{platform.system()}, {os.cpu_count()} cores, Python {platform.python_version()}.")
    print(f"720p H.264, EDGED_THREADS=1; {rounds} runs of each kind in turns, medians.")
    print(f"Load when it began: {load:.1f}. CPU time in ms a frame.\n")
    print("| what | before | now | ratio (of the turns) | wanted | |\n| --- | --- | --- | --- | --- | --- |")
    for number, kind in enumerate(kinds):
        before, now = ([ms[kind.figure] for ms in found[number, when]] for when in trees)
        row(kind, before, now)
    print("\nAll that it takes now, by thread:\n\n| what | threads |\n| --- | --- |")
    for number, kind in enumerate(kinds):
        print(f"| {kind.what} | {by_thread(found[number, 'now'])} |")


def by_thread(runs: list[dict[str, float]]) -> str:
    """Medians of what threads took, the busiest first."""
    names = {name for run in runs for name in run} - {"beyond", "video"}
    ms = {name: statistics.median(run.get(name, 0.0) for run in runs) for name in names}
    busy = sorted((name for name in ms if ms[name] >= _WORTH_MS), key=ms.__getitem__, reverse=True)
    return ", ".join(f"{name} {ms[name]:.2f}" for name in busy)


def row(kind: Kind, before: list[float], now: list[float]) -> None:
    """Print one line of the table."""
    ratios = sorted(new / old for old, new in zip(before, now, strict=True))
    ratio = statistics.median(ratios)
    line = f"| {kind.what} | {statistics.median(before):.2f} | {statistics.median(now):.2f} "
    line += f"| {ratio:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}) "
    if kind.wanted is None:
        print(line + "| | |")
    else:
        most = kind.wanted[0] / kind.wanted[1]
        met = "yes" if ratio <= most or statistics.median(now) <= kind.wanted[0] else "NO"
        print(line + f"| <= {kind.wanted[0]} of {kind.wanted[1]}: {most:.2f} | {met} |")


def measured(tree: Path, shared: Path, kind: Kind) -> dict[str, float]:
    """One run of the state of the code in ``tree``; milliseconds a frame."""
    with tempfile.TemporaryDirectory() as name:
        settings = {
            "EDGED_SOURCE": str(shared / CLIP),
            "EDGED_MODEL": str(shared / "models" / f"{kind.model}.tflite"),
            "EDGED_THREADS": "1",
            "EDGED_JSONL": "lines.jsonl",
            **kind.settings,
        }
        others = {name: value for name, value in os.environ.items() if not name.startswith("EDGED_")}
        told = Path(name) / "told.json"
        command = [sys.executable, __file__, "--inside", str(told), str(_WARM + kind.frames)]
        environment = others | settings | {"PYTHONPATH": str(tree)}
        done = subprocess.run(command, env=environment, cwd=name, check=False, capture_output=True, text=True)
        if not told.exists():
            sys.exit(f"{' '.join(command)} wrote down nothing:\n{done.stderr}")
        ms: dict[str, float] = json.loads(told.read_text())
    return ms


def inside(told: Path, last: int) -> None:
    """Run edged in this process, and end it at the invoke ``last``, writing down what it took."""
    from edged.cli import main as edged  # noqa: PLC0415  # which one, PYTHONPATH says
    from edged.engines.cpu import CpuEngine  # noqa: PLC0415
    from edged.sinks.video import VideoSink  # noqa: PLC0415

    try:
        containers = importlib.import_module("edged.sources.decoding.container")
    except ModuleNotFoundError:  # where it was before
        containers = importlib.import_module("edged.sources.container")

    spent: Counter[str] = Counter()
    at_first: dict[str, float] = {}
    lock = threading.Lock()

    def now() -> dict[str, float]:
        return {**spent, "all": time.process_time(), **threads()}

    def write() -> None:
        took = {what: until - at_first.get(what, 0.0) for what, until in now().items()}
        frames, videos = took.pop("invokes"), took.pop("videos", 0)
        ms = {
            "beyond": took.pop("all") - took.pop("invoke") - took.pop("decode"),
            "video": took.pop("video", 0.0) * frames / max(1, videos),
            **{thread: took[thread] for thread in threads()},
        }
        told.write_text(json.dumps({what: 1e3 * seconds / frames for what, seconds in ms.items()}))
        os._exit(0)

    def taken(what: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def timed(*arguments: Any, **named: Any) -> Any:
            began = time.thread_time()
            try:
                return function(*arguments, **named)
            finally:
                took = time.thread_time() - began
                with lock:
                    spent[what] += took  # type: ignore[assignment]
                    spent[f"{what}s"] += 1
                    if what == "invoke" and spent["invokes"] == _WARM:
                        at_first.update(now())
                    if what == "invoke" and spent["invokes"] == last:
                        write()

        return timed

    for kind, method, what in ((CpuEngine, "invoke", "invoke"), (containers.Container, "_decode", "decode"),
                               (VideoSink, "send", "video")):  # fmt: skip
        setattr(kind, method, taken(what, getattr(kind, method)))
    edged(["run"])


def threads() -> dict[str, float]:
    """CPU time of every thread that we know by name, and of all others together, in seconds."""
    names = {thread.native_id: thread.name for thread in threading.enumerate()}
    found: Counter[str] = Counter()
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # the thread has ended
            ran = int((task / "schedstat").read_text().split()[0]) / 1e9
            found[names.get(int(task.name), "others")] += ran  # type: ignore[assignment]
    return dict(found)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inside"]:
        inside(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        main()
