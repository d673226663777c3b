"""Count what `make mutants` found: how many deliberate faults were tried, and how many of them were noticed.

Usage: python benchmarks/mutants.py [FOLDER ...], where mutmut has left its results (`mutants`).
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

from mutmut.stats import status_by_exit_code


def main() -> None:
    """Print the table."""
    rooms: dict[str, Counter[str]] = {}
    for folder in sys.argv[1:] or ["mutants"]:
        for meta in sorted(Path(folder).rglob("*.meta")):
            counts = rooms.setdefault(str(meta.relative_to(folder)).removesuffix(".meta"), Counter())
            codes = json.loads(meta.read_text())["exit_code_by_key"].values()
            counts.update(status_by_exit_code[code] for code in codes if code is not None)
    print("| file | tried | killed | survived | score |")
    print("| --- | --- | --- | --- | --- |")
    total = sum(rooms.values(), Counter())
    for name, counts in [*rooms.items(), ("all", total)]:
        if tried := counts.total():
            noticed = counts["killed"] + counts["timeout"]  # a test that hangs has noticed, too
            print(f"| {name} | {tried} | {noticed} | {tried - noticed} | {noticed / tried:.1%} |")


if __name__ == "__main__":
    main()
