"""Several cameras in one daemon: what each costs, and how they share a model (benchmarks/several_cameras.md).

    python benchmarks/several_cameras.py ../shared > benchmarks/several_cameras.md
    python benchmarks/several_cameras.py ../shared --part overload   # one part, less than five minutes
    taskset -c 0 python benchmarks/several_cameras.py ../shared --part defaults   # held to one core

Everything is the real thing: the ``edged`` command, and streams of H.264 that ffmpeg serves over HTTP on
loopback, one server a camera. Every figure is taken from what the daemon writes (lines of JSON, ledgers) and
from what the kernel says of the process. Run it on a quiet machine: each row says how many cores others used
meanwhile, and with more than a tenth of one it is the others that were measured.
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
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from edged.model import detector
from edged.settings import loading
from edged.trial import benchmark

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

EDGED = [sys.executable, "-m", "edged", "run"]
CLIP = "clips/people_walking_720p30_h264.mp4"
SMALL = "models/yolov8n_320_full_integer_quant_oddscale.tflite"
LARGE = "models/yolov8n_640_full_integer_quant.tflite"
PARTS = ("calm", "idle", "overload", "defaults")
_WARM_S = 8.0
"""Left out at the beginning: streams start with a burst."""


@dataclass(frozen=True, slots=True)
class Run:
    """What one run of the daemon came to."""

    memory_mb: float
    """Resident, at the end."""
    cores: float
    """CPU time over wall time."""
    others: float
    """The same of all that is neither the daemon nor its cameras."""
    lines: dict[str, list[dict[str, Any]]]
    """By camera, the results after the beginning."""
    began: float
    seconds: float
    closes: bool
    """Whether every ledger does."""

    def stage(self, name: str, *, since: float = 0.0, until: float = 1e9) -> dict[str, list[float]]:
        """Milliseconds of each result by camera, of those between two moments of the run."""
        return {
            camera: [
                line["timings_ms"][name] for line in lines if since <= line["ts_publish"] - self.began < until
            ]
            for camera, lines in self.lines.items()
        }

    def p99_ms(self, **between: float) -> float:
        """Capture to result, the worst camera's."""
        return max(percentile(times, 99) for times in self.stage("total", **between).values())

    def predict_ms(self) -> float:
        """Median of one inference."""
        return statistics.median(chain.from_iterable(self.stage("predict").values()))

    def used(self) -> float:
        """Share of the time in which the only engine works."""
        return sum(map(sum, self.stage("predict").values())) / 1e3 / self.seconds

    def shares(self) -> list[float]:
        """Each camera's results over an even share."""
        counts = [len(lines) for lines in self.lines.values()]
        return [count * len(counts) / sum(counts) for count in counts]


def percentile(values: list[float], part: int) -> float:
    """So many of a hundred are not above it."""
    return statistics.quantiles(values, n=100)[part - 1]


