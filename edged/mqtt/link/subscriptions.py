"""What one session has asked the broker for, and who gets what comes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from paho.mqtt.client import topic_matches_sub
from paho.mqtt.subscribeoptions import SubscribeOptions

from edged.mqtt.link.recall import Recall

if TYPE_CHECKING:
    from collections.abc import Callable

    from paho.mqtt import client as paho
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

    from edged.mqtt.link.experience import Experience

Handler: TypeAlias = "Callable[[str, bytes, bool], None]"
"""Takes topic, payload and whether it was published as retained; called from the session's thread."""


class Subscriptions:
    """Asks for topics, and hands out what comes. Used from the session's thread.

    Args:
        client: not yet connected; its callbacks for subscriptions and messages are taken.
        experience: told once of each topic that is refused.
        five: whether the broker is spoken to in MQTT 5.
    """

    def __init__(
        self, client: paho.Client, experience: Experience, *, five: bool, clock: Callable[[], float]
    ) -> None:
        self._client = client
        self._clock = clock
        self._experience = experience
        self._five = five
        self._handlers: dict[str, tuple[Handler, bool]] = {}
        self._asked: dict[int | None, str] = {}
        self._recall: Recall | None = None
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message

    @property
    def recalling(self) -> bool:
        """Whether the broker is still telling what it remembers of us."""
        return self._recall is not None

    def begin(self) -> None:
        """There is a session: what is asked for now may be remembered by the broker."""
        self._recall = Recall(self._clock)

    def recalled(self, *, hurried: bool) -> bool:
        """Whether all that is remembered has come just now; once it has, that is no news any more."""
        if self._recall is None or not (self._recall.over or hurried):
            return False
        self._recall = None
        return True

    def ask(self, topic: str, handler: Handler, *, own: bool) -> None:
        """Ask for a topic; ``own`` is one of ours, where an earlier start may have left something."""
        self._handlers[topic] = (handler, own)
        if self._five:
            # Even a fresh command must show that it was published as retained. What we publish ourselves
            # does not come back.
            options = SubscribeOptions(qos=1, noLocal=True, retainAsPublished=not own)
            _, mid = self._client.subscribe(topic, options=options)
        else:
            _, mid = self._client.subscribe(topic, qos=1)
        self._asked[mid] = topic
        if own and self._recall is not None:
            self._recall.asked(mid)

    def _on_subscribe(
        self, client: paho.Client, _: Any, mid: int, reasons: list[ReasonCode], properties: Properties | None
    ) -> None:
        del client, properties
        topic = self._asked.pop(mid, "")
        if self._recall is not None:
            self._recall.answered(mid)
        _, own = self._handlers.get(topic, (None, False))
        for reason in reasons:
            if reason.is_failure and not own:  # our own topics may be for writing only
                self._experience.complain("mqtt_subscription_refused", topic, reason.getName().lower())

    def _on_message(self, client: paho.Client, _: Any, message: paho.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return
        for wanted, (handler, own) in list(self._handlers.items()):  # a handler may ask for more
            if not topic_matches_sub(wanted, topic):
                continue
            if not own:
                handler(topic, bytes(message.payload), message.retain)
            elif message.retain and message.payload:
                if self._recall is not None:
                    self._recall.heard()
                handler(topic, bytes(message.payload), True)
            elif not self._five:
                # What we publish comes back, which only MQTT 5 can prevent: all that was retained has come.
                client.unsubscribe(wanted)
