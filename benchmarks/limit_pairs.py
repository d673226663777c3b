"""Two states of the code against each other at the limit, finely enough to tell 2 % (benchmarks/limit.md).

    python benchmarks/limit_pairs.py ../shared OLD/bin/python NEW/bin/python --part one --told told.jsonl
    ...
    python benchmarks/limit_pairs.py --table told.jsonl

OLD and NEW are environments with what a service has, as for limit.py. How fast this kind of machine is
differs by a tenth from one run to the next, so runs are not compared: daemons of both states, and the bare
model, run *at the same time* and take turns of half a second, all but one stopped (SIGSTOP). What the machine
does hits all of them alike. Told are wall time and CPU time a frame (the kernel's, by thread), switches and
page faults, all while they had their turns; a ratio is the median of those of stretches of many turns, with
the least and the most. Both have the same small counter around the invoke. What cannot be stopped takes turns
by whole runs, and the functions that Python calls for a frame are counted.

Every part is appended to a file when it has ended, so that they may be measured one by one.
"""

from __future__ import annotations

import argparse
import itertools
import json
import mmap
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from itertools import cycle, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limit import CLIP, FAST_SOURCE, YOLO_224, YOLO_640, blazeface, broker, environment, resident_mb

if TYPE_CHECKING:
    from collections.abc import Callable

TURN_S = 0.5
STRETCHES = 8
"""Ratios are taken of so many stretches of turns."""
COUNTED = 400
"""Frames whose calls are counted, of these threads."""
FRAME = "capture", "preprocess", "predict", "postprocess"
WARM = 24
"""Invokes before the first turn: what begins only once is over."""
TURNS = "one", "all", "224", "face"
"""Parts that are measured by turns."""
OFF = {"EDGED_TRACK": "false"}
"""The old state follows no objects."""
WAYS = "old", "new, EDGED_TRACK=false", "new"
Figures = dict[str, float]
Wanted = list[tuple[str, str, str, dict[str, str]]]
"""Name, python, way and settings of each process."""


@dataclass
class Taker:
    """A process that takes turns; what it has spent in them, turn by turn."""

    name: str
    process: subprocess.Popen[bytes]
    shared: mmap.mmap
    turns: list[Figures] = field(default_factory=list)
    last: Figures = field(default_factory=dict)

    def read(self) -> Figures:
        """What it has spent since its start; it is stopped."""
        invokes, _, cpu_s = memoryview(self.shared).cast("d")
        figures: Counter[str] = Counter()
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            name = task.joinpath("comm").read_text().strip().rstrip("-0123456789")
            ms = int(task.joinpath("schedstat").read_text().split()[0]) / 1e6
            figures["cpu"] += ms  # type: ignore[assignment]
            figures[f"thread {name}"] += ms  # type: ignore[assignment]
            for line in task.joinpath("status").read_text().splitlines():
                if line.startswith(("voluntary_ctxt", "nonvoluntary_ctxt")):
                    figures["switches"] += int(line.split()[1])
        stat = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        figures["faults"] = int(stat[7])
        model = {"frames": invokes, "invoke cpu": 1e3 * cpu_s}
        return {**figures, **model, "beyond": figures["cpu"] - 1e3 * cpu_s}

    def turn(self) -> None:
        """Let it run for a while, and note what that took."""
        self.process.send_signal(signal.SIGCONT)
        began = time.perf_counter()
        time.sleep(TURN_S)
        self.stop()
        wall = 1e3 * (time.perf_counter() - began)
        now = self.read()
        self.turns.append({"wall": wall, **{what: now[what] - self.last.get(what, 0.0) for what in now}})
        self.last = now

    def stop(self) -> None:
        """Stop all its threads."""
        self.process.send_signal(signal.SIGSTOP)
        state = os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WEXITED)
        if state is None or state.si_code != os.CLD_STOPPED:
            sys.exit(f"{self.name} has ended")


