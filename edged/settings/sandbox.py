"""What systemd keeps the service from, by the property of the unit that does it.

Nothing is asked of systemd, which a service could not: the unit shows in how the file systems are mounted,
and in errors that nothing else gives.
"""

from __future__ import annotations

import errno
import os
import re
from dataclasses import dataclass
from pathlib import Path

from edged.settings.systemd import service_manager

_MOUNTS = Path("/proc/self/mountinfo")
_HOMES = ("/home", "/root", "/run/user")
"""What ProtectHome= is about."""
_SYSTEM = ("/usr", "/boot", "/efi", "/etc")
"""What ProtectSystem=full is about; yes leaves out the last."""
_IN_MEMORY = ("/tmp", "/run", "/dev", "/var/tmp", "/sys", "/proc")  # noqa: S108  # nothing is put there
"""Where a file system in memory is nothing that a unit has made."""


@dataclass(frozen=True, slots=True)
class _Mount:
    """A line of ``/proc/self/mountinfo``, see proc(5)."""

    root: str
    """What of its file system is mounted."""
    point: str
    read_only: bool
    """This mount, whatever the disk is."""
    kind: str
    disk_read_only: bool

    def holds(self, path: str) -> bool:
        """Whether a path lies below it."""
        return self.point in {"/", path} or path.startswith(f"{self.point}/")

    @property
    def hidden(self) -> bool:
        """Whether systemd has put nothing in the place of what was there."""
        return re.search(r"/(systemd|host)/inaccessible/\w+$", self.root) is not None


def explained(path: Path, otherwise: str, *, writing: bool = False, mounts: Path = _MOUNTS) -> str:
    """What to do about a path that cannot be read or written: by the unit, or ``otherwise``.

    Args:
        path: of a file, a folder or a device; it need not exist.
        otherwise: what to do if no unit keeps us from it.
        writing: whether it is written; much may be read that may not be written.
        mounts: where the kernel tells what is mounted.
    """
    service = service_manager()
    if not service.invoked:
        return otherwise
    try:
        lines = mounts.read_text(errors="replace").splitlines()
    except OSError:
        return otherwise
    sought = os.path.realpath(path.expanduser())
    # The last one is on top.
    holding = [mount for mount in map(_mount, lines) if mount is not None and mount.holds(sought)]
    if not holding:
        return otherwise
    longest = max(len(mount.point) for mount in holding)
    top = [mount for mount in holding if len(mount.point) == longest][-1]
    state = service.state_folder or "/var/lib/edged"
    strict = [mount.read_only for mount in holding if mount.point == "/"][-1:] == [True]
    read_only = _read_only(top, sought, state, strict=strict) if writing else ""
    return _hidden(top, sought, state) or read_only or otherwise


def device_explained(error: OSError, otherwise: str) -> str:
    """The same for a device that did not open."""
    if service_manager().invoked and error.errno == errno.EPERM:
        return (
            "The service may not open this device (DevicePolicy=closed): allow it by DeviceAllow= "
            "in 'systemctl edit edged'"
        )
    return otherwise


def _hidden(mount: _Mount, path: str, state: str) -> str:
    home = _home(path)
    if home and (mount.hidden or (mount.kind == "tmpfs" and mount.point == home)):
        kind = "yes" if mount.hidden else "tmpfs"
        return f"The service cannot see {home} (ProtectHome={kind}): put it into {state}"
    if mount.hidden:
        return f"The service cannot see {mount.point} (InaccessiblePaths=): put it into {state}"
    if mount.kind == "tmpfs" and mount.point == "/dev" and mount.read_only:
        return (
            "The service sees no device of this machine (PrivateDevices=yes): take that out by "
            "'systemctl edit edged', and allow the device by DeviceAllow="
        )
    if mount.kind == "tmpfs" and mount.root == "/" and not mount.point.startswith(_IN_MEMORY):
        return (
            f"The service has an empty {mount.point} of its own (TemporaryFileSystem=), which loses what is "
            f"written: put it into {state}"
        )
    if "systemd-private-" in mount.root:
        return f"The service has a {mount.point} of its own (PrivateTmp=yes): put it into {state}"
    return ""


def _read_only(mount: _Mount, path: str, state: str, *, strict: bool) -> str:
    if not mount.read_only or mount.disk_read_only:
        return ""
    if mount.point == _home(path):
        return f"The service may only read {mount.point} (ProtectHome=read-only): put it into {state}"
    if not strict and mount.point != "/":
        named = "ProtectSystem=" if mount.point in _SYSTEM else "ReadOnlyPaths= or BindReadOnlyPaths="
        return f"The service may only read {mount.point} ({named}): put it into {state}"
    return (
        f"The service may write into {state} only (ProtectSystem=strict): put it there, "
        "or name its folder in ReadWritePaths= by 'systemctl edit edged'"
    )


def _home(path: str) -> str | None:
    return next((home for home in _HOMES if path == home or path.startswith(f"{home}/")), None)


def _mount(line: str) -> _Mount | None:
    about, _, disk = line.partition(" - ")
    fields, disk_fields = about.split(), disk.split()
    if len(fields) < 6 or len(disk_fields) < 3:  # noqa: PLR2004  # as proc(5) has it
        return None
    # Blanks in names are written in octal.
    root, point = (re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), name) for name in fields[3:5])
    return _Mount(
        root=root,
        point=point,
        read_only="ro" in fields[5].split(","),
        kind=disk_fields[0],
        disk_read_only="ro" in disk_fields[2].split(","),
    )
