"""What outlives one session with the broker: what was learnt in it, and that everything is to end."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field

import structlog

log = structlog.get_logger()


@dataclass
class Ending:
    """When and how everything ends; asked for by one thread, obeyed by the session's."""

    asked: threading.Event = field(default_factory=threading.Event)
    farewell: bytes = b"offline"
    """What availability says last; empty: the topic is given up."""
    drain_until: float = float("inf")
    """Monotonic: no event is sent after that."""
    end_at: float = float("inf")
    """Monotonic: nothing is waited for after that."""


@dataclass
class Experience:
    """What one session leaves to the next."""

    suspects: int = 0
    """Messages one of which may have ended the session: they are sent one by one."""
    refused_until: dict[str, float] = field(default_factory=dict)
    """Topics to leave alone, until when (monotonic)."""
    alone: Counter[int] = field(default_factory=Counter)
    """How many sessions ended with nothing but this message (its order) on its way."""
    will_qos: int = 1
    will_retain: bool = True
    """What the broker lets a last will be: MQTT 5 tells it only by refusing one."""
    complaints: set[tuple[str, str]] = field(default_factory=set)
    """Refusals that were told: cause and topic."""

    def lower_will(self, reason: str) -> bool:
        """The broker has refused us for this reason: whether a lesser last will is what it asks for."""
        before = self.will_qos, self.will_retain
        self.will_retain = self.will_retain and reason != "Retain not supported"
        self.will_qos = 0 if reason == "QoS not supported" else self.will_qos
        return (self.will_qos, self.will_retain) != before

    def complain(self, event: str, topic: str, cause: str) -> None:
        """Tell a refusal, once."""
        if (cause, topic) not in self.complaints:
            self.complaints.add((cause, topic))
            log.error(event, topic=topic, cause=cause)
