"""The lane over the disk: which events are there, on their way there, and on their way back."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from edged.mqtt.delivery.lanes import Lanes
    from edged.mqtt.delivery.message import Message


class DiskLane:
    """What the spool's thread takes from the outbox, and gives back. Thread-safe.

    Args:
        lanes: the events in memory.
        wake: called when there is something to send.
    """

    def __init__(self, lanes: Lanes, wake: Callable[[], None]) -> None:
        self._lanes = lanes
        self._wake = wake
        self.due = threading.Event()
        """Set when the spool's thread should look at once."""
        self.works = False
        """Whether the disk took what it was given last."""
        self.overflow = "queue_full"
        """Why events are lost when there are too many."""
        self.recovered = 0
        """Messages that were found on the disk."""
        self.spilling: Sequence[Message] = ()
        """On their way to the disk."""
        self._count = 0
        self._next: int | None = None
        self._finished: set[int] = set()
        """On disk, and at their end."""

    # For the spool's thread.

    def recover(self, count: int, first: int | None, last: int) -> bool:
        """``count`` messages are on a disk that was found, their orders from ``first`` to ``last``.

        An earlier start has left them, or this one before the disk failed. Whether they are taken on: not
        while a message is in flight whose number may be that of one on the disk.
        """
        with self._lanes.room:
            if any(order <= last for order in self._lanes.flight):
                return False
            self.works = True
            self.recovered += count
            self._count = count
            self._next = first
            self._lanes.orders.skip_to(last + 1)
            self._lanes.renumber()
            return True

    def spill(self, older_than: float) -> Sequence[Message]:
        """Events made before the monotonic time ``older_than``, to be put on disk.

        They wait aside until :meth:`spilled` or :meth:`unspill` is called.
        """
        with self._lanes.room:
            crowded = self._lanes.crowded
            batch: list[Message] = []
            if not self._lanes.attached:
                batch.extend(self._lanes.ready)
                self._lanes.ready.clear()
            # What is younger goes in the same write: one write a second is enough.
            while self._lanes.queue and (crowded or batch or self._lanes.queue[0].made < older_than):
                batch.append(self._lanes.queue.popleft())
            self.spilling = batch
            self._lanes.room.notify_all()
            return batch

    def spilled(self) -> None:
        """What :meth:`spill` gave is on disk."""
        with self._lanes.room:
            batch, self.spilling = self.spilling, ()
            self._count += len(batch)
            first = batch[0].order
            self._next = first if self._next is None else min(first, self._next)
            self.overflow = "queue_full"
            self.works = True
        self._wake()

    def unspill(self, cause: str) -> None:
        """What :meth:`spill` gave could not be written for ``cause``: it waits in memory again."""
        with self._lanes.room:
            batch, self.spilling = self.spilling, ()
            self._lanes.queue.extendleft(reversed(batch))
            self.overflow = cause
            self.works = False
            while len(self._lanes.queue) > self._lanes.limit:
                self._lanes.queue.popleft()
                self._lanes.dropped[cause] += 1
        self._wake()

    def wanted(self, most: int) -> tuple[int, int] | None:
        """From which order to read from the disk, and how many, at most ``most``; None: nothing is wanted."""
        with self._lanes.room:
            count = most - sum(message.spooled for message in self._lanes.ready)
            if not self._lanes.attached or self._lanes.closed or self._next is None or count <= 0:
                return None
            return self._next, count

    def load(self, start: int, messages: Iterable[Message], following: int | None, damaged: int = 0) -> None:
        """What the disk gave from the order ``start``, which one follows, and how many could not be read."""
        with self._lanes.room:
            self._count -= damaged
            if damaged:
                self._lanes.dropped["spool_damaged"] += damaged
            if self._lanes.attached and start == self._next:  # else the next connection begins anew
                # What was settled behind one that was not is read again after a lost connection.
                due = (message for message in messages if message.order not in self._finished)
                self._lanes.ready = deque(
                    sorted((*self._lanes.ready, *due), key=lambda message: message.order)
                )
                self._next = following
        self._wake()

    def finished(self) -> Sequence[int]:
        """Orders of the messages on disk that have come to their end, to be taken off it."""
        with self._lanes.room:
            return sorted(self._finished)

    def removed(self, orders: Iterable[int]) -> None:
        """These, which :meth:`finished` gave, are off the disk."""
        with self._lanes.room:
            self._finished.difference_update(orders)

    def trimmed(self, start: int, cause: str, count: int, following: int | None) -> None:
        """``count`` messages from ``start`` on, all only on disk, were removed up to ``following``."""
        with self._lanes.room:
            self._count -= count
            self._lanes.dropped[cause] += count
            if start == self._next:
                self._next = following

    @property
    def count(self) -> int:
        """Messages on disk that have not come to their end."""
        return self._count

    @property
    def unloaded(self) -> int | None:
        """The first order that is only on disk."""
        return self._next

    def forget(self, cause: str) -> None:
        """The disk has failed: go on with what is in memory; what was only on disk is lost for ``cause``."""
        with self._lanes.room:
            loaded = [
                message for message in (*self._lanes.ready, *self._lanes.flight.values()) if message.spooled
            ]
            self._lanes.ready = deque(replace(message, spooled=False) for message in self._lanes.ready)
            self._lanes.flight |= {
                message.order: replace(message, spooled=False) for message in self._lanes.flight.values()
            }
            if lost := self._count - len(loaded):
                self._lanes.dropped[cause] += lost
            self._count = 0
            self._next = None
            self.works = False
            self._finished.clear()
        self._wake()

    # For the outbox, with the lock held.

    def has_older(self, order: int) -> bool:
        """Whether an event older than ``order`` is on disk alone, or on its way there."""
        on_its_way = bool(self.spilling) and self.spilling[0].order < order
        return on_its_way or (self._next is not None and self._next < order)

    def settle(self, order: int) -> None:
        """A message that is on disk has come to its end."""
        self._count -= 1
        self._finished.add(order)

    def take_back(self, events: Sequence[Message]) -> None:
        """The connection is gone; of these events in memory, those on disk come from there again."""
        from_disk = [message.order for message in events if message.spooled]
        if from_disk:
            self._next = min(from_disk[0], self._next or from_disk[0])
        self._lanes.ready.clear()
        self._lanes.ready.extend(message for message in events if not message.spooled)
        self.due.set()
