"""SIGKILL, in the middle of everything."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parent.parent.parent / "benchmarks" / "kill_segments.py"


def test_what_was_recorded_plays_up_to_two_seconds_before_a_kill(demo_model: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--moments", "5", "--longest", "4", "--model", str(demo_model)],
        capture_output=True,
        text=True,
        check=False,
    )
    print(done.stdout, done.stderr)
    assert done.returncode == 0
    assert "0 failed" in done.stdout
