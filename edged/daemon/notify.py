"""Telling systemd: READY, RELOADING, STOPPING, STATUS, WATCHDOG, EXTEND_TIMEOUT (see sd_notify(3)).

Without a service manager nothing is sent and nothing fails.
"""

from __future__ import annotations

import contextlib
import socket
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edged.settings.systemd import ServiceManager


class Notifier:
    """Datagrams to the service manager.

    Args:
        manager: where it listens, and how often it wants to hear that we are alive.
    """

    def __init__(self, manager: ServiceManager) -> None:
        self._address = manager.socket
        self.watchdog_s = manager.watchdog_s
        """The limit after which silence means a restart; None without a watchdog."""
        self._status = ""

    def ready(self) -> None:
        """Start-up, or a reload, is done."""
        self._send("READY=1")

    def reloading(self) -> None:
        """A reload begins; :meth:`ready` ends it. The clock tells systemd >= 253 which one is meant."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The stop has begun."""
        self._send("STOPPING=1")

    def alive(self) -> None:
        """Feed the watchdog."""
        if self.watchdog_s is not None:
            self._send("WATCHDOG=1")

    def extend(self, more_s: float) -> None:
        """Starting takes longer: give us at least so much more time from now on."""
        self._send(f"EXTEND_TIMEOUT_USEC={round(more_s * 1e6)}")

    def status(self, text: str) -> None:
        """One line for ``systemctl status``; only a changed one is sent."""
        if text != self._status:
            self._status = text
            self._send(f"STATUS={text}")

    def _send(self, message: str) -> None:
        if self._address is None:
            return
        address = self._address
        if address.startswith("@"):  # Linux's abstract namespace
            address = "\0" + address[1:]
        # A service manager that is gone, or too busy to listen, must not stop detection.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.setblocking(False)
            channel.sendto(message.encode(), address)
