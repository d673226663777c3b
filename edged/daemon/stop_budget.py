"""One time for everything that is closed when the daemon stops."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import structlog

from edged import bridge
from edged.errors import EdgedError

if TYPE_CHECKING:
    from collections.abc import Callable

_LEAST_S = 0.5
"""What every part gets to close, even when the time to stop is over."""

log = structlog.get_logger()


class Stopped(Exception):  # noqa: N818  # a signal, not an error
    """A stop was asked for before there was anything to stop."""


class StopBudget:
    """Closes parts, each within a limit; once the daemon stops, all of them share one.

    Args:
        each_s: what a part gets while the daemon runs on.
    """

    def __init__(self, each_s: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._each_s = each_s
        self._clock = clock
        self._close_by = float("inf")
        self._hurried = asyncio.Event()

    def close_within(self, limit_s: float) -> None:
        """From now on there is one time for all that is still to be closed."""
        self._close_by = min(self._close_by, self._clock() + limit_s)

    def hurry(self) -> None:
        """Wait for nobody any more, not even for what is being closed."""
        self.close_within(0)
        self._hurried.set()

    async def close(self, closers: list[tuple[str, Callable[[], None]]]) -> Exception | None:
        """Close parts one after the other, whatever happens to one of them; the first error that came up."""
        failed: Exception | None = None
        for name, close in closers:
            limit_s = max(_LEAST_S, min(self._each_s, self._close_by - self._clock()))
            work = bridge.run(f"close-{name}", close)
            if not await self._ended(work, limit_s):
                log.error("close_stuck", part=name, after_s=round(limit_s, 1))
                continue
            try:
                work.result()
            except EdgedError as error:
                log.error("close_failed", part=name, error=str(error))
                failed = failed or error
            except Exception as error:  # a part that fails must not keep the others open
                log.exception("close_failed", part=name)
                failed = failed or error
        return failed

    async def _ended(self, work: asyncio.Future[None], limit_s: float) -> bool:
        """Wait for something; whether it has come to its end."""
        hurry = asyncio.create_task(self._hurried.wait(), name="hurry")
        either: list[asyncio.Future[Any]] = [work, hurry]
        await asyncio.wait(either, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        if not work.done() and self._hurried.is_set():
            await asyncio.wait([work], timeout=_LEAST_S)
        return work.done()
