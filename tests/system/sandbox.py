"""What a program may do in a copy of the unit, and what it may outside of it."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

from system.installed import DATA, UNIT

if TYPE_CHECKING:
    from system.machine import Machine


def probed(machine: Machine) -> tuple[dict[str, str], dict[str, str]]:
    """What has become of every attempt of probe.py, inside and outside."""
    unit = machine.run("cat", f"/usr/local/lib/systemd/system/{UNIT}")
    probe = "/opt/edged/bin/python /tests/probe.py"
    machine.path("/run/systemd/system/edged-probe.service").write_text(unit)
    overrides = machine.path("/run/systemd/system/edged-probe.service.d/probe.conf")
    overrides.parent.mkdir()
    overrides.write_text(
        f"[Service]\nType=oneshot\nRestart=no\nWatchdogSec=0\nExecStart=\nExecStart={probe}\n"
        "StandardOutput=truncate:/run/probe.json\n"
    )
    for address in ("192.168.77.1/32", "203.0.113.5/32"):
        machine.run("ip", "address", "add", address, "dev", "lo")
    listener = "import socket, time; listener = socket.create_server(('', 7777)); time.sleep(600)"
    machine.run("systemd-run", "--unit=listener", "python3", "-c", listener)
    machine.run("mkdir", "-p", "/home/someone")
    machine.path("/home/someone/secret").write_text("secret")
    machine.run("chmod", "0777", "/home", "/var", "/usr/local")
    # A device that works: that of FUSE, under another name.
    subprocess.run([*machine.command("mknod", "-m", "0666", "/dev/probe", "c", "10", "229")], check=True)
    machine.run("systemctl", "daemon-reload")
    try:
        machine.run("systemctl", "start", "edged-probe", timeout=300)
        inside = json.loads(machine.run("cat", "/run/probe.json"))
        outside = json.loads(machine.run("runuser", "-u", "edged", "--", *probe.split()))
    finally:
        machine.run("chmod", "0755", "/home", "/var", "/usr/local")
        for folder in ("/home", "/var", "/usr/local", DATA):
            machine.run("rm", "-f", f"{folder}/probe")
        machine.run("rm", "-r", "/home/someone")
        machine.run("systemctl", "stop", "listener")
    return inside, outside
