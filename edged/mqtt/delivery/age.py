"""How old what lies on disk is, by a clock that nobody can set.

The clock of the wall tells no age: a machine without a battery starts in the past and jumps by days when its
network comes. What can be known is how long a machine has run: CLOCK_BOOTTIME rises within one boot, through
sleep as well, and the kernel gives every boot an id. Time in which the machine was off counts as none.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment, as it is put on disk."""

    age_clock: float
    """Seconds; only differences mean something."""
    boot: str
    """Id of the boot in which it was taken; empty where the kernel tells none."""
    up: float
    """Seconds since that boot."""


class AgeClock:
    """Rises while the machine runs, over restarts of the daemon and of the machine.

    Args:
        last: the newest mark on disk; None: a clock begins.
        first: what that one shows, seconds.
    """

    def __init__(self, last: Mark | None, *, first: float = 0.0) -> None:
        boot, up = _this_boot(), time.clock_gettime(time.CLOCK_BOOTTIME)
        self._boot = boot
        self._since = up
        self._shown = first if last is None else last.age_clock
        if last is not None and boot and last.boot == boot:
            self._shown += max(0.0, up - last.up)

    def now(self) -> Mark:
        """This moment."""
        up = time.clock_gettime(time.CLOCK_BOOTTIME)
        return Mark(self._shown + up - self._since, self._boot, up)


def _this_boot() -> str:
    """The id that the kernel gave this boot of the machine."""
    try:
        return _BOOT_ID.read_bytes().decode().strip()
    except OSError:
        return ""
