"""The thread that keeps a session with the broker: one after the other, for as long as we run."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

import structlog

from edged import bridge
from edged.backoff import Backoff
from edged.mqtt.link import faults
from edged.mqtt.link.experience import Ending, Experience
from edged.mqtt.link.session import Session

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from edged.mqtt.delivery.outbox import Outbox
    from edged.mqtt.link.client import BrokerAccess
    from edged.mqtt.link.session import Listener
    from edged.mqtt.link.waker import Waker

log = structlog.get_logger()

_STABLE_S = 10.0
"""A session that ends sooner is no success: two clients with one id throw each other out for ever."""
_REFUSED_S = 60.0
"""A broker that said no needs somebody to mend it; asking more often only fills its log."""
_TAKEN, _TAKEN_S = 6, 120.0
"""So many sessions taken over, or ended early without a word, in so many seconds are a trouble: a broker that
takes the user name for the client id ends ours for each `edged check`, too, and that is none."""
_TWINS_S = 300.0
"""How long after the last of them it is still one: from then on we try seldom."""
_GOODBYE_S = 2.0
"""How much of the time to stop is kept for ``offline`` and its acknowledgement."""


class Connection:
    """Keeps a session until it is closed.

    Args:
        access: the broker, and who we are.
        outbox: where messages come from.
        waker: rung by the outbox, heard by the session.
        listener: told what happens.
        availability: topic that says ``offline`` at the end, by us or as our last will.
    """

    def __init__(
        self,
        access: BrokerAccess,
        outbox: Outbox,
        waker: Waker,
        listener: Listener,
        *,
        availability: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._access = access
        self._outbox = outbox
        self._waker = waker
        self._listener = listener
        self._availability = availability
        self._thread: threading.Thread | None = None  # noqa: TID251  # the bridge made it
        self._ending = Ending()
        self._experience = Experience()
        self._session: Session | None = None
        self._tried = False
        self._told = ""
        self._fault = ""
        self._taken: deque[float] = deque(maxlen=_TAKEN)
        self._twins_until = 0.0

    @property
    def problem(self) -> str:
        """Why there is no session, or what is wrong with it; empty until the first attempt has failed."""
        session = self._session
        return self.absent or (session.problem if session is not None else "") or self._twins

    @property
    def absent(self) -> str:
        """Why there is no session; empty while there is one."""
        session = self._session
        return "" if session is not None and session.established else self._fault

    @property
    def _twins(self) -> str:
        """That sessions end early again and again, as two clients with one id do it; empty if they do not."""
        if self._clock() > self._twins_until:
            return ""
        return (
            f"The broker {self._access.broker} ends sessions again and again, as if another client had our "
            f"id {self._access.client_id!r} and each threw the other out: give every daemon an EDGED_NODE of "
            "its own."
        )

    def open(self) -> None:
        """Start to connect, and never stop trying."""
        self._thread = bridge.start("mqtt", self._run)

    def close(self, timeout_s: float, *, farewell: bytes = b"offline") -> None:
        """Send what waits, have availability say ``farewell`` and go, all within ``timeout_s`` seconds."""
        now = self._clock()
        self._ending.farewell = farewell
        self._ending.end_at = now + timeout_s
        self._ending.drain_until = now + max(timeout_s - _GOODBYE_S, timeout_s / 2)
        self._ending.asked.set()
        self._waker.ring()
        if self._thread is not None:
            # Without a session and without hope for one there is nothing to wait for.
            hope = not self._tried or (self._session is not None and self._session.established)
            self._thread.join(timeout_s + 0.5 if hope else 0.5)

    def _run(self) -> None:
        # Half fixed, half random: a fleet must not come back in one moment.
        lost = Backoff(0.5, 30.0, steady_s=_STABLE_S, spread=0.5)
        refused = Backoff(_REFUSED_S, _REFUSED_S, spread=0.5)
        while not (self._ending.asked.is_set() and self._tried):
            fault, good_s = self._attempt()
            seldom = fault.refused or (fault.twin and self._twins)
            self._ending.asked.wait((refused if seldom else lost).after(good_s))

    def _attempt(self) -> tuple[faults.Fault, float]:
        """One session from its beginning to its end; why it has ended, and how many seconds it was good."""
        session = self._session = Session(
            self._access,
            self._outbox,
            self._waker,
            self._listener,
            ending=self._ending,
            experience=self._experience,
            availability=self._availability,
            clock=self._clock,
        )
        try:
            session.run()
        except Exception:
            # A broker must not be able to end the thread by what it sends; the next session starts afresh.
            log.exception("mqtt_session_failed")
        good_s = session.age_s
        self._session = None
        brief = session.established and good_s < _STABLE_S
        if brief and session.fault is None:
            # mosquitto ends the session when it refuses a message (its issue 2579), and what was sent behind
            # that message makes the network throw the refusal away. One by one it will get through.
            self._experience.suspects = self._outbox.in_flight
        self._outbox.detach()
        fault = session.fault or faults.hung_up(
            self._access.broker,
            session=session.established,
            maybe_taken=self._access.client_id if brief else "",
        )
        if fault.twin or (brief and session.fault is None and not self._ending.asked.is_set()):
            self._suspect_twin(self._clock())
        if not (session.established and self._ending.asked.is_set()):
            self._tell(fault, lost=session.established)
        self._tried = True
        return fault, good_s

    def _suspect_twin(self, now: float) -> None:
        """Another client may have our id: if not for the first time, it is a trouble for a while."""
        self._taken.append(now)
        if self._twins or (len(self._taken) == _TAKEN and now - self._taken[0] <= _TAKEN_S):
            self._twins_until = now + _TWINS_S

    def _tell(self, fault: faults.Fault, *, lost: bool) -> None:
        """Say why there is no session: once, not after every attempt."""
        self._fault = str(fault)
        if lost:
            log.warning("mqtt_disconnected", reason=str(fault))
        elif str(fault) != self._told:
            log.warning("mqtt_not_connected", reason=str(fault))
        else:
            log.debug("mqtt_not_connected", reason=str(fault))
        self._told = "" if lost else str(fault)
