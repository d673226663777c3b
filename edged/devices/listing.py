"""What is plugged in that edged can use: cameras and Edge TPUs, each with the setting that chooses it."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING

from edged.devices import v4l2
from edged.engines.coral import hardware, inspect
from edged.errors import EdgedError

if TYPE_CHECKING:
    from collections.abc import Iterator

_LISTERS = ("rpicam-hello", "libcamera-hello")
"""The tool of Raspberry Pi OS that knows CSI cameras, by its present name and its former one."""
_LISTER_S = 15.0
_CSI = re.compile(r"^\s*(\d+) : (\S+) \[([^\]]*)\] \((.*)\)\s*$")
_MODE = re.compile(r"(\d+x\d+) \[([\d.]+) fps")


@dataclass(frozen=True, slots=True)
class Found:
    """One device."""

    setting: str
    """The line for the env file; empty if edged cannot use it."""
    name: str
    details: tuple[str, ...] = ()
    """Formats, ports and what is wrong, one line each."""


@dataclass(frozen=True, slots=True)
class Listing:
    """All devices of a kind."""

    devices: tuple[Found, ...] = ()
    remarks: tuple[str, ...] = field(default=())
    """Why there may be more than are seen."""

    @property
    def settings(self) -> list[str]:
        """The lines that choose each device that edged can use."""
        return [found.setting for found in self.devices if found.setting]


def cameras(dev: Path = Path("/dev")) -> Listing:
    """USB and other cameras of Video4Linux, then CSI cameras."""
    nodes, remarks = v4l2.find(dev)
    found = [
        Found(
            f"EDGED_SOURCE={node.path}",
            f"{node.card} ({node.driver}, {node.bus})",
            tuple(_formats(node)),
        )
        for node in nodes
    ]
    csi = csi_cameras()
    return Listing((*found, *csi.devices), (*remarks, *csi.remarks))


def _formats(node: v4l2.Node) -> Iterator[str]:
    """``MJPG 1920x1080 at 30 fps, 1280x720 at 60 fps``: formats of the same sizes on one line."""
    codes: dict[tuple[tuple[int, int, float], ...], list[str]] = {}
    for one in node.formats:
        codes.setdefault(one.sizes, []).append(one.code)
    for sizes, names in codes.items():
        rates = (f" at {fps:g} fps" if fps else "" for _, _, fps in sizes)
        shown = (f"{width}x{height}{rate}" for (width, height, _), rate in zip(sizes, rates, strict=True))
        yield f"{' '.join(dict.fromkeys(names))} {', '.join(shown)}".rstrip()


def csi_cameras() -> Listing:
    """Cameras on the ribbon cable of a Raspberry Pi, as its own tool lists them."""
    tool = next(filter(None, map(which, _LISTERS)), None)
    if tool is None:
        return Listing()
    try:
        ran = subprocess.run(  # noqa: S603  # a tool of the system
            [tool, "--list-cameras"], capture_output=True, text=True, timeout=_LISTER_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Listing(remarks=(f"{tool} --list-cameras does not answer: {error}",))
    if ran.returncode:
        words = (ran.stderr or ran.stdout).strip().splitlines()
        why = words[-1] if words else f"exit code {ran.returncode}"
        return Listing(remarks=(f"{tool} --list-cameras failed: {why}",))
    return Listing(tuple(_csi(ran.stdout + ran.stderr)))


def _csi(listing: str) -> list[Found]:
    found: list[Found] = []
    for line in listing.splitlines():
        if match := _CSI.match(line):
            number, sensor, largest, where = match.groups()
            found.append(Found(f"EDGED_SOURCE=csi:{number}", f"{sensor} ({largest}, {where})"))
        elif found and (modes := _MODE.findall(line)):
            last = found.pop()
            details = (*last.details, *(f"{size} up to {fps} fps" for size, fps in modes))
            found.append(Found(last.setting, last.name, details))
    return found


def edge_tpus(library: str, runtime: str) -> Listing:
    """Edge TPUs as the library counts them; those that only the kernel sees come without a setting.

    Args:
        library: as EDGED_EDGETPU_LIBRARY.
        runtime: as EDGED_RUNTIME.
    """
    plugged = {one.path: one for one in hardware.find()}
    remarks: list[str] = []
    listed: tuple[tuple[str, str], ...] = ()
    try:
        sight = inspect.take(library, runtime)
    except EdgedError as error:
        remarks.append(str(error))
    else:
        listed = sight.devices
        remarks.append(f"listed by {sight.through}, built on {sight.built_on}, used with {sight.runtime}")
        if sight.misfit:
            remarks.append(f"not usable: {sight.misfit}")
    found = []
    count = {"usb": 0, "pci": 0}
    for bus, path in listed:
        if bus in count:
            found.append(
                Found(f"EDGED_DEVICE=edgetpu:{bus}:{count[bus]}", path, _details(plugged.pop(path, None)))
            )
            count[bus] += 1
    found += [
        Found("", f"{path}, which the library does not see", _details(one)) for path, one in plugged.items()
    ]
    return Listing(tuple(found), tuple(remarks))


def _details(one: hardware.EdgeTpu | None) -> tuple[str, ...]:
    """What the kernel says of it, and whether it may be used."""
    if one is None:
        return ()
    details = []
    if one.bus == "usb":
        speed = f"{one.mbit} Mbit/s" + (", a USB 2 port: several times slower than USB 3" if one.slow else "")
        details.append(speed + (", not used since it was plugged in" if one.fresh else ""))
    if (obstacle := hardware.forbidden(one)) is not None:
        details.append(f"{obstacle.problem}. {obstacle.hint}")
    return tuple(details)
