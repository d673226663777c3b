"""What two cameras notice of a third one that fails, in one daemon (benchmarks/camera_neighbours.md).

    python benchmarks/camera_neighbours.py ../shared > benchmarks/camera_neighbours.md   # about ten minutes
    python benchmarks/camera_neighbours.py ../shared --case freezes   # one of them, less than three minutes

Real servers on 127.0.0.1 (FFmpeg, and the tests' MJPEG camera), a real mosquitto, the ``edged`` command. What
the two neighbours notice of a fault is compared with the runs before and after it, in which the third camera
is well: what these differ by is the machine's own unrest. A disk is filled on a tmpfs of its own, so it takes
root. Run it on a quiet machine.
"""

from __future__ import annotations

import argparse
import json
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "sources"))
sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "mqtt"))
import cameras
import psutil
import rig
import several_cameras

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

_SECONDS = 40.0
_MOST = 0.10
"""How much the neighbours' figures may change."""
_NEIGHBOURS = ("left", "right")
_STATE = "edged/bench/third/state"


@dataclass(frozen=True, slots=True)
class Seen:
    """What became of one run."""

    fps: float
    """Results a second of each neighbour."""
    p99_ms: float
    """Capture to result of the neighbours."""
    says: str
    """What is, or was last, wrong by the third camera's topic."""
    closes: bool
    others: float
    """Cores that were at work for somebody else."""


@dataclass(frozen=True, slots=True)
class Third:
    """The third camera, as it is to be."""

    url: str
    output: Path | None = None
    fault: Callable[[], object] = lambda: None
    """Done once all is running."""


