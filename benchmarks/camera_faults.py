"""What becomes of frames when cameras freeze, die, hang up 200 times, send noise or change their size.

Runs real servers on 127.0.0.1 (FFmpeg and GStreamer's RTSP server must be installed) in front of the real
pipeline, prints a table and fails if a promise is broken::

    python benchmarks/camera_faults.py               # about 12 minutes
    python benchmarks/camera_faults.py --cycles 20   # shortened
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "sources"))
import cameras
import fault_runs  # the tests run the same ones, shortened

if TYPE_CHECKING:
    from collections.abc import Callable

    from fault_runs import Outcome

RSS_LIMIT_MB = 20.0


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cycles", type=int, default=200, help="connections of the runs that hang up")
    parser.add_argument("--rounds", type=int, default=3, help="freezes and kills of each server")
    parser.add_argument("--only", default="", help="runs whose name has this in it")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    rounds = options.rounds

    runs: dict[str, Callable[[], Outcome]] = {
        "frozen, killed: MJPEG": lambda: fault_runs.freezes_and_kills(cameras.mjpeg(), rounds=rounds),
        "frozen, killed: RTSP, TCP": lambda: fault_runs.freezes_and_kills(cameras.rtsp(), rounds=rounds),
        "frozen, killed: RTSP, UDP": lambda: fault_runs.freezes_and_kills(
            cameras.rtsp(), transport="udp", rounds=rounds
        ),
        "frozen, killed: ffmpeg MJPEG": lambda: fault_runs.freezes_and_kills(
            cameras.ffmpeg("mpjpeg"), rounds=rounds, restart=True
        ),
        "frozen, killed: ffmpeg TS": lambda: fault_runs.freezes_and_kills(
            cameras.ffmpeg("mpegts"), rounds=rounds, restart=True
        ),
        "garbage bytes: MJPEG": lambda: fault_runs.cycles(
            cameras.mjpeg("--garbage", "20", "--fps", "50"), max(3, options.cycles // 20)
        ),
        "damaged pictures: MJPEG": lambda: fault_runs.goes_on(cameras.mjpeg("--corrupt", "5"), seconds=5)[0],
        "changing size: MJPEG": lambda: fault_runs.goes_on(
            cameras.mjpeg("--sizes", "320x240,640x480,160x120", "--change", "10"), seconds=5
        )[0],
        "slow, 1 fps: MJPEG": lambda: fault_runs.goes_on(cameras.mjpeg("--fps", "1"), seconds=5)[0],
        f"{options.cycles} hang-ups: MJPEG": lambda: fault_runs.cycles(
            cameras.mjpeg("--frames", "10", "--fps", "50"), options.cycles
        ),
        f"{options.cycles} hang-ups: RTSP": lambda: fault_runs.cycles(
            cameras.rtsp("--hang-up", "2", "--size", "160x120"), options.cycles
        ),
    }
    print(
        f"{'run':30}{'frames':>8}{'losses':>8}{'noticed s':>11}{'back s':>8}"
        f"{'threads':>9}{'fds':>5}{'RSS MB':>8}{'took s':>8}  skipped, dropped"
    )
    broken = []
    for name, run in runs.items():
        if options.only not in name:
            continue
        begun = time.monotonic()
        outcome = run()
        print(
            f"{name:30}{outcome.frames:8}{outcome.reconnects:8}{_most(outcome.noticed_s):>11}"
            f"{_most(outcome.back_s):>8}{outcome.threads:+9}{outcome.descriptors:+5}{outcome.rss_mb:+8.1f}"
            f"{time.monotonic() - begun:8.0f}  {outcome.skipped or '-'}, {outcome.dropped or '-'}",
            flush=True,
        )
        results = outcome.promises | {"memory is flat": outcome.rss_mb < RSS_LIMIT_MB}
        broken += [f"{name}: {promise}" for promise, kept in results.items() if not kept]
    for promise in broken:
        print(f"BROKEN  {promise}")
    return 1 if broken else 0


def _most(seconds: list[float]) -> str:
    """The longest; "noticed" counts from the fault, "back" from the return of the camera."""
    return f"{max(seconds):.1f}" if seconds else "-"


if __name__ == "__main__":
    raise SystemExit(main())
