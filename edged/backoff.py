"""How long to wait before what was lost is tried again: a camera, a device, a broker, a web server."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Backoff:
    """Exponential backoff with jitter: some way below a ceiling that doubles from try to try.

    Jitter keeps a hundred daemons from knocking in step at the server that has just come back.

    Args:
        first_s: ceiling of the first wait, seconds.
        most_s: ceiling of all waits, seconds.
        steady_s: for how many seconds a connection must have worked to start the count again; None is for
            longer than the last ceiling, so that a camera that gives one picture and fails is not hammered.
        spread: share of a wait that is random: 1 is anywhere between nothing and the ceiling.
        jitter: gives a number in 0..1.
    """

    def __init__(
        self,
        first_s: float = 1.0,
        most_s: float = 30.0,
        *,
        steady_s: float | None = None,
        spread: float = 1.0,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._steady_s = steady_s
        self._spread = spread
        self._jitter = jitter
        self._ceiling_s = 0.0

    def after(self, good_s: float) -> float:
        """Seconds to wait after a connection that worked for ``good_s`` seconds (0: not at all)."""
        recovered = good_s >= (self._ceiling_s if self._steady_s is None else self._steady_s)
        if recovered or not self._ceiling_s:
            self._ceiling_s = self._first_s
        else:
            self._ceiling_s = min(self._most_s, 2 * self._ceiling_s)
        return self._ceiling_s * (1 - self._spread * self._jitter())

    def reset(self) -> None:
        """It works again: the next wait is a first one."""
        self._ceiling_s = 0.0
