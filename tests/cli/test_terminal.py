"""What a person sees: lines, logs and the bar, each where it belongs, and the help."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

from daemon import EDGED, edged, environment
from runs import SHORT, ledger, run


def test_lines_go_to_standard_output_and_logs_do_not(settings: dict[str, str]) -> None:
    done = run(settings | {"EDGED_JSONL": "-", "EDGED_SOURCE": "synthetic:?count=20&fps=0&live=false"})
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["frame_id"] for line in lines] == list(range(20))


def test_a_reader_that_has_heard_enough_costs_no_trace(settings: dict[str, str]) -> None:
    command = subprocess.Popen(
        [*EDGED, "run"],
        env=environment(**settings | {"EDGED_JSONL": "-", "EDGED_SOURCE": SHORT}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert command.stdout is not None
    assert command.stderr is not None
    assert json.loads(command.stdout.readline())["seq"] == 0
    command.stdout.close()
    errors = command.stderr.read()
    command.stderr.close()
    assert command.wait(60) == 73
    assert "Traceback" not in errors
    assert "Exception ignored" not in errors
    assert "Broken pipe" in errors


def test_output_that_goes_nowhere_is_told() -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(
            [*EDGED, "schema", "availability"],
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 73
    assert done.stderr == "edged: standard output cannot be written: No space left on device.\n"


def test_a_list_may_be_read_in_part() -> None:
    done = subprocess.run(
        ["bash", "-c", f"{' '.join(EDGED)} schema | head -1; exit ${{PIPESTATUS[0]}}"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "{\n", "")


def test_without_any_standard_output_it_works_all_the_same(settings: dict[str, str]) -> None:
    short = settings | {"EDGED_SOURCE": "synthetic:?count=3&fps=0&live=false"}
    done = subprocess.run(
        ["bash", "-c", f"{' '.join(EDGED)} run >&-"],
        env=environment(**short),
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert ledger(done)["inferred"] == 3


def on_terminal(settings: dict[str, str]) -> tuple[int, str]:
    """Exit code and what a terminal shows."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*EDGED, "run"], env=environment(TERM="xterm", **settings), stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        shown += part
    os.close(ours)
    return process.wait(60), shown.decode()


def test_a_terminal_shows_a_bar_that_ends_full(settings: dict[str, str]) -> None:
    code, shown = on_terminal(settings)
    assert code == 0
    bars = re.findall(r"\[(#*) *\] +(\d+)% (\d+)/200 frames", shown)
    assert bars, shown
    assert bars[-1] == ("#" * 30, "100", "200")
    assert "running" in shown
    assert not any(line.startswith('{"') for line in shown.splitlines()), "a person reads no JSON"


def test_a_camera_has_no_bar(settings: dict[str, str]) -> None:
    code, shown = on_terminal(settings | {"EDGED_SOURCE": "synthetic:?count=30"})
    assert code == 0
    assert "frames\r" not in shown
    assert "[#" not in shown


def test_the_help_names_every_command() -> None:
    done = edged("--help")
    assert done.returncode == 0
    for command in ("run", "demo", "check", "bench", "devices", "env", "models", "schema"):
        assert re.search(rf"^ +{command} +\w", done.stdout, re.MULTILINE), command
        assert edged(command, "--help").returncode == 0


def test_an_unknown_command_or_option_is_refused() -> None:
    for arguments in ((), ("fly",), ("run", "--fast")):
        done = edged(*arguments)
        assert done.returncode == 2
        assert "usage: edged" in done.stderr


def test_it_says_its_version() -> None:
    from edged import __version__

    assert edged("--version").stdout == f"edged {__version__}\n"
    assert sys.version_info >= (3, 11)
