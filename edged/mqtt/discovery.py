"""Home Assistant's device discovery: one retained message that describes every entity of the daemon.

https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from edged.contract.topics import slug
from edged.mqtt.home import controls
from edged.mqtt.home.announcement import Announcement

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from edged.contract.topics import NodeTopics, Topics
    from edged.mqtt.delivery.outbox import Outbox
    from edged.records import State

_HOST_SENSORS: dict[str, tuple[str, dict[str, Any]]] = {
    "cpu_temperature_c": ("CPU temperature", {"device_class": "temperature", "unit_of_measurement": "°C"}),
    "memory_used_percent": ("Memory used", {"unit_of_measurement": "%"}),
    "disk_free_mb": ("Disk free", {"device_class": "data_size", "unit_of_measurement": "MB"}),
}
_HOST_PROBLEMS = {"throttled": "Throttled", "undervoltage": "Undervoltage"}
_STAGES = {"predict": "Inference p95", "capture_to_ack": "Capture to broker p95"}


@dataclass(frozen=True, slots=True)
class Entities:
    """What decides which entities there are."""

    labels: Mapping[str, str]
    """By slug."""
    host: frozenset[str]
    """Sensors that the machine has."""
    zones: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Remembered:
    """What an earlier start has announced and we may not know yet."""

    model: str | None
    """That it ran; None if it is not known."""
    labels: tuple[str, ...]
    """Slugs of the labels that it had entities for."""
    host: frozenset[str]
    """Sensors that the machine had."""


class Discovery:
    """Announces the daemon, and takes back what no longer exists. Thread-safe.

    Args:
        topics: where states are found.
        outbox: takes the announcement.
        prefix: Home Assistant's discovery prefix.
        wanted: whether to announce at all; if not, what an earlier start has announced is taken back.
        several: whether the camera is a device of its own below the node's.
        expire_after: seconds after which a periodic value without news is unknown.
        snapshots: whether there are pictures.
        commands: whether commands are obeyed.
    """

    def __init__(
        self,
        topics: Topics,
        outbox: Outbox,
        *,
        prefix: str,
        expire_after: float,
        snapshots: bool,
        wanted: bool = True,
        several: bool = False,
        commands: bool = False,
    ) -> None:
        self._topics = topics
        self._several = several
        self._commands = commands
        node, camera = node_id(topics), slug(topics.camera)
        self._node = f"{node}--{camera}" if several else node
        """Id of the device, and what the ids of its entities begin with."""
        self._camera = "" if several else f"{camera}_"
        """What the names of the camera's components begin with."""
        self._announcement = Announcement(
            config_topic(prefix, self._node), outbox, device=self._node, wanted=wanted
        )
        self._expire_after = math.ceil(expire_after)
        self._snapshots = snapshots
        self._lock = threading.Lock()
        self._state: State | None = None
        self._entities = Entities({}, frozenset())

        self.ask = self._announcement.ask
        self.acknowledged = self._announcement.acknowledged
        self.settle = self._announcement.settle

    def announce(self, *, state: State | None = None, entities: Entities | None = None) -> None:
        """Publish the announcement if what it says has changed."""
        with self._lock:
            self._state = state or self._state
            self._entities = entities or self._entities
            if self._state is not None:
                self._announcement.tell(self._content(self._state))

    def recall(self, payload: bytes) -> Remembered | None:
        """Learn what an earlier start has announced; nothing is announced before :meth:`settle`.

        Returns:
            None where it is not an announcement.
        """
        earlier = self._announcement.recall(payload)
        if earlier is None:
            return None
        begins = f"{self._camera}count_"
        labels = [name.removeprefix(begins) for name in earlier.platforms if name.startswith(begins)]
        return Remembered(earlier.model, tuple(labels), host_sensors(earlier.platforms))

    def _content(self, state: State) -> dict[str, Any]:
        return {
            "device": self._device(state),
            "origin": {"name": "edged", "sw_version": state.version},
            "availability": [{"topic": self._topics.availability}],
            "payload_available": "online",
            "payload_not_available": "offline",
            "qos": 1,
            "components": self._components(state),
        }

    def _device(self, state: State) -> dict[str, Any]:
        below = {"via_device": node_id(self._topics)} if self._several else {}
        return {
            "identifiers": [self._node],
            "name": f"edged {self._topics.node}" + (f" {self._topics.camera}" if self._several else ""),
            "manufacturer": "edged",
            "model": f"{state.model} on {state.device}",
            "model_id": state.model,
            "sw_version": state.version,
            **below,
        }

    def _components(self, state: State) -> dict[str, dict[str, Any]]:
        components = {f"{self._camera}camera": _binary("Camera", "connectivity", self._topics.status)}
        components[f"{self._camera}camera"] |= {
            "payload_on": "online",
            "payload_off": "offline",
            "availability": [{"topic": self._topics.availability}, self._unless_paused()],
            "availability_mode": "all",
        }
        for key, label in sorted(self._entities.labels.items()):
            components[f"{self._camera}count_{key}"] = self._count(key, label)
            components[f"{self._camera}occupancy_{key}"] = self._occupancy(key, label)
        components |= self._zones() | self._lines()
        if self._commands:
            components |= self._controls(state)
        if self._snapshots:
            components[f"{self._camera}snapshot"] = {
                "platform": "image",
                "name": self._name("snapshot"),
                "image_topic": self._topics.snapshot,
                "content_type": "image/jpeg",
                **self._with_camera(),
            }
        figure = partial(_figure, topic=self._topics.timings, expire_after=self._expire_after)
        components["fps"] = figure("Frames per second", "fps", "fps", {"unit_of_measurement": "fps"})
        for stage, name in _STAGES.items():
            options = {"device_class": "duration", "unit_of_measurement": "ms"}
            path = f"stages.{stage}"
            components[f"{stage}_p95"] = figure(name, f"{path}.p95_ms", path, options)
        if not self._several:
            components |= host_components(self._entities.host, self._topics.timings, self._expire_after)
        return {
            name: {**component, "unique_id": f"{self._node}_{name}"} for name, component in components.items()
        }

    def _count(self, key: str, label: str) -> dict[str, Any]:
        return {
            "platform": "sensor",
            "name": self._name(label),
            "state_topic": self._topics.count(key),
            "state_class": "measurement",
            **self._with_camera(),
        }

    def _occupancy(self, key: str, label: str) -> dict[str, Any]:
        return {
            "platform": "binary_sensor",
            "name": self._name(f"{label} occupancy"),
            "device_class": "occupancy",
            "state_topic": self._topics.count(key),
            "value_template": "{{ 'ON' if value | int(0) > 0 else 'OFF' }}",
            **self._with_camera(),
        }

    def _zones(self) -> dict[str, dict[str, Any]]:
        components: dict[str, dict[str, Any]] = {}
        for zone in self._entities.zones:
            components[f"{self._camera}zone_{zone}"] = {
                "platform": "binary_sensor",
                "name": self._name(f"{zone} occupancy"),
                "device_class": "occupancy",
                "state_topic": self._topics.zone_occupancy(zone),
                **self._with_camera(),
            }
            for key, label in sorted(self._entities.labels.items()):
                components[f"{self._camera}zone_{zone}_count_{key}"] = {
                    "platform": "sensor",
                    "name": self._name(f"{zone} {label}"),
                    "state_topic": self._topics.zone_count(zone, key),
                    "state_class": "measurement",
                    **self._with_camera(),
                }
        return components

    def _lines(self) -> dict[str, dict[str, Any]]:
        return {
            f"{self._camera}line_{line}_{way}_{key}": {
                "platform": "sensor",
                "name": self._name(f"{line} {way} {label}"),
                "state_topic": self._topics.line_total(line, way, key),
                "state_class": "total_increasing",
            }
            for line in self._entities.lines
            for key, label in sorted(self._entities.labels.items())
            for way in ("in", "out")
        }

    def _controls(self, state: State) -> dict[str, dict[str, Any]]:
        topics = self._topics
        command = topics.camera_command if self._several else topics.command
        found = controls.camera_controls(command, self._state_topic, state)
        components = {
            f"{self._camera}{name}": {**component, "name": self._name(component["name"])}
            for name, component in found.items()
        }
        if not self._several:
            components["reload"] = controls.reload_button(topics.command)
        return components

    @property
    def _state_topic(self) -> str:
        return self._topics.camera_state if self._several else self._topics.state

    def _name(self, what: str) -> str:
        return what if self._several else f"{self._topics.camera} {what}"

    def _unless_paused(self) -> dict[str, str]:
        """Available but in a pause."""
        words = "'offline' if value_json.lifecycle == 'paused' else 'online'"
        return {"topic": self._state_topic, "value_template": f"{{{{ {words} }}}}"}

    def _with_camera(self) -> dict[str, Any]:
        """What is only known while the camera gives pictures."""
        return {
            "availability": [{"topic": self._topics.availability}, {"topic": self._topics.status}],
            "availability_mode": "all",
        }


