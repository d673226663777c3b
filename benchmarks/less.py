"""What doing less saves: a quiet camera with the motion gates and without (benchmarks/less.md, docs/less.md).

    python benchmarks/less.py ../shared > benchmarks/less.md
    python benchmarks/less.py ../shared --before CHECKOUT --parts quiet    # against another state of the code

The real thing: the ``edged`` command, and a stream of 720p H.264, 30 frames/s and a keyframe every two
seconds, served over HTTP on loopback: an empty car park, one picture over and over with the noise of a
sensor, encoded as a camera does it that may vary its bit rate, and as one that may not. Runs with and without
the gates take turns, so that what else the machine does hits all; what counts are ratios. How soon
something that moves is found is measured live, too: a zebra steps into such a stream for a second, and
again when nothing has moved for some, so large that the model finds it in every picture. The time runs from
when the first packet with it is sent to when the result with it is made. What decoding takes by itself
depends on how often it is called; so it is measured as packets come, one by one and six at once, in this
process, which does nothing else.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import av
import psutil
from several_cameras import stream

from edged.daemon import memory

if TYPE_CHECKING:
    from collections.abc import Iterator

EDGED = [sys.executable, "-m", "edged", "run"]
CLIP = "clips/car_768x432_h264_30s.mp4"
MODEL = "models/yolov8n_224_full_integer_quant.tflite"
FPS = 5
ZEBRA = "images/000000000034.jpg"
_CLIP_S = 8
_LIGHT_CLIP_S = 24
_STEPS_IN = (495, 679, 866, 1052, 1239)
"""Frames of the clip with which the zebra steps in, each at another distance from a keyframe and a look."""
_STAYS_S = 1.0
_DECODING_S = 4.0
"""How long decoding as packets come is measured."""
_RATE = 30
PARTS = ("quiet", "constant", "light", "zebra")
CAMERAS = {
    "variable": "-crf 25 -maxrate 4M -bufsize 4M",
    "constant": "-b:v 3M -maxrate 3M -bufsize 3M",
}
LIGHTS = {
    "switched every 3 seconds": "1-0.4*lt(mod(t\\,6)\\,3)",
    "drifts down by a third and back within eight seconds": "0.83+0.17*cos(PI*t/4)",
    "drifts down by a third and back within 24 seconds": "0.83+0.17*cos(PI*t/12)",
}
"""What the luminance is multiplied by, as light does it and as FFmpeg writes it."""
_STORM_S = 12.0
_WARM_S = 7.0
"""Left out at the beginning: loading, and a burst of the stream."""


@dataclass(frozen=True, slots=True)
class Run:
    """What one run of the daemon came to."""

    share: float
    """CPU time over wall time: share of one core."""
    wake_ups: float
    """How often a second a thread went on that had waited."""
    ledger: dict[str, Any]

    @property
    def closes(self) -> bool:
        """Whether every frame is accounted for."""
        told = self.ledger
        ended = told["inferred"] + told["still"] + sum(told["dropped"].values())
        return bool(told["captured"] == ended and not told["in_flight"])


def main() -> None:
    """Measure all of it and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shared", type=Path, help="folder with models/, clips/ and images/")
    parser.add_argument("--seconds", type=float, default=8.0, help="of a run (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each kind (default: %(default)s)")
    parser.add_argument("--clips", type=Path, help="folder in which clips are kept for the next run")
    parser.add_argument("--before", type=Path, help="a checkout of other code, which takes turns")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="which (default: all)")
    options = parser.parse_args()
    shared: Path = options.shared.resolve()
    load = os.getloadavg()[0]
    where = f"{platform.system()} {platform.release()}, {len(os.sched_getaffinity(0))} cores"
    print("# Doing less\n")
    print(f"{where}, Python {platform.python_version()}. A quiet stream of 720p30 H.264, EDGED_FPS={FPS},")
    print(
        f"yolov8n_224, lines of JSON, no other sink; {options.rounds} runs of {options.seconds:g} s of each"
    )
    print(
        f"kind in turns, medians. The machine was shared, its load when it began was {load:.1f}: compare the"
    )
    print("ratios, not the figures.\n")
    trees = {"": Path(__file__).parent.parent}
    if options.before is not None:
        trees = {"before": options.before.resolve(), "now": trees[""]}
    memory.share()  # as edged does; else a decoder's pictures lie in memory of their own, which takes longer
    with tempfile.TemporaryDirectory() as passing:
        folder = options.clips or Path(passing)
        for part, camera in zip(PARTS, CAMERAS, strict=False):
            if part in options.parts:
                clip = quiet_clip(shared / CLIP, folder / f"{camera}.ts", camera)
                costs(camera, clip, shared / MODEL, options, trees)
        if "light" in options.parts:
            storms(shared, folder, options.rounds, [*trees.values()][-1])
        if "zebra" in options.parts:
            for camera in CAMERAS:
                clip = quiet_clip(shared / CLIP, folder / f"zebra-{camera}.ts", camera, zebra=shared / ZEBRA)
                delays(camera, clip, shared / MODEL, options.rounds, trees)