def main() -> None:
    """Measure what was asked for and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("shared", type=Path, help="folder with models/ and clips/")
    parser.add_argument("--part", choices=PARTS, action="append", help="only this one; may be repeated")
    parser.add_argument("--seconds", type=float, default=40.0, help="of a run (default: %(default)s)")
    parser.add_argument("--overload-seconds", type=float, default=600.0, metavar="SECONDS")
    options = parser.parse_args()
    shared: Path = options.shared.resolve()
    print("# Several cameras\n")
    print(machine() + "\n")
    print("| what | target | measured | | others |\n| --- | --- | --- | --- | --- |", flush=True)
    parts = {
        "calm": lambda: calm(shared, options.seconds),
        "idle": lambda: idle(shared, options.seconds),
        "overload": lambda: overload(shared, options.overload_seconds),
        "defaults": lambda: defaults(shared),
    }
    for part in options.part or PARTS:
        parts[part]()


def machine() -> str:
    """What this is measured on."""
    return (
        f"{platform.system()} {platform.release()}, {len(os.sched_getaffinity(0))} cores, Python "
        f"{platform.python_version()}, {time.strftime('%Y-%m-%d')}."
    )


def calm(shared: Path, seconds: float) -> None:
    """Cameras that the model keeps up with."""
    settings = {"EDGED_MODEL": str(shared / SMALL), "EDGED_FPS": "5"}
    clip = shared / CLIP
    runs = {count: measure(count, settings, clip, seconds) for count in (1, 4, 8)}
    for count, most_mb in ((4, 260), (8, 340)):
        run = runs[count]
        row(f"{count} cameras 720p30 at EDGED_FPS=5, yolov8n_320: resident memory", f"<= {most_mb} MB",
            f"{run.memory_mb:.0f} MB (one camera: {runs[1].memory_mb:.0f} MB)",
            run.memory_mb <= most_mb, run.others)  # fmt: skip
        row(f"the same: CPU, in those of one camera times {count}", "<= 1.1",
            f"{run.cores / (count * runs[1].cores):.2f} ({run.cores:.2f} cores)",
            run.cores <= 1.1 * count * runs[1].cores, run.others)  # fmt: skip
    whole("the same", runs.values())


def idle(shared: Path, seconds: float) -> None:
    """Cameras before which nothing moves, so that the model has nothing to do."""
    settings = {"EDGED_MODEL": str(shared / SMALL), "EDGED_FPS": "5"}
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "still.mp4"
        still = ["-f", "lavfi", "-i", "smptebars=size=640x480:rate=30", "-t", "20", "-g", "60"]
        subprocess.run(["ffmpeg", "-v", "error", *still, "-pix_fmt", "yuv420p", str(clip)], check=True)
        decoding = decoding_cores(clip, seconds / 2)
        for motion in ("pixels", "packets"):
            asked = settings | {"EDGED_MOTION": motion}
            one, four = (measure(count, asked, clip, seconds) for count in (1, 4))
            more_mb, more = (four.memory_mb - one.memory_mb) / 3, (four.cores - one.cores) / 3
            name = f"each further 480p30 camera before which nothing moves, EDGED_MOTION={motion}"
            row(f"{name}: memory", "<= 20 MB", f"{more_mb:.1f} MB", more_mb <= 20, four.others)
            row("the same: of a core, beyond decoding all of it", "<= 1 %",
                f"{100 * (more - decoding):.1f} % ({100 * more:.1f} %, of which decoding "
                f"{100 * decoding:.1f} %)", more - decoding <= 0.01, four.others)  # fmt: skip
            whole("the same", [one, four])


def overload(shared: Path, seconds: float) -> None:
    """More frames than the only engine can do."""
    settings = {"EDGED_MODEL": str(shared / LARGE), "EDGED_WORKERS": "1", "EDGED_THREADS": "1"}
    run = measure(4, settings, shared / CLIP, seconds)
    shares = run.shares()
    off = max(abs(share - 1) for share in shares)
    row("4 cameras 720p30, yolov8n_640, more frames than one engine can do: share of each", "0.95 to 1.05",
        f"{min(shares):.3f} to {max(shares):.3f}", off <= 0.05, run.others)  # fmt: skip
    one_ms = run.predict_ms()
    first, last = run.p99_ms(until=60.0), run.p99_ms(since=seconds - 60.0)
    row("the same: capture to result p99 in inference times, first and last minute", "<= 5",
        f"{first / one_ms:.2f} and {last / one_ms:.2f} over {seconds:.0f} s (an inference: {one_ms:.1f} ms)",
        max(first, last) <= 5 * one_ms, run.others)  # fmt: skip
    row("the same: share of the time in which the engine works", ">= 0.95", f"{run.used():.3f}",
        run.used() >= 0.95, run.others)  # fmt: skip
    whole("the same", [run])
    print(f"the daemon takes {run.cores:.2f} cores", file=sys.stderr)
    for name in ("queue", "preprocess", "predict", "postprocess", "total"):  # where the time goes, for eyes
        times = list(chain.from_iterable(run.stage(name).values()))
        shown = ", ".join(f"{part} %: {percentile(times, part):.1f}" for part in (10, 50, 90, 99))
        print(f"{name} ms: {shown}", file=sys.stderr)


def defaults(shared: Path) -> None:
    """What EDGED_WORKERS and EDGED_THREADS are without being set, against the best that can be found."""
    cores = len(os.sched_getaffinity(0))
    for model in (SMALL, LARGE):
        environ = {"EDGED_MODEL": str(shared / model), "EDGED_SOURCE": str(shared / CLIP)}
        settings = loading.load(environ=environ)
        began, busy = time.monotonic(), busy_s()
        own = sum(os.times()[:2])
        trials = benchmark.tune(settings, frames=60, rounds=5)
        took = time.monotonic() - began
        others = (busy_s() - busy - (sum(os.times()[:2]) - own)) / took
        chosen = detector.share_of_cores(settings)
        found = next(trial for trial in trials if (trial.workers, trial.threads) == chosen)
        best = trials[0]
        row(f"a file on {cores} cores, {Path(model).stem.split('_full')[0]}: defaults over the best of "
            "edged bench --tune", ">= 0.95",
            f"{found.fps / best.fps:.3f} ({chosen[0]} x {chosen[1]}: {found.fps:.1f}, best "
            f"{best.workers} x {best.threads}: {best.fps:.1f} frames/s)",
            found.fps >= 0.95 * best.fps, others)  # fmt: skip


def row(what: str, target: str, measured: str, met: object, others: float) -> None:
    """One line of the table."""
    print(f"| {what} | {target} | {measured} | {'yes' if met else 'NO'} | {others:.2f} |", flush=True)


def whole(what: str, runs: Iterable[Run]) -> None:
    """Whether every frame is accounted for."""
    closed = all(run.closes for run in runs)
    row(f"{what}: the ledgers of all cameras close", "all", "all" if closed else "not all", closed,
        max(run.others for run in runs))  # fmt: skip


def measure(count: int, settings: dict[str, str], clip: Path, seconds: float) -> Run:
    """Run ``count`` cameras for some time."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        names = [f"cam{number}" for number in range(count)]
        lines = settings | {"EDGED_CAMERAS": ",".join(names), "EDGED_JSONL": str(folder / "lines.jsonl")}
        servers = []
        for camera in names:
            url, server = stack.enter_context(stream(clip))
            lines[f"EDGED_{camera.upper()}_SOURCE"] = url
            servers.append(psutil.Process(server.pid))
        env_file = folder / "edged.env"
        env_file.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen([*EDGED, "--env-file", str(env_file)], stdout=log, stderr=log)
        usage = psutil.Process(process.pid)
        time.sleep(_WARM_S)
        began, cpu, serving, busy = time.time(), cpu_s([usage]), cpu_s(servers), busy_s()
        time.sleep(seconds)
        took = time.time() - began
        used = cpu_s([usage]) - cpu
        others = (busy_s() - busy - used - (cpu_s(servers) - serving)) / took
        memory_mb = usage.memory_info().rss / 1e6
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        found = [json.loads(line) for line in (folder / "lines.jsonl").read_text().splitlines()]
        told = [json.loads(line) for line in (folder / "log").read_text().splitlines() if line[:1] == "{"]
    late = [line for line in found if began <= line["ts_publish"] <= began + took]
    by_camera = {name: [line for line in late if line["camera"] == name] for name in names}
    return Run(memory_mb, used / took, others, by_camera, began, took, closes(told, count))


