"""What following objects costs the whole daemon: its rate and CPU on a file, how late a camera's results are.

    python benchmarks/scene_cost.py CLIP MODEL.tflite [--files 6] [--lives 2] [--workers 1]

The real thing: ``edged run``, with everything of the scene on (tracks, two zones, two lines, a mask, events
as lines, over MQTT and by webhook to a server here) and with EDGED_TRACK=false and nothing of it, in turns,
so that what else the machine does hits both. Detections go to lines and to a broker (mosquitto) each time.
The camera is FFmpeg, which writes the clip into a FIFO at its own speed. A thread's CPU time is the kernel's
(/proc/PID/task/TID/schedstat), so that the model, whose own time differs more from run to run than the scene
takes, and who else is on the machine can be told apart from it.

With a worker a core whatever the scene takes is taken from the model, and CPU tells the rate. One worker of
one thread leaves a core to all else, as in the first row of limit.md: there the rate is what the model is
kept waiting between two inferences, whose own time does not count.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")
Pair: TypeAlias = tuple[list[T], list[T]]
"""Runs without the scene, and with it."""
Spent: TypeAlias = dict[str, float]
"""Milliseconds of CPU a frame by row of the table."""
WARM = 20
"""Frames at the beginning that are left out."""
SCENE = {
    "EDGED_ZONE_LEFT": "0,0 0.5,0 0.5,1 0,1",
    "EDGED_ZONE_MIDDLE": "0.3,0.3 0.7,0.3 0.7,0.9 0.3,0.9",
    "EDGED_LINE_UPRIGHT": "0.5,0 0.5,1",
    "EDGED_LINE_LEVEL": "0,0.5 1,0.5",
    "EDGED_MASK_CORNER": "0,0 0.1,0 0.1,0.1 0,0.1",
}


THREADS = {
    "predict": "the model",
    "postprocess": "postprocess: outputs, and the scene",
    "webhook": "webhook, which posts",
    "sink-webhook": "sinks of the webhook and of lines of events",
    "sink-events": "sinks of the webhook and of lines of events",
    "mqtt": "MQTT, both threads",
    "sink-mqtt": "MQTT, both threads",
}
"""Rows of the table by the names of threads, without their numbers."""
OTHERS = "all others"


class Pace(NamedTuple):
    """How fast a file went through a daemon."""

    fps: float
    predict_ms: float
    """What the model took for a frame, by the clock."""
    waits_ms: float
    """How long a worker was kept waiting from one inference to the next."""


class Taker(BaseHTTPRequestHandler):
    """Takes every event, and keeps its connection as most servers do."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """The name is the library's."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def webhook() -> Iterator[str]:
    """The address of a server that takes every event."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Taker)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def broker(folder: Path) -> Iterator[str]:
    """The address of a mosquitto."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = folder / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nlog_type none\n", encoding="utf-8")
    with subprocess.Popen(["mosquitto", "-c", str(config)], stderr=subprocess.DEVNULL) as process:
        try:
            yield f"mqtt://127.0.0.1:{port}"
        finally:
            process.terminate()


def inside(arguments: list[str]) -> int:
    """Edged itself, whose threads tell the kernel what they are called."""
    from edged import bridge  # noqa: PLC0415  # this process is another one
    from edged.cli import main as edged  # noqa: PLC0415

    start = bridge.start

    def named(name: str, function: Callable[[], object], *, nice: int = 0) -> Any:
        def body() -> None:
            Path(f"/proc/self/task/{threading.get_native_id()}/comm").write_text(name[:15], encoding="utf-8")
            function()

        return start(name, body, nice=nice)

    bridge.start = named
    return edged(arguments)


def cpu_ms(pid: int) -> dict[tuple[str, str], float]:
    """What every thread of a process has taken so far, by its name and number."""
    taken = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):  # it has ended meanwhile
            name = task.joinpath("comm").read_text(encoding="utf-8").strip()
            taken[name, task.name] = int(task.joinpath("schedstat").read_text().split()[0]) / 1e6
    return taken


def watched(process: subprocess.Popen[bytes], lines: Path) -> Spent:
    """Milliseconds of CPU a frame by row of the table, from when it is warm to its last frames."""
    first: dict[tuple[str, str], float] = {}
    last: dict[tuple[str, str], float] = {}
    begun = seen = 0
    while process.poll() is None:
        with suppress(OSError):
            now, count = cpu_ms(process.pid), lines.read_bytes().count(b"\n")
            if not first and count >= WARM:
                first, begun = now, count
            if first and count > seen:
                last, seen = last | now, count
        time.sleep(0.05)
    taken = dict.fromkeys([*THREADS.values(), OTHERS], 0.0)
    for thread, ms in last.items():
        row = THREADS.get(thread[0].rstrip("-0123456789"), OTHERS)
        taken[row] += (ms - first.get(thread, 0.0)) / (seen - begun)
    return taken


