"""``edged devices``: cameras and Edge TPUs, each with the setting that chooses it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edged.devices import listing, proposal
from edged.engines import runtime as runtimes
from edged.settings import declared

if TYPE_CHECKING:
    import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    fields = declared.Settings.model_fields
    parser.add_argument(
        "--library",
        default=fields["edgetpu_library"].default,
        metavar="FILE",
        help="as EDGED_EDGETPU_LIBRARY (default: %(default)s)",
    )
    parser.add_argument(
        "--runtime",
        default=fields["runtime"].default,
        choices=runtimes.NAMES,
        help="as EDGED_RUNTIME (default: %(default)s)",
    )


def run(options: argparse.Namespace) -> int:
    """Look and print; finding nothing is no error."""
    cameras = listing.cameras()
    _print("Cameras", cameras, "none; files, rtsp:// and http:// need no device")
    print()
    devices = listing.edge_tpus(options.library, options.runtime)
    _print("Edge TPUs", devices, "none; EDGED_DEVICE=cpu needs none")
    if lines := list(proposal.lines(cameras.settings, devices.settings)):
        several = " (give the cameras names of your own)" if len(cameras.settings) > 1 else ""
        print(f"\nFor the env file{several}")
        for line in lines:
            print(f"  {line}")
    return 0


def _print(title: str, listing: listing.Listing, nothing: str) -> None:
    print(title)
    if not listing.devices:
        print(f"  {nothing}")
    for found in listing.devices:
        print(f"  {found.setting or '(not usable)':<32} {found.name}")
        for detail in found.details:
            print(f"  {'':<32}   {detail}")
    for remark in listing.remarks:
        print(f"  # {remark}")
