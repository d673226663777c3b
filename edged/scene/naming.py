"""Finer labels of objects, from a second model that looks at them a few times: which bird it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from edged.records import Detection, Event

_MOST_LOOKS = 5
"""Looks at one object."""
_BETWEEN_S = 1.0
"""Seconds from one look at an object to the next: another moment shows another side of it."""


@dataclass(slots=True)
class _Named:
    """What is known of one confirmed object."""

    looks: int = 0
    looked_s: float = 0.0
    label: str = ""
    score: float = 0.0


class FinerNames:
    """Finer labels of one camera's confirmed objects; the best of several looks counts. Not thread-safe."""

    def __init__(self) -> None:
        self._objects: dict[int, _Named] = {}
        """By id of the track."""
        self.looks = 0
        """At all objects, since the start."""

    def meet(self, events: Iterable[Event]) -> None:
        """Hear who is confirmed; who has ended is known until :meth:`part`."""
        for event in events:
            if event.kind == "start":
                self._objects[event.track] = _Named()

    def part(self, events: Iterable[Event]) -> None:
        """Forget who has ended."""
        for event in events:
            if event.kind == "end":
                self._objects.pop(event.track, None)

    def due(self, detections: Iterable[Detection], labels: Container[str], now: float) -> Detection | None:
        """Who is looked at now, one a frame: the one with the fewest looks whose last is long enough ago."""
        waiting = [
            (known.looks, known.looked_s, found)
            for found in detections
            if found.label in labels
            and found.track is not None
            and (known := self._objects.get(found.track)) is not None
            and known.looks < _MOST_LOOKS
            and (not known.looks or not 0 <= now - known.looked_s < _BETWEEN_S)
        ]
        return min(waiting, key=lambda one: one[:2])[2] if waiting else None

    def learn(self, track: int, seen: tuple[str, float] | None, now: float) -> None:
        """Note what a look gave: a finer label with its score, or nothing sure."""
        known = self._objects[track]
        known.looks += 1
        known.looked_s = now
        self.looks += 1
        if seen is not None and seen[1] > known.score:
            known.label, known.score = seen

    def detections(self, detections: tuple[Detection, ...]) -> tuple[Detection, ...]:
        """Detections with the finer labels of their objects."""
        return tuple(
            found._replace(sub_label=known.label, sub_score=known.score)
            if found.track is not None and (known := self._objects.get(found.track)) and known.label
            else found
            for found in detections
        )

    def events(self, events: tuple[Event, ...]) -> tuple[Event, ...]:
        """Events with the finer labels of their objects."""
        return tuple(
            replace(event, sub_label=known.label, sub_score=known.score)
            if (known := self._objects.get(event.track)) and known.label
            else event
            for event in events
        )
