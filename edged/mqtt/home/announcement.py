"""One device as Home Assistant is told of it, and what an earlier start has told of it.

Nothing is told before that is known, or known to be nothing: what is not known *yet*, such as a label that
has not been seen since the start, is no reason to take an entity with its history and settings from anybody.
A broker hands out what it remembers when it is asked for it, before it acknowledges what was sent later.
"""

from __future__ import annotations

import json
import math
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from edged.contract import payloads

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edged.mqtt.delivery.message import Message
    from edged.mqtt.delivery.outbox import Outbox
    from edged.mqtt.link.session import Session
    from edged.mqtt.link.subscriptions import Handler

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Earlier:
    """What was announced before our time."""

    model: str | None
    """Name of the model that ran; None if it is not known."""
    platforms: Mapping[str, str]
    """Kind of each entity (``sensor``, ``switch`` ...), by the name of its component."""
    device: Mapping[str, Any]


class Announcement:
    """The retained message that describes a device. Thread-safe.

    Args:
        topic: where it goes.
        outbox: takes it.
        device: id of the device.
        wanted: whether to announce at all; if not, what an earlier start has announced is taken back.
    """

    def __init__(self, topic: str, outbox: Outbox, *, device: str, wanted: bool = True) -> None:
        self.topic = topic
        self._outbox = outbox
        self._device = device
        self._wanted = wanted
        self._lock = threading.Lock()
        self._content: dict[str, Any] | None = None
        self._asked_at = math.inf
        """When what an earlier start has announced was asked for, monotonic."""
        self._known = False
        """Whether that was read, or there is nothing."""
        self._platforms: dict[str, str] = {}
        """The same, for all components that Home Assistant may know of."""
        self._published = b""

    def tell(self, content: dict[str, Any]) -> None:
        """Publish what describes the device now, if it says anything new."""
        with self._lock:
            self._content = content
            self._publish()

    def ask(self, session: Session, handler: Handler) -> None:
        """Ask for what an earlier start has announced; ``handler`` gives it to :meth:`recall`."""
        session.subscribe(self.topic, handler, own=True)
        self._asked_at = time.monotonic()

    def acknowledged(self, message: Message) -> None:
        """The broker has taken a message: if it was sent after the question, there is no answer to come."""
        if not self._known and message.qos and message.made > self._asked_at:
            self.settle()

    def recall(self, payload: bytes) -> Earlier | None:
        """Read what an earlier start has announced; nothing is told before :meth:`settle`.

        Returns:
            None where it is not an announcement.
        """
        earlier = _read(payload)
        if earlier is None:
            log.warning("mqtt_discovery_unreadable", topic=self.topic)
            return None
        with self._lock:
            if self._wanted:
                self._platforms = {**earlier.platforms, **self._platforms}
            elif earlier.device.get("identifiers") == [self._device]:
                self._outbox.post(self.topic, b"")
        return earlier

    def settle(self) -> None:
        """What was announced before is known."""
        with self._lock:
            self._known = True
            self._publish()

    def _publish(self) -> None:
        content = self._content
        if content is None or not self._wanted or not self._known:
            return
        components = content["components"]
        if gone := {name: what for name, what in self._platforms.items() if name not in components}:
            # A component that is merely left out stays; one that is nothing but its platform is removed.
            empty = {name: {"platform": what} for name, what in gone.items()}
            removal = payloads.encode({**content, "components": {**components, **empty}})
            self._outbox.post(self.topic, removal, retain=False, key=f"{self.topic}#removal")
        self._platforms = {name: component["platform"] for name, component in components.items()}
        encoded = payloads.encode(content)
        if gone or encoded != self._published:
            self._published = encoded
            self._outbox.post(self.topic, encoded)


def _read(payload: bytes) -> Earlier | None:
    try:
        content = json.loads(payload)
        platforms = {
            str(name): str(component.get("platform") or component.get("p"))
            for name, component in content["components"].items()
        }
        model = content["device"].get("model_id")
    except (ValueError, LookupError, AttributeError, TypeError, RecursionError):
        return None
    return Earlier(model if isinstance(model, str) else None, platforms, content["device"])
