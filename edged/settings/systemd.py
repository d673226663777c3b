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
    invoked: bool = False
    """Whether this is the process of a unit, or of what such a one has started."""
    state_folder: str | None = None
    """The folder of the unit that may be written."""


def service_manager(environ: Mapping[str, str] | None = None) -> ServiceManager:
    """systemd.exec(5) lists the names: no settings of ours, but they come the same way."""
    environ = os.environ if environ is None else environ  # noqa: TID251  # as in load()
    microseconds = environ.get("WATCHDOG_USEC", "")
    return ServiceManager(
        socket=environ.get("NOTIFY_SOCKET") or None,
        watchdog_s=int(microseconds) / 1e6 or None if microseconds.isdecimal() else None,
        journal=_is_standard_error(environ.get("JOURNAL_STREAM", "")),
        invoked="INVOCATION_ID" in environ,
        state_folder=environ.get("STATE_DIRECTORY") or None,
    )


def _is_standard_error(stream: str) -> bool:
    """Whether ``device:inode`` is ours (systemd.exec(5)): a terminal may have inherited the variable."""
    try:
        state = os.fstat(2)
    except OSError:
        return False
    return stream == f"{state.st_dev}:{state.st_ino}"
