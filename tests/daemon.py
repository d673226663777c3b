"""``edged run`` in a process of its own, as users start it, and a service manager's ear for it."""

from __future__ import annotations

import array
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

T = TypeVar("T")

ROOT = Path(__file__).parent.parent
EDGED = (sys.executable, "-m", "edged")
_OF_PACKETS = frozenset({"packets", "packets_lost"})
"""What a sink counts that is no result."""
PATIENCE_S = 120.0
"""What a start may take on a busy machine; whatever should be quick is measured from the start on."""


def environment(**settings: str) -> dict[str, str]:
    """Nothing of this machine but where programs are."""
    path = os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin"
    return {"PATH": path, "PYTHONPATH": str(ROOT), "EDGED_NODE": "lab1", "EDGED_CAMERA": "front"} | settings


def edged(
    *arguments: str,
    settings: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float = 120.0,
) -> subprocess.CompletedProcess[str]:
    """One command, until it ends by itself."""
    return subprocess.run(
        [*EDGED, *arguments],
        env=environment(**settings or {}),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def until(true: Callable[[], T], *, limit_s: float = PATIENCE_S, why: Callable[[], object] = str) -> T:
    """Wait until something has become true, and give it."""
    deadline = time.monotonic() + limit_s
    while not (found := true()):
        assert time.monotonic() < deadline, why() or "it never became true"
        time.sleep(0.02)
    return found


class NarrowPipe:
    """A pipe that nobody reads, with room for some lines and not for minutes of them.

    Args:
        path: where to make it.
    """

    _BYTES = 4096

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        # Held open for reading, so that opening it for writing does not wait.
        self._end = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        fcntl.fcntl(self._end, fcntl.F_SETPIPE_SZ, self._BYTES)

    @property
    def full(self) -> bool:
        """Whether there is no room for another line, as far as one can tell from outside."""
        waiting = array.array("i", [0])
        fcntl.ioctl(self._end, termios.FIONREAD, waiting)
        return waiting[0] > self._BYTES - 600

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._end)


class Daemon:
    """Runs until it ends by itself, or at the latest with the ``with`` block.

    Args:
        folder: of its log, its env file and whatever it writes.
        settings: by name; they go into an env file.
        command: another way to start it.
        environ: what comes by the environment.
    """

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, str] | None = None,
        *,
        command: Sequence[str] = (*EDGED, "run"),
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.env_file = folder / "edged.env"
        self._log = folder / "edged.log"
        self._output = folder / "stdout"
        arguments = [*command]
        if settings is not None:
            self.configure(settings)
            arguments += ["--env-file", str(self.env_file)]
        with self._log.open("ab") as log, self._output.open("ab") as output:
            self.process = subprocess.Popen(
                arguments,
                env=environment(**environ or {}),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=log,
            )

    def configure(self, settings: Mapping[str, str]) -> None:
        """Write the env file, at once as a whole."""
        new = self.env_file.with_suffix(".new")
        new.write_text("".join(f"{name}={value}\n" for name, value in settings.items()), encoding="utf-8")
        new.replace(self.env_file)

    @property
    def stderr(self) -> str:
        """Everything it has said."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    @property
    def stdout(self) -> str:
        """Everything it has printed."""
        return self._output.read_text(encoding="utf-8")

    def told(self, event: str = "") -> list[dict[str, Any]]:
        """Lines of its log with this event, or all of them."""
        lines = [json.loads(line) for line in self.stderr.splitlines() if line.startswith("{")]
        return [line for line in lines if event in {"", line["event"]}]

    def until(self, true: Callable[[], object], *, limit_s: float = PATIENCE_S) -> None:
        """Wait until something has become true, but not longer than it lives."""
        came: object = False

        def over() -> bool:
            nonlocal came
            came = true()
            return bool(came) or self.process.poll() is not None

        until(over, limit_s=limit_s, why=lambda: f"waited in vain: {self.stderr[-3000:]}")
        # What has come true may have passed again; it may also have come at the very end.
        assert came or true(), f"it has ended with {self.process.returncode}: {self.stderr[-3000:]}"

    def until_told(self, event: str, count: int = 1) -> dict[str, Any]:
        """Wait for a line of its log."""
        self.until(lambda: len(self.told(event)) >= count)
        return self.told(event)[count - 1]

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def wait(self, limit_s: float = PATIENCE_S) -> int:
        """The exit code, when it ends by itself."""
        return self.process.wait(limit_s)

    def stop(self, number: signal.Signals = signal.SIGTERM, *, limit_s: float = 20.0) -> int:
        """Ask it to stop; the exit code."""
        self.send(number)
        return self.wait(limit_s)

    def ledger(self) -> dict[str, Any]:
        """Its last account of the frames, which must close."""
        last = self.told("ledger")[-1]
        assert last["in_flight"] == 0, last
        results = last["inferred"] + last["still"]
        assert last["captured"] == results + sum(last["dropped"].values()), last
        for sink, counts in last["sinks"].items():
            told = [count for name, count in counts.items() if name not in _OF_PACKETS]
            assert sum(told) == results, (sink, last)
        return last

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        if kind is not None:
            print(self.stderr[-5000:])


class Ear:
    """A service manager's end of the notification socket; it notes when it has heard what."""

    def __init__(self, address: str, *, watchdog_s: float | None = None) -> None:
        self.address = address
        self.watchdog_s = watchdog_s
        self.heard: list[tuple[float, str]] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(0.1)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True, name="ear")

    @property
    def environ(self) -> dict[str, str]:
        """What systemd would tell the service."""
        told = {"NOTIFY_SOCKET": self.address}
        if self.watchdog_s is not None:
            told["WATCHDOG_USEC"] = str(round(self.watchdog_s * 1e6))
        return told

    @property
    def words(self) -> list[str]:
        """What was heard, without the times."""
        return [word for _, word in list(self.heard)]

    def count(self, beginning: str) -> int:
        """How many words begin so."""
        return sum(word.startswith(beginning) for word in self.words)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join(5)
        self._socket.close()

    def _listen(self) -> None:
        while not self._closing.is_set():
            try:
                word = self._socket.recv(65536).decode()
            except TimeoutError:
                continue
            self.heard.append((time.monotonic(), word))
