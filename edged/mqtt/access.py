"""How the settings say to get to the broker, and whether it can be done."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from edged.mqtt import credentials
from edged.mqtt.client import Access
from edged.mqtt.url import parse_url

if TYPE_CHECKING:
    from edged.config import Settings


def of(settings: Settings) -> Access:
    """The access of the daemon.

    Raises:
        ConfigError: the URL is malformed, or the password or a certificate cannot be read.
    """
    assert settings.mqtt_url is not None  # noqa: S101  # without it nobody asks
    broker = parse_url(settings.mqtt_url)
    if settings.mqtt_password_file is not None:
        secret = credentials.password(settings.mqtt_password_file.expanduser())
        broker = dataclasses.replace(broker, password=secret)
    tls = None
    if broker.tls:
        tls = credentials.tls_context(settings.mqtt_ca, settings.mqtt_cert, settings.mqtt_key)
    return Access(
        broker=broker,
        # One id a node: a connection that hangs half dead in the broker is taken over, so its will comes
        # before our "online" and not some time after.
        client_id=f"edged-{settings.node}",
        version=settings.mqtt_version,
        keepalive=settings.mqtt_keepalive,
        tls=tls,
    )
