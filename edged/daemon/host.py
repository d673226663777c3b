"""Health of the machine: what its sensors say. A sensor that is not there is left out."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

_CPU_ZONES = ("cpu", "soc", "x86_pkg")
"""How the kernel calls the thermal zone of the processor: cpu-thermal, soc_thermal, x86_pkg_temp."""
_FIRMWARE = "sys/devices/platform/soc*/soc*:firmware/get_throttled"
_NOW = {"undervoltage": 0, "frequency_capped": 1, "throttled": 2, "soft_temperature_limit": 3}
"""Bits of the Raspberry Pi's firmware for what is so now."""
_SINCE_BOOT = 16
"""The same bits, so much higher, for what has been since the machine started."""


def health(root: Path = Path("/")) -> dict[str, float | int | bool]:
    """Readings by name: temperatures in degrees Celsius, sizes in megabytes, bits as the firmware gives them.

    ``root`` is where the file system begins.
    """
    readings: dict[str, float | int | bool] = {}
    readings |= _temperatures(root)
    readings |= _throttling(root)
    readings |= _memory(root)
    readings |= _disk(root)
    with contextlib.suppress(OSError):
        readings["load_1min"] = round(os.getloadavg()[0], 2)
    return readings


def _temperatures(root: Path) -> dict[str, float]:
    readings = {}
    for zone in sorted(root.glob("sys/class/thermal/thermal_zone*")):
        if (
            _text(zone / "type").lower().startswith(_CPU_ZONES)
            and (reading := _number(zone / "temp")) is not None
        ):
            readings["cpu_temperature_c"] = round(reading / 1000, 1)
            break
    # Only the Coral modules for PCIe tell theirs, the USB stick has no sensor.
    for file in sorted(root.glob("sys/class/apex/apex_*/temp")):
        if (reading := _number(file)) is not None:
            readings["tpu_temperature_c"] = round(reading / 1000, 1)
            break
    return readings


def _throttling(root: Path) -> dict[str, bool]:
    for file in root.glob(_FIRMWARE):
        try:
            bits = int(_text(file), 16)
        except ValueError:
            continue
        now = {name: bool(bits >> bit & 1) for name, bit in _NOW.items()}
        before = {f"{name}_since_boot": bool(bits >> bit + _SINCE_BOOT & 1) for name, bit in _NOW.items()}
        return now | before
    # A kernel without that file still has the alarm of the supply voltage.
    for sensor in root.glob("sys/class/hwmon/hwmon*"):
        if (
            _text(sensor / "name") == "rpi_volt"
            and (alarm := _number(sensor / "in0_lcrit_alarm")) is not None
        ):
            return {"undervoltage": bool(alarm)}
    return {}


def _memory(root: Path) -> dict[str, float]:
    readings = {}
    sizes = dict(re.findall(r"^(\w+):\s+(\d+) kB$", _text(root / "proc/meminfo"), flags=re.MULTILINE))
    total, available = int(sizes.get("MemTotal", 0)), int(sizes.get("MemAvailable", -1))
    if total and available >= 0:
        readings["memory_available_mb"] = round(available / 1000, 1)
        readings["memory_used_percent"] = round(100 * (1 - available / total), 1)
    if resident := re.search(r"^VmRSS:\s+(\d+) kB$", _text(root / "proc/self/status"), flags=re.MULTILINE):
        readings["memory_rss_mb"] = round(int(resident[1]) / 1000, 1)
    return readings


def _disk(root: Path) -> dict[str, float]:
    try:
        disk = os.statvfs(root)
    except OSError:
        return {}
    if not disk.f_blocks:
        return {}
    free = disk.f_bavail * disk.f_frsize
    used = disk.f_blocks - disk.f_bfree
    return {
        "disk_free_mb": round(free / 1e6, 1),
        "disk_used_percent": round(100 * used / max(used + disk.f_bavail, 1), 1),
    }


def _text(file: Path) -> str:
    """Content of a file of the kernel; empty where there is none, or its sensor fails."""
    try:
        return file.read_text(errors="replace").strip()
    except OSError:
        return ""


def _number(file: Path) -> int | None:
    try:
        return int(_text(file))
    except ValueError:
        return None
