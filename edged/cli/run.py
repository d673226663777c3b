"""``edged run``: the daemon."""

from __future__ import annotations

import asyncio
import faulthandler
import sys
from functools import partial
from typing import TYPE_CHECKING

from edged.cli import add_env_file
from edged.settings import loading

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from edged.metrics import FrameCounts
    from edged.records import State
    from edged.settings.declared import Settings

_VIEW = "127.0.0.1:8080"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_env_file(parser)
    parser.add_argument(
        "--view", action="store_true", help=f"show what is seen on a page, as EDGED_HTTP={_VIEW} does"
    )


def run(options: argparse.Namespace) -> int:
    """Run until the source ends or a signal comes."""
    settings = _settings(options)

    from edged.daemon import logs, memory  # noqa: PLC0415  # a bad setting must be told before anything heavy is imported
    from edged.daemon.service import serve  # noqa: PLC0415

    # Where each thread stood, when the watchdog's SIGABRT or a crash in a library ends the process.
    faulthandler.enable()
    memory.share()
    logs.follow(settings[0])
    on_terminal = sys.stderr.isatty() and not settings[0].several and not settings[0].loop
    reread = partial(_settings, options) if options.env_file else None
    asyncio.run(serve(settings, reread=reread, progress=_show if on_terminal else None))
    return 0


def _settings(options: argparse.Namespace) -> Sequence[Settings]:
    settings = loading.load_all(options.env_file)
    if options.view and settings[0].http is None:
        settings = tuple(one.model_copy(update={"http": _VIEW}) for one in settings)
    return settings


def _show(frames: FrameCounts, state: State) -> None:
    total = state.source.get("frames")
    if total:
        share = min(1.0, frames.captured / total)
        bar = "#" * round(30 * share)
        over = state.lifecycle == "stopping" and not frames.in_flight
        print(
            f"\r[{bar:<30}] {share:4.0%} {frames.results}/{total} frames",
            end="\n" if over else "",
            file=sys.stderr,
            flush=True,
        )
