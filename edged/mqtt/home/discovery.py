"""Home Assistant's device discovery: one retained message that describes every entity of the daemon.

https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edged.contract.topics import slug
from edged.mqtt.home import controls, health
from edged.mqtt.home.announcement import Announcement
from edged.mqtt.home.looks import named
from edged.mqtt.home.sights import Sights

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edged.contract.topics import NodeTopics, Topics
    from edged.mqtt.delivery.outbox import Outbox
    from edged.records import State


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
class Announced:
    """What Home Assistant is told of a node and all its cameras."""

    prefix: str = "homeassistant"
    """Home Assistant's discovery prefix."""
    wanted: bool = False
    """Whether to announce at all; if not, what an earlier start has announced is taken back."""
    several: bool = False
    """Whether each camera is a device of its own below the node's, with topics for state and commands."""
    expire_after_s: float = 30.0
    """After so long a periodic value without news is unknown."""
    commands: bool = False
    """Whether commands are obeyed."""
    updates: bool = False
    """Whether somebody is asked for a newer version."""


@dataclass(frozen=True, slots=True)
class Offers:
    """What a camera offers beyond its counts."""

    snapshots: bool = False
    """Whether there are pictures."""
    tracks: bool = False
    """Whether objects are followed, so that there are events."""
    page: str = ""
    """URL of its page; empty where there is none."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """What an earlier start has announced and we may not know yet."""

    model: str | None
    """Name of the model that ran; None if it is not known."""
    labels: tuple[str, ...]
    """Slugs of the labels that it had entities for."""
    host: frozenset[str]
    """Sensors that the machine had."""


class Discovery:
    """Announces the daemon, and takes back what no longer exists. Thread-safe.

    Args:
        topics: where states are found.
        outbox: takes the announcement.
        announced: what is the same for the node's other cameras.
        offers: what this one has.
    """

    def __init__(self, topics: Topics, outbox: Outbox, announced: Announced, offers: Offers) -> None:
        self._topics = topics
        self._announced = announced
        self._several = announced.several
        self._offers = offers
        node, camera = node_id(topics), slug(topics.camera)
        self._node = f"{node}--{camera}" if announced.several else node
        """Id of the device, and what the ids of its entities begin with."""
        self._camera = "" if announced.several else f"{camera}_"
        """What the names of the camera's components begin with."""
        topic = config_topic(announced.prefix, self._node)
        self._announcement = Announcement(topic, outbox, device=self._node, wanted=announced.wanted)
        self._expire_after_s = math.ceil(announced.expire_after_s)
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
        return Remembered(earlier.model, tuple(labels), health.host_sensors(earlier.platforms))

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
        device = {
            "identifiers": [self._node],
            "name": named(self._topics.camera if self._several else self._topics.node),
            "manufacturer": "edged",
            "model": f"Detection on {state.device}",
            "model_id": state.model,
            "sw_version": state.version,
        }
        if self._several:
            device["via_device"] = node_id(self._topics)
        if self._offers.page:
            device["configuration_url"] = self._offers.page
        return device

    def _components(self, state: State) -> dict[str, dict[str, Any]]:
        own = {f"{self._camera}{name}": component for name, component in self._of_camera(state).items()}
        shared = health.figures(self._topics.timings, self._expire_after_s)
        if not self._several:
            shared |= health.node_health(self._topics, self._topics.timings, updates=self._announced.updates)
            shared |= health.host_health(self._entities.host, self._topics.timings, self._expire_after_s)
            if self._announced.commands:
                shared["reload"] = controls.reload_button(self._topics.command)
        return {
            name: {**component, "unique_id": f"{self._node}_{name}"}
            for name, component in (own | shared).items()
        }

    def _of_camera(self, state: State) -> dict[str, dict[str, Any]]:
        """Components that carry the camera's name where it is no device of its own."""
        topics, called = self._topics, self._called
        sights = Sights(topics, called, self._entities.labels, tracks=self._offers.tracks)
        found = sights.by_label()
        for zone in self._entities.zones:
            found |= sights.of_zone(zone)
        for line in self._entities.lines:
            found |= sights.of_line(line)
        if self._offers.snapshots:
            found["snapshot"] = {
                "platform": "image",
                "name": named(called, "snapshot"),
                "icon": "mdi:camera",
                "image_topic": topics.snapshot,
                "content_type": "image/jpeg",
                **sights.while_it_sees(),
            }
        rest = {"camera": self._connectivity(), **health.camera_health(self._state_topic)}
        if self._announced.commands:
            command = topics.camera_command if self._several else topics.command
            rest |= controls.camera_controls(command, self._state_topic, state)
        return found | {
            name: {**component, "name": named(called, _within(component["name"]))}
            for name, component in rest.items()
        }

    def _connectivity(self) -> dict[str, Any]:
        """Whether the source gives pictures; in a pause nobody knows."""
        words = "'offline' if value_json.lifecycle == 'paused' else 'online'"
        unless_paused = {"topic": self._state_topic, "value_template": f"{{{{ {words} }}}}"}
        return {
            **health.binary("Connected", "connectivity", self._topics.status),
            "payload_on": "online",
            "payload_off": "offline",
            "availability": [{"topic": self._topics.availability}, unless_paused],
            "availability_mode": "all",
        }

    @property
    def _called(self) -> str:
        return "" if self._several else self._topics.camera

    @property
    def _state_topic(self) -> str:
        return self._topics.camera_state if self._several else self._topics.state


def _within(name: str) -> str:
    """A name as it is written behind another word: with a small letter."""
    return name[:1].lower() + name[1:]


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
        announced: what there is.
    """

    def __init__(self, topics: NodeTopics, outbox: Outbox, announced: Announced) -> None:
        self._topics = topics
        self._announced = announced
        self._node = node_id(topics)
        self._expire_after_s = math.ceil(announced.expire_after_s)
        self._announcement = Announcement(
            config_topic(announced.prefix, self._node), outbox, device=self._node
        )
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
                self._host |= health.host_sensors(earlier.platforms)
            if self._told is not None:
                self._announcement.tell(self._content(*self._told))
            self._announcement.settle()

    def _content(self, version: str, timings: str) -> dict[str, Any]:
        daemon = health.binary("Daemon", "connectivity", self._topics.availability)
        daemon |= {"payload_on": "online", "payload_off": "offline"}
        there = {"availability": [{"topic": self._topics.availability}]}
        told = {
            "problem": health.problem(self._topics.state),
            **health.node_health(self._topics, timings, updates=self._announced.updates),
        }
        components = {
            "daemon": daemon,
            **{name: {**one, **there} for name, one in told.items()},
            **health.host_health(self._host, timings, self._expire_after_s),
        }
        if self._announced.commands:
            components["reload"] = controls.reload_button(self._topics.command)
        return {
            "device": {
                "identifiers": [self._node],
                "name": named(self._topics.node),
                "manufacturer": "edged",
                "sw_version": version,
            },
            "origin": {"name": "edged", "sw_version": version},
            "qos": 1,
            "components": {
                name: {**one, "unique_id": f"{self._node}_{name}"} for name, one in components.items()
            },
        }
