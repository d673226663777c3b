"""The device at Home Assistant that several cameras lie below."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Any

from edged.mqtt.home import controls, diagnostics
from edged.mqtt.home.announcement import Announcement
from edged.mqtt.home.discovery import config_topic, node_id
from edged.mqtt.home.icons import named

if TYPE_CHECKING:
    from edged.contract.topics import NodeTopics
    from edged.mqtt.delivery.outbox import Outbox
    from edged.mqtt.home.discovery import Announced
    from edged.mqtt.link.session import Session


class NodeDevice:
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

    def ask(self, session: Session) -> None:
        """Ask for what an earlier start has announced."""
        self._announcement.ask(session, self._recall)

    def _recall(self, _: str, payload: bytes, __: bool) -> None:  # noqa: FBT001  # a handler
        """Learn what an earlier start has announced, and go on with it."""
        earlier = self._announcement.recall(payload)
        with self._lock:
            if earlier is not None:
                self._host |= diagnostics.host_sensors(earlier.platforms)
            if self._told is not None:
                self._announcement.tell(self._content(*self._told))
            self._announcement.settle()

    def _content(self, version: str, timings: str) -> dict[str, Any]:
        daemon = diagnostics.binary("Daemon", "connectivity", self._topics.availability)
        daemon |= {"payload_on": "online", "payload_off": "offline"}
        there = {"availability": [{"topic": self._topics.availability}]}
        told = {
            "problem": diagnostics.problem(self._topics.state),
            **diagnostics.node_health(self._topics, timings, updates=self._announced.updates),
        }
        components = {
            "daemon": daemon,
            **{name: {**one, **there} for name, one in told.items()},
            **diagnostics.host_health(self._host, timings, self._expire_after_s),
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
