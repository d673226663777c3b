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

_PER_SECOND = 0.25
"""Changes told in the long run."""
_BURST = 6.0
"""How many may be told at once, after a quiet time."""
_DEBT = 20.0
"""How many changes that cannot wait are made up for later."""


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
        self._clock = clock
        self._lock = threading.Lock()
        self._told: dict[str, bytes] = {}
        self._waiting: dict[str, bytes] = {}
        self._left = _BURST
        self._filled_at = clock()

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
            if everything:
                self._left = float(len(self._waiting))
                self._filled_at = self._clock()
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
        self._refill()
        self._left = max(self._left - 1, -_DEBT)
        self._told[topic] = payload
        self._waiting.pop(topic, None)
        self._outbox.post(topic, payload)

    def _flush(self) -> None:
        self._refill()
        while self._waiting and (self._left >= 1 or not self.limited):
            topic, payload = next(iter(self._waiting.items()))
            self._tell(topic, payload)

    def _refill(self) -> None:
        now = self._clock()
        self._left = min(_BURST, self._left + (now - self._filled_at) * _PER_SECOND)
        self._filled_at = now
