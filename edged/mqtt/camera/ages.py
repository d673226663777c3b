"""When each label was last seen: one that a model has found once, by mistake, is not kept for ever."""

from __future__ import annotations

import threading
import time
from datetime import datetime
from typing import TYPE_CHECKING

from edged.contract.topics import slug

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_DAY_S = 86400.0
_GRACE_S = _DAY_S
"""Nothing is too old before we have run so long: we may have been off for a season, or the clock be wrong."""
_OLDEST = 1.5e9
"""UTC, 2017: there was no edged before. A machine without a clock of its own begins in 1970."""


class LabelAges:
    """Knows which labels were not seen for too long. Thread-safe.

    Args:
        days: so long each stays; 0: for ever.
        now: UTC, seconds since the epoch.
        uptime: monotonic, seconds.
    """

    def __init__(
        self,
        days: float,
        *,
        now: Callable[[], float] = time.time,
        uptime: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limited = days > 0
        """Whether any is ever too old."""
        self._limit_s = days * _DAY_S
        self._now = now
        self._uptime = uptime
        self._began = uptime()
        self._lock = threading.Lock()
        self._seen: dict[str, float] = {}
        """By slug, by the uptime: the clock of a machine that has just started may be years behind."""
        self._recalled: dict[str, float] = {}
        """What an earlier start has left, by slug, UTC."""

    def see(self, counts: Mapping[str, int]) -> None:
        """These labels are there."""
        now = self._uptime()
        with self._lock:
            for label, count in counts.items():
                if count:
                    self._seen[slug(label)] = now

    def recall(self, topic: str, payload: bytes, _: bool = False) -> None:  # noqa: FBT001, FBT002  # a handler
        """The broker remembers when a label was seen; what is no time says nothing."""
        try:
            seen = datetime.fromisoformat(payload.decode("ascii")).timestamp()
        except ValueError:
            return
        if seen > _OLDEST:
            with self._lock:
                self._recalled.setdefault(topic.rpartition("/")[2], seen)

    def over(self, keys: Iterable[str]) -> set[str]:
        """Those of the slugs that are too old; one that nobody knows anything of begins to age now."""
        now, uptime = self._now(), self._uptime()
        with self._lock:
            ages = {
                key: now - self._recalled[key]
                if key in self._recalled and key not in self._seen
                else uptime - self._seen.setdefault(key, uptime)
                for key in keys
            }
        if not self.limited or uptime - self._began < _GRACE_S:
            return set()
        return {key for key, age_s in ages.items() if age_s > self._limit_s}
