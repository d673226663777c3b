"""What a command imports: only what it needs, and nothing happens by it."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest
from daemon import environment


def ran(script: str) -> subprocess.CompletedProcess[str]:
    """What a Python of its own makes of it."""
    return subprocess.run(
        [sys.executable, "-c", script],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_modules_only_define_when_they_are_imported() -> None:
    """No module of edged prints, starts a thread or a process, or opens anything by being imported."""
    script = """
import pkgutil, sys, threading, importlib, warnings
warnings.simplefilter("ignore")
import edged
for module in pkgutil.walk_packages(edged.__path__, "edged."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
assert threading.active_count() == 1, threading.enumerate()
"""
    done = ran(script)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


HEAVY = ("numpy", "cv2", "av", "pydantic", "paho", "structlog", "tornado", "amqtt", "ai_edge_litert")


def heavy_modules(*arguments: str) -> list[str]:
    """Heavy packages that a command has imported when it ends."""
    script = (
        "import atexit, sys\n"
        f"found = lambda: [name for name in {HEAVY!r} if name in sys.modules]\n"
        "atexit.register(lambda: print('HEAVY', found(), file=sys.stderr))\n"
        f"from edged.cli import main\nsys.exit(main({list(arguments)!r}))"
    )
    found: list[str] = ast.literal_eval(ran(script).stderr.rpartition("HEAVY ")[2])
    return found


@pytest.mark.parametrize(
    "arguments", [("--help",), ("--version",), ("models", "list"), ("schema", "--help"), ("nonsense",)]
)
def test_what_needs_no_library_imports_none(arguments: tuple[str, ...]) -> None:
    assert heavy_modules(*arguments) == []


def test_a_daemon_that_neither_reads_nor_writes_video_does_without_ffmpeg() -> None:
    """It would take 15 MB and a tenth of a second of a start."""
    parts = (
        "daemon.service",
        "sources.synthetic",
        "sources.v4l2",
        "sinks.jsonl",
        "sinks.mqtt",
        "sinks.events",
    )
    imports = "; ".join(f"import edged.{part}" for part in parts)
    done = ran(f"{imports}; import sys; print('av' in sys.modules)")
    assert (done.returncode, done.stdout) == (0, "False\n")


@pytest.mark.parametrize("arguments", [("env",), ("run",), ("check",), ("bench",), ("run", "--help")])
def test_a_bad_setting_is_told_before_anything_heavy_is_imported(arguments: tuple[str, ...]) -> None:
    assert set(heavy_modules(*arguments)) <= {"pydantic"}
