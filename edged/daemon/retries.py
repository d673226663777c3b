"""When the cameras that have failed are tried again, while others go on."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from edged.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable

_FIRST_S, _MOST_S = 2.0, 60.0
"""Ceilings of the first wait and of all: whoever plugs a device in again waits a minute at most."""


class Retries:
    """Keeps a backoff for every camera that has failed; used from the event loop.

    Args:
        wake: called when the time of a camera has come.
    """

    def __init__(self, wake: Callable[[], None], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._wake = wake
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._backoffs: dict[str, Backoff] = {}
        self._due_at: dict[str, float] = {}

    def failed(self, name: str, good_s: float) -> float:
        """A camera has failed that worked for ``good_s``; in how many seconds it is tried again."""
        backoff = self._backoffs.setdefault(name, Backoff(_FIRST_S, _MOST_S, steady_s=_MOST_S, spread=0.5))
        wait_s = backoff.after(good_s)
        self._due_at[name] = self._clock() + wait_s
        self._loop.call_later(wait_s, self._wake)
        return wait_s

    def hurry(self) -> None:
        """Somebody has asked for it: all are due now."""
        self._due_at = dict.fromkeys(self._due_at, 0.0)

    def due(self) -> list[str]:
        """The cameras whose time has come; each is given once."""
        now = self._clock()
        names = [name for name, due_at in self._due_at.items() if due_at <= now]
        for name in names:
            del self._due_at[name]
        return names
