"""Who may look."""

from __future__ import annotations

import base64
import binascii
import hmac
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from edged.errors import ConfigError
from edged.settings import secret_file
from edged.settings.listener import is_loopback

if TYPE_CHECKING:
    from pathlib import Path

CHALLENGE = 'Basic realm="edged", charset="UTF-8"'
"""What browsers answer by asking for a name, which does not matter, and a password, the token."""
KEPT_S = 90 * 86400
"""How long a browser that has shown the token need not show it again: a phone does not remember passwords."""
_LEAST = 16
"""Characters of a token: nobody guesses 64 bits over a network."""


class Guard:
    """Asks for the token, or without one believes only browsers that know that they talk to this machine.

    The second is against pages that make their own host name lead to 127.0.0.1 (DNS rebinding): a request
    that names no loopback host was not meant for us.

    Args:
        token: the secret; None where only this machine can reach us.
    """

    def __init__(self, token: str | None) -> None:
        self._token = token.encode() if token else None
        # By its own name: cookies know no ports, and a second daemon on this machine has another token.
        self.cookie = f"edged-{self._sealed('name')[:8]}"
        """Name of the cookie that stands for the token."""

    def problem(self, *, host: str, authorization: str) -> int:
        """The HTTP status that a request deserves: 401 without the token, 421 meant for another, else 0.

        Args:
            host: of the request's headers.
            authorization: likewise; ``Basic`` with the token as the password, or ``Bearer``.
        """
        if self._token is None:
            return 0 if _names_loopback(host) else 421
        offered = _offered(authorization)
        return 0 if offered is not None and hmac.compare_digest(offered, self._token) else 401

    def pass_until(self, end: int) -> str:
        """What a browser may show instead of the token until then, UTC, seconds since the epoch."""
        return f"{end}.{self._sealed(str(end))}"

    def left(self, shown: str) -> float:
        """Seconds for which what a browser shows still stands for the token; nothing where it never did."""
        end, _, seal = shown.partition(".")
        # One nobody can guess, so that it need not wait where others guess.
        if self._token is None or not hmac.compare_digest(seal.encode(), self._sealed(end).encode()):
            return 0.0
        return max(0.0, int(end) - time.time())

    def _sealed(self, what: str) -> str:
        """Only who knows the token can make it; with another token it is worth nothing."""
        return hmac.new(
            self._token or b"", b"edged page " + what.encode(errors="replace"), "sha256"
        ).hexdigest()


def offers(authorization: str) -> bool:
    """Whether a request's header brings a token, right or wrong."""
    return _offered(authorization) is not None


def read_token(path: Path) -> str:
    """The content of ``path`` without blanks around it.

    Raises:
        ConfigError: it cannot be read, or holds no token that is worth the name.
    """
    name = "EDGED_HTTP_TOKEN_FILE"
    token = secret_file.text_of(secret_file.read(path, name), path, name, what="token").strip()
    if len(token) < _LEAST or not token.isprintable():
        raise ConfigError(
            f"{name}={str(path)!r} holds no line of {_LEAST} characters or more",
            hint=f"Make a token with: openssl rand -hex 16 > {path}",
        )
    return token


def _offered(authorization: str) -> bytes | None:
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return credentials.strip().encode(errors="replace")
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(credentials.strip(), validate=True).partition(b":")[2]
        except (binascii.Error, ValueError):
            return None
    return None


def _names_loopback(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return False
    return name is not None and is_loopback(name)
