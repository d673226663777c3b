"""Edge TPUs as the kernel sees them, and what keeps edged from using them. Reads only; opens no device.

libedgetpu refuses a device without saying why, so the cause has to be found from outside.
"""

from __future__ import annotations

import grp
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_USB_FRESH = ("1a6e", "089a")
"""Vendor and product until the library has loaded its firmware for the first time."""
_USB_USED = ("18d1", "9302")
_PCI = ("0x1ac1", "0x089a")
_USB3_MBIT = 5000
_RULE_FOLDERS = (
    "etc/udev/rules.d",
    "run/udev/rules.d",
    "usr/local/lib/udev/rules.d",
    "usr/lib/udev/rules.d",
    "lib/udev/rules.d",
)
RULES = (
    'SUBSYSTEM=="usb",ATTRS{idVendor}=="1a6e",ATTRS{idProduct}=="089a",GROUP="plugdev",MODE="0660"',
    'SUBSYSTEM=="usb",ATTRS{idVendor}=="18d1",ATTRS{idProduct}=="9302",GROUP="plugdev",MODE="0660"',
)
"""For udev: the device has one id before its first use and another one after."""
_INSTALL_RULES = (
    "Write these two lines into /etc/udev/rules.d/60-edgetpu.rules, run 'sudo udevadm control --reload', "
    f"and plug it in again:\n  {RULES[0]}\n  {RULES[1]}\n "
)


@dataclass(frozen=True, slots=True)
class EdgeTpu:
    """One that is plugged in."""

    bus: Literal["usb", "pci"]
    path: str
    """As the library calls it: ``/sys/bus/usb/devices/2-1``, ``/dev/apex_0``."""
    node: Path
    """The device file that must be opened; of PCIe without its driver there is none."""
    fresh: bool = False
    """USB: not used since it was plugged in."""
    mbit: int = 0
    """USB: megabits a second that the port gives."""

    @property
    def slow(self) -> bool:
        """Whether it hangs on USB 2."""
        return self.bus == "usb" and 0 < self.mbit < _USB3_MBIT


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a device cannot be used, and how to mend it."""

    problem: str
    hint: str


def find(root: Path = Path("/")) -> list[EdgeTpu]:
    """All that the kernel knows, PCIe first as the library counts them.

    Args:
        root: of the file system that is looked at.
    """
    return [*_pci(root), *_usb(root)]


def obstacle(device: str, found: Sequence[EdgeTpu], root: Path = Path("/")) -> Obstacle:
    """Why a device was refused, as far as can be seen.

    Args:
        device: as in EDGED_DEVICE.
        found: from :func:`find`.
        root: of the file system that is looked at.
    """
    bus, _, number = device.removeprefix("edgetpu").removeprefix(":").partition(":")
    fitting = [one for one in found if not bus or one.bus == bus]
    if not fitting:
        return _nothing(bus, found, root)
    index = int(number or 0)
    if index >= len(fitting):
        count = f"only {len(fitting)} on {bus}" if bus else f"only {len(fitting)}"
        return Obstacle(
            f"there is {count}, and {device} is number {index + 1}",
            "'edged devices' lists them with their names",
        )
    chosen = fitting[index : index + 1] if number else fitting
    for one in chosen:
        if reason := forbidden(one, root):
            return reason
    users = [user for one in chosen for user in _users(one.node, root)]
    if users:
        return Obstacle(
            f"{chosen[0].path} is in use by {', '.join(users)}, and serves one process at a time",
            "Stop that one, or set EDGED_DEVICE to another Edge TPU",
        )
    return Obstacle(
        f"{chosen[0].path} is there and may be opened, so it is perhaps in use or stuck",
        "Unplug it and plug it in again; if it shares a port with others, give it a powered hub",
    )


def forbidden(device: EdgeTpu, root: Path = Path("/")) -> Obstacle | None:
    """Why this user may not open a device; None if it may."""
    node = device.node
    try:
        owner = grp.getgrgid(node.stat().st_gid).gr_name
    except KeyError:
        owner = str(node.stat().st_gid)
    except OSError:
        if device.bus == "pci":
            return Obstacle(
                f"{device.path} is there, but no driver serves it",
                "Install gasket-dkms (https://github.com/feranick/gasket-driver/releases) and restart",
            )
        return Obstacle(
            f"{device.path} is there, but {node} is not",
            "In a container hand the device in: --device /dev/bus/usb and a cgroup rule for it",
        )
    if os.access(node, os.R_OK | os.W_OK):
        return None
    problem = f"{node} of {device.path} belongs to the group {owner!r}, and edged is not in it"
    if owner != "root":
        return Obstacle(
            problem,
            f"Run: sudo usermod -aG {owner} USER, or set SupplementaryGroups={owner} in the unit",
        )
    if device.bus == "usb" and not _has_rule(root):
        return Obstacle(f"{problem}: no udev rule names the Edge TPU", _INSTALL_RULES)
    return Obstacle(problem, "Plug it in again, so that its udev rule is heeded")


def _nothing(bus: str, found: Sequence[EdgeTpu], root: Path) -> Obstacle:
    where = {
        "usb": "USB (1a6e:089a or 18d1:9302)",
        "pci": "PCIe (/dev/apex_*)",
        "": "USB (1a6e:089a or 18d1:9302) or PCIe (/dev/apex_*)",
    }[bus]
    if found:
        return Obstacle(f"there is none on {where}, but one on {found[0].bus}", "'edged devices' lists them")
    if bus != "pci" and not (root / "sys/bus/usb/devices").is_dir():
        return Obstacle(
            f"there is none on {where}, and no USB at all", "In a container hand in /dev/bus/usb and /sys"
        )
    return Obstacle(
        f"there is none on {where}",
        "Plug it in; if it is, look after cable, port and power, or take a powered hub",
    )


def _usb(root: Path) -> Iterator[EdgeTpu]:
    for folder in sorted((root / "sys/bus/usb/devices").glob("*")):
        ids = (_text(folder / "idVendor"), _text(folder / "idProduct"))
        if ids not in {_USB_FRESH, _USB_USED}:
            continue
        bus, number = (int(_text(folder / name) or 0) for name in ("busnum", "devnum"))
        yield EdgeTpu(
            bus="usb",
            path=f"/sys/bus/usb/devices/{folder.name}",
            node=root / f"dev/bus/usb/{bus:03}/{number:03}",
            fresh=ids == _USB_FRESH,
            mbit=int(float(_text(folder / "speed") or 0)),
        )


def _pci(root: Path) -> Iterator[EdgeTpu]:
    nodes = sorted((root / "dev").glob("apex_*"))
    for node in nodes:
        yield EdgeTpu(bus="pci", path=f"/dev/{node.name}", node=node)
    if nodes:
        return
    for folder in sorted((root / "sys/bus/pci/devices").glob("*")):
        if (_text(folder / "vendor"), _text(folder / "device")) == _PCI:
            yield EdgeTpu(bus="pci", path=f"/sys/bus/pci/devices/{folder.name}", node=root / "dev/apex_0")


def _has_rule(root: Path) -> bool:
    return any("1a6e" in _text(rule) for folder in _RULE_FOLDERS for rule in (root / folder).glob("*.rules"))


def _users(node: Path, root: Path) -> list[str]:
    """Other processes that have the device open, as far as this user may see them."""
    users = []
    for process in (root / "proc").glob("[0-9]*"):
        if process.name == str(os.getpid()):
            continue
        try:
            held = any(link.readlink() == node for link in (process / "fd").iterdir())
        except OSError:
            continue
        if held:
            users.append(f"{_text(process / 'comm') or 'a process'} ({process.name})")
    return users


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
