"""What tests of the daemon in a process of its own share: cameras, sinks that stick, devices that fail."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

HERE = Path(__file__).parent
BASE = "edged/lab1"
STATE = f"{BASE}/state"
FOR_EVER = "synthetic:?width=64&height=64&fps=20&live=false"
FAST_FILE = "synthetic:?width=64&height=64&fps=0&count={}&live=false"


def lines(folder: Path) -> list[dict[str, Any]]:
    path = folder / "lines.jsonl"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def camera(*options: str) -> subprocess.Popen[str]:
    """A network camera of its own process; its port is its first line."""
    return subprocess.Popen(
        [sys.executable, str(HERE / "sources" / "mjpeg_server.py"), *options],
        stdout=subprocess.PIPE,
        text=True,
    )


def url(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return f"http://127.0.0.1:{int(process.stdout.readline())}/"


class Fifo:
    """A pipe with a reader that does not read until it is asked to."""

    def __init__(self, path: Path) -> None:
        subprocess.run(["mkfifo", str(path)], check=True)
        # Held open for reading, so that opening it for writing does not wait.
        self._reader = subprocess.Popen(
            [sys.executable, "-c", f"import sys; f = open({str(path)!r}); sys.stdin.readline(); f.read()"],
            stdin=subprocess.PIPE,
            text=True,
        )

    def read(self) -> None:
        """Read everything from now on."""
        assert self._reader.stdin is not None
        self._reader.stdin.write("\n")
        self._reader.stdin.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.kill()
        assert self._reader.stdin is not None
        self._reader.stdin.close()
        self._reader.wait(10)


def faulty(fault: str, number: int) -> tuple[str, ...]:
    return (sys.executable, str(HERE / "faulty_daemon.py"), fault, str(number))
