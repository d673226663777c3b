"""A daemon around one camera, for tests of its rooms: real threads and a real stop budget, no signals."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from edged import bridge
from edged.daemon.stop_budget import StopBudget
from edged.engines.pool import EnginePools
from edged.sinks.lending import Lender

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Around:
    """Notes what is opened and closed."""

    boot_id = "a" * 32

    def __init__(self) -> None:
        self.pools = EnginePools()
        self.lender = Lender()
        self.did: list[str] = []
        self._budget = StopBudget(10.0)

    async def run_unless_stopped(self, name: str, function: Callable[[], T], /) -> T:
        """Note it, and run it in a thread."""
        self.did.append(name)
        return await bridge.run(name, function)

    async def close(self, closers: list[tuple[str, Callable[[], None]]], /) -> Exception | None:
        """Note and close."""
        self.did += [f"close-{name}" for name, _ in closers]
        return await self._budget.close(closers)

    def reload(self) -> str:
        """Nobody asks for it."""
        raise AssertionError

    def adjust(self) -> None:
        """Nor for this."""
        raise AssertionError

    def soon(self, do: Callable[[], None]) -> None:
        """In the event loop."""
        asyncio.get_running_loop().call_soon(do)