def costs(camera: str, clip: Path, model: Path, options: argparse.Namespace, trees: dict[str, Path]) -> None:
    """Measure what a quiet stream takes, and print it."""
    motions = ("off", "pixels", "packets") if len(trees) == 1 else ("pixels", "packets")
    runs: dict[tuple[str, str], list[Run]] = {(motion, tree): [] for motion in motions for tree in trees}
    alone = {at_once: [decoding_share(clip, at_once)] for at_once in (0, 1, 6)}
    for _ in range(options.rounds):
        for (motion, tree), done in runs.items():
            done.append(measure(clip, model, motion, options.seconds, trees[tree]))
    for at_once, shares in alone.items():
        shares.append(decoding_share(clip, at_once))
    rate = clip.stat().st_size * 8e-6 / _CLIP_S
    print(f"## A camera of {camera} bit rate: {rate:.1f} Mbit/s\n")
    print("| what | measured: the median, and each run |\n| --- | --- |")
    for at_once, how in ((0, "back to back"), (1, "each packet when it comes"), (6, "six packets at once")):
        print(f"| decoding alone, {how}, first and last | {shown(alone[at_once])} |")
    wanted = {"off": "", "pixels": " (wanted: 7 %)", "packets": " (wanted: 3 %)"}
    for (motion, tree), done in runs.items():
        print(f"| EDGED_MOTION={motion}{wanted[motion]} {tree} | {shown([run.share for run in done])} |")
    for (motion, tree), done in runs.items():
        often = statistics.median(run.wake_ups for run in done)
        print(f"| wake-ups a second, of all threads, {motion} {tree} | {often:.0f} |")
    last = [*trees][-1]
    told = [run.ledger for run in runs["pixels", last]]
    still, seen = sum(one["still"] for one in told), sum(one["inferred"] for one in told)
    print(f"| frames that the model did not get, pixels | {still} of {still + seen} |")
    packets = [run.ledger for run in runs["packets", last]]
    quiet = sum(one["dropped"].get("quiet", 0) for one in packets)
    captured = sum(one["captured"] for one in packets)
    print(f"| frames that were left out as quiet, packets | {quiet} of {captured} |")
    closed = all(run.closes for done in runs.values() for run in done)
    print(f"| the account of the frames closes | {'in all runs' if closed else 'NOT in all runs'} |\n")


def shown(shares: list[float]) -> str:
    """The median and all of them."""
    return f"{100 * statistics.median(shares):.1f} %: " + ", ".join(f"{100 * share:.1f}" for share in shares)


def storms(shared: Path, folder: Path, rounds: int, tree: Path) -> None:
    """Count inferences where only the light changes, and print them."""
    print(f"## Only the light changes, {_STORM_S:g} s live\n")
    print("| light | EDGED_MOTION | frames that came | frames that the model got, each run |")
    print("| --- | --- | --- | --- |")
    for number, (light, factor) in enumerate(LIGHTS.items()):
        clip = quiet_clip(shared / CLIP, folder / f"light-{number}.ts", "variable", light=factor)
        for motion in ("pixels", "packets"):
            told = [measure(clip, shared / MODEL, motion, _STORM_S, tree).ledger for _ in range(rounds)]
            came = statistics.median(one["captured"] for one in told)
            print(f"| {light} | {motion} | {came:.0f} | {', '.join(str(one['inferred']) for one in told)} |")
    print()


