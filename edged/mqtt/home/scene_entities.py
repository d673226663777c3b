"""Entities of what a camera sees: who is there, who was, and what has happened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edged.mqtt.home.icons import icon, named

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edged.contract.topics import Topics

_FRESH_S = 300
"""How old an event may be to be told as one: what waited in the spool is history."""
_ABOUT = (
    "'label': value_json.label, 'score': value_json.top_score, 'event_id': value_json.event_id, "
    "'duration_s': value_json.duration_s, "
    "'sub_label': value_json.sub_label | default(none), 'sub_score': value_json.sub_score | default(none)"
)


@dataclass(frozen=True, slots=True)
class SceneEntities:
    """Makes the entities of one camera.

    Args:
        topics: where values are found.
        called: what the camera's entities begin with; empty where it is a device of its own.
        labels: what is known to be seen, by slug.
        tracks: whether objects are followed, so that there are events.
    """

    topics: Topics
    called: str
    labels: Mapping[str, str]
    tracks: bool

    def by_label(self) -> dict[str, dict[str, Any]]:
        """How many there are, whether any is, when one last was, and what it looked like."""
        found: dict[str, dict[str, Any]] = {}
        if self.tracks:
            found["anything"] = self._occupancy("anything", self.topics.occupancy) | {"icon": "mdi:eye"}
            found["activity"] = self._event("activity", "mdi:walk", ("appeared", "gone"), _ACTIVITY)
        for key, label in sorted(self.labels.items()):
            there = self.topics.count(key)
            found[f"count_{key}"] = self._count(label, key, there)
            found[f"occupancy_{key}"] = self._is_there(label, key, there)
            if not self.tracks:
                continue
            found[f"last_seen_{key}"] = {
                "platform": "sensor",
                "name": named(self.called, label, "last seen"),
                "icon": icon(key),
                "device_class": "timestamp",
                "state_topic": self.topics.last_seen(key),
            }
            found[f"best_{key}"] = {
                "platform": "image",
                "name": named(self.called, label, "best picture"),
                "icon": icon(key),
                "image_topic": self.topics.best(key),
                "content_type": "image/jpeg",
            }
        return found

    def of_zone(self, zone: str) -> dict[str, dict[str, Any]]:
        """Who is in a zone, who comes and who goes."""
        found = {f"zone_{zone}": self._occupancy(zone, self.topics.zone_occupancy(zone))}
        for key, label in sorted(self.labels.items()):
            there = self.topics.zone_count(zone, key)
            found[f"zone_{zone}_count_{key}"] = self._count(f"{zone} {label}", key, there)
            if self.tracks:
                # Its zone's occupancy and its count say it already; each costs the recorder a row.
                found[f"zone_{zone}_occupancy_{key}"] = {
                    **self._is_there(f"{zone} {label}", key, there),
                    "enabled_by_default": False,
                }
        if self.tracks:
            template = _ZONE.replace("ZONE", zone)
            found[f"event_zone_{zone}"] = self._event(
                f"{zone} visit", "mdi:map-marker-account", ("entered", "left"), template
            )
        return found

    def of_line(self, line: str) -> dict[str, dict[str, Any]]:
        """Who has crossed a line, and that one does."""
        found: dict[str, dict[str, Any]] = {
            f"line_{line}_{way}_{key}": {
                "platform": "sensor",
                "name": named(self.called, line, label, way),
                "icon": icon(key),
                "state_topic": self.topics.line_total(line, way, key),
                "state_class": "total_increasing",
            }
            for key, label in sorted(self.labels.items())
            for way in ("in", "out")
        }
        if self.tracks:
            template = _LINE.replace("LINE", line)
            found[f"event_line_{line}"] = self._event(
                f"{line} crossing", "mdi:arrow-left-right", ("in", "out"), template
            )
        return found

    def while_it_sees(self) -> dict[str, Any]:
        """For what is only known while the camera gives pictures."""
        return {
            "availability": [{"topic": self.topics.availability}, {"topic": self.topics.status}],
            "availability_mode": "all",
        }

    def _count(self, what: str, key: str, topic: str) -> dict[str, Any]:
        return {
            "platform": "sensor",
            "name": named(self.called, what, "count"),
            "icon": icon(key),
            "state_topic": topic,
            "state_class": "measurement",
            "suggested_display_precision": 0,
            **self.while_it_sees(),
        }

    def _is_there(self, what: str, key: str, topic: str) -> dict[str, Any]:
        return self._occupancy(what, topic) | {
            "icon": icon(key),
            "value_template": "{{ 'ON' if value | int(0) > 0 else 'OFF' }}",
        }

    def _occupancy(self, what: str, topic: str) -> dict[str, Any]:
        return {
            "platform": "binary_sensor",
            "name": named(self.called, what),
            "device_class": "occupancy",
            "state_topic": topic,
            **self.while_it_sees(),
        }

    def _event(self, what: str, picture: str, types: tuple[str, ...], template: str) -> dict[str, Any]:
        return {
            "platform": "event",
            "name": named(self.called, what),
            "icon": picture,
            "event_types": list(types),
            "state_topic": self.topics.events,
            "value_template": template,
        }


def _when(kinds: str, about: str) -> str:
    fresh = f"now().timestamp() - value_json.ts < {_FRESH_S} and value_json.calm | default(true)"
    return (
        f"{{% set kind = {kinds} %}}"
        f"{{% if kind and {fresh} %}}"
        f"{{{{ {{'event_type': kind, {_ABOUT}{about}}} | tojson }}}}"
        "{% endif %}"
    )


_ACTIVITY = _when("{'start': 'appeared', 'end': 'gone'}.get(value_json.type)", "")
_ZONE = _when(
    "'left' if 'zone_left:ZONE' in value_json.changes "
    "or (value_json.type == 'end' and 'ZONE' in value_json.current_zones) "
    "else 'entered' if 'zone_entered:ZONE' in value_json.changes else ''",
    ", 'zone': 'ZONE', 'dwell_s': value_json.dwell_s.get('ZONE', 0)",
)
_LINE = _when(
    "'out' if 'line_crossed:LINE:out' in value_json.changes "
    "else 'in' if 'line_crossed:LINE:in' in value_json.changes else ''",
    ", 'line': 'LINE'",
)
