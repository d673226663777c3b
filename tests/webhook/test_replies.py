"""Answers of all kinds of servers, as bytes."""

from __future__ import annotations

import http.client
import socket

import pytest
from door import Door

from edged.webhook.exchange import exchange

OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("says", "status", "reusable"),
    [
        (OK + b"Content-Length: 2\r\n\r\nok", 200, True),
        (OK + b"content-length:0\r\nRetry-After: 7\r\n\r\n", 200, True),
        (b"HTTP/1.1 204 No Content\n\n", 204, True),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 429\r\nContent-Length: 0\r\n\r\n", 429, True),
        (OK + b"Content-Length: 2\r\nConnection: Close\r\n\r\nok", 200, False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, False),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 200, False),
        (OK + b"\r\nuntil it hangs up", 200, False),
        (OK + b"Content-Length: 5\r\n\r\nok", 200, False),
        (OK + b"Content-Length: 2\r\n\r\nmore than it said", 200, False),
        (OK + b"Content-Length: 1e3\r\n\r\n", 200, False),
        (OK + b"Content-Length: %d\r\n\r\n" % 10**8, 200, False),
    ],
)
def test_a_connection_is_used_again_where_the_answer_has_an_end(
    *, says: bytes, status: int, reusable: bool
) -> None:
    door = Door(says)
    with socket.create_connection(("127.0.0.1", door.port), 30) as sock:
        answer = exchange(sock, b"POST / HTTP/1.1\r\n\r\n")
    door.close()
    assert (answer.status, answer.reusable) == (status, reusable)
    assert answer.headers.get("retry-after", "") == ("7" if b"Retry-After" in says else "")


@pytest.mark.parametrize(
    "says",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 fine\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        OK + b"x" * 200_000,
    ],
)
def test_what_is_no_answer_is_told(says: bytes) -> None:
    door = Door(says)
    with (
        socket.create_connection(("127.0.0.1", door.port), 30) as sock,
        pytest.raises((http.client.HTTPException, ConnectionError)),
    ):
        exchange(sock, b"POST / HTTP/1.1\r\n\r\n")
    door.close()