def delays(camera: str, clip: Path, model: Path, rounds: int, trees: dict[str, Path]) -> None:
    """Measure how soon something is found, and print it."""
    print(f"## How soon a zebra that steps in is in a result, {camera} bit rate\n")
    print("| EDGED_MOTION | seconds, each time |\n| --- | --- |")
    motions = ("off", "pixels", "packets") if len(trees) == 1 else ("pixels", "packets")
    found: dict[tuple[str, str], list[float]] = {(motion, tree): [] for motion in motions for tree in trees}
    for _ in range(rounds):
        for motion, tree in found:
            found[motion, tree] += delay(clip, model, motion, trees[tree])
    wanted = {"off": "", "pixels": " (wanted: 0.3)", "packets": " (wanted: 0.6)"}
    for (motion, tree), seconds in found.items():
        print(f"| {motion}{wanted[motion]} {tree} | {', '.join(f'{one:.2f}' for one in seconds)} |")
    print()


def quiet_clip(
    source: Path, target: Path, camera: str, *, zebra: Path | None = None, light: str = ""
) -> Path:
    """One picture of the clip, again and again, with noise that differs; a zebra may step in and walk."""
    if target.exists():
        return target
    scene = "[0:v]select=eq(n\\,20),loop=-1:1,setpts=N/30/TB,scale=1280:720"
    inputs, seconds, noise = ["-i", str(source)], float(_CLIP_S), 5 if camera == "variable" else 8
    if zebra is not None:
        inputs += ["-i", str(zebra)]
        seconds = _STEPS_IN[-1] / _RATE + 2
        begin = [f"{(frame - 0.5) / _RATE:.4f}" for frame in _STEPS_IN]
        there = "+".join(f"between(t\\,{one}\\,{one}+{_STAYS_S})" for one in begin)
        walk = f"overlay=x=400+60*mod(t\\,1):y=150:enable={there}"
        scene += f"[scene];[1:v]scale=640:425[zebra];[scene][zebra]{walk}"
    if light:
        seconds = float(_LIGHT_CLIP_S)
        scene += f",eq=contrast={light}:brightness=({light}-1)/2:eval=frame"
    encoding = f"-c:v libx264 -preset veryfast -tune zerolatency -g 60 -sc_threshold 0 {CAMERAS[camera]}"
    run_ffmpeg(*inputs, "-filter_complex", f"{scene},noise=alls={noise}:allf=t", "-t", str(seconds),
               "-r", "30", *encoding.split(), "-pix_fmt", "yuv420p", str(target))  # fmt: skip
    return target


def run_ffmpeg(*arguments: str) -> None:
    """Until it ends by itself."""
    subprocess.run(["ffmpeg", "-nostdin", "-loglevel", "error", "-y", *arguments], check=True)


def decoding_share(clip: Path, at_once: int) -> float:
    """What decoding the stream takes of a core, in one thread as edged does it.

    Args:
        clip: the stream.
        at_once: so many packets are decoded when the last of them has come; 0: all of them, back to back.
    """
    with av.open(str(clip)) as container:
        context = container.streams.video[0].codec_context
        context.thread_count = 1
        packets = [packet for packet in container.demux(video=0) if packet.size]
        packets = packets[: round(_RATE * _DECODING_S)] if at_once else packets
        began, cpu = time.monotonic(), time.process_time()
        for number, packet in enumerate(packets, start=1):
            if at_once and number % at_once == 1 % at_once:
                due = began + (number + at_once - 1) / _RATE
                time.sleep(max(0.0, due - time.monotonic()))
            context.decode(packet)
        return _RATE * (time.process_time() - cpu) / len(packets)


