"""Why the daemon did not start, left in the retained state: who looks there need not read its log.

Another daemon of this name that runs has the word, for it may be that we did not start because of it.
"""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import structlog

from edged import __version__
from edged.contract import payloads, states
from edged.contract.topics import NodeTopics
from edged.errors import ConfigError, EdgedError, SourceError
from edged.metrics import Delivery
from edged.mqtt.link import credentials
from edged.mqtt.one_shot.visit import visit
from edged.records import State
from edged.settings.systemd import service_manager

if TYPE_CHECKING:
    from collections.abc import Sequence

    from paho.mqtt.client import Client, MQTTMessage

    from edged.settings.declared import Settings

_LIMIT_S = 5.0
"""How long the broker may take to acknowledge it; the next attempt to start waits for it."""

_GONE = 1.5
"""So many keepalives after a daemon has lost its power its broker says that it is offline."""
_PATIENCE_S = 120.0
"""Nobody waits longer for that, however long the keepalive is: who reads the exit code waits with us."""

_QUIET_S = 0.5
"""What the broker remembers comes with its answer to the question; after so long it remembers nothing."""

log = structlog.get_logger()


class _Word:
    """What is said at the broker, unless somebody of this name is online.

    Args:
        topics: of the node.
        message: the state.
        patience_s: how long to wait for another one, who has the word, to turn out to be gone.
    """

    def __init__(self, topics: NodeTopics, message: bytes, patience_s: float) -> None:
        self.taken = False
        """Whether another one has the word."""
        self._patient_until = time.monotonic() + patience_s
        self._topics = topics
        self._message = message
        self._until = time.monotonic() + _LIMIT_S
        self._silent_at: float | None = None
        """When it is known that nobody is online."""
        self._sent: Any = None

    def hear(self, message: MQTTMessage) -> None:
        """Availability, as it is or as the broker remembers it."""
        self.taken = message.payload == b"online"
        self._until = time.monotonic() + _LIMIT_S

    def said(self, client: Client) -> bool:
        """Say it once nobody else is known to; whether there is nothing left to do.

        Raises:
            SourceError: the broker does not acknowledge it.
        """
        now = time.monotonic()
        if self.taken and now < self._patient_until:
            return False
        if now > self._until and not self.taken:
            raise SourceError("the broker does not acknowledge in time")
        if self._silent_at is None:
            # Whatever has come before this was not asked for: the answer is the next that comes, or late.
            self._silent_at = now + _LIMIT_S / 2
            client.on_subscribe = lambda *_: self._answered()
        if self._sent is None and not self.taken and now > self._silent_at:
            self._sent = client.publish(self._topics.state, self._message, qos=1, retain=True)
        return self.taken or (self._sent is not None and bool(self._sent.is_published()))

    def _answered(self) -> None:
        self._silent_at = time.monotonic() + _QUIET_S


def leave(cameras: Sequence[Settings], failure: EdgedError) -> None:
    """Publish it, if there is a broker and nobody of this name is online there; else the log says why not.

    Args:
        cameras: settings of each; the first says what holds for the whole node.
        failure: what kept it from starting.
    """
    settings = cameras[0]
    if settings.mqtt_url is None:
        return
    topics = NodeTopics(settings.mqtt_prefix, settings.node)
    # The next attempt would say it, but after such an exit code systemd makes none: we wait until the broker
    # knows that a daemon that was online before a loss of power is gone.
    final = failure.exit_code == ConfigError.exit_code and service_manager().socket is not None
    wait_s = patience_s(settings.mqtt_keepalive) if final else 0.0
    word = _Word(topics, payloads.encode(_message(cameras, failure)), wait_s)
    try:
        access = credentials.access_for(settings)
        # Under another id: a daemon of this name that runs must not be thrown out.
        access = dataclasses.replace(access, client_id=f"{access.client_id}-start")
        visit(access, (topics.availability,), word.hear, word.said)
    except EdgedError as error:
        log.warning("mqtt_last_word_lost", reason=str(error))
    if word.taken:
        log.warning(
            "mqtt_last_word_kept_back",
            reason=f"a daemon of the node {settings.node!r} is online, and its state is left alone",
        )


def patience_s(keepalive_s: int) -> float:
    """How long to wait for the broker to know that a daemon is gone which had this keepalive."""
    return min(_GONE * keepalive_s + _LIMIT_S, _PATIENCE_S)


def _message(cameras: Sequence[Settings], failure: EdgedError) -> states.StateMessage:
    first, now = cameras[0], time.time()
    record = State(
        lifecycle="stopped",
        device="",
        runtime="",
        model=", ".join(dict.fromkeys(one.model.stem for one in cameras)),
        version=__version__,
        config_hash=first.fingerprint,
        camera_online=False,
        degraded=(str(failure),),
    )
    return states.state(
        record,
        cameras=[one.camera for one in cameras],
        boot_id=uuid4().hex,
        delivery=Delivery(0, 0, 0, 0, 0, 0, {}),
        commands={"accepted": 0, "refused": {}},
        started=now,
        now=now,
    )
