"""Taking back everything that a node has retained at a broker, from outside the daemon."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from edged.contract.topics import Topics
from edged.errors import EdgedError, SourceError
from edged.mqtt.home.discovery import config_topic, node_id
from edged.mqtt.one_shot.visit import visit
from edged.mqtt.retained import leftovers

if TYPE_CHECKING:
    from paho.mqtt.client import Client, MQTTMessage
    from paho.mqtt.reasoncodes import ReasonCode

    from edged.mqtt.link.client import BrokerAccess
    from edged.mqtt.retained.names import Names

_QUIET_S = 0.5
"""After so long without one, no retained message is on its way any more."""
_LIMIT_S = 20.0


class Forgetting:
    """Hears what is retained, then clears it. Fed by paho's callbacks.

    Args:
        names: of the node.
        now: of the monotonic clock, seconds.
    """

    def __init__(self, names: Names, now: float) -> None:
        self._names = names
        self._heard = now
        self._online = False
        self._found: set[str] = set()
        self._waiting: set[int] = set()
        self._begun = False
        self.refused: dict[int, str] = {}
        """Reasons of the broker, by message."""

    @property
    def filters(self) -> tuple[str, ...]:
        """What to subscribe to."""
        topics = self._names.topics
        pictures = (f"{topics.base}/+/snapshot", f"{topics.base}/+/best/+")
        devices = (config_topic(self._names.ha_prefix, "+"),) if self._names.ha_prefix else ()
        return (topics.availability, topics.state, *leftovers.filters(topics), *pictures, *devices)

    def take(self, topic: str, payload: bytes, *, retained: bool) -> None:
        """One message."""
        topics = self._names.topics
        if not retained or not payload:
            return
        self._heard = time.monotonic()
        if topic == topics.availability and payload == b"online":
            self._online = True
        device = topic.removeprefix(f"{self._names.ha_prefix}/device/").removesuffix("/config")
        ours = device == node_id(topics) or device.startswith(f"{node_id(topics)}--")
        if ours or topic.startswith(f"{topics.base}/"):
            self._found.add(topic)

    def step(self, client: Client) -> bool:
        """Begin to clear when all was heard; whether everything is done.

        Raises:
            EdgedError: the daemon of this name runs.
        """
        if not self._begun and time.monotonic() - self._heard > _QUIET_S:
            self._begun = True
            if self._online:
                raise EdgedError(
                    f"the node {self._names.node!r} is online: what it has retained is still true",
                    hint="Stop its daemon first, for example with 'sudo systemctl stop edged'",
                )
            for topic in sorted(self._found | self._pictures()):
                self._waiting.add(client.publish(topic, b"", qos=1, retain=True).mid)
        return self._begun and not self._waiting

    def settled(self, message: int, reason: ReasonCode) -> None:
        """The broker has taken a message, or refused it."""
        self._waiting.discard(message)
        if reason.is_failure:
            self.refused[message] = reason.getName().lower()

    @property
    def cleared(self) -> int:
        """How many topics there were."""
        return len(self._found) - len(self.refused)

    def _pictures(self) -> set[str]:
        """Snapshots of all cameras: a large one is not taken in, so it was not heard."""
        topics = self._names.topics
        cameras = {
            topic.removeprefix(f"{topics.base}/").split("/")[0]
            for topic in self._found
            if topic.endswith("/status")
        }
        return {Topics(topics.prefix, topics.node, camera).snapshot for camera in cameras}


def forget(access: BrokerAccess, names: Names) -> int:
    """Clear all topics of a node; how many there were.

    Raises:
        EdgedError: the daemon of this name runs, or the broker does not let us.
        SourceError: the broker cannot be reached, refuses us or is lost.
    """
    work = Forgetting(names, time.monotonic())
    until = time.monotonic() + _LIMIT_S

    def on_publish(_: Any, __: Any, message: int, reason: ReasonCode, ___: Any) -> None:
        work.settled(message, reason)

    def take(message: MQTTMessage) -> None:
        work.take(message.topic, bytes(message.payload), retained=message.retain)

    def enough(client: Client) -> bool:
        if time.monotonic() > until:
            raise SourceError(f"the broker {access.broker} does not acknowledge in time", hint="Try it again")
        client.on_publish = on_publish
        return work.step(client)

    visit(access, work.filters, take, enough)
    if work.refused:
        raise EdgedError(
            f"the broker {access.broker} refused to clear {len(work.refused)} of "
            f"{len(work.refused) + work.cleared} topics: {', '.join(sorted(set(work.refused.values())))}",
            hint="Use the node's own user, or one that may write there",
        )
    return work.cleared
