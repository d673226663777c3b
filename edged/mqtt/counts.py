"""How many objects of each label are seen, told when it changes."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING

from edged.contract.topics import slug

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


class Counts:
    """The counts that are published. Thread-safe.

    Args:
        publish: told the label's slug and the count, or None where the topic must be cleared.
        labels: the only labels that are counted, known to be 0 at the start; empty: all that turn up.
    """

    def __init__(self, publish: Callable[[str, int | None], None], labels: Iterable[str] = ()) -> None:
        self._publish = publish
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}
        self._names = {slug(label): label for label in labels}
        self._fixed = frozenset(self._names)
        self._adopts = not self._fixed
        self._adopted: set[str] = set()

    def start(self) -> None:
        """Tell that none of the known labels is seen yet."""
        with self._lock:
            for key in self._names:
                self._set(key, 0)

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
        """The broker remembers a count from before our time: it is 0 now, or gone if it is not one of ours.

        Returns:
            Whether a label is new.
        """
        with self._lock:
            if key in self._counts:
                return False
            if not self._adopts:
                self._publish(key, None)
                return False
            self._names[key] = key.replace("_", " ")
            self._adopted.add(key)
            self._set(key, 0)
            return True

    def repeat(self) -> None:
        """Tell all counts again: somebody else may have told others in the same place."""
        with self._lock:
            for key, count in self._counts.items():
                self._publish(key, count)

    def forget(self, *, seen: bool) -> None:
        """The model is another one: clear the counts that were adopted, and with ``seen`` all others, too.

        Labels that were given at the start stay.
        """
        with self._lock:
            self._adopts = False
            for key in list(self._counts) if seen else list(self._adopted):
                if key not in self._fixed:
                    del self._counts[key], self._names[key]
                    self._publish(key, None)
            self._adopted.clear()

    @property
    def names(self) -> dict[str, str]:
        """Labels by slug."""
        with self._lock:
            return dict(self._names)

    def _set(self, key: str, count: int) -> None:
        if self._counts.get(key) != count:
            self._counts[key] = count
            self._publish(key, count)