def take_turns(stack: ExitStack, wanted: Wanted, seconds: float) -> dict[str, Any]:
    """Have processes (name, python, way, settings) take turns; totals a frame of each, by stretch."""
    ends = time.monotonic() + seconds
    takers = []
    for number, (name, python, way, settings) in enumerate(wanted):
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        named = settings | {"EDGED_NODE": f"limit{number}"}
        if "EDGED_OUTPUT" in settings:
            named["EDGED_OUTPUT"] = str(folder / "out.mp4")
        takers.append(started(name, python, way, named, folder))
        stack.callback(takers[-1].process.wait)
        stack.callback(takers[-1].process.kill)
    with suppress(KeyboardInterrupt):
        for order in cycle((takers, takers[::-1])):
            for taker in order:
                taker.turn()
            if time.monotonic() + TURN_S * len(takers) > ends:
                break
    return {taker.name: by_stretch(taker.turns) for taker in takers}


def started(name: str, python: str, way: str, settings: dict[str, str], folder: Path) -> Taker:
    """A process that is warm, and stopped."""
    counts = folder / "counts"
    counts.write_bytes(bytes(24))
    with counts.open("r+b") as file:
        shared = mmap.mmap(file.fileno(), 24)
    command = [python, __file__, "--inside", str(counts), *way.split()]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, env=environment(settings), cwd=folder, stderr=log)
    taker = Taker(name, process, shared)
    while memoryview(shared).cast("d")[0] < WARM:
        if process.poll() is not None:
            sys.exit(f"{name} has ended:\n{(folder / 'log').read_text()}")
        time.sleep(0.02)
    taker.stop()
    taker.last = taker.read()
    return taker


