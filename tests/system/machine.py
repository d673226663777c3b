"""A real systemd, booted from a root folder in about a second, and driven from outside.

Everything that the machine writes goes into an overlay that is gone when it is switched off. Its network is
its own loopback interface and nothing else.
"""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

T = TypeVar("T")

_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LC_ALL": "C",
}
_POWER_OFF = "-RTMIN+4"
"""The signal that asks systemd to power off."""


class Machine:
    """One booted system; a context manager.

    Args:
        root: its root folder, which stays as it is.
        shares: folders of this machine that it sees, read only: where there, where here.
        log: takes what it says while it boots.
    """

    def __init__(self, root: Path, *, shares: Mapping[str, Path], log: Path) -> None:
        self._root = root
        self._shares = shares
        self._log_path = log
        self._log: IO[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self.init = 0
        """Process id of its systemd, as seen from here."""

    def __enter__(self) -> Self:
        # DevicePolicy= and IPAddressDeny= are programs that systemd gives to the kernel, by bpf().
        command = [
            "setpriv", "--pdeathsig", "TERM", "systemd-nspawn", "--quiet", f"--directory={self._root}",
            f"--machine={self._log_path.stem}-{os.getpid()}",
            "--volatile=overlay", "--boot", "--private-network", "--register=no", "--keep-unit",
            "--console=pipe", "--system-call-filter=bpf", "--capability=CAP_BPF,CAP_PERFMON,CAP_NET_ADMIN",
            *(f"--bind-ro={here}:{there}" for there, here in self._shares.items()),
        ]  # fmt: skip
        self._log = self._log_path.open("wb")
        self._process = subprocess.Popen(
            command,
            env=_ENVIRONMENT | {"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )
        nspawn = self._process.pid
        try:
            self.init = until(lambda: _first_process_of(nspawn), "nspawn starts systemd")
            until(
                lambda: self.try_run("systemctl", "is-system-running") in {"running", "degraded"}, "it boots"
            )
        except BaseException as error:
            self.__exit__(None, None, None)
            error.add_note(self._log_path.read_text(errors="replace")[-2000:])
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        assert self._log is not None
        if self.init:
            subprocess.run(["kill", _POWER_OFF, str(self.init)], check=False)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def command(self, *command: str) -> list[str]:
        """``command`` for the namespaces of the machine."""
        return ["nsenter", f"--target={self.init}", "-m", "-u", "-i", "-n", "-p", "--", *command]

    def run(self, *command: str, timeout: float = 300, data: str | None = None) -> str:
        """What ``command`` prints on the machine; fails if it fails."""
        done = self.call(*command, timeout=timeout, data=data)
        assert done.returncode == 0, (
            f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        )
        return done.stdout.rstrip("\n")

    def try_run(self, *command: str) -> str:
        """What ``command`` prints, whether it fails or not."""
        return self.call(*command).stdout.rstrip("\n")

    def call(
        self, *command: str, timeout: float = 300, data: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run ``command`` to its end."""
        return subprocess.run(
            self.command(*command),
            env=_ENVIRONMENT,
            input=data or "",
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def path(self, inside: str) -> Path:
        """A file of the machine as it is seen from here. Absolute links in the way lead astray."""
        return Path(f"/proc/{self.init}/root{inside}")

    def show(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.run("systemctl", "show", "--value", f"--property={name}", unit)

    def is_active(self, unit: str) -> bool:
        """Whether it runs."""
        return self.show(unit, "ActiveState") == "active"

    def units(self, pattern: str) -> list[str]:
        """Units that are there; a name that something mentions is none."""
        listed = self.run("systemctl", "list-units", "--all", "--plain", "--no-legend", pattern).splitlines()
        return [line for line in listed if line.split()[1] != "not-found"]

    def journal(self, unit: str) -> str:
        """All that a unit, and systemd about it, has logged."""
        return self.run("journalctl", "--no-pager", "--output=short-monotonic", f"--unit={unit}")

    def host_pid(self, pid: int) -> int:
        """The number that a process of the machine has here."""
        namespace = Path(f"/proc/{self.init}/ns/pid").readlink()
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if (process / "ns/pid").readlink() == namespace and _own_pid(process) == pid:
                    return int(process.name)
            except OSError:
                continue  # it has just ended
        raise AssertionError(f"the machine has no process {pid}")


def _first_process_of(nspawn: int) -> int | None:
    """Process 1 of the machine; the first child of nspawn only prepares things, and ends."""
    children = Path(f"/proc/{nspawn}/task/{nspawn}/children").read_text().split()
    return next((int(pid) for pid in children if _own_pid(Path(f"/proc/{pid}")) == 1), None)


def _own_pid(process: Path) -> int:
    """The number of a process in its own namespace."""
    lines = (process / "status").read_text().splitlines()
    return next(int(line.split()[-1]) for line in lines if line.startswith("NSpid:"))


def until(check: Callable[[], T | None], what: str, *, timeout: float = 120) -> T:
    """Ask again and again until there is an answer, and give it."""
    deadline = time.monotonic() + timeout
    while True:
        problem: Exception | None = None
        try:
            if answer := check():
                return answer
        except (LookupError, OSError) as error:
            problem = error
        assert time.monotonic() < deadline, f"not within {timeout:g} s: {what} ({problem})"
        time.sleep(0.1)
