"""How many messages may go, or be obeyed, in a time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_DEBT = 3.0
"""Messages that cannot wait go out above the pace, up to this many, and later ones make up for them."""


class TokenBucket:
    """Allows so many messages a second, and several at once after a quiet time. Not thread-safe.

    Args:
        per_second: messages that are allowed in the long run.
        burst: messages that are allowed at once at the most.
    """

    def __init__(
        self, per_second: float, burst: float, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_second = per_second
        self._burst = burst
        self._clock = clock
        self._left = burst
        self._filled_at = clock()

    def spend(self, *, anyway: bool = False) -> bool:
        """Count a message if it is allowed, or ``anyway``, to be made up for later; whether it may go."""
        now = self._clock()
        self._left = min(self._burst, self._left + (now - self._filled_at) * self._per_second)
        self._filled_at = now
        if self._left < 1 and not anyway:
            return False
        self._left = max(-_DEBT, self._left - 1)
        return True