def main() -> None:
    """Run every case and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("shared", type=Path, help="folder with models/")
    parser.add_argument("--seconds", type=float, default=_SECONDS, help="of a run (default: %(default)s)")
    cases = {"freezes": freezes, "hangs in open": hangs, "sends garbage": garbage,
             "changes its size": changes_size, "is absent": absent, "has a full disk": full_disk}  # fmt: skip
    parser.add_argument("--case", choices=cases, action="append", help="only this one; may be repeated")
    options = parser.parse_args()
    model = options.shared.resolve() / several_cameras.SMALL

    def run(name: str, case: Callable[[Path], AbstractContextManager[Third]]) -> Seen:
        with tempfile.TemporaryDirectory() as folder, case(Path(folder)) as third:
            seen = watch(Path(folder), model, third, options.seconds)
        print(f"{name}: {seen}", file=sys.stderr, flush=True)
        return seen

    print("# Neighbours of a camera that fails\n\n" + several_cameras.machine() + "\n")
    print(f"Runs of {options.seconds:.0f} s; wanted are at most 10 % of change for the worse.\n")
    print("| the third camera | rate over that beside one that is well | p99, capture to result "
          "| over the mean of before and after | | ledgers close | others | its topic says |")  # fmt: skip
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    before = run("is well", well)
    for name in options.case or cases:
        seen, after = run(name, cases[name]), run("is well", well)
        print(row(name, seen, before, after), flush=True)
        before = after


def row(name: str, seen: Seen, before: Seen, after: Seen) -> str:
    """One line of the table."""
    rate = seen.fps / statistics.mean((before.fps, after.fps))
    late = seen.p99_ms / statistics.mean((before.p99_ms, after.p99_ms))
    met = rate >= 1 - _MOST and late <= 1 + _MOST
    return (
        f"| {name} | {rate:.3f} | {seen.p99_ms:.1f} ms between {before.p99_ms:.1f} and {after.p99_ms:.1f} "
        f"| {late:.2f} | {'yes' if met else 'NO'} | {'yes' if seen.closes else 'NO'} "
        f"| {max(one.others for one in (seen, before, after)):.2f} | {seen.says} |"
    )


def watch(folder: Path, model: Path, third: Third, seconds: float) -> Seen:
    """One run of the daemon."""
    with ExitStack() as stack:
        broker = stack.enter_context(rig.Mosquitto(folder))
        heard = stack.enter_context(rig.Subscriber(broker.port))
        settings = {
            "EDGED_MODEL": str(model),
            "EDGED_FPS": "10",
            "EDGED_CAMERAS": ",".join((*_NEIGHBOURS, "third")),
            "EDGED_NODE": "bench",
            "EDGED_THIRD_SOURCE": third.url,
            "EDGED_MQTT_URL": f"mqtt://127.0.0.1:{broker.port}",
            "EDGED_JSONL": str(folder / "lines.jsonl"),
            "EDGED_READ_TIMEOUT": "2",
            "EDGED_DISK_FREE_GB": "0",
        }
        for name in _NEIGHBOURS:
            server = stack.enter_context(cameras.running(cameras.ffmpeg("mpegts")))
            settings[f"EDGED_{name.upper()}_SOURCE"] = server.url
        if third.output is not None:
            settings["EDGED_THIRD_OUTPUT"] = str(third.output)
        env_file = folder / "edged.env"
        env_file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        with (folder / "log").open("wb") as log:
            daemon = subprocess.Popen(
                [*several_cameras.EDGED, "--env-file", str(env_file)], stdout=log, stderr=log
            )
        stack.callback(daemon.kill)
        time.sleep(6)
        third.fault()
        time.sleep(2)
        family = [one for one in psutil.Process().children(recursive=True) if one.is_running()]
        own, busy = several_cameras.cpu_s(family), several_cameras.busy_s()
        began, before = time.time(), len(heard.on(_STATE))
        time.sleep(seconds)
        ended = time.time()
        others = several_cameras.busy_s() - busy - (several_cameras.cpu_s(family) - own)
        told = [json.loads(state)["degraded"] for state in heard.on(_STATE)[before - 1 :]]
        says: list[str] = next(filter(None, reversed(told)), [])
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(40)
        said = [json.loads(line) for line in (folder / "log").read_text().splitlines() if line[:1] == "{"]
        found = [json.loads(line) for line in (folder / "lines.jsonl").read_text().splitlines()]
    between = [one for one in found if one["camera"] in _NEIGHBOURS and began <= one["ts_publish"] < ended]
    late = several_cameras.percentile([one["timings_ms"]["total"] for one in between], 99)
    return Seen(
        len(between) / len(_NEIGHBOURS) / (ended - began),
        late,
        " ".join(says),
        several_cameras.closes(said, 3),
        others / (ended - began),
    )


# What is the matter with the third camera.


@contextmanager
def well(folder: Path) -> Iterator[Third]:
    """Nothing."""
    del folder
    with cameras.running(cameras.mjpeg()) as server:
        yield Third(server.url)


@contextmanager
def freezes(folder: Path) -> Iterator[Third]:
    """Its connection stays open, and nothing comes."""
    del folder
    with cameras.running(cameras.mjpeg()) as server:
        yield Third(server.url, fault=server.freeze)


@contextmanager
def hangs(folder: Path) -> Iterator[Third]:
    """It takes calls and says nothing."""
    del folder
    with closing(socket.create_server(("127.0.0.1", 0))) as mute:
        yield Third(f"rtsp://127.0.0.1:{mute.getsockname()[1]}/stream")


@contextmanager
def garbage(folder: Path) -> Iterator[Third]:
    """After a second of pictures it sends noise and hangs up, again and again."""
    del folder
    with cameras.running(cameras.mjpeg("--garbage", "25")) as server:
        yield Third(server.url)


@contextmanager
def changes_size(folder: Path) -> Iterator[Third]:
    """Every ten pictures."""
    del folder
    with cameras.running(cameras.mjpeg("--sizes", "320x240,640x480,160x120", "--change", "10")) as server:
        yield Third(server.url)


@contextmanager
def absent(folder: Path) -> Iterator[Third]:
    """Nobody listens there."""
    del folder
    yield Third(f"http://127.0.0.1:{cameras.free_port()}/")


@contextmanager
def full_disk(folder: Path) -> Iterator[Third]:
    """It records, and there is no room."""
    disk = folder / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=5m", "tmpfs", str(disk)], check=True)

    def fill() -> None:
        with suppress(OSError), (disk / "others").open("wb", buffering=0) as stream:
            while stream.write(bytes(65536)):
                pass

    try:
        with cameras.running(cameras.mjpeg()) as server:
            yield Third(server.url, output=disk / "video", fault=fill)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


if __name__ == "__main__":
    main()