def measure(clip: Path, model: Path, motion: str, seconds: float, tree: Path) -> Run:
    """Run the daemon of a checkout on the stream for some time."""
    with (
        tempfile.TemporaryDirectory() as name,
        stream(clip) as (url, _),
        daemon(url, model, motion, name, tree) as process,
    ):
        usage = psutil.Process(process.pid)
        time.sleep(_WARM_S)
        began, cpu, woken = time.monotonic(), sum(usage.cpu_times()[:2]), wake_ups(process.pid)
        time.sleep(seconds)
        passed = time.monotonic() - began
        share = (sum(usage.cpu_times()[:2]) - cpu) / passed
        often = (wake_ups(process.pid) - woken) / passed
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        lines = (Path(name) / "log").read_text().splitlines()
    told = [json.loads(line) for line in lines if line[:1] == "{"]
    return Run(share, often, next(line for line in told if line["event"] == "ledger"))


def wake_ups(process: int) -> int:
    """How often its threads have waited for something."""
    waited = 0
    for status in Path(f"/proc/{process}/task").glob("*/status"):
        with suppress(OSError):  # the thread has ended
            waited += int(status.read_text().partition("\nvoluntary_ctxt_switches:")[2].split()[0])
    return waited


def delay(clip: Path, model: Path, motion: str, tree: Path) -> list[float]:
    """Seconds from each first packet that has the zebra in it to the first result that has it."""
    with Camera(clip) as camera, tempfile.TemporaryDirectory() as name:
        with daemon(camera.url, model, motion, name, tree) as process:
            camera.ended.wait(90)
            process.send_signal(signal.SIGTERM)
            process.wait(30)
        lines = [json.loads(line) for line in (Path(name) / "lines.jsonl").read_text().splitlines()]
    told = [
        float(line["ts_publish"])
        for line in lines
        if any(found["label"] == "zebra" for found in line["detections"])
    ]
    return [min((at for at in told if at > sent), default=math.inf) - sent for sent in camera.sent_at]


@contextmanager
def daemon(url: str, model: Path, motion: str, folder: str, tree: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The real command of a checkout, with lines of JSON and a log in the folder."""
    settings = {
        "EDGED_SOURCE": url,
        "EDGED_MODEL": str(model),
        "EDGED_FPS": str(FPS),
        "EDGED_MOTION": motion,
        "EDGED_JSONL": f"{folder}/lines.jsonl",
        "EDGED_LOG_FORMAT": "json",
    }
    env_file = Path(folder) / "edged.env"
    env_file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    with (Path(folder) / "log").open("wb") as log:
        command = [*EDGED, "--env-file", str(env_file)]
        environ = {**os.environ, "PYTHONPATH": str(tree)}
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environ)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


class Camera:
    """Sends a clip once, each packet at its time, and notes when it sends those with which a zebra comes."""

    def __init__(self, clip: Path) -> None:
        self.ended = threading.Event()
        self.sent_at: list[float] = []
        """UTC, seconds."""
        self._data = clip.read_bytes()
        with av.open(str(clip)) as container:
            packets = [packet for packet in container.demux(video=0) if packet.size]
        self._places = [packet.pos or 0 for packet in packets[1:]] + [len(self._data)]
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}/zebra.ts"

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()

    def _serve(self) -> None:
        while not self.ended.is_set():
            try:
                connection, _ = self._server.accept()
                connection.recv(65536)
                connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: video/mp2t\r\n\r\n")
                self._send(connection)
            except OSError:
                continue

    def _send(self, connection: socket.socket) -> None:
        self.sent_at.clear()
        began, at = time.monotonic(), 0
        for number, end in enumerate(self._places):
            time.sleep(max(0.0, began + number / _RATE - time.monotonic()))
            connection.sendall(self._data[at:end])
            at = end
            if number in _STEPS_IN:
                self.sent_at.append(time.time())
        self.ended.set()
        time.sleep(2)  # whoever is lost now would be looked for again
        connection.close()


if __name__ == "__main__":
    main()
