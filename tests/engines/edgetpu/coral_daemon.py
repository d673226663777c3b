"""A daemon to run on the fake Edge TPU."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Any

from coral_rig import children
from daemon import EDGED, PATIENCE_S, Daemon

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

PASSED = ("FAKE_EDGETPU", "NOTIFY_SOCKET", "WATCHDOG_USEC")
"""What the daemon has of the tests' own environment."""


class CoralDaemon(Daemon):
    """``edged run`` on what is plugged in, with its results.

    Args:
        folder: of its log and its results.
        settings: by name; they come by the environment.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        self.results = folder / "results.jsonl"
        environ = {
            **{name: os.environ[name] for name in PASSED if name in os.environ},
            "EDGED_CAMERA": "",
            "EDGED_JSONL": str(self.results),
            "EDGED_LOG_FORMAT": "json",
            "EDGED_STATS_INTERVAL": "1",
            **settings,
        }
        super().__init__(folder, command=("nice", "-n", "5", *EDGED, "run"), environ=environ)

    def lines(self) -> list[dict[str, Any]]:
        """The results so far."""
        if not self.results.exists():
            return []
        return [json.loads(line) for line in self.results.read_text().splitlines() if line.endswith("}")]

    def until_more(self, more: int) -> None:
        """Wait for so many more results than there are."""
        wanted = len(self.lines()) + more
        self.until(lambda: len(self.lines()) >= wanted)

    def stop(self, number: signal.Signals = signal.SIGTERM, *, limit_s: float = PATIENCE_S) -> int:
        """Ask it to end as systemd does: a signal to every process."""
        for pid in [self.process.pid, *children(self.process.pid)]:
            os.kill(pid, number)
        return self.wait(limit_s)

    def all_written(self) -> bool:
        """Whether each result is a line, or counted as one that a newer one took the place of.

        On a machine with more work than it can do a disk takes its time.
        """
        entry = self.ledger()
        lines: dict[str, int] = entry["sinks"]["jsonl"]
        superseded = lines.get("superseded", 0)
        return lines["sent"] == len(self.lines()) and entry["inferred"] == lines["sent"] + superseded


def frame_ids(lines: Iterable[dict[str, Any]]) -> list[int]:
    """Numbers of the frames that have a result."""
    return [line["frame_id"] for line in lines]
