"""An installed edged on a machine: its files, how it is set, what it does."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING, Any

from system.machine import Machine, until

if TYPE_CHECKING:
    from pathlib import Path

    from system.broker import Broker

INSTALL = "/deploy/install.sh"
ENV_FILE = "/etc/edged/edged.env"
UNIT = "edged.service"
DATA = "/var/lib/edged"
WATCHDOG_S = 6
"""What a drop-in says, so that nobody has to wait for the 20 seconds of the unit."""
NEWER = {"trixie"}
"""Systems whose systemd knows Type=notify-reload, and whose udev verifies rules."""


def files(machine: Machine) -> set[str]:
    """Everything on the machine's disk but what programs that are not ours leave behind."""
    others = re.compile(
        r"/(var/(log|cache|tmp/systemd-private-.*|lib/(systemd|mosquitto|private))|etc/(passwd|group|shadow|gshadow)-)"
        r"(/|$)|/__pycache__(/|$)"
    )
    listed = machine.run("find", "/", "-xdev", "-print").splitlines()
    return {path for path in listed if not others.search(path)}


def install(machine: Machine, checkout: str, *options: str) -> str:
    """Run the installer of a checkout as an administrator does who has no network."""
    return machine.run(checkout + INSTALL, *options, "--wheelhouse", "/wheels", timeout=600)


def configure(machine: Machine, env_file: str = ENV_FILE, /, **settings: str) -> None:
    """Change lines of an env file as with an editor."""
    path = machine.path(env_file)
    text = path.read_text()
    for name, value in settings.items():
        line = f"EDGED_{name}={value}"
        text, count = re.subn(rf"^#?EDGED_{name}=.*$", line, text, count=1, flags=re.MULTILINE)
        text = text if count else f"{text}{line}\n"
    path.write_text(text)


def main_pid(machine: Machine) -> int:
    """The daemon's process id."""
    return int(machine.show(UNIT, "MainPID"))


def connection(machine: Machine) -> str:
    """The daemon's connection to the broker; its local port tells one from the next."""
    lines = machine.run("ss", "-tnpH", "dport", "=", ":8883").splitlines()
    return next(line.split()[3] for line in lines if f"pid={main_pid(machine)}," in line)


def await_state(broker: Broker, **expected: Any) -> dict[str, Any]:
    """The daemon's state once it is as expected."""

    def look() -> dict[str, Any]:
        state = broker.state()
        if differs := {name: state[name] for name, value in expected.items() if state[name] != value}:
            raise LookupError(differs)
        return state

    return until(look, f"the state is {expected}")


def frames_in(video: Path) -> int:
    """How many frames of a video can be decoded."""
    counted = subprocess.run(
        [
            "ffprobe",
            "-v",
            "error",
            "-count_frames",
            "-select_streams",
            "v:0",
            "-of",
            "csv=p=0",
            "-show_entries",
            "stream=nb_read_frames",
            str(video),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert not counted.stderr
    return int(counted.stdout)
