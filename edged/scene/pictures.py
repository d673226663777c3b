"""When a better picture is told: who comes nearer is seen better with nearly every frame."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edged.records import Event

_BETWEEN_S = 1.0
"""Seconds between two pictures of an object, for each is a message, a POST and a row for who keeps events."""


class Pictures:
    """Holds better pictures of an object back until its last one is a second old. Not thread-safe.

    The best one waits for the others, and comes earlier with other news of the object, its end included; so
    none that is the best is lost.
    """

    def __init__(self) -> None:
        self._told_s: dict[str, float] = {}
        """When the last picture of an event was told."""
        self._held: dict[str, Event] = {}
        """By event, what waits."""

    def pace(self, events: Iterable[Event], now: float) -> tuple[Event, ...]:
        """What is told now, of a frame's events and of those that have waited.

        Args:
            events: with their pictures, in order.
            now: seconds of the frames' clock, which may begin anew.
        """
        told = []
        for event in events:
            one = _with_picture_of(event, self._held.pop(event.event_id, None))
            if one.kind == "update" and one.changes == ("picture",) and self._is_soon(one, now):
                self._held[one.event_id] = one
            else:
                told.append(one)
        due = [one for one in self._held.values() if not self._is_soon(one, now)]
        for one in due:
            del self._held[one.event_id]
        for one in (*due, *told):
            if one.kind == "end":
                self._told_s.pop(one.event_id, None)
            elif one.crop is not None:
                self._told_s[one.event_id] = now
        return (*due, *told)

    def _is_soon(self, event: Event, now: float) -> bool:
        last_s = self._told_s.get(event.event_id)
        return last_s is not None and 0 <= now - last_s < _BETWEEN_S


def _with_picture_of(event: Event, held: Event | None) -> Event:
    """The event, with what was held back of the same object unless it has a picture of its own."""
    if held is None or event.crop is not None:
        return event
    if event.kind == "end" or "picture" in event.changes:
        return replace(event, crop=held.crop)
    return replace(event, changes=(*event.changes, "picture"), crop=held.crop)
