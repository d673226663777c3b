"""Logs: where they go and what the journal makes of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import structlog
from daemon import EDGED, environment

from edged.daemon.logs import Repeats

if TYPE_CHECKING:
    from pathlib import Path

LOG = (
    "import structlog; from edged.daemon import logs;"
    "logs.configure(log_format={format!r}, level='info', journal={journal});"
    "log = structlog.get_logger(); log.debug('quiet'); log.info('said', n=1); log.error('wrong')"
)


def told(*, log_format: str, journal: bool) -> subprocess.CompletedProcess[str]:
    code = LOG.format(format=log_format, journal=journal)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)


def test_lines_of_json_go_to_standard_error_from_the_level_on() -> None:
    """Standard output stays free for results."""
    done = told(log_format="json", journal=False)
    assert done.stdout == ""
    assert [json.loads(line)["event"] for line in done.stderr.splitlines()] == ["said", "wrong"]


@pytest.mark.parametrize("log_format", ["json", "auto"])
def test_the_journal_gets_a_priority_before_each_line(log_format: str) -> None:
    """'journalctl -p err' finds errors, and only them."""
    lines = told(log_format=log_format, journal=True).stderr.splitlines()
    assert [line[:3] for line in lines] == ["<6>", "<3>"]
    assert json.loads(lines[1][3:])["level"] == "error"


def test_what_is_said_again_and_again_is_left_out_and_counted() -> None:
    """Other events are told meanwhile, and the next line that is told says how many are missing."""
    now = 1000.0
    repeats = Repeats(clock=lambda: now)

    def told(event: str, **more: str) -> dict[str, object] | None:
        try:
            return dict(repeats(None, "info", {"event": event, **more}))
        except structlog.DropEvent:
            return None

    assert [told("flap") for _ in range(25)] == [{"event": "flap"}] * 10 + [None] * 15
    assert told("other") == {"event": "other"}
    back = {"event": "flap", "camera": "back"}
    assert told(**back) == back, "of another camera"
    now += 59.0
    assert told("flap") is None
    now += 1.0
    assert told("flap") == {"event": "flap", "left_out": 16}
    assert told("flap") == {"event": "flap"}


@pytest.mark.parametrize(("level", "lines"), [("info", 10), ("debug", 30)])
def test_only_who_asks_for_everything_gets_everything(level: str, lines: int) -> None:
    code = (
        "import structlog; from edged.daemon import logs;"
        f"logs.configure(log_format='json', level={level!r});"
        "[structlog.get_logger().error('flap', n=n) for n in range(30)]"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert [json.loads(line)["n"] for line in done.stderr.splitlines()] == list(range(lines))


@pytest.mark.parametrize("journal", [True, False])
def test_what_ends_the_daemon_is_an_error_in_the_journal(tmp_path: Path, *, journal: bool) -> None:
    """Every line of it has a priority; a terminal that has inherited JOURNAL_STREAM is no journal."""
    told = tmp_path / "stderr"
    with told.open("w") as stream:
        state = os.fstat(stream.fileno())
        wrong = {"EDGED_SCORE_THRESHOLD": "7", "EDGED_COLOUR": "red"}
        wrong["JOURNAL_STREAM"] = f"{state.st_dev}:{state.st_ino + (not journal)}"
        done = subprocess.run([*EDGED, "run"], env=environment(**wrong), stderr=stream, check=False)
    assert done.returncode == 78
    lines = told.read_text().splitlines()
    assert len(lines) >= 3
    assert all(line.startswith("<3>") is journal for line in lines)


FAILS = """
import structlog
from edged.daemon import logs
logs.configure(log_format={format!r}, level="debug")
password, url = "Hunter" + "2Secret", "rtsp://ann:" + "Hunter" + "2Secret@camera/1"
try:
    raise ValueError("cannot open " + url)
except ValueError:
    structlog.get_logger().exception("broken")
"""


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_a_traceback_shows_no_values_and_no_address(log_format: str) -> None:
    """Variables hold passwords, and so do the messages of libraries."""
    code = FAILS.format(format=log_format)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "ValueError: cannot open ***" in done.stderr
    assert "Traceback" in done.stderr
    assert "Hunter" not in done.stderr.replace('"Hunter"', "")
    assert "2Secret" not in done.stderr.replace('"2Secret"', "")