def node_id(topics: NodeTopics) -> str:
    """Id of the node's device."""
    return f"edged_{slug(topics.node)}"


def config_topic(prefix: str, device: str) -> str:
    """Where a device is announced."""
    return f"{prefix}/device/{device}/config"


class NodeDiscovery:
    """Announces the device that several cameras lie below: that the daemon is there, and how the machine is.

    Args:
        topics: the node's.
        outbox: takes the announcement.
        prefix: Home Assistant's discovery prefix.
        expire_after: seconds after which a periodic value without news is unknown.
        commands: whether commands are obeyed.
    """

    def __init__(
        self, topics: NodeTopics, outbox: Outbox, *, prefix: str, expire_after: float, commands: bool = False
    ) -> None:
        self._topics = topics
        self._commands = commands
        self._node = node_id(topics)
        self._expire_after = math.ceil(expire_after)
        self._announcement = Announcement(config_topic(prefix, self._node), outbox, device=self._node)
        self._lock = threading.Lock()
        self._told: tuple[str, str] | None = None
        self._host: frozenset[str] = frozenset()

        self.ask = self._announcement.ask
        self.acknowledged = self._announcement.acknowledged

    def announce(self, host: frozenset[str], *, version: str, timings: str) -> None:
        """Publish the announcement if what it says has changed.

        Args:
            host: sensors that the machine has.
            version: of edged.
            timings: topic of a camera whose timings bring their values.
        """
        with self._lock:
            self._host |= host
            self._told = version, timings
            self._announcement.tell(self._content(version, timings))

    def recall(self, payload: bytes) -> None:
        """Learn what an earlier start has announced, and go on with it."""
        earlier = self._announcement.recall(payload)
        with self._lock:
            if earlier is not None:
                self._host |= host_sensors(earlier.platforms)
            if self._told is not None:
                self._announcement.tell(self._content(*self._told))
            self._announcement.settle()

    def _content(self, version: str, timings: str) -> dict[str, Any]:
        daemon = _binary("Daemon", "connectivity", self._topics.availability)
        daemon |= {"payload_on": "online", "payload_off": "offline"}
        components = {"daemon": daemon, **host_components(self._host, timings, self._expire_after)}
        if self._commands:
            components["reload"] = controls.reload_button(self._topics.command)
        return {
            "device": {
                "identifiers": [self._node],
                "name": f"edged {self._topics.node}",
                "manufacturer": "edged",
                "sw_version": version,
            },
            "origin": {"name": "edged", "sw_version": version},
            "qos": 1,
            "components": {
                name: {**one, "unique_id": f"{self._node}_{name}"} for name, one in components.items()
            },
        }


