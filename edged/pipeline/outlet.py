"""The way out: one sink with a bounded queue and a thread of its own."""

from __future__ import annotations

import threading
from collections import Counter, deque
from typing import TYPE_CHECKING

import structlog

from edged.channel import Channel, Closed
from edged.errors import SinkError
from edged.metrics import Pulse
from edged.sinks import Accountant, EventTaker, NewsTaker, Reporter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edged.records import Event, Result
    from edged.sinks import Sink

_QUEUE = 2
"""Results a sink may lag behind; each holds a whole frame."""

_EVENTS = 1000
"""Events that a sink may lag behind; then updates give way, and are counted."""

_SILENT_S = 5.0
"""A sink that has taken a result for so long is in trouble."""

log = structlog.get_logger()


class Outlet:
    """A slow sink delays nobody but a source that waits; a failing one goes on failing on its own.

    The account closes: results handed over = ``sent + sum(lost.values())`` + what is in the queue.

    Args:
        sink: open; it stays the caller's to close.
    """

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self._taken = 0
        self.lost: Counter[str] = Counter()
        self.failure = ""
        """Why the last result was not taken; empty when it was."""
        self.pulse = Pulse(f"sink-{sink.name}")
        self._queue: Channel[Result | None] = Channel(_QUEUE)
        self._taker = sink if isinstance(sink, EventTaker) else None
        self._only_events = isinstance(sink, NewsTaker)
        self._no_news = 0
        """Results that such a sink need not be woken for."""
        self._events: deque[Event] = deque()
        self._events_lock = threading.Lock()

    @property
    def sent(self) -> int:
        """Results taken."""
        return self._taken + self._no_news

    @property
    def problem(self) -> str:
        """Why results are not taken, or what else the sink has to tell; empty when all is well."""
        if self.busy_s() > _SILENT_S:
            return f"the sink {self.sink.name} does not answer"
        return self.failure or (self.sink.problem if isinstance(self.sink, Reporter) else "")

    @property
    def counts(self) -> dict[str, int]:
        """Results taken, and lost by cause, and what else the sink counts."""
        more = self.sink.account() if isinstance(self.sink, Accountant) else {}
        return {"sent": self.sent, **self.lost, **more}

    def busy_s(self) -> float:
        """Seconds since the sink took the result that it works on; 0 when it only waits."""
        if isinstance(self.sink, Reporter) and self.sink.waiting:
            return 0.0
        return self.pulse.busy_s()

    def put(self, result: Result) -> None:
        """Hand over one result; when the queue is full, it waits or the oldest one gives way.

        Its events wait apart from it and are told whatever becomes of it.
        """
        self._remember(result.events)
        if self._only_events and not (result.events or self.failure):
            self._no_news += 1
            return
        try:
            displaced = self._queue.put(result, waits=result.waits)
        except Closed:
            self.lost["aborted"] += 1
        else:
            if displaced is not None:
                self.lost["superseded"] += 1

    def tell(self, events: Sequence[Event]) -> None:
        """Hand over events that no result brings: what ends because nothing more comes."""
        self._remember(events)
        self._queue.offer(None)  # if there is no room, whatever is taken next brings them along

    def run(self) -> None:
        """Feed the sink until :meth:`close`; blocks."""
        self._queue.each(self._send)

    def _remember(self, events: Sequence[Event]) -> None:
        if not events or self._taker is None:
            return
        with self._events_lock:
            self._events.extend(events)
            while len(self._events) > _EVENTS:
                least = next((n for n, event in enumerate(self._events) if event.kind == "update"), 0)
                del self._events[least]
                self.lost["events"] += 1

    def _tell_news(self) -> None:
        if not self._events or self._taker is None:
            return
        with self._events_lock:
            events = list(self._events)
            self._events.clear()
        try:
            self._taker.tell(events)
        except SinkError:
            with self._events_lock:
                self._events.extendleft(reversed(events))
            raise

    def _send(self, result: Result | None) -> None:
        try:
            with self.pulse:
                self._tell_news()
                if result is not None:
                    self.sink.send(result)
        except SinkError as error:
            self.lost["failed"] += result is not None
            if self.failure != str(error):
                log.error("sink_failed", sink=self.sink.name, error=str(error))
                self.failure = str(error)
        except BaseException:
            self.lost["failed"] += result is not None
            raise
        else:
            self._taken += result is not None
            if self.failure:
                log.info("sink_recovered", sink=self.sink.name)
                self.failure = ""

    def close(self) -> None:
        """Nothing more comes; what is in the queue is still sent."""
        self._queue.close()

    def abort(self) -> None:
        """Nothing more is sent; what was in the queue is counted as lost."""
        if left := self._queue.abort():
            self.lost["aborted"] += sum(result is not None for result in left)
        with self._events_lock:
            if self._events:
                self.lost["events"] += len(self._events)
                self._events.clear()
