"""What waits in memory to be sent: shared by those who make messages, send them and put them on disk."""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import replace
from typing import TYPE_CHECKING

from edged.mqtt.delivery.latest import Values

if TYPE_CHECKING:
    from edged.mqtt.delivery.message import Message, Numbers


class Lanes:
    """Events and values, in the order in which they leave; to be touched only with :attr:`room` held.

    Args:
        limit: events kept in memory while they cannot be sent.
        orders: numbers the messages.
    """

    def __init__(self, *, limit: int, orders: Numbers) -> None:
        self.room = threading.Condition()
        """The lock of all of it; notified when there may be room for another event."""
        self.limit = limit
        self.orders = orders
        self.values = Values()
        self.ready: deque[Message] = deque()
        """Events older than the queue: they were sent and lost with the connection, or are off the disk."""
        self.queue: deque[Message] = deque()
        self.flight: dict[int, Message] = {}
        """Sent and not yet at their end, by order."""
        self.dropped: Counter[str] = Counter()
        self.attached = False
        """Whether there is a connection."""
        self.closed = False
        """Whether no more events are taken."""

    @property
    def full(self) -> bool:
        """Whether another event would be one too many."""
        return len(self.queue) >= self.limit

    @property
    def crowded(self) -> bool:
        """Whether the disk should help."""
        return len(self.queue) * 2 >= self.limit

    def renumber(self) -> None:
        """Give all that waits new numbers, in the order in which it was made."""
        self.values.renumber(self.orders)
        for lane in (self.ready, self.queue):
            for _ in range(len(lane)):
                lane.append(replace(lane.popleft(), order=self.orders.take()))

    def clear(self) -> None:
        """Nothing waits any more."""
        for lane in (self.values, self.flight, self.ready, self.queue):
            lane.clear()