def run(folder: Path, source: Path, variables: dict[str, str]) -> tuple[list[dict[str, Any]], Spent]:
    """The lines of one run of the daemon, and what its threads took."""
    lines, env_file = folder / "run.jsonl", folder / "edged.env"
    lines.unlink(missing_ok=True)
    wanted = variables | {"EDGED_SOURCE": str(source), "EDGED_JSONL": str(lines), "EDGED_DEVICE": "cpu"}
    env_file.write_text("".join(f"{name}={value}\n" for name, value in wanted.items()), encoding="utf-8")
    command = [sys.executable, __file__, "--inside", "run", "--env-file", str(env_file)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        taken = watched(process, lines)
    assert process.returncode == 0
    told = [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()][WARM:]
    return told, taken


def rate(folder: Path, clip: Path, variables: dict[str, str], workers: int) -> tuple[Pace, Spent]:
    """How fast a file is, and CPU."""
    found, taken = run(folder, clip, variables)
    frame_s = (found[-1]["ts_publish"] - found[0]["ts_publish"]) / (len(found) - 1)
    predict_ms = statistics.fmean(one["timings_ms"]["predict"] for one in found[1:])
    return Pace(1 / frame_s, predict_ms, 1e3 * workers * frame_s - predict_ms), taken


def lateness_ms(folder: Path, clip: Path, variables: dict[str, str]) -> list[float]:
    """Milliseconds from when a frame of a camera has come to when its result is made."""
    fifo = folder / "camera"
    fifo.unlink(missing_ok=True)
    os.mkfifo(fifo)
    command = ["ffmpeg", "-v", "error", "-y", "-re", "-i", str(clip), "-c", "copy", "-f", "mpegts", str(fifo)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as camera:
        found, _ = run(folder, fifo, variables)
        camera.wait()
    return [1e3 * (one["ts_publish"] - one["ts_capture"]) for one in found]


def told_rates(rates: Pair[Pace], taken: Pair[Spent]) -> None:
    """Print what the runs on a file took."""
    print("| CPU, ms a frame (medians; least to most) | without the scene | everything on | more |")
    print("| --- | --- | --- | --- |")
    rows = [*dict.fromkeys(THREADS.values()), OTHERS]
    for row in rows[1:]:
        cells = [[one[row] for one in way] for way in taken]
        off, on = map(statistics.median, cells)
        told = (f"{statistics.median(one):.2f} ({min(one):.2f} to {max(one):.2f})" for one in cells)
        print(f"| {row} | {' | '.join(told)} | {on - off:+.2f} |")
    off, on = (statistics.median(sum(one.values()) - one[rows[0]] for one in way) for way in taken)
    model = statistics.median(one[rows[0]] for way in taken for one in way)
    print(f"| all but the model | {off:.2f} | {on:.2f} | {on - off:+.2f} |")
    print(f"| the model, in both | {model:.2f} | {model:.2f} | |")
    print(f"\nBy CPU the rate is {(model + off) / (model + on):.3f} of that without the scene.")
    ratios = sorted(on.fps / off.fps for off, on in zip(*rates, strict=False))  # the last pair may be half
    ways = [statistics.median(one.fps for one in way) for way in rates]
    middle = statistics.median(ratios)
    print(f"By the clock it is {middle:.3f}, pairs from {ratios[0]:.3f} to {ratios[-1]:.3f}.")
    print(f"{ways[0]:.1f} and {ways[1]:.1f} frames/s.")


def told_waits(rates: Pair[Pace]) -> None:
    """Print how long the model was kept waiting, which is all that is not its own time."""
    off, on = (sorted(one.waits_ms for one in way) for way in rates)
    predict = statistics.median(one.predict_ms for way in rates for one in way)
    less, more = map(statistics.median, (off, on))
    print(f"\nFrom one inference to the next a worker waits {less:.2f} ms ({off[0]:.2f} to {off[-1]:.2f})")
    print(f"and {more:.2f} ms ({on[0]:.2f} to {on[-1]:.2f}), beside {predict:.2f} ms for an inference:")
    print(f"by that the rate is {(predict + less) / (predict + more):.3f} of that without the scene.")


def told_lateness(late: Pair[list[float]]) -> None:
    """Print how late the results of a camera were, all runs of a way together."""
    print("\n| a camera's result is late by, ms | without the scene | everything on |\n| --- | --- | --- |")
    ways = [sorted(ms for one in way for ms in one) for way in late]
    for what, share in (("median", 0.5), ("p90", 0.9), ("p99", 0.99)):
        print(f"| {what} | {' | '.join(f'{way[int(share * len(way))]:.1f}' for way in ways)} |")
    print(f"| frames | {' | '.join(str(len(way)) for way in ways)} |")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clip", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--files", type=int, default=6, help="pairs of runs on the file")
    parser.add_argument("--lives", type=int, default=2, help="pairs of runs on the camera")
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count(), help="of one thread each, on the file; else one a core"
    )
    options = parser.parse_args()
    clip, model = options.clip.resolve(), options.model.resolve()
    rates: Pair[Pace] = [], []
    taken: Pair[Spent] = [], []
    late: Pair[list[float]] = [], []
    with tempfile.TemporaryDirectory() as name, webhook() as url, broker(Path(name)) as mqtt:
        folder = Path(name)
        both = {"EDGED_MODEL": str(model), "EDGED_MQTT_URL": mqtt}
        events = {"EDGED_EVENTS_JSONL": str(folder / "events.jsonl"), "EDGED_WEBHOOK_URL": url}
        ways = both | {"EDGED_TRACK": "false"}, both | SCENE | events
        engines = {"EDGED_WORKERS": str(options.workers), "EDGED_THREADS": "1"}
        with suppress(KeyboardInterrupt):  # what was measured until then is told
            for pair in range(options.files):
                for way in (0, 1) if pair % 2 else (1, 0):
                    found, spent = rate(folder, clip, ways[way] | engines, options.workers)
                    rates[way].append(found)
                    taken[way].append(spent)
            for pair in range(options.lives):
                for way in (0, 1) if pair % 2 else (1, 0):
                    late[way].append(lateness_ms(folder, clip, ways[way]))
    if all(rates):
        told_rates(rates, taken)
        told_waits(rates)
    if all(late):
        told_lateness(late)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inside"]:
        sys.exit(inside(sys.argv[2:]))
    main()
