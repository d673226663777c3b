"""Values of settings as messages may show them: without users, passwords and tokens."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_PARTS = re.compile(
    r"(?P<scheme>[A-Za-z][\w+.-]*://)(?P<authority>[^/?#]*)(?P<path>[^?#]*)(?P<query>\?[^#]*)?(?P<rest>.*)",
    re.DOTALL,
)
_SECRET = re.compile(
    r"([?&][^=&]*(?:pass|pwd|token|key|secret|auth|user|usr|login|sig)[^=&]*=)[^&#]*", re.IGNORECASE
)
"""Cameras without HTTP authentication take the password as ``?user=admin&pwd=...``."""


def redacted(spec: str) -> str:
    """The value of EDGED_SOURCE as it may be shown: no user, password or token. Paths stay as they are."""
    match = _PARTS.fullmatch(spec)
    if match is None:
        return spec
    authority, rest = match["authority"], match["path"] + (match["query"] or "") + match["rest"]
    if "@" in authority:
        authority = authority.rpartition("@")[2]
    elif ":" in authority and "@" in rest:
        # A password with a / or ? in it, which should have been percent-encoded: better show too little.
        authority, rest = "", rest.rpartition("@")[2]
    return match["scheme"] + authority + _SECRET.sub(r"\1***", rest)


def redact(text: str) -> str:
    """``text`` without what may be a user name and a password before the last ``@``."""
    return re.sub(r"^([A-Za-z][A-Za-z0-9+.-]*:/*)?.*@", r"\1***@", text, flags=re.DOTALL)


def shown(value: object, name: str = "") -> str:
    """A value as messages show it: what may be a password is not repeated."""
    return "'***'" if re.search("PASS|SECRET|TOKEN", name.upper()) else repr(without_secrets(value))


def without_secrets(value: object) -> object:
    """A value without user, password and token, if it is a URL that has them."""
    if not isinstance(value, str):
        return value
    return redacted(value) if "://" in value else redact(value) if ":" in value.rpartition("@")[0] else value


def named(name: str, path: Path) -> str:
    """A setting that names a file with a secret; what looks like no path may be the secret itself."""
    return f"{name}={str(path)!r}" if "/" in str(path) else f"{name}, a file in the folder where edged runs,"
