"""In CI what is skipped has failed, in the second chance of what has failed, too."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path


def test_a_skip_fails_and_fails_again_beside_a_test_that_was_only_slow(tmp_path: Path) -> None:
    """As .ci/run has it: all of it, then what has failed, which is well by now but for the skip."""
    shutil.copy(Path(__file__).with_name("conftest.py"), tmp_path)
    (tmp_path / "test_two.py").write_text(
        "import pathlib, pytest\n\n"
        "def test_slow():\n    assert pathlib.Path('well').exists()\n\n"
        "def test_skipped():\n    pytest.skip('a program is missing')\n",
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:timeout", "--last-failed"]
    for wanted in ("2 failed", "1 failed"):
        ran = subprocess.run(
            [*command, "--last-failed-no-failures=all"],
            cwd=tmp_path,
            env=os.environ | {"EDGED_TESTS_NO_SKIPS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert wanted in ran.stdout, ran.stdout + ran.stderr
        assert "nothing may be skipped here" in ran.stdout
        assert "a program is missing" in ran.stdout
        assert ran.returncode == 1
        (tmp_path / "well").touch()
