"""Several cameras in one daemon: what each costs, and how they share a model (benchmarks/several_cameras.md).

    python benchmarks/several_cameras.py ../shared > benchmarks/several_cameras.md

Everything is the real thing: the ``edged`` command, and streams of 720p H.264 at 30 frames/s that ffmpeg
serves over HTTP on loopback, one server a camera. Every figure is taken from what the daemon writes (lines of
JSON, ledgers) and from what the kernel says of the process. Run it on a quiet machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator

EDGED = [sys.executable, "-m", "edged", "run"]
CLIP = "clips/people_walking_720p30_h264.mp4"
SMALL = "models/yolov8n_224_full_integer_quant.tflite"
LARGE = "models/yolov8n_416_full_integer_quant.tflite"
_WARM_S = 8.0
"""Left out at the beginning: streams start with a burst."""


@dataclass(frozen=True, slots=True)
class Run:
    """What one run of the daemon came to."""

    memory_mb: float
    """Resident, at the end."""
    cores: float
    """CPU time over wall time."""
    total_ms: dict[str, list[float]]
    """By camera, capture to result of every frame after the beginning."""
    predict_ms: float
    """Median of one inference."""
    seconds: float
    closes: bool
    """Whether every ledger does."""

    def p99_ms(self) -> float:
        """The worst camera's."""
        return max(statistics.quantiles(times, n=100)[98] for times in self.total_ms.values())

    def shares(self) -> list[float]:
        """Each camera's results over an even share."""
        counts = [len(times) for times in self.total_ms.values()]
        return [count * len(counts) / sum(counts) for count in counts]

    @property
    def fps(self) -> float:
        """Results a second of all cameras."""
        return sum(map(len, self.total_ms.values())) / self.seconds


def main() -> None:
    """Measure all of it and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shared", type=Path, help="folder with models/ and clips/")
    parser.add_argument("--seconds", type=float, default=60.0, help="of a run (default: %(default)s)")
    options = parser.parse_args()
    shared: Path = options.shared.resolve()
    load = os.getloadavg()[0]
    print("# Several cameras\n")
    print(f"{platform.system()} {platform.release()}, {len(os.sched_getaffinity(0))} cores, Python "
          f"{platform.python_version()}. Load when it began: {load:.1f}.\n")  # fmt: skip
    print("| what | target | measured | |\n| --- | --- | --- | --- |", flush=True)
    calm = {"EDGED_MODEL": str(shared / SMALL), "EDGED_FPS": "5"}
    runs = {count: measure(shared, count, calm, options.seconds) for count in (1, 4, 8)}
    for count, most_mb in ((4, 260), (8, 340)):
        run = runs[count]
        row(f"{count} cameras 720p30 at EDGED_FPS=5: resident memory", f"<= {most_mb} MB",
            f"{run.memory_mb:.0f} MB (one camera: {runs[1].memory_mb:.0f} MB)",
            run.memory_mb <= most_mb)  # fmt: skip
        row(f"the same: CPU, in those of one camera times {count}", "<= 1.1",
            f"{run.cores / (count * runs[1].cores):.2f} ({run.cores:.2f} cores)",
            run.cores <= 1.1 * count * runs[1].cores)  # fmt: skip
    one_engine = {"EDGED_MODEL": str(shared / LARGE), "EDGED_WORKERS": "1", "EDGED_THREADS": "1"}
    run = measure(shared, 4, one_engine, options.seconds)
    shares = run.shares()
    off = max(abs(share - 1) for share in shares)
    row("4 cameras, more frames than one engine can do: each camera's share", "0.95 to 1.05",
        f"{min(shares):.3f} to {max(shares):.3f}", off <= 0.05)  # fmt: skip
    limit_ms = 5 * run.predict_ms
    row("the same: capture to result p99 in inference times", "<= 5",
        f"{run.p99_ms() / run.predict_ms:.2f} ({run.p99_ms():.0f} ms)", run.p99_ms() <= limit_ms)  # fmt: skip
    used = run.fps * run.predict_ms / 1e3
    row("the same: share of the time in which the engine works", ">= 0.95", f"{used:.3f}", used >= 0.95)
    closed = all(one.closes for one in (*runs.values(), run))
    row("the ledgers of all cameras of all runs close", "all", "all" if closed else "not all", closed)


def row(what: str, target: str, measured: str, met: object) -> None:
    """One line of the table."""
    print(f"| {what} | {target} | {measured} | {'yes' if met else 'NO'} |", flush=True)


def measure(shared: Path, count: int, settings: dict[str, str], seconds: float) -> Run:
    """Run ``count`` cameras for some time."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        names = [f"cam{number}" for number in range(count)]
        lines = settings | {"EDGED_CAMERAS": ",".join(names), "EDGED_JSONL": str(folder / "lines.jsonl")}
        for camera in names:
            lines[f"EDGED_{camera.upper()}_SOURCE"] = stack.enter_context(stream(shared / CLIP))
        env_file = folder / "edged.env"
        env_file.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen([*EDGED, "--env-file", str(env_file)], stdout=log, stderr=log)
        usage = psutil.Process(process.pid)
        time.sleep(_WARM_S)
        began, cpu = time.time(), sum(usage.cpu_times()[:2])
        time.sleep(seconds)
        took = time.time() - began
        cores = (sum(usage.cpu_times()[:2]) - cpu) / took
        memory_mb = usage.memory_info().rss / 1e6
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        found = [json.loads(line) for line in (folder / "lines.jsonl").read_text().splitlines()]
        told = [json.loads(line) for line in (folder / "log").read_text().splitlines() if line[:1] == "{"]
    late = [line for line in found if began <= line["ts_publish"] <= began + took]
    total = {name: [line["timings_ms"]["total"] for line in late if line["camera"] == name] for name in names}
    predict = statistics.median(line["timings_ms"]["predict"] for line in late)
    return Run(memory_mb, cores, total, predict, took, closes(told, count))


def closes(told: list[dict[str, Any]], count: int) -> bool:
    """Whether there is a ledger of every camera, and each closes."""
    ledgers = [line for line in told if line["event"] == "ledger"]
    return len(ledgers) == count and all(
        not one["in_flight"]
        and one["captured"] == one["inferred"] + one["still"] + sum(one["dropped"].values())
        for one in ledgers
    )


@contextmanager
def stream(clip: Path) -> Iterator[str]:
    """A camera: the clip again and again, at its own pace; gives its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}/"
    command = ["ffmpeg", "-v", "error", "-re", "-stream_loop", "-1", "-i", str(clip), "-an", "-c", "copy"]
    server = subprocess.Popen([*command, "-f", "mpegts", "-listen", "1", url], stderr=subprocess.DEVNULL)
    try:
        yield url
    finally:
        server.kill()
        server.wait()


if __name__ == "__main__":
    main()
