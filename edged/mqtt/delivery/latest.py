"""Messages of which only the newest of a topic matters: states, counts, timings."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edged.mqtt.delivery.message import Message, Numbers


class Values:
    """What waits, at most one message a key, and what is retained. The outbox guards it by its lock."""

    def __init__(self) -> None:
        self._waiting: dict[str, Message] = {}
        self._held: Message | None = None
        self._retained: dict[str, Message] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Message]:
        """All that waits, what is held included."""
        yield from self._waiting.values()
        if self._held is not None:
            yield self._held

    def remember(self, message: Message) -> None:
        """It is to be sent on every connection from now on."""
        self._retained[message.key] = message

    def retained(self, begins: str) -> list[str]:
        """Topics that so begin and on which something is to be retained."""
        return [topic for topic, kept in self._retained.items() if topic.startswith(begins) and kept.payload]

    def hold(self, key: str) -> None:
        """Let it wait apart until :meth:`release`, if it waits."""
        self._held = self._waiting.pop(key, None) or self._held

    def release(self) -> None:
        """What was held waits behind all others."""
        if self._held is not None:
            self._waiting[self._held.key] = self._held
            self._held = None

    def add(self, message: Message) -> bool:
        """Let it wait; whether it takes the place of an older one."""
        superseded = self._waiting.pop(message.key, None) is not None
        if self._held is not None and self._held.key == message.key:
            self._held = None
            superseded = True
        self._waiting[message.key] = message
        return superseded

    def give_back(self, message: Message) -> bool:
        """It was sent in vain; whether it waits again, since there is nothing newer."""
        return self._waiting.setdefault(message.key, message) is message

    def take(self) -> Message:
        """The one that has waited longest."""
        return self._waiting.pop(next(iter(self._waiting)))

    def settled(self, message: Message) -> None:
        """It has come to its end. An empty one has cleared its topic, which need not be said again."""
        kept = self._retained.get(message.key)
        if not message.payload and kept is not None and not kept.payload:
            del self._retained[message.key]

    def due_again(self, orders: Numbers, made: float) -> list[Message]:
        """Everything retained that does not wait already, as new messages."""
        return [
            replace(message, order=orders.take(), made=made)
            for key, message in self._retained.items()
            if key not in self._waiting and (self._held is None or key != self._held.key)
        ]

    def renumber(self, orders: Numbers) -> None:
        """Give all that waits new numbers."""
        for key, message in self._waiting.items():
            self._waiting[key] = replace(message, order=orders.take())
        if self._held is not None:
            self._held = replace(self._held, order=orders.take())

    def clear(self) -> None:
        """Nothing waits any more."""
        self._waiting.clear()
        self._held = None
