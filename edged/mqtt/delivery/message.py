"""One message on its way."""

from __future__ import annotations

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
