"""Engines that several cameras share, each with its turns.

Who wants the same model in the same way on the same devices gets the same engines. A camera takes a turn
before it takes a frame, so whoever has its turn comes with its newest one; there is one turn more than
engines, so the next frame is made ready while the one before is looked at, and no engine waits for a camera.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TYPE_CHECKING

from edged.engines.tenancy import Tenancy

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence

    from edged.engines import Engine
    from edged.records import Tensor


class Guest:
    """One camera that takes turns.

    Args:
        weight: how many turns it gets where others get one, while all of them wait.
    """

    def __init__(self, weight: float = 1.0) -> None:
        self.weight = weight
        self.due = 0.0
        """When its next turn is due, in turns of a camera with weight 1 (start-time fair queueing, Goyal)."""
        self.gone = False
        """Whether it takes no more turns."""


class Turns:
    """A number of turns that are taken and given back, shared fairly by weight. Thread-safe.

    Among those that wait it is the one whose turn was due first: with equal weights the one that has waited
    longest. Who has not wanted any saves none up.
    """

    def __init__(self, count: int) -> None:
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._free = count
        self._clock = 0.0
        self._waiting: list[Guest] = []

    def take(self, guest: Guest) -> bool:
        """Wait for a turn; False once the guest is to go."""
        with self._lock:
            guest.due = max(guest.due, self._clock)
            if self._waiting or not self._free:
                self._await(guest)
            if guest.gone:
                return False
            self._free -= 1
            self._clock = guest.due
            guest.due += 1 / guest.weight
            return True

    def charge(self, guest: Guest, invokes: int) -> None:
        """The turn that was taken is for so many invokes instead of one: the next one is due later."""
        with self._lock:
            guest.due += (invokes - 1) / guest.weight

    def give_back(self) -> None:
        """A turn is over."""
        with self._lock:
            self._free += 1
            if self._waiting:
                self._changed.notify_all()

    def dismiss(self, guest: Guest) -> None:
        """It takes no more turns; those that it has it gives back itself."""
        with self._lock:
            guest.gone = True
            self._changed.notify_all()

    # Only with the lock held.

    def _await(self, guest: Guest) -> None:
        """Wait until it is this one's turn, or it is to go."""
        self._waiting.append(guest)
        try:
            while not guest.gone and not (self._free and self._next() is guest):
                self._changed.wait()
        finally:
            self._waiting.remove(guest)
            self._changed.notify_all()

    def _next(self) -> Guest:
        return min(self._waiting, key=lambda guest: guest.due)


class EnginePool:
    """Engines with the same model, any of which does for a frame.

    Args:
        engines: open; closed by :meth:`close`.
    """

    def __init__(self, engines: Sequence[Engine]) -> None:
        self.engines = engines
        self.turns = Turns(len(engines) + 1)
        self._idle: SimpleQueue[Engine] = SimpleQueue()
        for engine in engines:
            self._idle.put(engine)

    def take(self) -> Engine:
        """An engine for oneself, as soon as one is idle; to be given back."""
        return self._idle.get()

    def give_back(self, engine: Engine) -> None:
        """It is idle again."""
        self._idle.put(engine)

    @contextmanager
    def engine(self) -> Iterator[Engine]:
        """The same in one, for who does not do it to every frame."""
        engine = self.take()
        try:
            yield engine
        finally:
            self.give_back(engine)

    def run(self, tensor: Tensor) -> Sequence[Tensor]:
        """Run the model once, out of turn.

        Raises:
            DeviceError: as :meth:`Engine.invoke` does.
        """
        with self.engine() as engine:
            return engine.invoke(tensor)

    def close(self) -> None:
        """Free the devices."""
        for engine in reversed(self.engines):
            engine.close()


@dataclass(slots=True)
class _Place:
    """Where the pool of one wish is, or comes to be."""

    opening: threading.Lock = field(default_factory=threading.Lock)
    pool: EnginePool | None = None
    users: int = 0


class EnginePools:
    """The pools of a daemon, one a wish, closed with their last user. Thread-safe."""

    def __init__(self) -> None:
        self.tenancy = Tenancy()
        """Knows who has the Edge TPUs on which some of these engines run."""
        self._lock = threading.Lock()
        self._places: dict[Hashable, _Place] = {}

    def borrow(self, wanted: Hashable, opens: Callable[[], Sequence[Engine]]) -> EnginePool:
        """The pool of this wish, opened if there is none; whoever borrows it gives it back.

        Others with the same wish wait while it opens, others with another wish do not.

        Raises:
            EdgedError: as ``opens`` does.
        """
        with self._lock:
            place = self._places.setdefault(wanted, _Place())
            place.users += 1
        try:
            with place.opening:
                if place.pool is None:
                    place.pool = EnginePool(opens())
                return place.pool
        except BaseException:
            self.give_back(wanted)
            raise

    def give_back(self, wanted: Hashable) -> None:
        """One user less; the last one closes the pool."""
        with self._lock:
            place = self._places[wanted]
            place.users -= 1
            if place.users:
                return
            del self._places[wanted]
        if place.pool is not None:
            place.pool.close()
