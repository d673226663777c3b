"""What happens before a camera: its events, its zones and lines, and the best picture of each label."""

from __future__ import annotations

import threading
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from edged.contract import event_messages
from edged.contract.topics import slug
from edged.imaging.jpeg import encoded
from edged.mqtt.camera.rate_limit import RateLimitedValues
from edged.mqtt.token_bucket import TokenBucket

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from edged.contract.topics import Topics
    from edged.durable.ledger import EventLedger
    from edged.mqtt.camera.extent import Extent
    from edged.mqtt.delivery.outbox import Outbox
    from edged.records import Event, Image, Presence

_QUALITY = 85
_PLACES = ("zone_", "line_")
_DIGITS = 19
"""A number of so many digits is no total of ours."""
_SEEN_S = 60.0
"""How often it is told that something is still there."""


class CameraEvents:
    """Publishes events as they are, and what is retained when it changes. Thread-safe.

    Args:
        topics: of the camera.
        outbox: takes the messages.
        ledger: notes them before, and has the totals.
        boot_id: identity of this run.
        extent: which zones and lines there are, and whether there will be objects over time at all.
        values: tells what is retained; None: at once.
        starting: whether nobody has spoken for this camera yet in this run; else what was told last of what
            is there holds until the first frame.
    """

    def __init__(
        self,
        topics: Topics,
        outbox: Outbox,
        *,
        ledger: EventLedger,
        boot_id: str,
        extent: Extent,
        values: RateLimitedValues | None = None,
        starting: bool = True,
    ) -> None:
        self._topics = topics
        self._outbox = outbox
        self._ledger = ledger
        self._boot_id = boot_id
        self._starting = starting
        self._zones, self._lines, self._tracks = extent.zones, extent.lines, extent.tracks
        self._values = values or RateLimitedValues(outbox)
        self._seen: dict[str, float] = {}
        """When each label that is there was last told to be there, by slug, UTC."""
        self._crops: dict[str, Image] = {}
        """The best picture of a label that has not been told yet."""
        self._of_pictures, self._of_places, self._of_comings = (
            TokenBucket(0.1, 2),
            TokenBucket(0.1, 5),
            TokenBucket(0.05, 4),
        )
        self._lock = threading.Lock()
        self._told: dict[str, bytes] = {}
        """Retained values by topic."""
        self._zone_keys: dict[str, set[str]] = {zone: set() for zone in self._zones}
        """Slugs of the labels that are counted in each zone."""
        self._in_zones: object = None
        """What was told of zones last; None: all of it is looked at again."""
        self._possible: frozenset[str] | None = None
        """Slugs of the labels that may be seen; None while nobody knows."""
        self._base = f"{topics.base}/{topics.camera}/"
        self._line_base = f"{self._base}line/"

    def start(self) -> None:
        """Nothing is seen yet; tell the totals from before, and clear those of lines that are gone."""
        with self._lock:
            if self._tracks and self._starting:
                self._set(self._topics.occupancy, b"OFF")
            for topic, total in self._ledger.totals.under(self._line_base).items():
                if topic.removeprefix(self._line_base).split("/")[0] in self._lines:
                    self._set(topic, b"%d" % total)
                else:
                    self._ledger.totals.forget(topic)
                    self._outbox.post(topic, b"")
        self._ledger.keep()

    def tell(self, events: Sequence[Event]) -> None:
        """Publish events, each once; with the first and with a better picture what it looks like."""
        for event in events:
            told = event_messages.told(event, camera=self._topics.camera, boot_id=self._boot_id)
            if not self._is_calm(event):
                told = event_messages.telling({**told.message, "calm": False})
            send = partial(self._outbox.put, self._topics.events, told.json, waits=True)
            self._ledger.note(told, send)
            self._cross(event)
            if event.crop is not None:
                self._crops[event.label] = event.crop
        self._show()

    def _is_calm(self, event: Event) -> bool:
        """Whether who records every event can take this one, too."""
        places = any(change.startswith(_PLACES) for change in event.changes)
        if not places and event.kind == "update":
            return True  # nobody records it
        return (self._of_places if places else self._of_comings).spend()

    def _show(self) -> None:
        """Publish the best pictures that wait, as far as the pace allows it."""
        while self._crops and self._of_pictures.spend():
            label = next(iter(self._crops))
            jpeg = encoded(self._crops.pop(label), _QUALITY)
            self._outbox.post(self._topics.best(slug(label)), jpeg, qos=0)

    def see(self, presence: Presence, ts: float) -> None:
        """Tell whether anything is there, and when labels were last seen; ``ts`` is UTC of the frame."""
        self._show()
        with self._lock:
            self._set(self._topics.occupancy, b"ON" if any(presence.counts.values()) else b"OFF")
            self._see({slug(label) for label, count in presence.counts.items() if count}, ts)

    def update(self, presence: Presence, known: Iterable[str] = ()) -> None:
        """Publish what has changed in zones; that ``known`` slugs are in none, too."""
        self._ledger.keep()
        # What is seen elsewhere is known not to be in the zone.
        expected = {*known, *map(slug, presence.counts)}
        with self._lock:
            now = presence.zones, expected
            if now == self._in_zones:  # nearly every frame
                return
            self._in_zones = now
            for zone, counts in presence.zones.items():
                inside = Counter[str]()
                for label, count in counts.items():
                    inside[slug(label)] += count
                keys = self._zone_keys.setdefault(zone, set())
                keys.update(inside, expected)
                for key in keys:
                    self._set(self._topics.zone_count(zone, key), b"%d" % inside[key])
                self._set(self._topics.zone_occupancy(zone), b"ON" if any(inside.values()) else b"OFF")

    def recall(self, topic: str, payload: bytes, _: bool = False) -> None:  # noqa: FBT001, FBT002  # a handler
        """The broker remembers what has happened: totals of lines go on, what no longer exists is cleared."""
        kind, *rest = topic.removeprefix(self._base).split("/")
        if not rest:  # "zone/#" stands for "zone" as well
            if topic == self._topics.occupancy and not self._tracks:
                self._outbox.post(topic, b"")
            return
        is_total = payload.isdigit() and len(payload) < _DIGITS
        with self._lock:
            self._in_zones = None
            if kind == "line" and rest[0] in self._lines and is_total:
                self._told.setdefault(topic, payload)
                self._set(topic, b"%d" % self._ledger.totals.recall(topic, int(payload)), at_once=True)
            elif topic in self._told:
                return
            elif kind != "zone" or rest[0] not in self._zones:
                self._outbox.post(topic, b"")
            elif rest[1:2] == ["count"]:
                if self._possible is not None and rest[-1] not in self._possible:
                    self._outbox.post(topic, b"")
                elif self._starting:
                    self._set(topic, b"0")
                else:
                    self._zone_keys[rest[0]].add(rest[-1])
            elif rest[1:] == ["occupancy"] and self._starting:
                self._set(topic, b"OFF")

    def know(self, possible: frozenset[str]) -> None:
        """Only these labels may be seen, which are given as slugs: clear what zones count of all others."""
        with self._lock:
            self._possible, self._in_zones = possible, None
            for keys in self._zone_keys.values():
                keys.intersection_update(possible)
            for topic in list(self._told):
                kind, *rest = topic.removeprefix(self._base).split("/")
                if kind == "zone" and rest[1] == "count" and rest[2] not in possible:
                    del self._told[topic]
                    self._values.clear(topic)

    def drop(self, keys: Collection[str]) -> None:
        """Clear everything that was retained of these labels, which are given as slugs."""
        with self._lock:
            self._in_zones = None
            totals = self._ledger.totals.under(self._line_base)
            for topic in [one for one in self._told.keys() | totals.keys() if one.split("/")[-1] in keys]:
                self._told.pop(topic, None)
                self._ledger.totals.forget(topic)
                self._values.clear(topic)
            for told in self._zone_keys.values():
                told.difference_update(keys)
            for key in keys:
                self._seen.pop(key, None)
                for topic in (self._topics.last_seen(key), self._topics.best(key)):
                    self._outbox.post(topic, b"")
        self._ledger.keep()

    def repeat(self) -> None:
        """Go on with the totals as they are now; the sink before this one has counted till the end."""
        with self._lock:
            for topic, total in self._ledger.totals.under(self._line_base).items():
                self._set(topic, b"%d" % total)

    def ask(self) -> tuple[str, ...]:
        """Topics of which the broker may remember some from before our time; asked for in every session."""
        self._ledger.totals.ask(self._line_base)
        asked = f"{self._base}zone/#", f"{self._line_base}#"
        return asked if self._tracks else (*asked, self._topics.occupancy)

    def _see(self, there: set[str], ts: float) -> None:
        """Tell when labels were last seen: when they come and go, and once a minute."""
        for key in there | self._seen.keys():
            told = self._seen.get(key)
            if told is None or key not in there or not 0 <= ts - told < _SEEN_S:
                self._set(self._topics.last_seen(key), event_messages.moment(ts))
                self._seen[key] = ts
        for key in self._seen.keys() - there:
            del self._seen[key]

    def _cross(self, event: Event) -> None:
        """Count the lines that an object has crossed now."""
        for change in event.changes:
            kind, _, crossing = change.partition(":")
            if kind == "line_crossed":
                line, direction = crossing.split(":")
                topic = self._topics.line_total(line, direction, slug(event.label))
                with self._lock:
                    self._set(topic, b"%d" % self._ledger.totals.add(topic))
        self._ledger.keep()

    def _set(self, topic: str, value: bytes, *, at_once: bool = False) -> None:
        if self._told.get(topic) != value:
            self._told[topic] = value
            self._values.put(topic, value, at_once=at_once)
