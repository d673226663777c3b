"""A clock for tests whose subject is waiting."""

from __future__ import annotations


class Clock:
    """Stands still until it is turned; seconds."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now
