"""One message on its way, and the account of all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edged.mqtt.payloads import Messages


_OUT_OF_DATE = {"superseded", "disconnected"}


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
    """Of a value: the newer message with the same key replaces this one. Empty for events."""
    made: float = 0.0
    """Monotonic, seconds."""
    captured: float | None = None
    """Monotonic time of the frame it tells of, if it tells of one."""
    spooled: bool = False
    """Whether it is on disk as well."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """The account: ``made + recovered = acknowledged + spooled + queued + in_flight + sum(dropped)``."""

    made: int
    recovered: int
    """Found in the spool at the start."""
    acknowledged: int
    spooled: int
    queued: int
    in_flight: int
    dropped: dict[str, int]
    """By cause."""

    @property
    def closes(self) -> bool:
        """Whether every message is where the account says."""
        ended = self.acknowledged + sum(self.dropped.values())
        return self.made + self.recovered == ended + self.spooled + self.queued + self.in_flight

    @property
    def lost(self) -> int:
        """Messages dropped, but for values that were out of date before they could be sent."""
        return sum(count for cause, count in self.dropped.items() if cause not in _OUT_OF_DATE)

    def payload(self) -> Messages:
        """As it is published."""
        return {
            "made": self.made,
            "recovered": self.recovered,
            "acknowledged": self.acknowledged,
            "spooled": self.spooled,
            "queued": self.queued,
            "in_flight": self.in_flight,
            "dropped": dict(self.dropped),
        }
