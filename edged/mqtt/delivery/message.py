"""One message on its way, and the numbers that all of them have."""

from __future__ import annotations

import threading
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Message:
    """One message on its way."""

    order: int
    """Rises from message to message; the spool keeps it, so it is the order over restarts, too."""
    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False
    key: str = ""
    """A newer message with the same key replaces this one, which is a value. Empty for events."""
    made: float = 0.0
    """Monotonic, seconds."""
    captured: float | None = None
    """Monotonic time of the frame it tells of, if it tells of one."""
    spooled: bool = False
    """Whether it is on disk as well."""


class Numbers:
    """Rising numbers. Thread-safe."""

    def __init__(self, first: int) -> None:
        self._next = first
        self._lock = threading.Lock()

    def take(self) -> int:
        """The next number."""
        with self._lock:
            self._next += 1
            return self._next - 1

    def skip_to(self, first: int) -> None:
        """Give no number below ``first`` any more."""
        with self._lock:
            self._next = max(self._next, first)
