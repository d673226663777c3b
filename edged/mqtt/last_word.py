"""Why the daemon did not start, left in the retained state: who looks there need not read its log."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import structlog

from edged import __version__
from edged.contract import payloads, states
from edged.contract.topics import NodeTopics
from edged.errors import EdgedError, SourceError
from edged.metrics import Delivery
from edged.mqtt.link import credentials
from edged.mqtt.link.visit import visit
from edged.records import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from paho.mqtt.client import Client

    from edged.settings.declared import Settings

_LIMIT_S = 5.0
"""How long the broker may take to acknowledge it; the next attempt to start waits for it."""

log = structlog.get_logger()


def leave(cameras: Sequence[Settings], failure: EdgedError) -> None:
    """Publish it, if there is a broker; that there is none, or that it refuses, is told in the log.

    Args:
        cameras: settings of each; the first says what holds for the whole node.
        failure: what kept it from starting.
    """
    settings = cameras[0]
    if settings.mqtt_url is None:
        return
    message = payloads.encode(_message(cameras, failure))
    topic = NodeTopics(settings.mqtt_prefix, settings.node).state
    until = time.monotonic() + _LIMIT_S
    sent: list[Any] = []

    def acknowledged(client: Client) -> bool:
        if time.monotonic() > until:
            raise SourceError("the broker does not acknowledge in time")
        if not sent:
            sent.append(client.publish(topic, message, qos=1, retain=True))
        done: bool = sent[0].is_published()
        return done

    try:
        access = credentials.access_for(settings)
        # Under another id: a daemon of this name that runs must not be thrown out.
        access = dataclasses.replace(access, client_id=f"{access.client_id}-start")
        visit(access, (), lambda _: None, acknowledged)
    except EdgedError as error:
        log.warning("mqtt_last_word_lost", reason=str(error))


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
