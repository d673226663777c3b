"""The broker as ``EDGED_MQTT_URL`` names it. Imports nothing heavy: the settings check themselves with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

from edged.errors import ConfigError
from edged.settings.secrets import PERCENT_ENCODE, has_credentials, without_credentials

_PORTS = {"mqtt": 1883, "mqtts": 8883}
_HINT = "Write it as mqtt://host, mqtt://user@host:1883 or mqtts://user@host:8883"


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is and as whom to go there. Its text never shows user and password."""

    host: str
    port: int
    tls: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        scheme = "mqtts" if self.tls else "mqtt"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}"


def parse_url(text: str) -> Broker:
    """The broker of a URL ``mqtt[s]://[user[:password]@]host[:port]``.

    Raises:
        ConfigError: it is not such a URL; a password in it is not repeated.
    """
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise _wrong(text, "host or port are malformed") from error
    problem = _problem(text, parts, port)
    if problem:
        raise _wrong(text, problem)
    assert parts.hostname is not None  # noqa: S101  # _problem() saw to it
    return Broker(
        host=parts.hostname,
        port=port or _PORTS[parts.scheme],
        tls=parts.scheme == "mqtts",
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
    )


def _problem(text: str, parts: SplitResult, port: int | None) -> str:
    """What is wrong with a URL that could be split; empty when nothing is."""
    scheme = f"{parts.scheme}://" if "://" in text else "nothing"
    checks = {
        "it holds blanks or control characters": not text.isprintable() or any(map(str.isspace, text)),
        f"it begins with {scheme} and not with mqtt:// or mqtts://": parts.scheme not in _PORTS,
        "it names no host": not parts.hostname,
        "port 0 cannot be reached": port == 0,
        "nothing may follow host and port": bool(parts.path.strip("/") or parts.query or parts.fragment),
        "it has a password and no user": bool(parts.password and not parts.username),
    }
    return next((problem for problem, found in checks.items() if found), "")


def _wrong(text: str, problem: str) -> ConfigError:
    if "://" not in text and not has_credentials(text) and "@" not in text:
        return ConfigError(
            f"EDGED_MQTT_URL={without_credentials(text)!r} is no broker: {problem}",
            hint=f"Write mqtt://{text}, or mqtts://{text} if it speaks TLS. {_HINT}",
        )
    hint = f"{_HINT}. {PERCENT_ENCODE}" if has_credentials(text) else _HINT
    return ConfigError(f"EDGED_MQTT_URL={without_credentials(text)!r} is no broker: {problem}", hint=hint)
