"""How many objects of each label are seen, told when it changes."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING

from edged.contract.topics import slug

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_UNKNOWN = -1


class Counts:
    """The counts that are published. Thread-safe.

    Args:
        publish: told the label's slug and the count, or None where the topic must be cleared.
        labels: the only labels that are counted, known to be 0 at the start; empty: all that turn up.
        starting: whether nobody has counted yet in this run; else what was told last holds until the first
            update.
    """

    def __init__(
        self,
        publish: Callable[[str, int | None], None],
        labels: Iterable[str] = (),
        *,
        starting: bool = True,
    ) -> None:
        self._publish = publish
        self._starting = starting
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}
        self._names = {slug(label): label for label in labels}
        self._fixed = frozenset(self._names)
        self._adopts = not self._fixed
        self._adopted: set[str] = set()
        self._possible: dict[str, str] = {}
        """Labels of the model by slug; empty while they are not known."""

    def start(self) -> None:
        """Tell that none of the known labels is seen yet."""
        with self._lock:
            for key in self._names:
                self._begin(key)

    def update(self, seen: Mapping[str, int]) -> bool:
        """Tell what has changed in the counts by label; whether a label is new."""
        with self._lock:
            known = self._names.keys() - self._adopted
            counts: Counter[str] = Counter()
            for label, count in seen.items():
                key = slug(label)
                self._names[key] = label
                counts[key] += count
            self._adopted -= counts.keys()
            for key in self._counts.keys() | counts.keys():
                self._set(key, counts[key])
            return not known.issuperset(counts)

    def adopt(self, key: str) -> bool:
        """There was such a label before our time: its count is 0 now, or gone if it is not one of ours.

        Returns:
            Whether a label is new.
        """
        with self._lock:
            if key in self._counts:
                return False
            if not self._adopts or (self._possible and key not in self._possible):
                self._publish(key, None)
                return False
            self._names[key] = self._possible.get(key) or key.replace("_", " ")
            self._adopted.add(key)
            self._begin(key)
            return True

    def know(self, labels: Iterable[str]) -> None:
        """These are the labels of the model: clear the counts of all others."""
        with self._lock:
            self._possible = {slug(label): label for label in labels}
            self._names |= {key: self._possible[key] for key in self._names.keys() & self._possible.keys()}
            self._clear(self._counts.keys() - self._possible.keys())

    def forget(self, *, seen: bool) -> None:
        """There is another model, whose labels nobody knows: clear what was adopted, and with ``seen`` all.

        Labels that were given at the start stay.
        """
        with self._lock:
            self._possible = {}
            self._adopts = False
            self._clear(set(self._counts) if seen else set(self._adopted))
            self._adopted.clear()

    def drop(self, keys: Iterable[str]) -> set[str]:
        """Nobody expects these any more: clear them but for those that were given at the start.

        Returns:
            Those that are gone.
        """
        with self._lock:
            gone = (set(keys) & self._counts.keys()) - self._fixed
            self._clear(gone)
        return gone

    @property
    def possible(self) -> frozenset[str]:
        """Slugs of the labels that may be seen: the model's, or while nobody knows these, those seen."""
        with self._lock:
            return frozenset(self._possible or self._names) | self._fixed

    @property
    def names(self) -> dict[str, str]:
        """Labels by slug."""
        with self._lock:
            return dict(self._names)

    def _clear(self, keys: Iterable[str]) -> None:
        for key in keys:
            if key not in self._fixed:
                del self._counts[key], self._names[key]
                self._adopted.discard(key)
                self._publish(key, None)

    def _begin(self, key: str) -> None:
        if self._starting:
            self._set(key, 0)
        else:
            self._counts.setdefault(key, _UNKNOWN)

    def _set(self, key: str, count: int) -> None:
        if self._counts.get(key) != count:
            self._counts[key] = count
            self._publish(key, count)
