"""Where the live view listens. Imports nothing heavy: the settings check themselves with it."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from edged.errors import ConfigError
from edged.settings.secrets import without_credentials

_MOST_PORT = 65535


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a port to listen on."""

    host: str
    port: int
    """0 takes any that is free."""

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)

    @property
    def url(self) -> str:
        """The page, as a browser wants it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/"


def parse(text: str) -> Address:
    """The address of ``host:port``.

    Raises:
        ConfigError: it is no such thing.
    """
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
    bracketed = text.startswith("[") and "]:" in text
    well_formed = colon and host and port.isascii() and port.isdigit() and (bracketed or ":" not in host)
    if not well_formed or int(port) > _MOST_PORT or any(map(str.isspace, host)) or "/" in host:
        raise ConfigError(
            f"EDGED_HTTP={without_credentials(text)!r} is not host:port",
            hint="Write 127.0.0.1:8080 for this machine only, or 0.0.0.0:8080 for all",
        )
    return Address(host, int(port))


def is_loopback(host: str) -> bool:
    """Whether ``host`` is a name or an address of this machine that no other one can reach."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
