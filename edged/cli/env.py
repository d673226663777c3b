"""``edged env``: the complete commented env file. The commented value is the default."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from edged.settings import tables

if TYPE_CHECKING:
    import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """There are no options."""
    del parser


def run(options: argparse.Namespace) -> int:
    """Print it."""
    del options
    print("# Settings of edged. A commented line shows the default; take the # away to change it.")
    section = ""
    for setting in tables.declarations():
        if setting.section != section:
            section = setting.section
            print(f"\n# --- {section} ---")
        print()
        for line in textwrap.wrap(setting.help, 96):
            print(f"# {line}")
        if setting.required:
            print(f"{setting.name}=")
        elif setting.described:
            print(f"# ({setting.default})\n#{setting.name}=")
        else:
            print(f"#{setting.name}={setting.default}")
    return 0