def cpu_s(processes: Iterable[psutil.Process]) -> float:
    """CPU seconds of processes so far."""
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def busy_s() -> float:
    """CPU seconds of the whole machine so far."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system)


def decoding_cores(clip: Path, seconds: float) -> float:
    """Cores that nothing but decoding such a stream takes, as edged decodes it."""
    decode = (
        "import sys, time, av\n"
        "stream = av.open(sys.argv[1])\n"
        "stream.streams.video[0].thread_count = 1\n"
        "end = time.monotonic() + float(sys.argv[2])\n"
        "cpu = time.process_time()\n"
        "for _ in stream.decode(video=0):\n"
        "    if time.monotonic() > end: break\n"
        "print(time.process_time() - cpu)\n"
    )
    with stream(clip) as (url, _):
        time.sleep(1)
        done = subprocess.run(
            [sys.executable, "-c", decode, url, str(seconds)], capture_output=True, check=True
        )
    return float(done.stdout) / seconds


def closes(told: list[dict[str, Any]], count: int) -> bool:
    """Whether there is a ledger of every camera, and each closes."""
    ledgers = [line for line in told if line["event"] == "ledger"]
    return len(ledgers) == count and all(
        not one["in_flight"]
        and one["captured"] == one["inferred"] + one["still"] + sum(one["dropped"].values())
        for one in ledgers
    )


@contextmanager
def stream(clip: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A camera: the clip again and again, at its own pace; its address, and who serves it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}/"
    command = ["ffmpeg", "-v", "error", "-re", "-stream_loop", "-1", "-i", str(clip), "-an", "-c", "copy"]
    server = subprocess.Popen([*command, "-f", "mpegts", "-listen", "1", url], stderr=subprocess.DEVNULL)
    try:
        yield url, server
    finally:
        server.kill()
        server.wait()


if __name__ == "__main__":
    main()
