"""``edged run`` to its end, and what is left of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
from daemon import edged

if TYPE_CHECKING:
    import subprocess

SHORT = "synthetic:?width=320&height=240&count=40&fps=0&live=false"


def run(settings: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return edged("run", *arguments, settings=settings)


def refused(done: subprocess.CompletedProcess[str], code: int, *words: str) -> str:
    """The message of a run that was refused: one paragraph with these words, the last thing that is said."""
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == code, done.stderr
    before, _, message = done.stderr.rpartition("edged: ")
    assert message, done.stderr
    assert before == "" or before.endswith("\n")
    assert "\n\n" not in message
    assert message.endswith((".\n", "?\n", "!\n"))
    for word in words:
        assert word in message
    return message


def nothing_left(settings: dict[str, str]) -> None:
    for name in ("EDGED_OUTPUT", "EDGED_JSONL"):
        assert not Path(settings[name]).exists(), name


def ledger(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    lines = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    account: dict[str, Any] = next(line for line in reversed(lines) if line["event"] == "ledger")
    assert account["in_flight"] == 0
    assert account["captured"] == account["inferred"] + account["still"] + sum(account["dropped"].values())
    return account


def frames(path: Path) -> int:
    """Frames that a player finds; a file that is not whole does not open or breaks off."""
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))
