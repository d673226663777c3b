"""How to get to the broker: address, secrets and certificates from their files. Nothing is ever logged."""

from __future__ import annotations

import dataclasses
import ssl
from typing import TYPE_CHECKING

from edged.errors import ConfigError
from edged.mqtt.link.client import BrokerAccess
from edged.settings import secret_file
from edged.settings.broker import parse_url

if TYPE_CHECKING:
    from pathlib import Path

    from edged.settings.declared import Settings

_PASSWORD_LIMIT = 65535
"""Bytes of the longest password that MQTT can carry."""


class _Socket(ssl.SSLSocket):
    """Closes itself when the handshake fails; paho would leave that to the garbage collector."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002  # as it is inherited
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise


def access_for(settings: Settings) -> BrokerAccess:
    """The access of the daemon.

    Raises:
        ConfigError: the URL is malformed, or the password or a certificate cannot be read.
    """
    assert settings.mqtt_url is not None  # noqa: S101  # without it nobody asks
    broker = parse_url(settings.mqtt_url)
    if settings.mqtt_password_file is not None:
        secret = password(settings.mqtt_password_file)
        broker = dataclasses.replace(broker, password=secret)
    tls = None
    if broker.tls:
        tls = tls_context(settings.mqtt_ca, settings.mqtt_cert, settings.mqtt_key)
    return BrokerAccess(
        broker=broker,
        # One id a node: a connection that hangs half dead in the broker is taken over, so its will comes
        # before our "online" and not some time after.
        client_id=f"edged-{settings.node}",
        version=settings.mqtt_version,
        keepalive_s=settings.mqtt_keepalive,
        tls=tls,
    )


def password(path: Path) -> str:
    """The content of ``path`` without the line break at its end.

    Raises:
        ConfigError: it cannot be read, or holds no password.
    """
    name = "EDGED_MQTT_PASSWORD_FILE"
    content = secret_file.read(path, name)
    if len(content) > _PASSWORD_LIMIT:
        raise ConfigError(
            f"{name}={str(path)!r} holds {len(content)} bytes", hint="A password has at most 65535"
        )
    text = secret_file.text_of(content, path, name, what="password").rstrip("\r\n")
    if not text:
        raise ConfigError(f"{name}={str(path)!r} is empty", hint="Write the password into it, or unset it")
    return text


def tls_context(ca: Path | None, cert: Path | None, key: Path | None) -> ssl.SSLContext:
    """TLS that checks the broker against ``ca`` (or the system's) and shows ``cert`` if there is one.

    Raises:
        ConfigError: a file cannot be read or is not what it should be; names the setting and the file.
    """
    if ca is None:
        context = ssl.create_default_context()
    else:
        text = secret_file.read(ca, "EDGED_MQTT_CA")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            context.load_verify_locations(cadata=text.decode("ascii"))
        except (ssl.SSLError, ValueError) as error:
            raise ConfigError(
                f"EDGED_MQTT_CA={str(ca)!r} holds no certificates", hint="It must be a file in PEM format"
            ) from error
    context.sslsocket_class = _Socket
    if cert is not None:
        secret_file.read(cert, "EDGED_MQTT_CERT")
        if key is not None:
            secret_file.read(key, "EDGED_MQTT_KEY")
        try:
            # An empty password keeps OpenSSL from asking for one on the terminal.
            context.load_cert_chain(cert, key, password="")
        except ssl.SSLError as error:
            raise ConfigError(
                f"EDGED_MQTT_CERT={str(cert)!r} and EDGED_MQTT_KEY={str(key)!r} cannot be used: "
                f"{error.reason or 'one of them is no PEM file'}",
                hint="They must be PEM files, the key unencrypted and that of the certificate",
            ) from error
    return context
