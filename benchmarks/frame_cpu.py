"""CPU a frame beyond invoke and decoding, of two states of the code in turns (benchmarks/frame_cpu.md).

    git worktree add /tmp/before 9d20344
    python benchmarks/frame_cpu.py ../shared --before /tmp/before > benchmarks/frame_cpu.md

The real thing, ``edged run`` on a 720p H.264 clip, one thread for the model. Inside of the process the CPU
time of the thread is taken around every invoke and every packet that is decoded; what the whole process takes
besides is what edged itself costs. With video on, the same is taken around what the sink for video does for a
frame: drawing, encoding, and its line of JSON. Both states take turns, so that what else the machine does
hits both.
"""

from __future__ import annotations

import argparse
import atexit
import functools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

CLIP = "clips/people_walking_720p30_h264.mp4"
MODELS = ("yolov8n_640_full_integer_quant", "yolov8n_224_full_integer_quant")
WANTED = {MODELS[0]: (2.0, 3.3), MODELS[1]: (0.6, 1.1)}
VIDEO_WANTED = (3.6, 4.2)
"""Milliseconds that are wanted, and those before, on a quiet machine; on another their ratio counts."""
_WARM = 30
"""Invokes after which it is measured: what begins only once is over."""


def main() -> None:
    """Measure both and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shared", type=Path, help="folder with models/ and clips/")
    parser.add_argument("--before", type=Path, help="another state of the code", required=True)
    parser.add_argument("--rounds", type=int, default=5, help="runs of each kind (default: %(default)s)")
    options = parser.parse_args()
    shared: Path = options.shared.resolve()
    load = os.getloadavg()[0]
    trees = {"before": options.before.resolve(), "now": Path(__file__).resolve().parents[1]}
    found: dict[tuple[str, str, str], list[float]] = {}
    for _ in range(options.rounds):
        for model in MODELS:
            for video in (False, True) if model == MODELS[1] else (False,):
                for when, tree in trees.items():
                    for what, ms in measured(tree, shared, model, video=video).items():
                        found.setdefault((what, model, when), []).append(ms)
    print("# CPU a frame\n")
    print(f"{platform.system()} {platform.release()}, {os.cpu_count()} cores, {platform.python_version()}.")
    print(f"720p H.264, EDGED_THREADS=1; {options.rounds} runs of each kind in turns, medians.")
    print(f"Load when it began: {load:.1f}. CPU time in ms a frame.\n")
    print("| what | before | now | ratio | wanted ratio | |\n| --- | --- | --- | --- | --- | --- |")
    for model in MODELS:
        row(f"beyond invoke and decoding, {model}, lines of JSON", "beyond", model, found, WANTED[model])
    row("drawing and encoding", "video", MODELS[1], found, VIDEO_WANTED)


def row(
    what: str,
    kind: str,
    model: str,
    found: dict[tuple[str, str, str], list[float]],
    wanted: tuple[float, float],
) -> None:
    """Print one line of the table."""
    before, now = (statistics.median(found[kind, model, when]) for when in ("before", "now"))
    ratio, most = now / before, wanted[0] / wanted[1]
    told = f"<= {most:.2f} ({wanted[0]} of {wanted[1]})"
    print(
        f"| {what} | {before:.2f} | {now:.2f} | {ratio:.2f} | {told} | {'yes' if ratio <= most else 'NO'} |"
    )


def measured(tree: Path, shared: Path, model: str, *, video: bool) -> dict[str, float]:
    """One run of the state of the code in ``tree``; milliseconds a frame."""
    with tempfile.TemporaryDirectory() as name:
        told = Path(name) / "told.json"
        settings = {
            "EDGED_SOURCE": str(shared / CLIP),
            "EDGED_MODEL": str(shared / "models" / f"{model}.tflite"),
            "EDGED_THREADS": "1",
            "EDGED_JSONL": str(Path(name) / "lines.jsonl"),
        }
        if video:
            settings["EDGED_OUTPUT"] = str(Path(name) / "out.mp4")
        others = {name: value for name, value in os.environ.items() if not name.startswith("EDGED_")}
        command = [sys.executable, __file__, "--inside", str(told)]
        environment = others | settings | {"PYTHONPATH": str(tree)}
        subprocess.run(command, env=environment, check=True, stderr=subprocess.DEVNULL)
        ms: dict[str, float] = json.loads(told.read_text())
    return {"video": ms["video"]} if video else {"beyond": ms["beyond"]}


def inside(told: Path) -> None:
    """Run edged in this process and write down what it took."""
    from edged.cli import main as edged  # noqa: PLC0415  # which one, PYTHONPATH says
    from edged.engines.cpu import CpuEngine  # noqa: PLC0415
    from edged.sinks.video import VideoSink  # noqa: PLC0415
    from edged.sources.decoding.container import Container  # noqa: PLC0415

    spent: Counter[str] = Counter()
    at_first: Counter[str] = Counter()

    def taken(what: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def timed(*arguments: Any, **named: Any) -> Any:
            began = time.thread_time()
            try:
                return function(*arguments, **named)
            finally:
                spent[what] += time.thread_time() - began  # type: ignore[assignment]
                spent[f"{what}s"] += 1
                if what == "invoke":
                    spent["all"] = time.process_time()  # type: ignore[assignment]
                    if spent["invokes"] == _WARM:
                        at_first.update(spent)

        return timed

    for kind, method, what in ((CpuEngine, "invoke", "invoke"), (Container, "_decode", "decode"),
                               (VideoSink, "send", "video")):  # fmt: skip
        setattr(kind, method, taken(what, getattr(kind, method)))

    def write() -> None:
        took = {what: spent[what] - at_first[what] for what in spent}
        beyond = took["all"] - took["invoke"] - took["decode"]
        ms = {"beyond": 1e3 * beyond / took["invokes"]}
        ms["video"] = 1e3 * took.get("video", 0.0) / took.get("videos", 1)
        told.write_text(json.dumps(ms))

    atexit.register(write)
    sys.exit(edged(["run"]))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inside"]:
        inside(Path(sys.argv[2]))
    else:
        main()
