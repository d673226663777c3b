"""What systemd says of the service by environment variables; no settings, but they come the same way."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class ServiceManager:
    """What systemd tells a service of itself."""

    socket: str | None
    watchdog_s: float | None
    journal: bool = False
    """Whether standard error goes to journald."""


def service_manager(environ: Mapping[str, str] | None = None) -> ServiceManager:
    """NOTIFY_SOCKET, WATCHDOG_USEC and JOURNAL_STREAM: no settings of ours, but they come the same way."""
    environ = os.environ if environ is None else environ  # noqa: TID251  # as in load()
    microseconds = environ.get("WATCHDOG_USEC", "")
    return ServiceManager(
        socket=environ.get("NOTIFY_SOCKET") or None,
        watchdog_s=int(microseconds) / 1e6 or None if microseconds.isdecimal() else None,
        journal=_is_standard_error(environ.get("JOURNAL_STREAM", "")),
    )


def _is_standard_error(stream: str) -> bool:
    """Whether ``device:inode`` is ours (systemd.exec(5)): a terminal may have inherited the variable."""
    try:
        state = os.fstat(2)
    except OSError:
        return False
    return stream == f"{state.st_dev}:{state.st_ino}"
