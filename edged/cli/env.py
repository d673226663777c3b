"""``edged env``: the complete commented env file. The commented value is the default."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from edged.settings import cameras, tables
from edged.settings.field import PREFIX

if TYPE_CHECKING:
    import argparse


_SOURCE = f"{PREFIX}SOURCE"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "--cameras",
        metavar="NAMES",
        help="names of several cameras, comma separated: each gets lines",
    )


def run(options: argparse.Namespace) -> int:
    """Print it."""
    several = cameras.checked(options.cameras) if options.cameras is not None else []
    print("# Settings of edged. A commented line shows the default; take the # away to change it.")
    section = ""
    for setting in tables.declarations():
        if setting.section != section:
            section = setting.section
            print(f"\n# --- {section} ---")
        print()
        for line in textwrap.wrap(setting.help, 96):
            print(f"# {line}")
        if several and setting.name == cameras.CAMERAS:
            print(f"{setting.name}={','.join(several)}")
        elif setting.required:
            print(f"{setting.name}=" if setting.name != _SOURCE or not several else f"#{setting.name}=")
        elif setting.described:
            print(f"# ({setting.default})\n#{setting.name}=")
        else:
            print(f"#{setting.name}={setting.default}")
    for camera in several:
        print(f"\n# --- Camera {camera} ---\n\n# Any setting of a camera may stand here as well.")
        print(f"{cameras.of_camera(_SOURCE, camera)}=")
        print(f"#{cameras.of_camera(f'{PREFIX}FPS', camera)}=")
    return 0
