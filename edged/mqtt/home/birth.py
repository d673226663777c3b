"""Hearing that Home Assistant has started, and telling it everything again."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING

from edged import bridge

if TYPE_CHECKING:
    from collections.abc import Callable

    from edged.mqtt.link.session import Session

_BIRTH_S = 5.0
"""Home Assistant asks for a random delay after its birth message, so that not all devices answer at once."""


class Birth:
    """Hears the birth message of Home Assistant. Thread-safe.

    Args:
        prefix: Home Assistant's discovery prefix.
        renew: publishes everything retained again.
    """

    def __init__(self, prefix: str, renew: Callable[[], None]) -> None:
        self._prefix = prefix
        self._renew = renew
        self._closing = threading.Event()
        self._greeting = threading.Event()

    def ask(self, session: Session) -> None:
        """Ask to be told."""
        session.subscribe(f"{self._prefix}/status", self._hear)

    def close(self) -> None:
        """Wait for nothing any more."""
        self._closing.set()

    def _hear(self, _: str, payload: bytes, retained: bool) -> None:  # noqa: FBT001  # a handler
        # A retained one only says that Home Assistant runs: it gets everything with this connection anyway.
        if payload == b"online" and not retained and not self._greeting.is_set():
            self._greeting.set()
            bridge.start("mqtt-birth", self._greet)

    def _greet(self) -> None:
        self._closing.wait(random.uniform(0.5, _BIRTH_S))  # noqa: S311  # no secret
        self._greeting.clear()
        self._renew()