def host_sensors(names: Iterable[str]) -> frozenset[str]:
    """Those of the names of components that are sensors of the machine."""
    return frozenset(names) & (_HOST_SENSORS.keys() | _HOST_PROBLEMS.keys())


def host_components(host: frozenset[str], timings: str, expire_after: int) -> dict[str, dict[str, Any]]:
    """Health of the machine."""
    components: dict[str, dict[str, Any]] = {}
    for sensor, (name, options) in _HOST_SENSORS.items():
        if sensor in host:
            path = f"host.{sensor}"
            components[sensor] = _figure(name, path, path, options, topic=timings, expire_after=expire_after)
    for sensor, name in _HOST_PROBLEMS.items():
        if sensor in host:
            value = f"value_json.host.{sensor} | default(false)"
            components[sensor] = {
                **_binary(name, "problem", timings),
                "value_template": f"{{{{ 'ON' if {value} else 'OFF' }}}}",
                "expire_after": expire_after,
            }
    return components


def _figure(
    name: str, path: str, guard: str, options: dict[str, Any], *, topic: str, expire_after: int
) -> dict[str, Any]:
    """A periodic number of the timings message; unknown where the message has no ``guard``."""
    return {
        "platform": "sensor",
        "name": name,
        "state_topic": topic,
        "value_template": f"{{{{ value_json.{path} if value_json.{guard} is defined else none }}}}",
        "state_class": "measurement",
        "entity_category": "diagnostic",
        "expire_after": expire_after,
        **options,
    }


def _binary(name: str, device_class: str, topic: str) -> dict[str, Any]:
    return {
        "platform": "binary_sensor",
        "name": name,
        "device_class": device_class,
        "state_topic": topic,
        "entity_category": "diagnostic",
    }
