"""Retained values that change as objects come and go: told at once where it matters, else at a calm pace.

A street full of people changes its count several times a second; whoever records every value, as Home
Assistant does, fills a database with it, and nobody looks that fast.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from edged.mqtt.token_bucket import TokenBucket

if TYPE_CHECKING:
    from collections.abc import Callable

    from edged.mqtt.delivery.outbox import Outbox

_CHANGES = 0.2, 6.0
"""How many changes of a number are told in a second, and how many at once after a quiet time."""
_ENDS = 0.15, 12.0
"""The same of what comes and goes; beyond it an end waits, so that what flickers is there all the time."""
_NONE = frozenset({b"0", b"OFF"})


class RateLimitedValues:
    """The retained values of one camera. Thread-safe.

    What comes to be (0 to more, OFF to ON) is told at once, and what ends as well, unless too much comes and
    goes. How many there are is told at a pace, and of values that change meanwhile only the newest.

    Args:
        outbox: takes the messages.
    """

    def __init__(self, outbox: Outbox, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.limited = False
        """Whether there is a pace at all."""
        self._outbox = outbox
        self._changes = TokenBucket(*_CHANGES, clock=clock)
        self._ends = TokenBucket(*_ENDS, clock=clock)
        self._lock = threading.Lock()
        self._told: dict[str, bytes] = {}
        self._waiting: dict[str, bytes] = {}

    def put(self, topic: str, payload: bytes, *, at_once: bool = False) -> None:
        """Tell a value, now or when there is time."""
        with self._lock:
            before = self._told.get(topic)
            if before == payload:
                self._waiting.pop(topic, None)
            elif at_once or not self.limited or before is None:
                self._post(topic, payload)
            elif before in _NONE and payload not in _NONE:
                self._ends.spend(anyway=True)
                self._post(topic, payload)
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
                self._post(topic, payload)
            self._flush()

    def repeat(self) -> None:
        """Tell everything again: somebody else may have told something else in the same place."""
        with self._lock:
            self._told |= self._waiting
            self._waiting.clear()
            for topic, payload in self._told.items():
                self._outbox.post(topic, payload)

    # Only with the lock held.

    def _flush(self) -> None:
        for topic, payload in list(self._waiting.items()):
            budget = self._ends if payload in _NONE else self._changes
            if not self.limited or budget.spend():
                self._post(topic, payload)

    def _post(self, topic: str, payload: bytes) -> None:
        self._told[topic] = payload
        self._waiting.pop(topic, None)
        self._outbox.post(topic, payload)
