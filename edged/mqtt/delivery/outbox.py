"""What waits to be sent, in bounded memory, and the account of every message.

Two lanes. *Events* (detections) are kept in order, each one matters. *Values* (state, counts, timings) have
a topic where only the newest matters: a newer one takes the place of one that still waits.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from edged.metrics import Delivery
from edged.mqtt.delivery.latest import Values
from edged.mqtt.delivery.message import Message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from edged.mqtt.delivery.succession import Numbers

log = structlog.get_logger()

_RECENT_S = 30.0
"""How long a loss counts as a trouble of now."""
_GRACE_S = 10.0
"""How long a source that can wait does so for a broker that has gone."""


class Outbox:
    """Hands messages from the threads that make them to the one that sends them. Thread-safe.

    Args:
        limit: events kept in memory while they cannot be sent.
        wake: called when there is something to send.
        orders: numbers the messages.
    """

    def __init__(self, *, limit: int, wake: Callable[[], None], orders: Numbers) -> None:
        self.waiting = False
        """Whether somebody waits in :meth:`put`."""
        self._limit = limit
        self._wake = wake
        self._room = threading.Condition()
        self._orders = orders
        self._made = 0
        self._acknowledged = 0
        self._dropped: Counter[str] = Counter()
        self._overflow = "queue_full"
        self._disk_works = False
        self._overflowed = float("-inf")
        self._values = Values()
        self._ready: deque[Message] = deque()
        """Events older than the queue: they were sent and lost with the connection, or are off the disk."""
        self._queue: deque[Message] = deque()
        self._flight: dict[int, Message] = {}
        self._attached = False
        self._hope_until = float("inf")
        self._closed = False

        # What the spool's thread has in hand or on disk, see the last section.
        self._recovered = 0
        self._on_disk = 0
        self._next_on_disk: int | None = None
        self._spilling: Sequence[Message] = ()
        self._finished: list[int] = []
        self.disk_due = threading.Event()
        """Set when the spool's thread should look at once."""

    # For who makes messages.

    def put(self, topic: str, payload: bytes, *, captured: float | None = None, waits: bool = False) -> None:
        """Append an event, QoS 1.

        Args:
            topic: where it goes.
            payload: what it says.
            captured: when the frame was taken that it speaks of, monotonic.
            waits: if the outbox is full, wait while there is hope that it empties; else, and without hope,
                the oldest event goes and is counted.
        """
        with self._room:
            while waits and self._full() and not self._closed and self._hope():
                self.waiting = True
                self.disk_due.set()
                self._room.wait(0.5)
            self.waiting = False
            self._made += 1
            if self._closed:
                self._dropped["shutdown"] += 1
                return
            now, begins = time.monotonic(), False
            if self._full():
                self._queue.popleft()
                self._dropped[self._overflow] += 1
                begins = now - self._overflowed > _RECENT_S
                self._overflowed = now
            self._queue.append(Message(self._orders.take(), topic, payload, made=now, captured=captured))
            if self._crowded():
                self.disk_due.set()
        if begins:
            log.warning("mqtt_overflow", reason=self.problem)
        self._wake()

    def post(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = True, key: str = "") -> None:
        """Replace the value of ``topic``, or what else ``key`` names. Never blocks.

        While there is no connection a retained value is only remembered, to be sent on the next one: it
        counts as made when it is due to be sent. Others are dropped, they would be stale.
        """
        with self._room:
            message = Message(
                self._orders.take(), topic, payload, qos, retain, key or topic, made=time.monotonic()
            )
            if retain:
                self._values.remember(message)
            if self._attached:
                self._due(message)
            elif not retain:
                self._made += 1
                self._dropped["shutdown" if self._closed else "disconnected"] += 1
        self._wake()

    def delivery(self) -> Delivery:
        """The account now."""
        with self._room:
            in_memory = [*self._values, *self._queue, *self._spilling, *self._ready]
            return Delivery(
                made=self._made,
                recovered=self._recovered,
                acknowledged=self._acknowledged,
                spooled=self._on_disk,
                queued=sum(not message.spooled for message in in_memory),
                in_flight=sum(not message.spooled for message in self._flight.values()),
                dropped=dict(self._dropped),
            )

    def close(self) -> None:
        """Take no more events; what waits can still be taken out."""
        with self._room:
            self._closed = True
            self._room.notify_all()
        self._wake()

    @property
    def problem(self) -> str:
        """That messages are lost since more are made than leave; empty once none was for a while."""
        if time.monotonic() - self._overflowed > _RECENT_S:
            return ""
        return f"Messages are lost: more are made than the broker takes ({self._overflow})."

    # For who sends them.

    def attach(self, *, last: str = "") -> None:
        """There is a connection: everything retained is due again, ``last`` only by :meth:`release`."""
        with self._room:
            self._attached = True
            self.disk_due.set()
            self._hope_until = float("inf")
            self._renew()
            self._values.hold(last)

    def release(self) -> None:
        """What was to come last is due."""
        with self._room:
            self._values.release()

    def renew(self) -> None:
        """Everything retained is due again, if there is a connection."""
        with self._room:
            if self._attached:
                self._renew()
        self._wake()

    def detach(self) -> None:
        """The connection is gone: what it had not acknowledged is due again, before everything newer."""
        with self._room:
            if self._attached or self._hope_until == float("inf"):  # else it was hopeless before
                self._hope_until = time.monotonic() + _GRACE_S
            self._attached = False
            self._values.release()
            lost = sorted(self._flight.values(), key=lambda message: message.order)
            self._flight.clear()
            for message in lost:
                if not message.key:
                    continue
                if message.qos == 0 and not message.retain:
                    self._dropped["disconnected"] += 1
                elif not self._values.give_back(message):
                    self._dropped["superseded"] += 1
            # What is on disk comes from there again.
            events = sorted(
                [message for message in (*lost, *self._ready) if not message.key],
                key=lambda message: message.order,
            )
            from_disk = [message.order for message in events if message.spooled]
            if from_disk:
                self._next_on_disk = min(from_disk[0], self._next_on_disk or from_disk[0])
            self._ready = deque(message for message in events if not message.spooled)
            self.disk_due.set()
            self._room.notify_all()

    def take(self, *, events: bool = True) -> Message | None:
        """The message to send next; it is in flight until :meth:`settle` or :meth:`detach`.

        Values go first, they are few; without ``events`` there are only values.
        """
        with self._room:
            if self._values:
                message = self._values.take()
            else:
                lane = self._next_event() if events else None
                if lane is None:
                    return None
                message = lane.popleft()
                self._room.notify_all()
            self._flight[message.order] = message
            return message

    def settle(self, message: Message, cause: str = "") -> None:
        """A message in flight has come to its end: acknowledged, or dropped for ``cause``."""
        with self._room:
            current = self._flight.pop(message.order, None)
            if current is None:  # given up before
                return
            message = current  # it may have lost its place on disk meanwhile
            if message.key:
                self._values.settled(message)
            if message.spooled:
                self._on_disk -= 1
                self._finished.append(message.order)
            if cause:
                self._dropped[cause] += 1
            else:
                self._acknowledged += 1
            self._room.notify_all()

    @property
    def in_flight(self) -> int:
        """Messages that were taken and have not come to their end."""
        return len(self._flight)

    def idle(self, *, events: bool = True) -> bool:
        """Whether nothing is in flight and :meth:`take` would give nothing."""
        with self._room:
            return not (self._values or self._flight or (events and self._next_event() is not None))

    def abandon(self) -> None:
        """The end: what is still in memory is lost."""
        with self._room:
            left = [*self._values, *self._flight.values(), *self._ready, *self._queue]
            self._dropped["shutdown"] += sum(not message.spooled for message in left)
            for lane in (self._values, self._flight, self._ready, self._queue):
                lane.clear()
            self._dropped += Counter()  # forgets causes with a count of 0

    # For the spool's thread.

    def recover(self, count: int, first: int | None, last: int) -> None:
        """``count`` messages of an earlier start are on disk, their orders from ``first`` to ``last``."""
        with self._room:
            self._disk_works = True
            self._recovered = self._on_disk = count
            self._next_on_disk = first
            self._orders.skip_to(last + 1)
            # Made before the disk was known: their numbers may be those of messages on it.
            self._queue = deque(replace(message, order=self._orders.take()) for message in self._queue)

    def spill(self, older_than: float) -> Sequence[Message]:
        """Events made before the monotonic time ``older_than``, to be put on disk.

        They wait aside until :meth:`spilled` or :meth:`unspill` is called.
        """
        with self._room:
            crowded = self._crowded()
            batch: list[Message] = []
            if not self._attached:
                batch.extend(self._ready)
                self._ready.clear()
            # What is younger goes in the same write: one write a second is enough.
            while self._queue and (crowded or batch or self._queue[0].made < older_than):
                batch.append(self._queue.popleft())
            self._spilling = batch
            self._room.notify_all()
            return batch

    def spilled(self) -> None:
        """What :meth:`spill` gave is on disk."""
        with self._room:
            batch, self._spilling = self._spilling, ()
            self._on_disk += len(batch)
            first = batch[0].order
            self._next_on_disk = first if self._next_on_disk is None else min(first, self._next_on_disk)
            self._overflow = "queue_full"
            self._disk_works = True
        self._wake()

    def unspill(self, cause: str) -> None:
        """What :meth:`spill` gave could not be written for ``cause``: it waits in memory again."""
        with self._room:
            batch, self._spilling = self._spilling, ()
            self._queue.extendleft(reversed(batch))
            self._overflow = cause
            self._disk_works = False
            while len(self._queue) > self._limit:
                self._queue.popleft()
                self._dropped[cause] += 1
        self._wake()

    def wanted(self, most: int) -> tuple[int, int] | None:
        """From which order to read from the disk, and how many, at most ``most``; None: nothing is wanted."""
        with self._room:
            count = most - len(self._ready)
            if not self._attached or self._closed or self._next_on_disk is None or count <= 0:
                return None
            return self._next_on_disk, count

    def load(self, start: int, messages: Iterable[Message], following: int | None, damaged: int = 0) -> None:
        """What the disk gave from the order ``start``, which one follows, and how many could not be read."""
        with self._room:
            self._on_disk -= damaged
            if damaged:
                self._dropped["spool_damaged"] += damaged
            if self._attached and start == self._next_on_disk:  # else the next connection begins anew
                self._ready = deque(sorted((*self._ready, *messages), key=lambda message: message.order))
                self._next_on_disk = following
        self._wake()

    def finished(self) -> Sequence[int]:
        """Orders of the messages on disk that have come to their end since the last call."""
        with self._room:
            orders, self._finished = self._finished, []
            return orders

    def trimmed(self, start: int, cause: str, count: int, following: int | None) -> None:
        """``count`` messages from ``start`` on, all only on disk, were removed up to ``following``."""
        with self._room:
            self._on_disk -= count
            self._dropped[cause] += count
            if start == self._next_on_disk:
                self._next_on_disk = following

    @property
    def on_disk(self) -> int:
        """Messages on disk that have not come to their end."""
        return self._on_disk

    @property
    def unloaded(self) -> int | None:
        """The first order that is only on disk."""
        return self._next_on_disk

    def forget_disk(self, cause: str) -> None:
        """The disk has failed: go on with what is in memory; what was only on disk is lost for ``cause``."""
        with self._room:
            loaded = [message for message in (*self._ready, *self._flight.values()) if message.spooled]
            self._ready = deque(replace(message, spooled=False) for message in self._ready)
            self._flight |= {
                message.order: replace(message, spooled=False) for message in self._flight.values()
            }
            if lost := self._on_disk - len(loaded):
                self._dropped[cause] += lost
            self._on_disk = 0
            self._next_on_disk = None
            self._disk_works = False
            self._finished.clear()
        self._wake()

    # Only with the lock held.

    def _full(self) -> bool:
        return len(self._queue) >= self._limit

    def _crowded(self) -> bool:
        return len(self._queue) * 2 >= self._limit

    def _hope(self) -> bool:
        return self._attached or self._disk_works or time.monotonic() < self._hope_until

    def _next_event(self) -> deque[Message] | None:
        """Where the next event is; None if there is none, or an older one is on disk or on its way there."""
        lane = self._ready or self._queue
        if not lane:
            return None
        on_its_way = bool(self._spilling) and self._spilling[0].order < lane[0].order
        on_disk = self._next_on_disk is not None and self._next_on_disk < lane[0].order
        return None if on_its_way or on_disk else lane

    def _renew(self) -> None:
        for message in self._values.due_again(self._orders, time.monotonic()):
            self._due(message)

    def _due(self, message: Message) -> None:
        self._made += 1
        if self._values.add(message):
            self._dropped["superseded"] += 1
