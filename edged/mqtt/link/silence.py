"""Noticing that a broker is there and acknowledges nothing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable

    from edged.settings.broker import Broker

SILENT_S = 15.0
"""A broker that has taken nothing for so long, though something is on its way, is in trouble."""

log = structlog.get_logger()


class Silence:
    """How long something has been on its way without an acknowledgement, in one session.

    Args:
        broker: for the words.
    """

    def __init__(self, broker: Broker, clock: Callable[[], float] = time.monotonic) -> None:
        self._broker = broker
        self._clock = clock
        self._since = clock()
        self._told = False
        self._waiting = False

    @property
    def problem(self) -> str:
        """That the broker acknowledges nothing; empty while it does, or while nothing is on its way."""
        if not self._waiting or self._clock() - self._since < SILENT_S:
            return ""
        return f"The broker {self._broker} has acknowledged nothing for {SILENT_S:g} s; what is made waits."

    def watch(self, in_flight: int) -> None:
        """Look how much is on its way; a silence is told once."""
        self._waiting = in_flight > 0
        if not self._waiting:
            self._since = self._clock()
        elif self.problem and not self._told:
            self._told = True
            log.warning("mqtt_not_acknowledged", reason=self.problem, in_flight=in_flight)

    def end(self) -> None:
        """A message has come to its end."""
        self._since = self._clock()
        if self._told:
            self._told = False
            log.info("mqtt_acknowledges_again", broker=str(self._broker))
