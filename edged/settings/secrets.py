"""Values of settings as messages may show them: without users, passwords, keys and tokens.

Whatever has ``://`` in it is a URL. Makers put credentials before an ``@``, behind a ``?`` and even into the
path (``/user=admin_password=..._channel=1``), and people type passwords as they are, with characters that end
a part of a URL. So only what can be no part of a credential is shown: scheme, host, port, and the path up to
the first ``=``.
"""

from __future__ import annotations

import re

HIDDEN = "***"
PERCENT_ENCODE = (
    "If its user or password holds one of @ : / ? # [ ] % or a blank, write that percent-encoded: "
    "%40 %3A %2F %3F %23 %5B %5D %25 %20"
)
"""The commonest mistake of all, for the messages of whoever cannot reach a URL with credentials."""
_URL = re.compile(r"([A-Za-z][\w+.-]*)://([^/?#\\]*)([^?#]*)(.*)", re.DOTALL)


def without_credentials(text: str) -> str:
    """``text`` as it may be shown; what is no URL and names no user stays as it is."""
    if "://" not in text:
        # As ``ann:secret@broker`` without its scheme, perhaps with a colon where the scheme should be.
        return f"{HIDDEN}@{text.rpartition('@')[2]}" if ":" in text.rpartition("@")[0] else text
    url = _URL.fullmatch(text)
    if url is None:
        return f"{HIDDEN}://{HIDDEN}"
    scheme, authority, path, rest = url.groups()
    if "@" in path or "@" in rest:
        # Perhaps a password with a / in it: then what looks like the host is none.
        return f"{scheme}://{HIDDEN}"
    if "=" in path:
        path = f"{path[: path.index('=')].rpartition('/')[0]}/{HIDDEN}"
    return f"{scheme}://{authority.rpartition('@')[2]}{path}{rest[:1]}{HIDDEN if rest[1:] else ''}"


def without_addresses(text: str) -> str:
    """The message of a library, up to the first URL: it repeats what it was given, with all that is in it."""
    return re.sub(r"[A-Za-z][\w+.-]*://.*", HIDDEN, text, flags=re.DOTALL)


def of_traceback(text: str) -> str:
    """The same of every line by itself: what stands below is no part of a URL."""
    return "\n".join(map(without_addresses, text.splitlines()))


def words_of(error: BaseException) -> str:
    """What a library's exception may say in a message: its kind and words, without addresses."""
    return f"{type(error).__name__}: {without_addresses(str(error))}"


def has_credentials(text: str) -> bool:
    """Whether a URL has something in it that is not shown."""
    return without_credentials(text) != text


def server_of(url: str) -> str:
    """A URL as it may be shown where its very path is a secret, as with webhooks: no more than the server."""
    begins = re.match(
        r"[A-Za-z][\w+.-]*://(\[[0-9A-Fa-f:.]+\]|[\w.-]+)?(:\d+)?(?=[/?]|$)", without_credentials(url)
    )
    return f"{begins[0]}/{HIDDEN}" if begins else HIDDEN


def of_setting(value: str, name: str) -> str:
    """The value of a setting as it may be shown."""
    if re.search("WEBHOOK|UPDATE_URL", name.upper()) and re.search("[/?:.]", value):
        return server_of(value)
    return without_credentials(value)


def shown(value: object, name: str = "") -> str:
    """A value as messages show it: what may be a password is not repeated."""
    if re.search("PASS|SECRET|TOKEN", name.upper()):
        return repr(HIDDEN)
    return repr(of_setting(value, name) if isinstance(value, str) else value)
