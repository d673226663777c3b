"""``edged bench``: the pipeline against the bare model, on this machine, with these settings."""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import TYPE_CHECKING

from edged.cli import add_env_file, whole
from edged.settings import loading

if TYPE_CHECKING:
    import argparse

    from edged.trial.benchmark import Benchmark, Trial

_BAR = 32


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_env_file(parser)
    parser.add_argument(
        "--frames",
        type=whole(2, 1_000_000),
        default=150,
        metavar="N",
        help="frames a round, 2 or more (default: %(default)s)",
    )
    parser.add_argument(
        "--rounds", type=whole(1, 1000), default=5, metavar="N", help="rounds (default: %(default)s)"
    )
    parser.add_argument(
        "--tune", action="store_true", help="try every share of the cores and print the settings for the best"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    """Measure and print."""
    settings = loading.load(options.env_file)

    from edged.daemon import logs, memory  # noqa: PLC0415  # a bad setting is told before anything heavy is imported
    from edged.trial import benchmark  # noqa: PLC0415  # a bad setting is told before anything heavy is imported

    memory.share()  # as the daemon does, whose memory and speed are what is asked for
    logs.configure(log_format=settings.log_format, level="warning")
    if settings.tiles or settings.regions != "off":
        print(
            "EDGED_TILES and EDGED_REGIONS are left out: one look at each frame is measured", file=sys.stderr
        )
    if options.tune:
        trials = benchmark.tune(settings, frames=options.frames, rounds=options.rounds)
        return _tune(trials, as_json=options.json)
    found = benchmark.measure(settings, frames=options.frames, rounds=options.rounds)
    if options.json:
        print(json.dumps(dataclasses.asdict(found), indent=1))
    else:
        _print(found)
    return 0


def _tune(trials: list[Trial], *, as_json: bool) -> int:
    if as_json:
        print(json.dumps([dataclasses.asdict(trial) for trial in trials], indent=1))
        return 0
    print("# workers  threads   frames/s   ms an inference")
    for trial in trials:
        print(f"# {trial.workers:7} {trial.threads:8} {trial.fps:10.1f} {trial.predict_ms:17.1f}")
    best = trials[0]
    quick = min(trials, key=lambda trial: trial.predict_ms)
    print(f"# most frames (files, or a camera faster than the model):\nEDGED_WORKERS={best.workers}")
    print(f"EDGED_THREADS={best.threads}")
    if quick != best:
        print(
            f"# least delay (a live camera):\n#EDGED_WORKERS={quick.workers}\n#EDGED_THREADS={quick.threads}"
        )
    return 0


def _print(found: Benchmark) -> None:
    print(f"{found.model} on {found.source}")
    print(f"{found.runtime}, {found.workers} worker(s) of {found.threads} thread(s)")
    print(f"{found.cores} cores, median of {found.rounds} rounds of {found.frames} frames\n")
    for name, fps in (
        ("raw invoke", found.raw_fps),
        ("one after the other", found.sequential_fps),
        ("ceiling", found.ceiling_fps),
    ):
        print(f"  {name:<20} {fps:8.1f} frames/s; the pipeline has {found.pipeline_fps / fps:.2f} of it")
    print(f"  {'pipeline':<20} {found.pipeline_fps:8.1f} frames/s")
    print(f"  {'peak memory':<20} {found.peak_mb:8.0f} MB\n")
    print(f"  {'stage alone':<12} {'cpu':>8} {'p50':>8} {'p95':>8} {'p99':>8}  ms a frame")
    longest = max(cost.wall.p50_ms for cost in found.alone.values())
    for stage, cost in found.alone.items():
        bar = "#" * max(1, round(_BAR * cost.wall.p50_ms / longest))
        wall = cost.wall
        figures = " ".join(f"{ms:8.2f}" for ms in (cost.cpu_ms, wall.p50_ms, wall.p95_ms, wall.p99_ms))
        print(f"  {stage:<12} {figures}  {bar}")
    print(f"\n  {'in pipeline':<21} {'p50':>8} {'p95':>8} {'p99':>8}  ms")
    for stage, wall in found.together.items():
        print(f"  {stage:<21} {wall.p50_ms:8.2f} {wall.p95_ms:8.2f} {wall.p99_ms:8.2f}")
