"""Logs: where they go and what the journal makes of them."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

LOG = (
    "import structlog; from edged import logs;"
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
