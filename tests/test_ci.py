"""The whole check as .ci/run puts it together, with something that takes no time in the place of make."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SECOND = "ARGS=--last-failed --last-failed-no-failures=none"
MAKE = """#!/bin/sh
echo "$*" >>made
[ ! -e "always/$*" ] && ! rm "once/$*" 2>/dev/null || exit 2
"""


class Check:
    """A folder with .ci/run and nothing else."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / ".ci").mkdir()
        shutil.copy(ROOT / ".ci/run", folder / ".ci/run")
        for name, text in (("make", MAKE), ("apt-get", "#!/bin/sh\n")):
            program = folder / "bin" / name
            program.parent.mkdir(exist_ok=True)
            program.write_text(text)
            program.chmod(0o755)

    def run(self, *, once: tuple[str, ...] = (), always: tuple[str, ...] = ()) -> tuple[int, list[str], str]:
        """Exit status, calls of make and standard error, where some calls fail once or always."""
        for name, calls in (("once", once), ("always", always)):
            (self._folder / name).mkdir()
            for call in calls:
                (self._folder / name / call).touch()
        done = subprocess.run(
            [str(self._folder / ".ci/run")],
            env=os.environ | {"PATH": f"{self._folder / 'bin'}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, (self._folder / "made").read_text().splitlines(), done.stderr


@pytest.fixture
def check(tmp_path: Path) -> Check:
    """To be run once."""
    return Check(tmp_path)


def test_it_is_everything_once(check: Check) -> None:
    """Lint, both suites, the demo, and whatever the Makefile has for systems."""
    makefile = (ROOT / "Makefile").read_text().replace("\\\n", "")
    together = re.search(r"^test-system:.*\n\t(.*)", makefile, re.MULTILINE)
    assert together
    systems = re.findall(r"test-\S+", together[1])
    assert len(systems) > 1
    status, made, said = check.run()
    assert status == 0, said
    runtimes = [
        f"{target}{of}" for target in ("environment", "test") for of in ("", " RUNTIME=tflite-runtime")
    ]
    assert sorted(made) == sorted([*runtimes, "check", *systems, "test-arm64", "demo"])
    assert made[-1] == "demo"
    assert "failed" not in said


@pytest.mark.parametrize(
    ("call", "lane"),
    [
        ("environment", "environment"),
        ("check", "check"),
        ("test-system-fleet", "machines"),
        ("test-arm64", "deliveries"),
    ],
)
def test_what_fails_is_named_and_fails_all_of_it(check: Check, call: str, lane: str) -> None:
    """At the end of what runs beside it; nothing is begun afterwards."""
    status, made, said = check.run(always=(call,))
    assert status == 1
    assert f"failed: {lane}" in said
    assert "demo" not in made
    assert ("test" in made) == (call != "environment")


@pytest.mark.parametrize(
    ("call", "again"),
    [
        ("test", f"test {SECOND}"),
        ("test RUNTIME=tflite-runtime", f"test RUNTIME=tflite-runtime {SECOND}"),
        ("test-system-image", "test-system-image"),
    ],
)
@pytest.mark.parametrize("chances", [2, 3])
def test_suites_and_systems_get_a_second_chance(check: Check, call: str, again: str, chances: int) -> None:
    """And no third one."""
    enough = chances == 2
    status, made, said = check.run(once=(call,), always=() if enough else (again,))
    assert (status == 0) == enough, said
    assert sorted(name for name in made if name in {call, again}) == sorted((call, again))
    assert ("demo" in made) == enough


def test_a_run_that_broke_off_gets_no_second_chance(tmp_path: Path) -> None:
    """What failed before would pass for all that there was to repeat."""
    shutil.copy(Path(__file__).with_name("conftest.py"), tmp_path)
    (tmp_path / "test_three.py").write_text(
        "import pathlib\n\n"
        "def test_slow():\n    assert pathlib.Path('well').exists()\n\n"
        "def test_broken_off():\n    raise KeyboardInterrupt\n\n"
        "def test_not_reached():\n    assert False\n",
        encoding="utf-8",
    )
    told = []
    for options in ([], ["--last-failed", "--last-failed-no-failures=none"]):
        ran = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", *options],
            cwd=tmp_path,
            env=os.environ | {"EDGED_TESTS_NO_SKIPS": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        told.append((ran.returncode, ran.stdout + ran.stderr))
        (tmp_path / "well").touch()
    (first, before), (second, after) = told
    assert first == pytest.ExitCode.INTERRUPTED, before
    assert "1 failed" in before
    assert second == pytest.ExitCode.NO_TESTS_COLLECTED, after
