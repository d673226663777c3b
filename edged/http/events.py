"""The newest events of a camera, each with its best picture, and how many there were in a day."""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import cv2

from edged.imaging.jpeg import encoded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from edged.contract.event_messages import EventMessage, Telling
    from edged.records import Event, Image

_MOST = 300
"""Events; with their pictures they are about two megabytes."""
_SIDE = 240
"""Pixels of the longer side of a picture."""
_QUALITY = 80
_SLOT_S = 900
_DAY_SLOTS = 86400 // _SLOT_S
_SHOWN = (
    "event_id", "type", "label", "start_time", "end_time", "duration_s", "top_score", "current_zones",
    "entered_zones", "dwell_s", "lines", "stationary", "ended_by", "sub_label", "sub_score",
)  # fmt: skip
"""The fields of the message, see :mod:`edged.contract.event_messages`."""


@dataclass(slots=True)
class _Known:
    """What is known of one object."""

    shown: dict[str, Any]
    changed_us: int
    """When it was last told, by :func:`now_us`."""
    picture: Image | bytes | None = None
    """Small pixels while it is there, for a better one may come; JPEG once it has gone."""
    zones: set[str] = field(default_factory=set)
    """In which it was counted."""
    file: str = ""
    """Where its picture is stored, of one of an earlier run."""


class EventLog:
    """Keeps the newest events of one camera. Thread-safe; encodes one small picture an event, at its end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._slots: Counter[tuple[int, str, str]] = Counter()
        """Events by quarter of an hour since the epoch, label and zone; an empty one is for all."""
        self._slot = 0
        """Quarter of an hour of the last news; 0 before there was any."""

    def take(self, events: Iterable[Event], told: Callable[[Event], Telling]) -> None:
        """Take what has happened, and as what it is told."""
        for event in events:
            message = told(event).message
            small = _small(event.crop) if event.crop is not None else None
            with self._lock:
                self._now_is(message["ts"])
                known = self._known.get(event.event_id)
                if known is None:
                    begins = event.kind == "start"
                    # One that newer ones have pushed out has been counted, and the zones it was in.
                    counted = set() if begins else set(event.entered_zones)
                    known = self._known[event.event_id] = _Known({}, 0, zones=counted)
                    while len(self._known) > _MOST:
                        self._known.popitem(last=False)
                    if begins:
                        self._count(message, "")
                known.shown = _reduced(message)
                known.changed_us = now_us()
                known.picture = small if small is not None else known.picture
                if event.kind == "end" and known.picture is not None:
                    known.picture = _jpeg(known.picture)
                for zone in set(event.entered_zones) - known.zones:
                    known.zones.add(zone)
                    self._count(message, zone)

    def recall(self, before: Iterable[EventMessage], pictures: Mapping[str, str]) -> None:
        """Take what an earlier run has told last of each of its events, the oldest first.

        Args:
            before: the messages; those that are known by now are left out.
            pictures: names of stored pictures by event.
        """
        with self._lock:
            known: OrderedDict[str, _Known] = OrderedDict()
            older = [one for one in before if one["event_id"] not in self._known]
            if older and not self._slot:
                self._now_is(older[-1]["ts"])
            for message in older:
                event_id, zones = message["event_id"], set(message["entered_zones"])
                known[event_id] = _Known(
                    _reduced(message), now_us(), zones=zones, file=pictures.get(event_id, "")
                )
                for zone in ("", *zones):
                    self._count(message, zone)
            known.update(self._known)
            while len(known) > _MOST:
                known.popitem(last=False)
            self._known = known

    def since(self, us: float) -> list[dict[str, Any]]:
        """Events of which there is news since a time of :func:`now_us`, oldest first."""
        with self._lock:
            return [
                {**known.shown, "picture": known.picture is not None or known.file != ""}
                for known in self._known.values()
                if known.changed_us >= us
            ]

    def bars(self) -> list[tuple[int, str, str, int]]:
        """Events of a day: beginning of the quarter of an hour (UTC seconds), label, zone or "", how many."""
        with self._lock:
            return [(slot * _SLOT_S, *of, count) for (slot, *of), count in self._slots.items()]  # type: ignore[misc]

    def picture(self, event_id: str) -> bytes | None:
        """The best picture so far as JPEG."""
        with self._lock:
            known = self._known.get(event_id)
            return None if known is None or known.picture is None else _jpeg(known.picture)

    def stored(self, event_id: str) -> str:
        """The file that has the picture of an event of an earlier run; empty where there is none."""
        with self._lock:
            known = self._known.get(event_id)
            return "" if known is None else known.file

    def _count(self, message: EventMessage, zone: str) -> None:
        slot = int(message["start_time"] // _SLOT_S)
        if self._is_of_the_day(slot):
            self._slots[slot, message["label"], zone] += 1

    def _now_is(self, ts: float) -> None:
        slot = int(ts // _SLOT_S)
        if slot != self._slot:
            self._slot = slot
            for old in [key for key in self._slots if not self._is_of_the_day(key[0])]:
                del self._slots[old]

    def _is_of_the_day(self, slot: int) -> bool:
        """Neither older, nor yet to come: a clock that was wrong must not push out what is right."""
        return -_DAY_SLOTS < slot - self._slot <= 1


def _reduced(message: EventMessage) -> dict[str, Any]:
    return {name: value for name, value in message.items() if name in _SHOWN}


def now_us() -> int:
    """Microseconds that only rise: what was told before somebody asked is in the answer."""
    return time.monotonic_ns() // 1000


def _small(crop: Image) -> Image:
    height, width = crop.shape[:2]
    scale = _SIDE / max(height, width)
    if scale >= 1:
        return crop
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(crop, size, interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


def _jpeg(picture: Image | bytes) -> bytes:
    return picture if isinstance(picture, bytes) else encoded(picture, _QUALITY)
