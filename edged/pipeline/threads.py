"""The threads of one pipeline: started, watched for errors, waited for, and given up when they do not end."""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING, Any

import structlog

from edged import bridge
from edged.errors import EdgedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from edged.pipeline.outlet import Outlet

_ABORT_DEADLINE_S = 2.0
"""How long threads get to leave once their queues were taken away, or the source was told to stop."""
_LET_GO_S = 10.0
"""How long a part that is exchanged may take to give back its thread: longer than one read of a camera."""

log = structlog.get_logger()


class PipelineThreads:
    """Threads by name; used from the event loop.

    Args:
        unforeseen: called when a thread has ended by an error that is none of ours.
    """

    def __init__(self, *, unforeseen: Callable[[], None]) -> None:
        self.failure: BaseException | None = None
        """The first error that ended a thread."""
        self.aborting = asyncio.Event()
        """From now on nobody is waited for long."""
        self._aborted_at = math.inf
        self._unforeseen = unforeseen
        self._threads: dict[str, asyncio.Future[None]] = {}

    def __getitem__(self, name: str) -> asyncio.Future[None]:
        """The thread of that name."""
        return self._threads[name]

    def start(self, name: str, function: Callable[[], None], *, nice: int = 0) -> asyncio.Future[None]:
        """Run something in a thread of its own."""
        thread = self._threads[name] = bridge.run(name, function, nice=nice)
        thread.add_done_callback(self._notice)
        return thread

    def abort(self) -> None:
        """Wait for nobody from now on, but for one short while in which all may leave."""
        if not self.aborting.is_set():
            self._aborted_at = time.monotonic()
            self.aborting.set()

    @property
    def _grace_s(self) -> float:
        """What is left of that while."""
        return max(0.1, self._aborted_at + _ABORT_DEADLINE_S - time.monotonic())

    async def ended(self, threads: Iterable[asyncio.Future[None]]) -> None:
        """Wait for threads; after an abort not for long."""
        aborting = asyncio.create_task(self.aborting.wait(), name="aborting")
        waiting = set(threads)
        while waiting and not self.aborting.is_set():
            everything: set[asyncio.Future[Any]] = {*waiting, aborting}
            await asyncio.wait(everything, return_when=asyncio.FIRST_COMPLETED)
            waiting = {thread for thread in waiting if not thread.done()}
        if waiting:
            await asyncio.wait(waiting, timeout=self._grace_s)
        aborting.cancel()

    async def has_left(self, name: str, outlet: Outlet | None = None) -> bool:
        """Wait for the thread of an old part; one that never comes back must not stop the new one."""
        thread = self._threads.pop(name)
        aborting = asyncio.create_task(self.aborting.wait(), name="aborting")
        either: list[asyncio.Future[Any]] = [thread, aborting]
        while True:
            await asyncio.wait(either, timeout=_LET_GO_S, return_when=asyncio.FIRST_COMPLETED)
            # A sink that waits for its broker has limits of its own.
            if thread.done() or aborting.done() or outlet is None or outlet.busy_s() >= _LET_GO_S:
                break
        aborting.cancel()
        if not thread.done():
            self._threads[f"old-{name}"] = thread  # the name is that of the new part's now
            log.error("threads_stuck", threads=[name])
        return thread.done()

    async def end(self) -> tuple[str, ...]:
        """Wait for all, after :meth:`abort`, but not for long; the names of those that do not end."""
        await asyncio.wait(self._threads.values(), timeout=self._grace_s)
        stuck = tuple(name for name, thread in self._threads.items() if not thread.done())
        if stuck:
            log.error("threads_stuck", threads=stuck)
        return stuck

    def _notice(self, thread: asyncio.Future[None]) -> None:
        """Keep the first error of a thread; what nobody foresaw ends the run at once."""
        if thread.cancelled() or (error := thread.exception()) is None:
            return
        self.failure = self.failure or error
        if not isinstance(error, EdgedError):
            self._unforeseen()
