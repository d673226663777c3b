"""Waiting in an event loop for what has no event to wait for."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


async def until(true: Callable[[], object]) -> None:
    """Wait until something has become true, a minute at the most."""
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, "it never became true"
        await asyncio.sleep(0.005)
