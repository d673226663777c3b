"""Secrets and certificates from their files. Nothing here is ever logged."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from edged.errors import ConfigError
from edged.notation import named

if TYPE_CHECKING:
    from pathlib import Path

_PASSWORD_LIMIT = 65535
"""Bytes; MQTT has no longer one."""


class _Socket(ssl.SSLSocket):
    """Closes itself when the handshake fails; paho would leave that to the garbage collector."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002  # as it is inherited
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise


def password(path: Path) -> str:
    """The content of ``path`` without the line break at its end.

    Raises:
        ConfigError: it cannot be read, or holds no password.
    """
    name = "EDGED_MQTT_PASSWORD_FILE"
    content = _read(path, name)
    if len(content) > _PASSWORD_LIMIT:
        raise ConfigError(
            f"{name}={str(path)!r} holds {len(content)} bytes", mend="A password has at most 65535"
        )
    try:
        text = content.decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{name}={str(path)!r} is not UTF-8 text", mend="Write the password into it"
        ) from error
    if not text:
        raise ConfigError(f"{name}={str(path)!r} is empty", mend="Write the password into it, or unset it")
    return text


def tls_context(ca: Path | None, cert: Path | None, key: Path | None) -> ssl.SSLContext:
    """TLS that checks the broker against ``ca`` (or the system's) and shows ``cert`` if there is one.

    Raises:
        ConfigError: a file cannot be read or is not what it should be; names the setting and the file.
    """
    context = ssl.create_default_context()
    if ca is not None:
        text = _read(ca, "EDGED_MQTT_CA")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            context.load_verify_locations(cadata=text.decode("ascii"))
        except (ssl.SSLError, ValueError) as error:
            raise ConfigError(
                f"EDGED_MQTT_CA={str(ca)!r} holds no certificates", mend="It must be a file in PEM format"
            ) from error
    context.sslsocket_class = _Socket
    if cert is not None:
        _read(cert, "EDGED_MQTT_CERT")
        if key is not None:
            _read(key, "EDGED_MQTT_KEY")
        try:
            # An empty password keeps OpenSSL from asking for one on the terminal.
            context.load_cert_chain(cert, key, password="")
        except ssl.SSLError as error:
            raise ConfigError(
                f"EDGED_MQTT_CERT={str(cert)!r} and EDGED_MQTT_KEY={str(key)!r} cannot be used: "
                f"{error.reason or error}",
                mend="They must be PEM files, the key unencrypted and that of the certificate",
            ) from error
    return context


def _read(path: Path, name: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{named(name, path)} cannot be read: {error.strerror}",
            mend="Correct the path, or give the user of edged the right to read it",
        ) from error
