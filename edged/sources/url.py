"""URLs of cameras without what is secret in them."""

from __future__ import annotations

import re

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
