"""The device of one camera at Home Assistant: announced, and gone on with as an earlier start has left it."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Any, Protocol

from edged.contract.topics import slug
from edged.mqtt.home import controls, diagnostics
from edged.mqtt.home.announcement import Announcement
from edged.mqtt.home.discovery import config_topic, node_id
from edged.mqtt.home.icons import named
from edged.mqtt.home.scene_entities import SceneEntities

if TYPE_CHECKING:
    from collections.abc import Collection

    from edged.contract.topics import Topics
    from edged.mqtt.camera.counts import Counts
    from edged.mqtt.camera.events import CameraEvents
    from edged.mqtt.camera.extent import Extent
    from edged.mqtt.delivery.outbox import Outbox
    from edged.mqtt.home.announcement import Earlier
    from edged.mqtt.home.discovery import Announced
    from edged.mqtt.link.session import Session
    from edged.records import State


class AnnounceNode(Protocol):
    """Tells Home Assistant of the device that several cameras lie below."""

    def __call__(self, host: frozenset[str], *, version: str) -> None:
        """With the sensors that the machine has, and the version of edged."""
        ...


class CameraDevice:
    """What Home Assistant is told of a camera: it grows with what is seen, and with what is remembered.

    Args:
        topics: where states are found.
        outbox: takes the announcement.
        announced: what is the same for the node's other cameras.
        extent: how much of this one is published.
        counts: labels that have a count.
        events: told which labels may be seen.
        announce_node: tells of the node above the camera.
    """

    def __init__(
        self,
        topics: Topics,
        outbox: Outbox,
        announced: Announced,
        extent: Extent,
        *,
        counts: Counts,
        events: CameraEvents,
        announce_node: AnnounceNode,
    ) -> None:
        self._topics = topics
        self._announced = announced
        self._several = announced.several
        self._extent = extent
        self._counts = counts
        self._events = events
        self._announce_node = announce_node
        node, camera = node_id(topics), slug(topics.camera)
        self._node = f"{node}--{camera}" if announced.several else node
        """Id of the device, and what the ids of its entities begin with."""
        self._camera = "" if announced.several else f"{camera}_"
        """What the names of the camera's components begin with."""
        topic = config_topic(announced.prefix, self._node)
        self._announcement = Announcement(topic, outbox, device=self._node, wanted=announced.wanted)
        self._expire_after_s = math.ceil(announced.expire_after_s)
        self._lock = threading.Lock()
        self._host: frozenset[str] = frozenset()
        """Sensors that the machine has."""
        self._earlier: Earlier | None = None
        """What an earlier start has announced and we have not looked at yet."""
        self._state: State | None = None

        self.acknowledged = self._announcement.acknowledged
        self.settle = self._announcement.settle

    def know(self, state: State) -> None:
        """Learn what the camera is now; :meth:`announce` tells it."""
        before, self._state = self._state, state
        if state.labels and (before is None or before.labels != state.labels):
            self._counts.know(state.labels)
            self._events.know(self._counts.possible)
        elif not state.labels and before is not None and before.model != state.model:
            self._counts.forget(seen=True)
            self._events.know(self._counts.possible)
        self._adopt()

    def equip(self, host: Collection[str]) -> None:
        """Learn what sensors the machine has."""
        if not self._host.issuperset(host):
            self._host = self._host.union(host)
            self.announce()

    def announce(self) -> None:
        """Tell Home Assistant, if anything is new."""
        if self._state is not None:
            self._announce_node(self._host, version=self._state.version)
            with self._lock:
                self._announcement.tell(self._content(self._state))

    def ask(self, session: Session) -> None:
        """Ask for what an earlier start has announced; nothing is announced before that is known."""
        self._announcement.ask(session, self._recall)

    def recall_count(self, topic: str, _: bytes, __: bool) -> None:  # noqa: FBT001  # a handler
        """Go on with a count that an earlier start has left."""
        if self._counts.adopt(topic.rpartition("/")[2]):
            self.announce()

    def _recall(self, _: str, payload: bytes, __: bool) -> None:  # noqa: FBT001  # a handler
        self._earlier = self._announcement.recall(payload)
        if self._earlier is not None:
            self._host |= diagnostics.host_sensors(self._earlier.platforms)
        self._adopt()
        self.announce()
        self.settle()

    def _adopt(self) -> None:
        """Go on with the labels of an earlier start, unless it ran another model that had others."""
        state, earlier = self._state, self._earlier
        if state is None or earlier is None:
            return
        self._earlier = None
        if earlier.model is not None and earlier.model != state.model and not state.labels:
            self._counts.forget(seen=False)
            self._events.know(self._counts.possible)
        begins = f"{self._camera}count_"
        for name in earlier.platforms:
            if name.startswith(begins):
                self._counts.adopt(name.removeprefix(begins))

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
        if self._extent.page:
            device["configuration_url"] = self._extent.page
        return device

    def _components(self, state: State) -> dict[str, dict[str, Any]]:
        own = {f"{self._camera}{name}": component for name, component in self._of_camera(state).items()}
        shared = diagnostics.figures(self._topics.timings, self._expire_after_s)
        if not self._several:
            shared |= diagnostics.node_health(
                self._topics, self._topics.timings, updates=self._announced.updates
            )
            shared |= diagnostics.host_health(self._host, self._topics.timings, self._expire_after_s)
            if self._announced.commands:
                shared["reload"] = controls.reload_button(self._topics.command)
        return {
            name: {**component, "unique_id": f"{self._node}_{name}"}
            for name, component in (own | shared).items()
        }

    def _of_camera(self, state: State) -> dict[str, dict[str, Any]]:
        """Components that carry the camera's name where it is no device of its own."""
        topics, called = self._topics, self._called
        scene = SceneEntities(topics, called, self._counts.names, tracks=self._extent.tracks)
        found = scene.by_label()
        for zone in self._extent.zones:
            found |= scene.of_zone(zone)
        for line in self._extent.lines:
            found |= scene.of_line(line)
        if self._extent.snapshots:
            found["snapshot"] = {
                "platform": "image",
                "name": named(called, "snapshot"),
                "icon": "mdi:camera",
                "image_topic": topics.snapshot,
                "content_type": "image/jpeg",
                **scene.while_it_sees(),
            }
        rest = {"camera": self._connectivity(), **diagnostics.camera_health(self._state_topic)}
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
            **diagnostics.binary("Connected", "connectivity", self._topics.status),
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
