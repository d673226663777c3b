"""How long to wait before a lost camera is tried again."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Backoff:
    """Exponential backoff with full jitter: anywhere between nothing and a ceiling that doubles.

    Full jitter keeps a hundred daemons from knocking in step at the camera server that has just come back.

    Args:
        first_s: ceiling of the first wait, seconds.
        most_s: ceiling of all waits, seconds.
        jitter: gives a number in 0..1.
    """

    def __init__(
        self,
        first_s: float = 1.0,
        most_s: float = 30.0,
        *,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._first = first_s
        self._most = most_s
        self._jitter = jitter
        self._ceiling = 0.0

    def after(self, good_s: float) -> float:
        """Seconds to wait after a connection that gave pictures for ``good_s`` seconds (0: none at all).

        Only a connection that was good for longer than the last ceiling starts the count again: a camera that
        gives one picture and fails is not hammered.
        """
        recovered = good_s >= self._ceiling
        self._ceiling = self._first if recovered else min(self._most, 2 * self._ceiling)
        return self._ceiling * self._jitter()
