"""A request and its answer over a connection that is open.

``http.client`` makes the connection, but it reads the head of an answer as if that were a mail: beside a
model, which leaves nothing in the caches, a POST takes more than twice as long that way.
"""

from __future__ import annotations

import http.client
import re
import select
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import socket

_MOST_HEAD = 65_536
"""Bytes of the head of an answer."""
_MOST_BODY = 65_536
"""Bytes of an answer that are read, though nobody wants them, so that the connection can be used again."""
_CHUNK = 65_536
_VERSION = b"HTTP/1."
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_STATUS = re.compile(r"HTTP/1\.\d (\d{3})(?!\S)")
_LENGTH = re.compile(r"\d{1,9}")
_FINAL = 200
"""From here on a status is an answer; others only announce one (RFC 9110)."""
_BODILESS = 204
"""No body follows this one, whatever the head says (RFC 9112)."""


class Reply(NamedTuple):
    """What a server has answered."""

    status: int
    headers: dict[str, str]
    """By name in lower case; of several with one name the last."""
    reusable: bool
    """Whether the connection is free for the next request."""


def is_quiet(sock: socket.socket) -> bool:
    """Whether a server has said nothing since its answer: an end, or what would be taken for the next one."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return not poll.poll(0)


def exchange(sock: socket.socket, request: bytes, within_s: float) -> Reply:
    """Send a whole request and hear the answer; what stands in its body is nobody's business.

    Args:
        sock: connected.
        request: head and body.
        within_s: seconds that sending may take, and then the answer, in however many pieces it comes.

    Raises:
        OSError: the connection broke, or the time was over (``TimeoutError``).
        http.client.HTTPException: the server does not speak HTTP/1.
    """
    sock.settimeout(within_s)
    sock.sendall(request)
    until = time.monotonic() + within_s
    rest = b""
    while True:
        head, rest = _head(sock, rest, until)
        first, *lines = head.decode("latin-1").split("\n")
        found = _STATUS.match(first)
        if found is None:
            raise http.client.BadStatusLine(first)
        if (status := int(found[1])) >= _FINAL:
            break
    fields = (line.partition(":") for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in fields}
    stays = headers.get("connection", "").lower() != "close" and not first.startswith("HTTP/1.0")
    return Reply(status, headers, stays and _is_over(sock, status, headers, rest, until))


def _head(sock: socket.socket, received: bytes, until: float) -> tuple[bytes, bytes]:
    """The head of an answer of which so much was received, and what came with it."""
    while (end := _HEAD_END.search(received)) is None:
        if received[: len(_VERSION)] != _VERSION[: len(received)] or len(received) > _MOST_HEAD:
            raise http.client.BadStatusLine(received[:80].decode("latin-1"))
        more = _more(sock, _CHUNK, until)
        if not more:
            raise http.client.RemoteDisconnected("the server has hung up without an answer")
        received += more
    return received[: end.start()], received[end.end() :]


def _more(sock: socket.socket, most: int, until: float) -> bytes:
    """What comes until then, monotonic: who always says a little has no more time than who is silent."""
    left_s = until - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    sock.settimeout(left_s)
    return sock.recv(most)


def _is_over(
    sock: socket.socket, status: int, headers: dict[str, str], received: bytes, until: float
) -> bool:
    """Whether the answer has come to its end, which may be read if it is near."""
    # Some tell a length and send none.
    told = "0" if status == _BODILESS else headers.get("content-length", "")
    if "transfer-encoding" in headers or not _LENGTH.fullmatch(told):
        return False
    missing = int(told) - len(received)
    if missing > _MOST_BODY:
        return False
    # What it says is known already: an end that does not come takes nothing back.
    with suppress(OSError):
        while missing > 0 and (more := _more(sock, missing, until)):
            missing -= len(more)
    return missing == 0
