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
_SAID_S = 0.2
"""How long to listen for the answer of a server that takes no more of the request: it came before that."""
_PIECE = 65_536
_VERSION = b"HTTP/1."
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_LINE_END = re.compile(rb"\r?\n")
_MOST_LINE = 4096
"""Bytes of a line between the pieces of a body."""
_STATUS = re.compile(r"HTTP/1\.\d (\d{3})(?!\S)")
_LENGTH = re.compile(r"\d{1,9}")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;.*)?")
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

    Who does not want the request may answer before it has all of it, and take no more: that is heard, too.

    Args:
        sock: connected.
        request: head and body.
        within_s: seconds that sending may take, and then the answer, in however many pieces it comes.

    Raises:
        OSError: the connection broke, or the time was over (``TimeoutError``).
        http.client.HTTPException: the server does not speak HTTP/1.
    """
    sock.settimeout(within_s)
    try:
        sock.sendall(request)
    except OSError as unsent:
        try:
            return _reply(_Incoming(sock, _SAID_S))._replace(reusable=False)
        except (OSError, http.client.HTTPException):
            raise unsent from None
    return _reply(_Incoming(sock, within_s))


class _Incoming:
    """What a server says, for so long: who always says a little has no more time than who is silent."""

    def __init__(self, sock: socket.socket, within_s: float) -> None:
        self._sock = sock
        self._until = time.monotonic() + within_s
        self.received = b""
        """What has come and was not taken."""

    def more(self) -> None:
        """Wait for some.

        Raises:
            OSError: nothing came in time, or nothing will.
        """
        left_s = self._until - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        self._sock.settimeout(left_s)
        piece = self._sock.recv(_PIECE)
        if not piece:
            raise http.client.RemoteDisconnected("the server has hung up without an answer")
        self.received += piece

    def take(self, end: re.Pattern[bytes], most: int) -> bytes:
        """What comes before an end, which is left out."""
        while (found := end.search(self.received)) is None:
            if len(self.received) > most:
                raise http.client.LineTooLong("answer")
            self.more()
        taken, self.received = self.received[: found.start()], self.received[found.end() :]
        return taken

    def skip(self, size: int) -> None:
        """Let so many bytes go by."""
        while size > len(self.received):
            size -= len(self.received)
            self.received = b""
            self.more()
        self.received = self.received[size:]


def _reply(incoming: _Incoming) -> Reply:
    """The answer, and the end of it if that is near."""
    status = 0
    while status < _FINAL:
        while len(incoming.received) < len(_VERSION) and _VERSION.startswith(incoming.received):
            incoming.more()
        if not incoming.received.startswith(_VERSION):
            raise http.client.BadStatusLine(incoming.received[:80].decode("latin-1"))
        first, *lines = incoming.take(_HEAD_END, _MOST_HEAD).decode("latin-1").split("\n")
        found = _STATUS.match(first)
        if found is None:
            raise http.client.BadStatusLine(first)
        status = int(found[1])
    fields = (line.partition(":") for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in fields}
    stays = headers.get("connection", "").lower() != "close" and not first.startswith("HTTP/1.0")
    return Reply(status, headers, stays and _is_over(incoming, status, headers))


def _is_over(incoming: _Incoming, status: int, headers: dict[str, str]) -> bool:
    """Whether the answer has come to its end, which may be read if it is near."""
    # Some tell a length and send none.
    length = "0" if status == _BODILESS else headers.get("content-length", "")
    coding = "" if status == _BODILESS else headers.get("transfer-encoding", "")
    # What it says is known already: an end that does not come takes nothing back.
    with suppress(OSError, http.client.HTTPException):
        if coding.lower() == "chunked":
            return _skip_chunks(incoming) and not incoming.received
        if not coding and _LENGTH.fullmatch(length) and int(length) <= _MOST_BODY:
            incoming.skip(int(length))
            return not incoming.received
    return False


def _skip_chunks(incoming: _Incoming) -> bool:
    """Let a body go by in pieces, each behind a line that says how long it is; whether it has ended."""
    left = _MOST_BODY
    while found := _CHUNK.fullmatch(incoming.take(_LINE_END, _MOST_LINE)):
        size = int(found[1], 16)
        left -= size
        if left < 0:
            return False
        if not size:
            # Fields may follow, and an empty line.
            while incoming.take(_LINE_END, _MOST_LINE):
                pass
            return True
        incoming.skip(size)
        if incoming.take(_LINE_END, _MOST_LINE):
            return False
    return False