def by_stretch(turns: list[Figures]) -> list[Figures]:
    """What was spent in each of some stretches, a frame."""
    count = max(1, min(STRETCHES, len(turns) // 2))
    edges = [number * len(turns) // count for number in range(count + 1)]
    told = []
    for first, last in pairwise(edges):
        total: Counter[str] = Counter()
        for turn in turns[first:last]:
            total.update(turn)
        frames = total.pop("frames")
        told.append({"frames": frames} | {what: spent / frames for what, spent in total.items()})
    return told


# What is measured.


def turns(shared: Path, pythons: dict[str, str], seconds: float, part: str) -> dict[str, Any]:
    """Rates and costs, by turns."""
    model = {"224": shared / YOLO_224, "face": blazeface()}.get(part, shared / YOLO_640)
    source = FAST_SOURCE if part in {"224", "face"} else str(shared / CLIP)
    both = {"EDGED_MODEL": str(model), "EDGED_SOURCE": source, "EDGED_THREADS": "1", "EDGED_LOOP": "true"}
    both["EDGED_WORKERS"] = str(os.cpu_count()) if part == "all" else "1"
    with ExitStack() as stack:
        if source != FAST_SOURCE:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            both["EDGED_MQTT_URL"] = stack.enter_context(broker(folder))
            both["EDGED_OUTPUT"] = "out.mp4"
        else:
            both.pop("EDGED_LOOP")
        old, new = pythons["old"], pythons["new"]
        wanted = [
            ("old", old, "run", both),
            (WAYS[1], new, "run", both | OFF),
            ("new", new, "run", both),
            ("the model alone", new, "bench raw", both),
        ]
        if source != FAST_SOURCE:
            wanted.append(("one stage after the other", new, "bench sequential", both | OFF))
        return take_turns(stack, wanted, seconds)


def three_ways(pythons: dict[str, str], settings: dict[str, str]) -> list[tuple[str, str, dict[str, str]]]:
    """What is compared: its name, its Python and its settings."""
    old, new = pythons["old"], pythons["new"]
    return [("old", old, settings), (WAYS[1], new, settings | OFF), ("new", new, settings)]


def whole_clip(shared: Path, url: str, folder: str) -> dict[str, str]:
    """The first case of the limit, with a broker and a file of video."""
    return {
        "EDGED_MODEL": str(shared / YOLO_640),
        "EDGED_SOURCE": str(shared / CLIP),
        "EDGED_MQTT_URL": url,
        "EDGED_OUTPUT": str(Path(folder) / "out.mp4"),
    }


def start(shared: Path, pythons: dict[str, str], seconds: float, __: str) -> dict[str, Any]:
    """How long --help and the first detection take, in turns."""
    ends = time.monotonic() + seconds
    found: dict[str, dict[str, list[float]]] = {"help": {}, "first": {}}
    with tempfile.TemporaryDirectory() as name, broker(Path(name)) as url, suppress(KeyboardInterrupt):
        ways = three_ways(pythons, whole_clip(shared, url, name))
        for number in itertools.count():
            for what, python, settings in ways if number % 2 else ways[::-1]:
                if what != "new":
                    for _ in range(3):
                        took = helped(python)
                        found["help"].setdefault(what, []).append(took)
                found["first"].setdefault(what, []).append(first_seen(python, settings, f"start{number}"))
            if time.monotonic() > ends:
                break
    return found


def helped(python: str) -> float:
    """Seconds that ``edged --help`` takes."""
    began = time.perf_counter()
    subprocess.run([python, "-m", "edged", "--help"], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def first_seen(python: str, settings: dict[str, str], node: str) -> float:
    """Seconds from a start to the first detection that a subscriber has."""
    port = settings["EDGED_MQTT_URL"].rpartition(":")[2]
    topic = f"edged/{node}/camera/detections"
    subscribe = ["mosquitto_sub", "-p", port, "-t", topic, "-C", "1"]
    with subprocess.Popen(subscribe, stdout=subprocess.DEVNULL) as listener:
        time.sleep(0.2)
        began = time.perf_counter()
        command = [python, "-m", "edged", "run"]
        variables = environment(settings | {"EDGED_NODE": node})
        with subprocess.Popen(command, env=variables, stderr=subprocess.DEVNULL) as process:
            listener.wait(30)
            took = time.perf_counter() - began
            process.kill()
    return took


def live(shared: Path, pythons: dict[str, str], seconds: float, __: str) -> dict[str, Any]:
    """A camera three times as fast as the model, in runs of a quarter of a minute that take turns."""
    ends = time.monotonic() + seconds
    found: dict[str, list[Figures]] = {}
    with tempfile.TemporaryDirectory() as name, broker(Path(name)) as url, suppress(KeyboardInterrupt):
        base = {"EDGED_MODEL": str(shared / YOLO_640), "EDGED_THREADS": "1", "EDGED_WORKERS": "1"}
        base |= {"EDGED_MQTT_URL": url}
        alone = base | {"EDGED_SOURCE": FAST_SOURCE}
        fast = lived(pythons["new"], "bench raw", alone, Path(name), 4.0)["invoke ms"]
        base["EDGED_SOURCE"] = f"synthetic:?width=640&height=480&fps={3e3 / fast:.2f}"
        ways = [("old", "old", base), (WAYS[1], "new", base | OFF), ("new", "new", base)]
        number = 0
        while time.monotonic() + 17 < ends:
            for what, python, settings in ways if number % 2 else ways[::-1]:
                run = settings | {"EDGED_NODE": f"live{number}{python}"}
                found.setdefault(what, []).append(lived(pythons[python], "run", run, Path(name), 14.0))
            number += 1
    return found


def lived(python: str, way: str, settings: dict[str, str], folder: Path, seconds: float) -> Figures:
    """One run of so many seconds: delays of its frames to the broker, in inference times, and its account."""
    counts = folder / "counts"
    counts.write_bytes(bytes(24))
    port = settings["EDGED_MQTT_URL"].rpartition(":")[2]
    topic = f"edged/{settings.get('EDGED_NODE', 'none')}/camera/timings"
    with subprocess.Popen(["mosquitto_sub", "-p", port, "-t", topic], stdout=subprocess.PIPE) as listener:
        command = [python, __file__, "--inside", str(counts), *way.split()]
        with subprocess.Popen(command, env=environment(settings), stderr=subprocess.DEVNULL) as process:
            time.sleep(seconds)
            process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(5)
            process.kill()
        listener.terminate()
        told = listener.communicate()[0].splitlines()
    with counts.open("rb") as file:
        invokes, wall_s, _ = memoryview(file.read(24)).cast("d")
    figures = {"invoke ms": 1e3 * wall_s / invokes}
    delays = counts.with_suffix(".delays")
    if way == "run":
        # Until it is warm, frames wait longer.
        late = sorted(json.loads(delays.read_text())[WARM:])
        for what, share in (("p50", 0.5), ("p99", 0.99)):
            figures[what] = late[int(share * len(late))] / figures["invoke ms"]
        frames = json.loads(told[-1])["frames"]
        ended = frames["inferred"] + frames.get("still", 0) + sum(frames["dropped"].values())
        figures |= {"results": len(late), "captured": frames["captured"], "ended": ended}
    return figures


def peak(shared: Path, pythons: dict[str, str], seconds: float, __: str) -> dict[str, Any]:
    """Most resident memory of the whole clip, and its CPU time, in turns."""
    ends = time.monotonic() + seconds
    found: dict[str, list[Figures]] = {}
    with tempfile.TemporaryDirectory() as name, broker(Path(name)) as url, suppress(KeyboardInterrupt):
        ways = three_ways(pythons, whole_clip(shared, url, name) | {"EDGED_THREADS": "1"})
        for number in itertools.count():
            for what, python, settings in ways if number % 2 else ways[::-1]:
                command = [python, "-m", "edged", "run"]
                process = subprocess.Popen(command, env=environment(settings), stderr=subprocess.DEVNULL)
                _, _, usage = os.wait4(process.pid, 0)
                process.returncode = 0
                spent = {"MB": usage.ru_maxrss * 1024 / 1e6, "CPU s": usage.ru_utime + usage.ru_stime}
                found.setdefault(what, []).append(spent)
            if time.monotonic() > ends:
                break
    return found


def growth(_: Path, pythons: dict[str, str], frames: float, __: str) -> dict[str, Any]:
    """Growth of the resident size over many frames, both at once."""
    settings = {
        "EDGED_MODEL": str(blazeface()),
        "EDGED_SOURCE": f"{FAST_SOURCE}&count={int(frames)}",
        "EDGED_THREADS": "1",
        "EDGED_JSONL": "-",
    }
    ways = three_ways(pythons, settings)
    return {what: [{"MB": grown(python, variables)}] for what, python, variables in ways}


def grown(python: str, settings: dict[str, str]) -> float:
    """MB more than after 5,000 frames, at the most."""
    command = [python, "-m", "edged", "run"]
    after_start = most = 0.0
    with subprocess.Popen(
        command, env=environment(settings), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        for number, _ in enumerate(process.stdout, 1):
            if number == 5000:
                after_start = resident_mb(process.pid)
            elif number > 5000 and number % 1000 == 0 and process.poll() is None:
                most = max(most, resident_mb(process.pid))
    return most - after_start


def calls(_: Path, pythons: dict[str, str], __: float, ___: str) -> dict[str, Any]:
    """Functions that Python calls for a frame, by thread: the same number on every machine."""
    base = {"EDGED_MODEL": str(blazeface()), "EDGED_SOURCE": FAST_SOURCE, "EDGED_THREADS": "1"}
    base["EDGED_WORKERS"] = "1"
    found = {}
    with tempfile.TemporaryDirectory() as name:
        counts = Path(name) / "calls"
        ways = [("old", "old", base), (WAYS[1], "new", base | OFF), ("new", "new", base)]
        for what, python, settings in ways:
            command = [pythons[python], __file__, "--inside", str(counts), "calls"]
            subprocess.run(command, env=environment(settings), stderr=subprocess.DEVNULL, check=True)
            found[what] = [json.loads(counts.read_text())]
    return found


# Inside of a process that is measured.


def count_calls(counts: Path) -> None:
    """Run edged here for some hundred frames, and write down what its threads have called meanwhile."""
    from edged.cli import main as edged  # noqa: PLC0415  # which one, the environment says
    from edged.engines.cpu import CpuEngine  # noqa: PLC0415

    called: Counter[str] = Counter()
    invokes = itertools.count(1 - WARM)
    invoke = CpuEngine.invoke

    def note(_: Any, event: str, __: Any) -> None:
        if event in {"call", "c_call"}:
            called[threading.current_thread().name.rstrip("-0123456789")] += 1

    def counted(self: CpuEngine, tensor: Any) -> Any:
        number = next(invokes)
        if number == 0:
            called.clear()
        if number == COUNTED:
            own = {name: many / COUNTED for name, many in called.items() if name in FRAME}
            counts.write_text(json.dumps(own | {"all of these": sum(own.values())}))
            os._exit(0)
        return invoke(self, tensor)

    CpuEngine.invoke = counted  # type: ignore[method-assign]
    threading.setprofile(note)
    edged(["run"])


def inside(counts: Path, way: list[str]) -> None:
    """Run edged here, counting invokes and what they take where who measures can read it."""
    from edged.cli import main as edged  # noqa: PLC0415  # which one, the environment says
    from edged.engines.cpu import CpuEngine  # noqa: PLC0415
    from edged.metrics import Meter  # noqa: PLC0415

    with counts.open("r+b") as file:
        shared = memoryview(mmap.mmap(file.fileno(), 24)).cast("d")
    lock = threading.Lock()
    delays: list[float] = []
    invoke, observe = CpuEngine.invoke, Meter.observe

    def counted(self: CpuEngine, tensor: Any) -> Any:
        wall, cpu = time.perf_counter(), time.thread_time()
        try:
            return invoke(self, tensor)
        finally:
            wall, cpu = time.perf_counter() - wall, time.thread_time() - cpu
            with lock:
                shared[0] += 1
                shared[1] += wall
                shared[2] += cpu
                if shared[0] == WARM // 2:
                    name_threads()

    def observed(self: Meter, stage: str, ms: float) -> None:
        if stage == "capture_to_ack":
            delays.append(ms)
        observe(self, stage, ms)

    CpuEngine.invoke = counted  # type: ignore[method-assign]
    Meter.observe = observed  # type: ignore[method-assign]
    if way[0] == "run":
        edged(["run"])
        counts.with_suffix(".delays").write_text(json.dumps(delays))
        return
    bench: Any = vars(import_module("edged.trial.benchmark"))["_Bench"]
    if way[1] == "sequential":
        bench.raw = no_rate
    edged(["bench", "--frames", str(10**6), "--rounds", "1"])


async def no_rate(_: Any) -> float:
    """Leave out the bare model."""
    return 0.0


def name_threads() -> None:
    """Tell the kernel what the threads are called."""
    for thread in threading.enumerate():
        Path(f"/proc/self/task/{thread.native_id}/comm").write_text(thread.name[:15], encoding="utf-8")


# The tables.


def table(told: Path) -> None:
    """Print what all parts have come to."""
    shows: dict[str, Callable[[Any], None]] = {
        "start": start_told,
        "live": runs_told,
        "peak": runs_told,
        "growth": runs_told,
        "calls": runs_told,
    }
    for part in (json.loads(line) for line in told.read_text().splitlines()):
        print(f"\n### {part['part']} (load before: {part['load']:.1f})\n")
        shows.get(part["part"], turns_told)(part["found"])


def compared(what: str, olds: list[float], news: list[float], others: list[float]) -> None:
    """One row: both states, and the ratios of the stretches."""
    cells = [f"{statistics.median(olds):.3g}"]
    for values in (news, others):
        ratios = sorted(new / old for old, new in zip(olds, values, strict=False) if old)
        spread = f"{statistics.median(ratios):.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})" if ratios else ""
        cells += [f"{statistics.median(values):.3g}", spread]
    print(f"| {what} | {' | '.join(cells)} |")


HEAD = "| what | old | new, EDGED_TRACK=false | ratio | new | ratio |\n| --- | --- | --- | --- | --- | --- |"


def turns_told(found: dict[str, list[Figures]]) -> None:
    """Rates and costs."""
    print(HEAD)
    ways = [found[way] for way in WAYS]
    bare = [stretch["wall"] for stretch in found["the model alone"]]
    compared("wall, ms a frame", *([one["wall"] for one in way] for way in ways))
    for what, other in (
        ("share of the rate of the model alone", "the model alone"),
        ("rate against one stage after the other", "one stage after the other"),
    ):
        if other in found:
            its = [stretch["wall"] for stretch in found[other]]
            compared(what, *([a / one["wall"] for a, one in zip(its, way, strict=False)] for way in ways))
    over = [[one["wall"] - a for a, one in zip(bare, way, strict=False)] for way in ways]
    compared("wall over the model alone, ms a frame", *over)
    names = [what for what in ways[2][0] if what.startswith("thread ") and "predict" not in what]
    names.sort(key=lambda name: -ways[2][0][name])
    for what in ("invoke cpu", "beyond", *names, "switches", "faults"):
        rows = [[one.get(what, 0.0) for one in way] for way in ways]
        if max(map(statistics.median, rows)) >= 0.02:
            compared({"beyond": "CPU beside the invoke"}.get(what, what), *rows)
    print("\nFrames:", ", ".join(f"{way} {sum(one['frames'] for one in found[way]):.0f}" for way in found))


def start_told(found: dict[str, dict[str, list[float]]]) -> None:
    """Times of a start."""
    print(HEAD)
    for what, times in found.items():
        least = min(map(len, times.values()))
        ways = [times.get(way, times[WAYS[1]])[:least] for way in WAYS]
        compared(f"{what}, s ({least})", *ways)


def runs_told(found: dict[str, list[Figures]]) -> None:
    """Figures of whole runs."""
    print(HEAD)
    least = min(map(len, found.values()))
    for what in found["old"][0]:
        compared(f"{what} ({least})", *([run[what] for run in found[way][:least]] for way in WAYS))


MEASURES: dict[str, Callable[..., dict[str, Any]]] = {
    "start": start,
    "live": live,
    "peak": peak,
    "growth": growth,
    "calls": calls,
}


def main() -> None:
    """Measure one part, or print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("shared", type=Path, nargs="?")
    parser.add_argument("old", nargs="?", help="python of the old state")
    parser.add_argument("new", nargs="?", help="python of the new state")
    parser.add_argument("--part", choices=[*TURNS, *MEASURES])
    parser.add_argument("--seconds", type=float, default=160.0, help="a part takes; frames, of growth")
    parser.add_argument("--told", type=Path, help="where a part is appended")
    parser.add_argument("--table", type=Path, help="print this file")
    options = parser.parse_args()
    if options.table is not None:
        table(options.table)
        return
    measure: Callable[..., dict[str, Any]] = MEASURES.get(options.part, turns)
    pythons = {"old": options.old, "new": options.new}
    load = os.getloadavg()[0]
    found = measure(options.shared.resolve(), pythons, options.seconds, options.part)
    with options.told.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"part": options.part, "load": load, "found": found}) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inside"]:
        (count_calls if sys.argv[3] == "calls" else partial(inside, way=sys.argv[3:]))(Path(sys.argv[2]))
    else:
        main()
