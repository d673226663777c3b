"""The age of what lies on disk counts how long machines have run, whatever their clocks of the wall say."""

from __future__ import annotations

import time
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from edged.mqtt.delivery.age import AgeClock, Mark

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class Machine:
    """Its time since the boot is turned by the test."""

    boot: Path
    up: float = 100.0

    def clock_gettime(self, which: int) -> float:
        assert which == time.CLOCK_BOOTTIME
        return self.up


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    found = Machine(tmp_path / "boot_id")
    found.boot.write_text("one\n")
    monkeypatch.setattr("edged.mqtt.delivery.age._BOOT_ID", found.boot)
    clock = SimpleNamespace(clock_gettime=found.clock_gettime, CLOCK_BOOTTIME=time.CLOCK_BOOTTIME)
    monkeypatch.setattr("edged.mqtt.delivery.age.time", clock)
    return found


def test_a_clock_begins_where_it_is_told_and_rises(machine: Machine) -> None:
    assert AgeClock(None).now() == Mark(0.0, "one", 100.0)
    clock = AgeClock(None, first=50.0)
    machine.up = 130.0
    assert clock.now() == Mark(80.0, "one", 130.0)


def test_within_a_boot_the_time_between_two_runs_of_the_daemon_counts(machine: Machine) -> None:
    clock = AgeClock(Mark(80.0, "one", 30.0), first=7.0)
    assert clock.now() == Mark(150.0, "one", 100.0)
    machine.up = 101.0
    assert clock.now().age_clock == 151.0
    assert AgeClock(Mark(80.0, "one", 400.0)).now().age_clock == 80.0, "no clock goes back"


def test_time_in_which_the_machine_was_off_counts_as_none(machine: Machine) -> None:
    clock = AgeClock(Mark(80.0, "another", 30.0))
    assert clock.now() == Mark(80.0, "one", 100.0)
    machine.up = 160.0
    assert clock.now().age_clock == 140.0


def test_where_the_kernel_tells_no_boot_each_run_is_a_boot_of_its_own(machine: Machine) -> None:
    machine.boot.unlink()
    assert AgeClock(Mark(80.0, "", 30.0)).now() == Mark(80.0, "", 100.0)
