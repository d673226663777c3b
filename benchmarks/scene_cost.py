"""What following objects costs the whole daemon: its rate on a file, and how late results of a camera are.

    python benchmarks/scene_cost.py CLIP MODEL.tflite [--mqtt mqtt://127.0.0.1:1883] [--pairs 3]

The real thing: ``edged run``, with everything of the scene on (tracks, two zones, two lines, a mask, events
as lines and by webhook to a server here) and with EDGED_TRACK=false, in turns, so that what else the machine
does hits both. Detections go to lines and, with --mqtt, to a broker each time. The camera is FFmpeg, which
writes the clip into a FIFO at its own speed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

WARM = 20
"""Frames at the beginning that are left out."""
SCENE = {
    "EDGED_ZONE_LEFT": "0,0 0.5,0 0.5,1 0,1",
    "EDGED_ZONE_MIDDLE": "0.3,0.3 0.7,0.3 0.7,0.9 0.3,0.9",
    "EDGED_LINE_UPRIGHT": "0.5,0 0.5,1",
    "EDGED_LINE_LEVEL": "0,0.5 1,0.5",
    "EDGED_MASK_CORNER": "0,0 0.1,0 0.1,0.1 0,0.1",
}


class Taker(BaseHTTPRequestHandler):
    """Takes every event."""

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


def run(folder: Path, source: Path, variables: dict[str, str]) -> list[dict[str, Any]]:
    """The lines of one run of the daemon."""
    lines, env_file = folder / "run.jsonl", folder / "edged.env"
    lines.unlink(missing_ok=True)
    wanted = variables | {"EDGED_SOURCE": str(source), "EDGED_JSONL": str(lines), "EDGED_DEVICE": "cpu"}
    env_file.write_text("".join(f"{name}={value}\n" for name, value in wanted.items()), encoding="utf-8")
    command = [sys.executable, "-m", "edged", "run", "--env-file", str(env_file)]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    return [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()][WARM:]


def rate(folder: Path, clip: Path, variables: dict[str, str]) -> float:
    """Frames a second of a file."""
    found = run(folder, clip, variables)
    return (len(found) - 1) / float(found[-1]["ts_publish"] - found[0]["ts_publish"])


def lateness_ms(folder: Path, clip: Path, variables: dict[str, str]) -> tuple[float, float]:
    """Milliseconds from when a frame of a camera has come to when its result is made: median and p99."""
    fifo = folder / "camera"
    fifo.unlink(missing_ok=True)
    os.mkfifo(fifo)
    command = ["ffmpeg", "-v", "error", "-y", "-re", "-i", str(clip), "-c", "copy", "-f", "mpegts", str(fifo)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as camera:
        found = run(folder, fifo, variables)
        camera.wait()
    late = sorted(1e3 * (one["ts_publish"] - one["ts_capture"]) for one in found)
    return statistics.median(late), late[int(0.99 * len(late))]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clip", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--mqtt")
    parser.add_argument("--pairs", type=int, default=3)
    options = parser.parse_args()
    rates: tuple[list[float], list[float]] = [], []
    late: tuple[list[tuple[float, float]], list[tuple[float, float]]] = [], []
    with tempfile.TemporaryDirectory() as name, webhook() as url:
        folder = Path(name)
        both = {"EDGED_MODEL": str(options.model.resolve())}
        if options.mqtt:
            both["EDGED_MQTT_URL"] = options.mqtt
        events = {"EDGED_EVENTS_JSONL": str(folder / "events.jsonl"), "EDGED_WEBHOOK_URL": url}
        ways = both | {"EDGED_TRACK": "false"}, both | SCENE | events
        for pair in range(options.pairs):
            for way in (0, 1) if pair % 2 else (1, 0):
                rates[way].append(rate(folder, options.clip.resolve(), ways[way]))
                late[way].append(lateness_ms(folder, options.clip.resolve(), ways[way]))
    print("| | without the scene | everything on | ratio, median of the pairs |\n| --- | --- | --- | --- |")
    figures: list[tuple[str, list[float], list[float]]] = [("frames/s of a file", *rates)]
    for number, what in enumerate(("median", "p99")):
        without, everything = ([one[number] for one in way] for way in late)
        figures.append((f"a camera's result is late by, {what}, ms", without, everything))
    for what, without, everything in figures:
        ratio = statistics.median(on / off for off, on in zip(without, everything, strict=True))
        off, on = statistics.median(without), statistics.median(everything)
        print(f"| {what} | {off:.2f} | {on:.2f} | {ratio:.3f} |")


if __name__ == "__main__":
    main()
