"""What doing less saves: a quiet camera with the motion gates and without (benchmarks/less.md, docs/less.md).

    python benchmarks/less.py ../shared > benchmarks/less.md

The real thing: the ``edged`` command, and a stream of 720p H.264, 30 frames/s and a keyframe every two
seconds, served over HTTP on loopback: an empty car park, one picture over and over with the noise of a
sensor, encoded as a camera does it that may vary its bit rate, and as one that may not. Runs with and without
the gates take turns, so that what else the machine does hits all; what counts are ratios. How soon something
that moves is found is measured live, too: a zebra steps into such a stream, so large that the model finds it
in every picture. The time runs from when the first packet with it is sent to when the result with it is made.
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
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import av
import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator

EDGED = [sys.executable, "-m", "edged", "run"]
CLIP = "clips/car_768x432_h264_30s.mp4"
MODEL = "models/yolov8n_224_full_integer_quant.tflite"
FPS = 5
ZEBRA = "images/000000000034.jpg"
_CLIP_S = 8
_LIGHT_CLIP_S = 24
_STEPS_IN_S = 16.5
"""When the zebra steps in, in seconds of the clip; the end is two seconds later."""
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
    with tempfile.TemporaryDirectory() as folder:
        for camera in CAMERAS:
            clip = quiet_clip(shared / CLIP, Path(folder) / f"{camera}.ts", camera)
            costs(camera, clip, shared / MODEL, options)
        storms(shared, Path(folder), options.rounds)
        clip = quiet_clip(shared / CLIP, Path(folder) / "zebra.ts", "variable", zebra=shared / ZEBRA)
        delays(clip, shared / MODEL, options.rounds)


def costs(camera: str, clip: Path, model: Path, options: argparse.Namespace) -> None:
    """Measure what a quiet stream takes, and print it."""
    runs: dict[str, list[Run]] = {"off": [], "pixels": [], "packets": []}
    decoding = decoding_share(clip)
    for _ in range(options.rounds):
        for motion, done in runs.items():
            done.append(measure(clip, model, motion, options.seconds))
    share = {motion: statistics.median(run.share for run in done) for motion, done in runs.items()}
    told = [run.ledger for run in runs["pixels"]]
    still, seen = sum(one["still"] for one in told), sum(one["inferred"] for one in told)
    closed = all(run.closes for done in runs.values() for run in done)
    packets = [run.ledger for run in runs["packets"]]
    quiet = sum(one["dropped"].get("quiet", 0) for one in packets)
    rate = clip.stat().st_size * 8e-6 / _CLIP_S
    print(f"## A camera of {camera} bit rate: {rate:.1f} Mbit/s\n")
    print("| what | measured |\n| --- | --- |")
    print(f"| decoding alone, share of a core | {100 * decoding:.1f} % |")
    print(f"| EDGED_MOTION=off | {100 * share['off']:.1f} % |")
    print(f"| EDGED_MOTION=pixels (wanted: 7 % on a quiet machine) | {100 * share['pixels']:.1f} % |")
    print(f"| EDGED_MOTION=packets (wanted: 3 %) | {100 * share['packets']:.1f} % |")
    print(f"| pixels over off | {share['pixels'] / share['off']:.2f} |")
    print(f"| packets over off | {share['packets'] / share['off']:.2f} |")
    beyond = (share["pixels"] - decoding) / (share["off"] - decoding)
    print(f"| pixels over off, beyond decoding | {beyond:.2f} |")
    print(f"| frames that the model did not get, pixels | {still} of {still + seen} |")
    captured = sum(one["captured"] for one in packets)
    print(f"| frames that were left out as quiet, packets | {quiet} of {captured} |")
    print(f"| the account of the frames closes | {'in all runs' if closed else 'NOT in all runs'} |\n")


def storms(shared: Path, folder: Path, rounds: int) -> None:
    """Count inferences where only the light changes, and print them."""
    print(f"## Only the light changes, {_STORM_S:g} s live\n")
    print("| light | EDGED_MOTION | frames that came | frames that the model got, each run |")
    print("| --- | --- | --- | --- |")
    for light, factor in LIGHTS.items():
        clip = quiet_clip(shared / CLIP, folder / "light.ts", "variable", light=factor)
        for motion in ("pixels", "packets"):
            told = [measure(clip, shared / MODEL, motion, _STORM_S).ledger for _ in range(rounds)]
            came = statistics.median(one["captured"] for one in told)
            print(f"| {light} | {motion} | {came:.0f} | {', '.join(str(one['inferred']) for one in told)} |")
    print()


def delays(clip: Path, model: Path, rounds: int) -> None:
    """Measure how soon something is found, and print it."""
    print("## How soon a zebra that steps in is in a result\n")
    print("| EDGED_MOTION | seconds, each run |\n| --- | --- |")
    found: dict[str, list[float]] = {"off": [], "pixels": [], "packets": []}
    for _ in range(rounds):
        for motion, seconds in found.items():
            seconds.append(delay(clip, model, motion))
    wanted = {"off": "", "pixels": " (wanted: 0.3)", "packets": " (wanted: 0.6)"}
    for motion, seconds in found.items():
        print(f"| {motion}{wanted[motion]} | {', '.join(f'{one:.2f}' for one in seconds)} |")


def quiet_clip(
    source: Path, target: Path, camera: str, *, zebra: Path | None = None, light: str = ""
) -> Path:
    """One picture of the clip, again and again, with noise that differs; a zebra may step in and walk."""
    scene = "[0:v]select=eq(n\\,20),loop=-1:1,setpts=N/30/TB,scale=1280:720"
    inputs, seconds, noise = ["-i", str(source)], float(_CLIP_S), 5 if camera == "variable" else 8
    if zebra is not None:
        inputs += ["-i", str(zebra)]
        seconds = _STEPS_IN_S + 2
        walk = f"overlay=x=400+60*(t-{_STEPS_IN_S}):y=150:enable=gte(t\\,{_STEPS_IN_S})"
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


def decoding_share(clip: Path) -> float:
    """What decoding every frame of the stream takes of a core, in one thread as edged does it."""
    with av.open(str(clip)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        began = time.process_time()
        count = sum(1 for _ in container.decode(video=0))
    return 30 * (time.process_time() - began) / count


def measure(clip: Path, model: Path, motion: str, seconds: float) -> Run:
    """Run the daemon on the stream for some time."""
    with (
        tempfile.TemporaryDirectory() as name,
        stream(clip) as url,
        daemon(url, model, motion, name) as process,
    ):
        usage = psutil.Process(process.pid)
        time.sleep(_WARM_S)
        began, cpu = time.monotonic(), sum(usage.cpu_times()[:2])
        time.sleep(seconds)
        share = (sum(usage.cpu_times()[:2]) - cpu) / (time.monotonic() - began)
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        lines = (Path(name) / "log").read_text().splitlines()
    told = [json.loads(line) for line in lines if line[:1] == "{"]
    return Run(share, next(line for line in told if line["event"] == "ledger"))


def delay(clip: Path, model: Path, motion: str) -> float:
    """Seconds from the first packet that has the zebra in it to the result that has it."""
    with Camera(clip) as camera, tempfile.TemporaryDirectory() as name:
        with daemon(camera.url, model, motion, name) as process:
            camera.sent.wait(60)
            time.sleep(2)
            process.send_signal(signal.SIGTERM)
            process.wait(30)
        lines = (Path(name) / "lines.jsonl").read_text().splitlines()
    for line in map(json.loads, lines):
        if any(found["label"] == "zebra" for found in line["detections"]):
            return float(line["ts_publish"]) - camera.sent_at
    return float("nan")


@contextmanager
def daemon(url: str, model: Path, motion: str, folder: str) -> Iterator[subprocess.Popen[bytes]]:
    """The real command, with lines of JSON and a log in the folder."""
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
        process = subprocess.Popen([*EDGED, "--env-file", str(env_file)], stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


class Camera:
    """Sends a clip once, each packet at its time, and notes when it sends the first with the zebra in it."""

    def __init__(self, clip: Path) -> None:
        self.sent = threading.Event()
        self.sent_at = 0.0
        """UTC, seconds."""
        self._data = clip.read_bytes()
        with av.open(str(clip)) as container:
            packets = [packet for packet in container.demux(video=0) if packet.size]
        self._places = [packet.pos or 0 for packet in packets[1:]] + [len(self._data)]
        # No packet but keyframes is as large as the one with which it comes.
        self._first = max(range(len(packets)), key=lambda n: 0 if packets[n].is_keyframe else packets[n].size)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}/zebra.ts"

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()

    def _serve(self) -> None:
        while not self.sent.is_set():
            try:
                connection, _ = self._server.accept()
                connection.recv(65536)
                connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: video/mp2t\r\n\r\n")
                self._send(connection)
            except OSError:
                continue

    def _send(self, connection: socket.socket) -> None:
        began, at = time.monotonic(), 0
        for number, end in enumerate(self._places):
            time.sleep(max(0.0, began + number / 30 - time.monotonic()))
            connection.sendall(self._data[at:end])
            at = end
            if number == self._first:
                self.sent_at = time.time()
                self.sent.set()
        time.sleep(2)  # whoever is lost now would be looked for again
        connection.close()


@contextmanager
def stream(clip: Path) -> Iterator[str]:
    """The clip for ever, at its own pace, to whoever connects first."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}/quiet.ts"
    command = [
        "ffmpeg",
        "-nostdin",
        "-v",
        "error",
        "-re",
        "-stream_loop",
        "-1",
        "-i",
        str(clip),
        "-c",
        "copy",
    ]
    server = subprocess.Popen([*command, "-f", "mpegts", "-listen", "1", url], stderr=subprocess.DEVNULL)
    try:
        time.sleep(0.5)
        yield url
    finally:
        server.kill()
        server.wait()


if __name__ == "__main__":
    main()
