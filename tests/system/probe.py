"""Tries what the service must not be able to do, and what it must; prints how each came out, as JSON.

Runs on the machine, once inside a copy of the unit and once outside.
"""

from __future__ import annotations

import ctypes
import errno
import json
import mmap
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_CLONE_NEWUSER = 0x10000000
_PRIVATE, _PUBLIC = "192.168.77.1", "203.0.113.5"
"""Addresses of the machine itself, one of either kind (the second is reserved for documentation)."""


def _write(path: str) -> Callable[[], object]:
    return lambda: Path(path).write_text("probe")


def _read(path: str) -> Callable[[], object]:
    return lambda: Path(path).read_bytes()


def _open_device(path: str) -> Callable[[], object]:
    return lambda: os.close(os.open(path, os.O_RDWR))


def _connect(address: str) -> Callable[[], object]:
    return lambda: socket.create_connection((address, 7777), timeout=2).close()


def _unshare() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare")


def _set_user_id_bit() -> None:
    path = Path("probe-program")
    path.touch()
    try:
        path.chmod(0o4755)
    finally:
        path.unlink()


def _see_others() -> None:
    # Process 1 belongs to root.
    Path("/proc/1/status").read_text()


PROBES: dict[str, Callable[[], object]] = {
    "write into the state folder": _write("/var/lib/edged/probe"),
    "write into /tmp": _write("/tmp/probe"),  # noqa: S108  # a /tmp of its own
    "write into /etc/edged": _write("/etc/edged/probe"),
    "write into /opt/edged": _write("/opt/edged/probe"),
    "write into /usr": _write("/usr/local/probe"),
    "write into /var": _write("/var/probe"),
    "write into /home": _write("/home/probe"),
    "change a kernel setting": _write("/proc/sys/kernel/domainname"),
    "read the settings": _read("/etc/edged/edged.env"),
    "read its password": _read(f"{os.environ.get('CREDENTIALS_DIRECTORY', '/none')}/mqtt_password"),
    "read stored passwords": _read("/etc/credstore/edged.mqtt_password"),
    "read /proc/cpuinfo": _read("/proc/cpuinfo"),
    "read what is in /home": _read("/home/someone/secret"),
    "see processes of others": _see_others,
    "open /dev/null": _open_device("/dev/null"),
    "open another device": _open_device("/dev/probe"),
    "connect to a private address": _connect(_PRIVATE),
    "connect to a public address": _connect(_PUBLIC),
    "open a raw socket": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close(),
    "map memory to write and execute": lambda: mmap.mmap(
        -1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
    ).close(),
    "make a namespace": _unshare,
    "make a set-user-id program": _set_user_id_bit,
}


def main() -> None:
    """Try everything."""
    outcomes = {}
    for name, probe in PROBES.items():
        try:
            probe()
        except TimeoutError:
            outcomes[name] = "timeout"
        except OSError as error:
            outcomes[name] = errno.errorcode.get(error.errno or 0, str(error))
        else:
            outcomes[name] = "possible"
    json.dump(outcomes, sys.stdout)


if __name__ == "__main__":
    main()
