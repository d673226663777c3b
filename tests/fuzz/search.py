"""Look for bytes that break a way in: ``python tests/fuzz/search.py TARGET [SECONDS]``, see ``make fuzz``.

Guided by the branches of edged that are reached (atheris, libFuzzer). It ends with the first crash, with an
input that takes ten seconds or with growth beyond 2 GB, and writes that input beside the working corpus.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parent.parent))  # what the tests share

with atheris.instrument_imports(include=["edged"]):
    import targets

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


def main() -> None:
    name = sys.argv[1]
    seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 600
    found = ROOT / "build" / "fuzz" / name
    found.mkdir(parents=True, exist_ok=True)
    seeds = [path.read_bytes() for path in (HERE / "seeds" / name).glob("*")]
    for number, data in enumerate([*targets.beginnings(name), *seeds]):
        (found / f"beginning-{number}").write_bytes(data)
    options = [
        f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=2048", "-max_len=65536",
        f"-artifact_prefix={found.parent}/{name}-", "-print_final_stats=1", str(found),
    ]  # fmt: skip
    atheris.Setup([sys.argv[0], *options], targets.TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
