"""paho's client, set up our way; no loop of its own, no memory over one connection."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edged.mqtt.link.protocol import PACKET_LIMIT, BoundedClient

if TYPE_CHECKING:
    import ssl

    from edged.settings.broker import Broker

CONNECT_TIMEOUT_S = 10.0
CONNACK = 0x20
"""What the first answer of a broker begins with."""
_ANY_SIZE = 268_435_455
"""What MQTT itself allows, bytes."""
_OVERHEAD = 32
"""Bytes of a PUBLISH besides topic and payload, generously."""


@dataclass(frozen=True, slots=True)
class BrokerAccess:
    """How to get to the broker and how to introduce oneself."""

    broker: Broker
    client_id: str
    version: str = "5"
    """``5`` or ``3.1.1``."""
    keepalive_s: int = 15
    """A silent broker counts as gone after twice that."""
    tls: ssl.SSLContext | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What the broker lets us do (MQTT 5 says it in the CONNACK)."""

    window: int
    """Messages that may wait for their acknowledgement."""
    qos: int = 2
    retain: bool = True
    packet: int = _ANY_SIZE
    """Bytes."""

    @classmethod
    def of(cls, properties: Properties | None, window: int) -> Limits:
        """From the CONNACK, but not over our own ``window``."""
        told = properties.__dict__ if properties is not None else {}
        return cls(
            window=min(window, told.get("ReceiveMaximum", window)),
            qos=told.get("MaximumQoS", 2),
            retain=bool(told.get("RetainAvailable", 1)),
            packet=told.get("MaximumPacketSize", _ANY_SIZE),
        )

    def fits(self, topic: str, payload: bytes) -> bool:
        """Whether a message may be sent at all."""
        return len(topic.encode()) + len(payload) + _OVERHEAD <= self.packet


def build(access: BrokerAccess) -> BoundedClient:
    """A client that is not connected yet and has no callbacks."""
    five = access.version == "5"
    client = BoundedClient(
        CallbackAPIVersion.VERSION2,
        client_id=access.client_id,
        protocol=MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311,
        clean_session=None if five else True,
        reconnect_on_failure=False,
    )
    client.connect_timeout = CONNECT_TIMEOUT_S
    client.max_inflight_messages = 0  # the window is ours
    if access.broker.username is not None:
        client.username_pw_set(access.broker.username, access.broker.password)
    if access.tls is not None:
        client.tls_set_context(access.tls)
    return client


def connect(client: paho.Client, access: BrokerAccess) -> None:
    """Reach the broker and say who we are; the answer comes to ``client.on_connect``.

    Raises:
        OSError: the network or TLS says no.
    """
    five = access.version == "5"
    properties = None
    if five:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.MaximumPacketSize = PACKET_LIMIT
    try:
        client.connect(
            access.broker.host,
            access.broker.port,
            access.keepalive_s,
            clean_start=True if five else paho.MQTT_CLEAN_START_FIRST_ONLY,
            properties=properties,
        )
    except UnicodeError as error:  # a part of the name is empty, or longer than 63 letters
        raise socket.gaierror(socket.EAI_NONAME, "no host can have this name") from error
