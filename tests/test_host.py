"""What the sensors of a machine say, and that missing ones are missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edged.daemon import host

if TYPE_CHECKING:
    from pathlib import Path


def write(root: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def test_a_raspberry_pi_tells_temperature_throttling_and_memory(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
            "sys/class/thermal/thermal_zone0/temp": "51540\n",
            "sys/devices/platform/soc/soc:firmware/get_throttled": "60009\n",
            "sys/class/apex/apex_0/temp": "48300\n",
            "proc/meminfo": "MemTotal:        3884000 kB\nMemFree: 1 kB\nMemAvailable:    2913000 kB\n",
            "proc/self/status": "Name:\tedged\nVmRSS:\t  181000 kB\n",
        },
    )
    readings = host.health(tmp_path)
    assert readings["cpu_temperature_c"] == 51.5
    assert readings["tpu_temperature_c"] == 48.3
    assert readings["memory_used_percent"] == 25.0
    assert readings["memory_available_mb"] == 2913.0
    assert readings["memory_rss_mb"] == 181.0
    bits = {name: value for name, value in readings.items() if isinstance(value, bool)}
    assert bits == {
        "undervoltage": True,
        "frequency_capped": False,
        "throttled": False,
        "soft_temperature_limit": True,
        "undervoltage_since_boot": False,
        "frequency_capped_since_boot": True,
        "throttled_since_boot": True,
        "soft_temperature_limit_since_boot": False,
    }


def test_a_kernel_without_the_firmware_file_still_tells_undervoltage(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "sys/class/hwmon/hwmon0/name": "cpu_thermal",
            "sys/class/hwmon/hwmon1/name": "rpi_volt\n",
            "sys/class/hwmon/hwmon1/in0_lcrit_alarm": "1\n",
        },
    )
    assert host.health(tmp_path)["undervoltage"] is True


def test_absent_sensors_are_absent(tmp_path: Path) -> None:
    readings = host.health(tmp_path)
    assert readings.keys() <= {"disk_free_mb", "disk_used_percent", "load_1min"}


@pytest.mark.parametrize("content", ["", "hot", "0x", "\x00"])
def test_a_sensor_that_talks_nonsense_is_absent(tmp_path: Path, content: str) -> None:
    write(
        tmp_path,
        {
            "sys/class/thermal/thermal_zone0/type": "cpu-thermal",
            "sys/class/thermal/thermal_zone0/temp": content,
            "sys/devices/platform/soc/soc:firmware/get_throttled": content,
            "proc/meminfo": content,
        },
    )
    assert host.health(tmp_path).keys() <= {"disk_free_mb", "disk_used_percent", "load_1min"}


def test_zones_of_other_things_are_not_the_processor(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "sys/class/thermal/thermal_zone0/type": "acpitz",
            "sys/class/thermal/thermal_zone0/temp": "20000",
            "sys/class/thermal/thermal_zone1/type": "x86_pkg_temp",
            "sys/class/thermal/thermal_zone1/temp": "61000",
        },
    )
    assert host.health(tmp_path)["cpu_temperature_c"] == 61.0


def test_this_machine_has_memory_and_a_disk() -> None:
    readings = host.health()
    assert 0 < readings["memory_used_percent"] < 100
    assert readings["memory_rss_mb"] > 1
    assert 0 < readings["disk_used_percent"] <= 100
