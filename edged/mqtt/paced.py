"""Retained values that change as objects come and go: told at once where it matters, else at a calm pace.

A street full of people changes its count several times a second; whoever records every value, as Home
Assistant does, fills a database with it, and nobody looks that fast.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from edged.mqtt.delivery.outbox import Outbox

_PER_SECOND = 0.2
"""Changes told in the long run."""
_BURST = 6.0
"""How many may be told at once, after a quiet time."""
_DEBT = 20.0
"""How many changes that cannot wait are made up for later."""


class Budget:
    """So much a second, and some of it at once after a quiet time. Not thread-safe.

    Args:
        per_second: what comes in.
        burst: the most that is saved.
        clock: monotonic seconds.
    """

    def __init__(
        self, per_second: float, burst: float, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_second = per_second
        self._burst = burst
        self._clock = clock
        self._left = burst
        self._filled_at = clock()

    def spend(self, *, debt: float = 0.0) -> bool:
        """Take one out, if there is one, or if no more than ``debt`` is owed; whether it was taken."""
        now = self._clock()
        self._left = min(self._burst, self._left + (now - self._filled_at) * self._per_second)
        self._filled_at = now
        if self._left < 1 - debt:
            return False
        self._left -= 1
        return True


class PacedValues:
    """The retained values of one camera. Thread-safe.

    What comes to be or ends (0 to more, more to 0, ON and OFF) is told at once. How many there are is told at
    a pace, and of values that change meanwhile only the newest.

    Args:
        outbox: takes the messages.
        clock: monotonic seconds.
    """

    def __init__(self, outbox: Outbox, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.limited = False
        """Whether there is a pace at all."""
        self._outbox = outbox
        self._budget = Budget(_PER_SECOND, _BURST, clock=clock)
        self._lock = threading.Lock()
        self._told: dict[str, bytes] = {}
        self._waiting: dict[str, bytes] = {}

    def put(self, topic: str, payload: bytes, *, at_once: bool = False) -> None:
        """Tell a value, now or when there is time."""
        with self._lock:
            if self._told.get(topic) == payload:
                self._waiting.pop(topic, None)
            elif at_once or not self.limited or self._is_urgent(topic, payload):
                self._tell(topic, payload)
            else:
                self._waiting[topic] = payload
                self._flush()

    def clear(self, topic: str) -> None:
        """There is no such value any more."""
        with self._lock:
            self._waiting.pop(topic, None)
            self._told.pop(topic, None)
            self._outbox.post(topic, b"")

    def flush(self, *, everything: bool = False) -> None:
        """Tell what waits, as far as the pace allows it; or ``everything``, for nothing more comes."""
        with self._lock:
            for topic, payload in list(self._waiting.items()) if everything else ():
                self._tell(topic, payload)
            self._flush()

    def repeat(self) -> None:
        """Tell everything again: somebody else may have told something else in the same place."""
        with self._lock:
            self._told |= self._waiting
            self._waiting.clear()
            for topic, payload in self._told.items():
                self._outbox.post(topic, payload)

    # Only with the lock held.

    def _is_urgent(self, topic: str, payload: bytes) -> bool:
        before = self._told.get(topic)
        return before is None or not payload.isdigit() or (before == b"0") != (payload == b"0")

    def _tell(self, topic: str, payload: bytes) -> None:
        self._budget.spend(debt=_DEBT)
        self._post(topic, payload)

    def _flush(self) -> None:
        while self._waiting and (not self.limited or self._budget.spend()):
            self._post(*next(iter(self._waiting.items())))

    def _post(self, topic: str, payload: bytes) -> None:
        self._told[topic] = payload
        self._waiting.pop(topic, None)
        self._outbox.post(topic, payload)
