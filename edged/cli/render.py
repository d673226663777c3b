"""``edged render``: the boxes drawn into a copy of a segment of EDGED_RECORD=copy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edged.contract.words import counted
from edged.errors import ConfigError

if TYPE_CHECKING:
    import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "segment",
        type=Path,
        metavar="SEGMENT",
        help="a video of EDGED_RECORD=copy; the detections (.jsonl) lie beside it",
    )
    parser.add_argument(
        "-o", "--out", type=Path, metavar="OUT", help="the copy (default: SEGMENT with -boxes before .mp4)"
    )
    parser.add_argument(
        "--rotate",
        type=int,
        choices=(0, 90, 180, 270),
        default=0,
        help="EDGED_ROTATE with which it was recorded: the copy is turned so (default: %(default)s)",
    )


def run(options: argparse.Namespace) -> int:
    """Draw and encode all of it."""
    from edged.video.rendering import render  # noqa: PLC0415  # FFmpeg is slow to import

    segment: Path = options.segment
    if not segment.name:
        raise ConfigError(f"{str(segment)!r} is no segment", hint="Name a video of EDGED_RECORD=copy")
    out: Path = options.out or segment.with_name(f"{segment.stem}-boxes.mp4")
    count = render(segment, out, rotate=options.rotate)
    print(f"{out}: {counted(count, 'picture')}")
    return 0
