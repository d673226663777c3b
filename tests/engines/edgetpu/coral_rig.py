"""A fake Edge TPU to plug in and out, and a daemon to run on it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SOURCE = Path(__file__).with_name("fake_edgetpu.c")
CLASSIFIER = "mobilenet_v1_0.25_128_quant_edgetpu.tflite"
"""Runs on the device as a whole, so its output depends on what the fake makes of the input."""
CLASSIFIER_TWIN = "mobilenet_v1_0.25_128_quant.tflite"
DETECTOR = "yolov8n_320_full_integer_quant_edgetpu.tflite"
DETECTOR_TWIN = "yolov8n_320_full_integer_quant_oddscale.tflite"
PATIENCE_S = 120.0
"""The daemon gives way to whatever else runs; what should be quick is measured where it is."""


def build(folder: Path, *, built_on: str = "") -> Path:
    """The fake library, claiming to be built on a commit of TensorFlow."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc, which builds the fake Edge TPU, is not installed")
    library = folder / f"libedgetpu{built_on[:8]}.so.1"
    define = [f'-DBUILT_ON="{built_on}"'] if built_on else []
    flags = ["-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", *define]
    subprocess.run(["gcc", *flags, "-o", str(library), str(SOURCE)], check=True)
    return library


@dataclass(frozen=True)
class Plug:
    """The file that stands for the fake devices."""

    path: Path

    def put(self, words: str = "") -> None:
        """Plug them in, to behave as the words say."""
        # The daemon may read it at any moment: never half a file.
        new = self.path.with_suffix(".new")
        new.write_text(words)
        new.rename(self.path)

    def pull(self) -> None:
        """Unplug them."""
        self.path.unlink(missing_ok=True)

    def opened(self) -> list[str]:
        """Every opening so far: device and options."""
        log = self.path.with_name(self.path.name + ".log")
        return log.read_text().splitlines() if log.exists() else []


def until(true: Callable[[], Any], what: str, seconds: float = PATIENCE_S) -> Any:
    """Wait for something to become true."""
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.02)
    return found


def gone(pid: int) -> bool:
    """Whether a process has ended; one that only waits to be reaped has."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] in {"Z", "X"}


def children(pid: int | str = "self") -> set[int]:
    """Living children of a process."""
    found = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):  # a thread that has just ended
            found |= {int(child) for child in (task / "children").read_text().split()}
    return {child for child in found if not gone(child)}


class Daemon:
    """``edged run`` with its log and its results."""

    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        self._log = folder / "edged.log"
        self.results = folder / "results.jsonl"
        env = {name: value for name, value in os.environ.items() if not name.startswith("EDGED_")}
        env |= {"EDGED_JSONL": str(self.results), "EDGED_LOG_FORMAT": "json", "EDGED_STATS_INTERVAL": "1"}
        env |= {name: str(value) for name, value in settings.items()}
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                ["nice", "-n", "5", sys.executable, "-m", "edged", "run"], env=env, stderr=log
            )

    def events(self, name: str = "") -> list[dict[str, Any]]:
        """What was logged, of one kind or all of it."""
        lines = self._log.read_text().splitlines()
        logged = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
        return [entry for entry in logged if not name or entry["event"] == name]

    def wait_for(self, name: str, count: int = 1, seconds: float = PATIENCE_S) -> dict[str, Any]:
        """The ``count``-th event of a kind."""

        def found() -> list[dict[str, Any]]:
            assert self.process.poll() is None or len(self.events(name)) >= count, self._log.read_text()
            return self.events(name)[count - 1 :]

        entry: dict[str, Any] = until(found, name, seconds)[0]
        return entry

    def lines(self) -> list[dict[str, Any]]:
        """The results so far."""
        if not self.results.exists():
            return []
        return [json.loads(line) for line in self.results.read_text().splitlines() if line.endswith("}")]

    def wait_for_results(self, more: int, seconds: float = PATIENCE_S) -> None:
        """So many more results than there are."""
        wanted = len(self.lines()) + more
        until(lambda: len(self.lines()) >= wanted, f"{more} more results", seconds)

    def stop(self) -> int:
        """Ask it to end as systemd does: a signal to every process."""
        for pid in [self.process.pid, *children(self.process.pid)]:
            os.kill(pid, signal.SIGTERM)
        return self.wait()

    def wait(self, seconds: float = PATIENCE_S) -> int:
        """The exit code."""
        return self.process.wait(seconds)

    def said(self) -> str:
        """Everything on standard error."""
        return self._log.read_text()

    def ledger(self) -> dict[str, Any]:
        """The last account of all frames, which must close."""
        entry = self.events("ledger")[-1]
        assert entry["in_flight"] == 0, entry
        assert entry["captured"] == entry["inferred"] + entry["still"] + sum(entry["dropped"].values()), entry
        return entry

    def all_written(self) -> bool:
        """Whether each result is a line, or counted as one that a newer one took the place of.

        On a machine with more work than it can do a disk takes its time.
        """
        entry = self.ledger()
        lines: dict[str, int] = entry["sinks"]["jsonl"]
        superseded = lines.get("superseded", 0)
        return lines["sent"] == len(self.lines()) and entry["inferred"] == lines["sent"] + superseded

    def kill(self) -> None:
        """End it, whatever it does."""
        self.process.kill()
        self.process.wait()


def frame_ids(lines: Iterable[dict[str, Any]]) -> list[int]:
    """Numbers of the frames that have a result."""
    return [line["frame_id"] for line in lines]
