"""Totals that go on over restarts: as a file or the broker remembers them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Totals:
    """How often something has happened, by topic, in all runs. Thread-safe.

    Args:
        changed: called after every change, must not block.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._lock = threading.Lock()
        self._totals: dict[str, int] = {}
        self._kept: dict[str, int] = {}
        """What a file has given at the start."""
        self._asked: set[str] = set()
        self._settled: set[str] = set()
        """Topics of which the broker's memory is in ours already."""

    def load(self, kept: Mapping[str, int]) -> None:
        """What an earlier run has kept."""
        self._totals, self._kept = dict(kept), dict(kept)

    def under(self, base: str = "") -> dict[str, int]:
        """Totals of the topics that begin with ``base``."""
        with self._lock:
            return {topic: total for topic, total in self._totals.items() if topic.startswith(base)}

    def add(self, topic: str) -> int:
        """It has happened once more; the total."""
        with self._lock:
            total = self._totals[topic] = self._totals.get(topic, 0) + 1
        self._changed()
        return total

    def forget(self, topic: str) -> None:
        """There is no such topic any more."""
        with self._lock:
            self._totals.pop(topic, None)
            self._kept.pop(topic, None)
        self._changed()

    def ask(self, base: str) -> None:
        """The broker is asked what it remembers below ``base``, as in every session.

        It answers before it takes what is published after the question. In the first session it is therefore
        never our own total that comes back, however soon something has happened; later it is.
        """
        with self._lock:
            if base in self._asked:
                self._settled.update(topic for topic in self._totals if topic.startswith(base))
            self._asked.add(base)

    def recall(self, topic: str, remembered: int) -> int:
        """The broker remembers so many; the total with those that we did not know of."""
        with self._lock:
            total = self._totals.get(topic, 0)
            if topic not in self._settled:
                self._settled.add(topic)
                total += max(0, remembered - self._kept.get(topic, 0))
                self._totals[topic] = total
        self._changed()
        return total
