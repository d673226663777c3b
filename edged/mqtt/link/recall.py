"""Hearing what the broker remembers of us, before anybody is told that we are there."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_QUIET_S = 0.2
"""After so long without one, no retained message is on its way any more; on a slow link it is longer."""
_LIMIT_S = 5.0
"""Whoever waits for us waits no longer for what a broker may still remember."""


class Recall:
    """Whether all has come that was retained on the topics that were asked for, in one session.

    MQTT does not say when the last retained message has come. It comes behind the answer to the question, and
    no long pause is between them.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = self._last = clock()
        self._quiet_s = _QUIET_S
        self._questions = 0
        self._unanswered: set[int | None] = set()

    def asked(self, question: int | None) -> None:
        """A question is on its way."""
        self._questions += 1
        self._unanswered.add(question)

    def answered(self, question: int | None) -> None:
        """The broker has taken the question, or refused it."""
        if question in self._unanswered:
            self._unanswered.discard(question)
            self._last = self._clock()
            # As long as this took, twice, may lie between two portions of what is retained.
            self._quiet_s = max(self._quiet_s, 2 * (self._last - self._began))

    def heard(self) -> None:
        """A retained message has come."""
        self._last = self._clock()

    @property
    def over(self) -> bool:
        """Whether there is nothing left to wait for."""
        if not self._questions:
            return True
        now = self._clock()
        return now - self._began > _LIMIT_S or (not self._unanswered and now - self._last > self._quiet_s)
