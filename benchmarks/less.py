"""What doing less saves: a quiet camera with the motion gate and without (benchmarks/less.md, docs/less.md).

    python benchmarks/less.py ../shared > benchmarks/less.md

The real thing: the ``edged`` command, and a stream of 720p H.264, 30 frames/s and 3 Mbit/s, that
ffmpeg serves over HTTP on loopback: an empty car park, one picture over and over with the noise of a sensor.
Runs with and without the gate take turns, so that what else the machine does hits both; what counts is their
ratio.
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
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator

EDGED = [sys.executable, "-m", "edged", "run"]
CLIP = "clips/car_768x432_h264_30s.mp4"
MODEL = "models/yolov8n_224_full_integer_quant.tflite"
FPS = 5
_CLIP_S = 8
_WARM_S = 5.0
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
    parser.add_argument("shared", type=Path, help="folder with models/ and clips/")
    parser.add_argument("--seconds", type=float, default=8.0, help="of a run (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=2, help="runs of each kind (default: %(default)s)")
    options = parser.parse_args()
    shared: Path = options.shared.resolve()
    load = os.getloadavg()[0]
    runs: dict[str, list[Run]] = {"off": [], "pixels": []}
    with tempfile.TemporaryDirectory() as folder:
        clip = quiet_clip(shared / CLIP, Path(folder) / "quiet.ts")
        decoding = decoding_share(clip)
        for _ in range(options.rounds):
            for motion, done in runs.items():
                done.append(measure(clip, shared / MODEL, motion, options.seconds))
    off, gated = (statistics.median(run.share for run in runs[motion]) for motion in ("off", "pixels"))
    told = [run.ledger for run in runs["pixels"]]
    still, seen = sum(one["still"] for one in told), sum(one["inferred"] for one in told)
    closed = all(run.closes for done in runs.values() for run in done)
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
    print("| what | measured |\n| --- | --- |")
    print(f"| decoding alone, share of a core | {100 * decoding:.1f} % |")
    print(f"| EDGED_MOTION=off | {100 * off:.1f} % |")
    print(f"| EDGED_MOTION=pixels (wanted: 7 % on a quiet machine) | {100 * gated:.1f} % |")
    print(f"| pixels over off | {gated / off:.2f} |")
    print(f"| the same beyond decoding | {(gated - decoding) / (off - decoding):.2f} |")
    print(f"| frames that the model did not get | {still} of {still + seen} |")
    print(f"| the account of the frames closes | {'in all runs' if closed else 'NOT in all runs'} |")


def quiet_clip(source: Path, target: Path) -> Path:
    """One picture of the clip, again and again, with noise that differs from frame to frame."""
    filters = "select=eq(n\\,20),loop=-1:1,setpts=N/30/TB,scale=1280:720,noise=alls=8:allf=t"
    encoding = "-c:v libx264 -preset veryfast -tune zerolatency -g 60 -b:v 3M -maxrate 3M -bufsize 3M"
    run_ffmpeg("-i", str(source), "-vf", filters, "-t", str(_CLIP_S), "-r", "30", *encoding.split(),
               "-pix_fmt", "yuv420p", str(target))  # fmt: skip
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
    with tempfile.TemporaryDirectory() as name, stream(clip) as url:
        folder = Path(name)
        settings = {
            "EDGED_SOURCE": url,
            "EDGED_MODEL": str(model),
            "EDGED_FPS": str(FPS),
            "EDGED_MOTION": motion,
            "EDGED_JSONL": str(folder / "lines.jsonl"),
            "EDGED_LOG_FORMAT": "json",
        }
        env_file = folder / "edged.env"
        env_file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen([*EDGED, "--env-file", str(env_file)], stdout=log, stderr=log)
        usage = psutil.Process(process.pid)
        time.sleep(_WARM_S)
        began, cpu = time.monotonic(), sum(usage.cpu_times()[:2])
        time.sleep(seconds)
        share = (sum(usage.cpu_times()[:2]) - cpu) / (time.monotonic() - began)
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        told = [json.loads(line) for line in (folder / "log").read_text().splitlines() if line[:1] == "{"]
    return Run(share, next(line for line in told if line["event"] == "ledger"))


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
