"""A bounded, closable queue between two stages that run in threads of their own."""

from __future__ import annotations

import threading
from collections import deque
from queue import SimpleQueue
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Closed(Exception):  # noqa: N818  # it is a signal, not an error, as queue.Empty
    """Nothing more comes out of the channel, or may be put into it."""


class _Waiting:
    """Threads that wait for the same change of what a lock guards; all of it with that lock held.

    As ``threading.Condition``, which makes a lock for every wait and is a dozen calls where this is three:
    threads wait several times for every frame.
    """

    __slots__ = ("_calls", "_lock", "count")

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock
        self._calls: SimpleQueue[None] = SimpleQueue()
        self.count = 0
        """How many wait and were not called yet."""

    def wait(self) -> None:
        """Until somebody calls; to be asked again whether it has changed, as another may have been first."""
        self.count += 1
        self._lock.release()
        try:
            self._calls.get()
        finally:
            self._lock.acquire()

    def call(self) -> None:
        """Have one go on; only where there is one."""
        self.count -= 1
        self._calls.put(None)

    def call_all(self) -> None:
        """Have all go on."""
        while self.count:
            self.call()


class Channel(Generic[T]):
    """First in, first out, at most ``capacity`` items."""

    def __init__(self, capacity: int) -> None:
        self._items: deque[T] = deque()
        self._capacity = capacity
        self._closed = False
        self._lock = threading.Lock()
        self._takers, self._givers = _Waiting(self._lock), _Waiting(self._lock)
        """Those who wait for an item, and for room."""

    def put(self, item: T, *, waits: bool) -> T | None:
        """Append ``item``; returns the item that had to go for it, if any.

        Args:
            item: goes in last.
            waits: what happens when the channel is full: the producer waits (backpressure, no item is lost),
                or the oldest item makes room and is handed back to the producer, who must account for it.

        Raises:
            Closed: the channel takes nothing any more.
        """
        with self._lock:
            if waits and len(self._items) >= self._capacity:
                self._await_room()
            if self._closed:
                raise Closed
            displaced = self._items.popleft() if len(self._items) >= self._capacity else None
            self._items.append(item)
            if self._takers.count:
                self._takers.call()
            return displaced

    def offer(self, item: T) -> bool:
        """Append ``item`` if there is room, without waiting and at nobody's cost; whether it was taken."""
        with self._lock:
            if self._closed or len(self._items) >= self._capacity:
                return False
            self._items.append(item)
            if self._takers.count:
                self._takers.call()
            return True

    def give_back(self, item: T) -> bool:
        """Put an item that was taken before all others again, if there is room; whether there was.

        A channel that is closed takes it, too: it came before the end.
        """
        with self._lock:
            if len(self._items) >= self._capacity:
                return False
            self._items.appendleft(item)
            if self._takers.count:
                self._takers.call()
            return True

    def get(self, *, unless: threading.Event | None = None) -> T:
        """The oldest item, as soon as there is one.

        Args:
            unless: once it is set and :meth:`wake` was called, nothing is taken any more.

        Raises:
            Closed: the channel is closed and empty, or ``unless`` is set.
        """
        with self._lock:
            while True:
                if unless is not None and unless.is_set():
                    raise Closed
                if self._items:
                    break
                self._await_item()
            if self._givers.count:
                self._givers.call()
            return self._items.popleft()

    def await_item(self, *, unless: threading.Event) -> None:
        """Until :meth:`get` would give an item at once; the only one who gets may rely on it.

        Raises:
            Closed: as :meth:`get`.
        """
        with self._lock:
            while not self._items or unless.is_set():
                if unless.is_set():
                    raise Closed
                self._await_item()

    def await_room(self) -> None:
        """Until :meth:`put` would take an item at once; the only one who puts may rely on it.

        Raises:
            Closed: the channel takes nothing any more.
        """
        with self._lock:
            if len(self._items) >= self._capacity:
                self._await_room()
            if self._closed:
                raise Closed

    def each(self, take: Callable[[T], None]) -> None:
        """Hand every item to ``take`` until the channel is closed and empty.

        No reference to an item is kept while the next one is waited for: items hold whole frames.
        """
        while True:
            try:
                items = [self.get()]
            except Closed:
                return
            take(items.pop())

    def wake(self) -> None:
        """Have whoever waits in :meth:`get` look at ``unless``."""
        with self._lock:
            self._takers.call_all()

    def close(self) -> None:
        """End of stream: what is inside can still be taken, nothing more is accepted."""
        with self._lock:
            self._closed = True
            self._takers.call_all()
            self._givers.call_all()

    def abort(self) -> list[T]:
        """Close at once; what was inside is handed back, to be accounted for."""
        self.close()
        with self._lock:
            left = list(self._items)
            self._items.clear()
            self._capacity = 0  # what is given back now would be nobody's
            return left

    # Only with the lock held.

    def _await_room(self) -> None:
        """Until there is some, or nothing more comes out."""
        while len(self._items) >= self._capacity and not self._closed:
            self._givers.wait()

    def _await_item(self) -> None:
        """Until something has changed.

        Raises:
            Closed: nothing will.
        """
        if self._closed:
            raise Closed
        self._takers.wait()
