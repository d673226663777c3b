"""What the sinks of all cameras of one daemon share: a connection to the broker, a page."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from edged.durable.owner import Owner
from edged.settings.reading import Reading

if TYPE_CHECKING:
    from collections.abc import Callable

    from edged.settings.declared import Settings


class Closable(Protocol):
    """What is lent is closed by its lender."""

    def close(self) -> None:
        """Free everything; nobody uses it any more."""
        ...


Lent = TypeVar("Lent", bound=Closable)


@dataclass(slots=True)
class _Loan:
    kind: str
    thing: Any
    reading: Reading
    users: int = 1


class Lender:
    """Lends one thing to all who want it with the same settings, and closes it with the last. Thread-safe.

    A reload needs no special case: while the sinks of the settings before still use the old thing, those with
    other settings get a new one, and the old one goes with its last user.

    Args:
        owner: this daemon, among others that keep things in the same folder.
    """

    def __init__(self, owner: Owner | None = None) -> None:
        self.owner = owner or Owner()
        self.cameras: frozenset[str] = frozenset()
        """Names of all cameras that there are by the settings."""
        self._lock = threading.Lock()
        self._loans: list[_Loan] = []

    def named(self) -> frozenset[str]:
        """Names of all cameras that there are by the settings, at this moment."""
        return self.cameras

    def borrow(self, kind: str, settings: Settings, make: Callable[[Settings], Lent]) -> Lent:
        """The thing of this kind and these settings; whoever borrows it gives it back.

        Args:
            kind: what it is.
            settings: what is read of them decides whether a thing that is there is the same.
            make: makes one; not yet open, for it is made while others wait.
        """
        with self._lock:
            for loan in reversed(self._loans):
                if loan.kind == kind and loan.reading.holds_for(settings):
                    loan.users += 1
                    return cast("Lent", loan.thing)
            reading = Reading(settings)
            thing = make(cast("Settings", reading))
            self._loans.append(_Loan(kind, thing, reading))
            return thing

    def give_back(self, thing: Closable) -> None:
        """One user less; the last one closes it."""
        with self._lock:
            loan = next(loan for loan in self._loans if loan.thing is thing)
            loan.users -= 1
            if loan.users:
                return
            self._loans.remove(loan)
        thing.close()
