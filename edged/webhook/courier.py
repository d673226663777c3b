"""Who brings events to the server: in order, one at a time, again and again while it is away."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter, deque
from typing import TYPE_CHECKING

import structlog

from edged import bridge
from edged.backoff import Backoff
from edged.contract.notices import BODIES
from edged.webhook.server import WebhookError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edged.contract.event_messages import Telling
    from edged.contract.notices import Notice
    from edged.webhook.server import HttpServer

_QUEUE = 200
"""Notices that wait for a server that is away; then updates give way first."""
_ANSWER_S = 10.0
"""How long a server may be silent."""
_QUIET_S = 30.0
"""After so long without news the connection is closed; what lies between us may forget it sooner or later."""
_RECENT_S = 60.0
"""How long notices that were left out count as a trouble of now."""
_NICE = 10
"""As the sinks': news can wait for the model, which has a core to itself more often then."""

log = structlog.get_logger()


class Courier:
    """Brings notices to a server in their order, from a thread of its own, for as long as it takes.

    Its account closes: ``made = delivered + refused + lost``, and what waits or is kept for the next start.

    Args:
        server: where they go.
        body: the form in which it wants them.
        done: hears of every event that needs to be brought no more, whatever became of it.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        server: HttpServer,
        body: str,
        done: Callable[[Telling], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self.counts: Counter[str] = Counter(delivered=0, refused=0, lost=0)
        self._server = server
        self._done = done
        self._body = BODIES[body]
        self._waiting: deque[Notice] = deque()
        self._due = threading.Condition()
        self._backoff = Backoff(1.0, 60.0)
        self._failure = ""
        self._overflowed = -math.inf
        self._until = math.inf
        """When the last attempt must be over."""
        self._thread = bridge.start("webhook", self._run, nice=_NICE)

    @property
    def problem(self) -> str:
        """Why notices are not taken, and whether some were left out; empty when all is well."""
        told = self._failure
        if self._clock() - self._overflowed < _RECENT_S:
            told += f" {self.counts['lost']} notices were left out: more are made than it takes."
        return f"the webhook is in trouble: {told.strip()}" if told else ""

    def put(self, notice: Notice) -> None:
        """Take one notice. Never blocks."""
        with self._due:
            self._waiting.append(notice)
            if len(self._waiting) > _QUEUE:
                kinds = [one.telling.message["type"] for one in self._waiting][1:]  # the first is under way
                given_way = 1 + (kinds.index("update") if "update" in kinds else 0)
                self._done(self._waiting[given_way].telling)
                del self._waiting[given_way]
                self.counts["lost"] += 1
                if self._clock() - self._overflowed > _RECENT_S:
                    log.warning("webhook_overflow", server=self._server.name, waiting=_QUEUE)
                self._overflowed = self._clock()
            self._due.notify()

    def close(self, within_s: float, *, keep: bool) -> list[Telling]:
        """Bring what waits, as long as the server takes it.

        Args:
            within_s: seconds that it may take.
            keep: whether somebody else brings the rest; if not, that is lost.

        Returns:
            What is left to be brought.
        """
        with self._due:
            self._until = self._clock() + within_s
            self._due.notify()
        self._thread.join(within_s)
        with self._due:
            left = [notice.telling for notice in self._waiting]
            self._waiting.clear()
        if not keep:
            self.counts["lost"] += len(left)
            for event in left:
                self._done(event)
            left = []
        tell = log.warning if self.counts["lost"] or self.counts["refused"] else log.info
        tell("webhook_account", server=self._server.name, **self.counts, kept=len(left))
        return left

    def _run(self) -> None:
        try:
            self._bring()
        finally:
            self._server.hang_up()

    def _bring(self) -> None:
        while True:
            with self._due:
                while not self._waiting and self._until == math.inf:
                    if not self._due.wait(_QUIET_S):
                        self._server.hang_up()
                if not self._waiting or self._clock() >= self._until:
                    return
                notice = self._waiting[0]
            wait_s = self._attempt(notice)
            with self._due:
                if wait_s:
                    self._due.wait_for(lambda: self._until < math.inf, wait_s)
                    if self._until < math.inf:
                        return

    def _attempt(self, notice: Notice) -> float:
        """Try to bring one notice; how many seconds to wait before it is tried again, 0 when it is done."""
        timeout_s = max(0.1, min(_ANSWER_S, self._until - self._clock()))
        try:
            self._server.post(self._body(notice), timeout_s)
        except WebhookError as error:
            self._tell(str(error))
            if not error.final:
                self._server.hang_up()  # it is quiet for a while now, and another may stand behind the name
                return max(error.wait_s, self._backoff.after(0.0), 0.05)
            self._settle(notice, "refused")
        else:
            self._tell("")
            self._backoff.reset()
            self._settle(notice, "delivered")
        return 0.0

    def _settle(self, notice: Notice, fate: str) -> None:
        with self._due:
            # It may have had to give way meanwhile, and was counted then.
            if self._waiting and self._waiting[0] is notice:
                self._waiting.popleft()
                self.counts[fate] += 1
                self._done(notice.telling)

    def _tell(self, failure: str) -> None:
        if failure and failure != self._failure:
            log.warning("webhook_fails", error=failure)
        elif self._failure and not failure:
            log.info("webhook_works_again", server=self._server.name)
        self._failure = failure
