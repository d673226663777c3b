"""Whether there is a newer version of edged: only where somebody has said whom to ask.

The answer is a JSON object with ``version`` and, if there is one, ``url`` of its notes. What goes wrong
stands in the state and troubles nobody: a house without the internet is no fault.
"""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import edged
from edged import bridge
from edged.contract.states import NewestVersion
from edged.settings.http_url import basic_login, problem_of
from edged.settings.secrets import server_of

if TYPE_CHECKING:
    from collections.abc import Callable

_EACH_S = 86400.0
_AGAIN_S = 3600.0
"""After a failure."""
_ANSWER_S = 10.0
_MOST_BYTES = 65536
_MOST_LETTERS = 255
"""What Home Assistant takes as a state."""


class VersionWatch:
    """Asks once a day, in a thread of its own.

    Args:
        url: http or https; empty: nobody is ever asked.
        tell: called when there is news.
    """

    def __init__(self, url: str, tell: Callable[[], None]) -> None:
        self.newest: NewestVersion | None = None
        """What is known; None before the first answer."""
        self._url = url
        self._tell = tell
        self._closing = threading.Event()

    def open(self) -> None:
        """Begin to ask."""
        if self._url:
            bridge.start("newer", self._run)

    def close(self) -> None:
        """Ask no more; who is asked just now is not waited for."""
        self._closing.set()

    def _run(self) -> None:
        while not self._closing.is_set():
            before, found = self.newest, self._ask()
            self.newest = found
            if self._closing.is_set():
                return
            if found != before:
                self._tell()
            # Not all of a fleet at the same minute.
            pause_s = _AGAIN_S if found["problem"] else _EACH_S
            self._closing.wait(pause_s * random.uniform(1, 1.2))  # noqa: S311  # no secret

    def _ask(self) -> NewestVersion:
        before = self.newest or NewestVersion(version=None, url=None, problem="")
        try:
            return read(_fetched(self._url))
        except (OSError, ValueError, http.client.HTTPException) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            if isinstance(error, urllib.error.HTTPError):
                reason = f"HTTP {error.code}"
            # The message says nothing of the answer itself, which may be anything.
            known = f": {reason}" if isinstance(error, OSError) else ""
            return {**before, "problem": f"{server_of(self._url)} gives no version{known}"}


def read(content: bytes) -> NewestVersion:
    """An answer.

    Raises:
        ValueError: it names no version.
    """
    try:
        answer: Any = json.loads(content)
    except RecursionError as error:
        raise ValueError from error
    version = answer.get("version") if isinstance(answer, dict) else None
    if not isinstance(version, str) or not version or not version.isprintable():
        raise ValueError
    if len(version) > _MOST_LETTERS:
        raise ValueError
    url = answer.get("url")
    plain = isinstance(url, str) and len(url) <= _MOST_LETTERS and not problem_of(url)
    return {"version": version, "url": url if plain else None, "problem": ""}


def _fetched(url: str) -> bytes:
    """The beginning of what is there, however slowly it comes.

    Raises:
        OSError: nobody answers, or with an error, or too slowly, or too much.
    """
    until = time.monotonic() + _ANSWER_S
    parts = urlsplit(url)
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    request = urllib.request.Request(bare)  # noqa: S310  # the settings take http and https only
    request.add_header("User-Agent", f"edged/{edged.__version__}")
    if parts.username is not None:
        login = basic_login(parts.username, parts.password or "")
        request.add_unredirected_header("Authorization", login)  # whoever else is asked next
    content = b""
    with urllib.request.urlopen(request, timeout=_ANSWER_S) as answer:  # noqa: S310
        while piece := answer.read1(_MOST_BYTES):
            content += piece
            if len(content) > _MOST_BYTES:
                raise OSError("it is too long")
            if time.monotonic() > until:
                raise TimeoutError("it is too slow")
    return content
