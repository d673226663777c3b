"""What waits to be sent, in bounded memory, and the account of every message.

Two lanes. *Events* (detections) are kept in order, each one matters. *Values* (state, counts, timings) have
a topic where only the newest matters: a newer one takes the place of one that still waits.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from typing import TYPE_CHECKING

import structlog

from edged.metrics import Delivery
from edged.mqtt.delivery.disk_lane import DiskLane
from edged.mqtt.delivery.lanes import Lanes
from edged.mqtt.delivery.message import Message

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable

    from edged.mqtt.delivery.message import Numbers

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
        clock: seconds, as ``captured`` has them.
    """

    def __init__(
        self,
        *,
        limit: int,
        wake: Callable[[], None],
        orders: Numbers,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.waiting = False
        """Whether somebody waits in :meth:`put`."""
        self._lanes = Lanes(limit=limit, orders=orders)
        self._wake = wake
        self._clock = clock
        self.disk = DiskLane(self._lanes, wake)
        """The side of the spool's thread."""
        self._made = 0
        self._acknowledged = 0
        self._overflowed = -math.inf
        self._hope_until = math.inf

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
        with self._lanes.room:
            while waits and self._lanes.full and not self._lanes.closed and self._hope():
                self.waiting = True
                self.disk.due.set()
                self._lanes.room.wait(0.5)
            self.waiting = False
            self._made += 1
            if self._lanes.closed:
                self._lanes.dropped["shutdown"] += 1
                return
            now, begins = self._clock(), False
            if self._lanes.full:
                self._lanes.queue.popleft()
                self._lanes.dropped[self.disk.overflow] += 1
                begins = now - self._overflowed > _RECENT_S
                self._overflowed = now
            self._lanes.queue.append(
                Message(self._lanes.orders.take(), topic, payload, made=now, captured=captured)
            )
            if self._lanes.crowded:
                self.disk.due.set()
        if begins:
            log.warning("mqtt_overflow", reason=self.problem)
        self._wake()

    def post(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = True, key: str = "") -> None:
        """Replace the value of ``topic``, or what else ``key`` names. Never blocks.

        While there is no connection a retained value is only remembered, to be sent on the next one: it
        counts as made when it is due to be sent. Others are dropped, they would be stale.
        """
        with self._lanes.room:
            message = Message(
                self._lanes.orders.take(), topic, payload, qos, retain, key or topic, made=self._clock()
            )
            if retain:
                self._lanes.values.remember(message)
            if self._lanes.attached:
                self._due(message)
            elif not retain:
                self._made += 1
                self._lanes.dropped["shutdown" if self._lanes.closed else "disconnected"] += 1
        self._wake()

    def delivery(self) -> Delivery:
        """The account now."""
        with self._lanes.room:
            in_memory = [*self._lanes.values, *self._lanes.queue, *self.disk.spilling, *self._lanes.ready]
            return Delivery(
                made=self._made,
                recovered=self.disk.recovered,
                acknowledged=self._acknowledged,
                spooled=self.disk.count,
                queued=sum(not message.spooled for message in in_memory),
                in_flight=sum(not message.spooled for message in self._lanes.flight.values()),
                dropped=dict(self._lanes.dropped),
            )

    def retained(self, begins: str) -> list[str]:
        """Topics that so begin and on which something is retained that we have posted."""
        with self._lanes.room:
            return self._lanes.values.retained(begins)

    def close(self) -> None:
        """Take no more events; what waits can still be taken out."""
        with self._lanes.room:
            self._lanes.closed = True
            self._lanes.room.notify_all()
        self._wake()

    @property
    def problem(self) -> str:
        """That messages are lost since more are made than leave; empty once none was for a while."""
        if self._clock() - self._overflowed > _RECENT_S:
            return ""
        return f"Messages are lost: more are made than the broker takes ({self.disk.overflow})."

    # For who sends them.

    def attach(self, *, last: str = "") -> None:
        """There is a connection: everything retained is due again, ``last`` only by :meth:`release`."""
        with self._lanes.room:
            self._lanes.attached = True
            self.disk.due.set()
            self._hope_until = math.inf
            self._renew()
            self._lanes.values.hold(last)

    def release(self) -> None:
        """What was to come last is due."""
        with self._lanes.room:
            self._lanes.values.release()

    def renew(self) -> None:
        """Everything retained is due again, if there is a connection."""
        with self._lanes.room:
            if self._lanes.attached:
                self._renew()
        self._wake()

    def detach(self) -> None:
        """The connection is gone: what it had not acknowledged is due again, before everything newer."""
        with self._lanes.room:
            if self._lanes.attached or self._hope_until == math.inf:  # else it was hopeless before
                self._hope_until = self._clock() + _GRACE_S
            self._lanes.attached = False
            self._lanes.values.release()
            lost = sorted(self._lanes.flight.values(), key=lambda message: message.order)
            self._lanes.flight.clear()
            for message in lost:
                if not message.key:
                    continue
                if message.qos == 0 and not message.retain:
                    self._lanes.dropped["disconnected"] += 1
                elif not self._lanes.values.give_back(message):
                    self._lanes.dropped["superseded"] += 1
            events = [message for message in (*lost, *self._lanes.ready) if not message.key]
            self.disk.take_back(sorted(events, key=lambda message: message.order))
            self._lanes.room.notify_all()

    def take(self, *, events: bool = True) -> Message | None:
        """The message to send next; it is in flight until :meth:`settle` or :meth:`detach`.

        Values go first, they are few; without ``events`` there are only values.
        """
        with self._lanes.room:
            if self._lanes.values:
                message = self._lanes.values.take()
            else:
                lane = self._next_event() if events else None
                if lane is None:
                    return None
                message = lane.popleft()
                self._lanes.room.notify_all()
            self._lanes.flight[message.order] = message
            return message

    def settle(self, message: Message, cause: str = "") -> None:
        """A message in flight has come to its end: acknowledged, or dropped for ``cause``."""
        with self._lanes.room:
            current = self._lanes.flight.pop(message.order, None)
            if current is None:  # given up before
                return
            message = current  # it may have lost its place on disk meanwhile
            if message.key:
                self._lanes.values.settled(message)
            if message.spooled:
                self.disk.settle(message.order)
            if cause:
                self._lanes.dropped[cause] += 1
            else:
                self._acknowledged += 1
            self._lanes.room.notify_all()

    @property
    def in_flight(self) -> int:
        """Messages that were taken and have not come to their end."""
        return len(self._lanes.flight)

    def idle(self, *, events: bool = True) -> bool:
        """Whether nothing is in flight and :meth:`take` would give nothing."""
        with self._lanes.room:
            return not (
                self._lanes.values or self._lanes.flight or (events and self._next_event() is not None)
            )

    def abandon(self) -> None:
        """The end: what is still in memory is lost."""
        with self._lanes.room:
            left = [*self._lanes.values, *self._lanes.flight.values(), *self._lanes.ready, *self._lanes.queue]
            self._lanes.dropped["shutdown"] += sum(not message.spooled for message in left)
            self._lanes.clear()
            self._lanes.dropped += Counter()  # forgets causes with a count of 0

    # Only with the lock held.

    def _hope(self) -> bool:
        return self._lanes.attached or self.disk.works or self._clock() < self._hope_until

    def _next_event(self) -> deque[Message] | None:
        """Where the next event is; None if there is none, or an older one is on disk or on its way there."""
        lane = self._lanes.ready or self._lanes.queue
        if not lane:
            return None
        return None if self.disk.has_older(lane[0].order) else lane

    def _renew(self) -> None:
        for message in self._lanes.values.due_again(self._lanes.orders, self._clock()):
            self._due(message)

    def _due(self, message: Message) -> None:
        self._made += 1
        if self._lanes.values.add(message):
            self._lanes.dropped["superseded"] += 1
