"""Answers of all kinds of servers, as bytes."""

from __future__ import annotations

import http.client
import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest
from door import Door

from edged.contract.notices import Body
from edged.webhook.exchange import exchange
from edged.webhook.server import HttpServer, WebhookError

if TYPE_CHECKING:
    from collections.abc import Iterator

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
REQUEST = b"POST / HTTP/1.1\r\n\r\n"


@pytest.mark.parametrize(
    ("says", "status", "reusable"),
    [
        (OK + b"Content-Length: 2\r\n\r\nok", 200, True),
        (OK + b"content-length:0\r\nRetry-After: 7\r\n\r\n", 200, True),
        (b"HTTP/1.1 204 No Content\n\n", 204, True),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", 204, True),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 429\r\nContent-Length: 0\r\n\r\n", 429, True),
        (OK + b"Content-Length: 2\r\nConnection: Close\r\n\r\nok", 200, False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, False),
        (CHUNKED + b"2\r\nok\r\n0\r\n\r\n", 200, True),
        (CHUNKED + b"2;by=nobody\r\nok\r\n0A \r\n0123456789\r\n000\r\nX-Sum: 1\r\n\r\n", 200, True),
        (CHUNKED + b"2\r\nok\r\n0\r\n\r\nmore than it said", 200, False),
        (CHUNKED + b"2\r\nok\r\n0\r\nX-Sum: 1\r\n", 200, False),
        (CHUNKED + b"2\r\nokay\r\n0\r\n\r\n", 200, False),
        (CHUNKED + b"0x2\r\nok\r\n0\r\n\r\n", 200, False),
        (CHUNKED + b"-1\r\n0\r\n\r\n", 200, False),
        (CHUNKED + b"9000000\r\n", 200, False),
        (CHUNKED + b"1\r\nx\r\n" * 70_000 + b"0\r\n\r\n", 200, False),
        (CHUNKED + b"1;" + b"y" * 100_000, 200, False),
        (OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 200, False),
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
        answer = exchange(sock, REQUEST, 30)
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
        exchange(sock, REQUEST, 30)
    door.close()


@contextmanager
def chatter(first: bytes, more: bytes) -> Iterator[socket.socket]:
    """A connection to somebody who never ends."""
    here, there = socket.socketpair()
    over = threading.Event()

    def talk() -> None:
        there.sendall(first)
        while not over.wait(0.02):
            there.sendall(more)

    talks = threading.Thread(target=talk)
    with here, there:
        talks.start()
        try:
            yield here
        finally:
            over.set()
            talks.join()


@pytest.mark.parametrize(
    ("first", "more"), [(b"", b"HTTP/1.1 102 Processing\r\n\r\n"), (OK + b"X: ", b"y")], ids=["news", "head"]
)
def test_who_always_says_a_little_has_no_more_time_than_who_is_silent(first: bytes, more: bytes) -> None:
    with chatter(first, more) as sock, pytest.raises(TimeoutError):
        exchange(sock, REQUEST, 0.3)


def test_an_answer_that_trickles_in_is_not_heard_to_its_end() -> None:
    with chatter(OK + b"Content-Length: 60000\r\n\r\n", b"x") as sock:
        answer = exchange(sock, REQUEST, 2)
    assert (answer.status, answer.reusable) == (200, False)


@pytest.mark.parametrize("then", [b"HTTP/1.1 408 Request Timeout\r\n\r\n", b"nobody asked for this"])
def test_a_server_that_has_gone_on_to_talk_is_asked_over_another_connection(then: bytes) -> None:
    bodies: list[bytes] = []
    said = threading.Semaphore(0)

    def serve() -> None:
        for _ in range(2):
            guest, _ = listener.accept()
            with guest:
                head = b""
                while not head.endswith((b"\r\n\r\n1", b"\r\n\r\n2")):
                    head += guest.recv(1 << 16)
                bodies.append(head[-1:])
                guest.sendall(OK + b"Content-Length: 0\r\n\r\n")
                guest.sendall(then)
                guest.shutdown(socket.SHUT_WR)
                said.release()
                with suppress(ConnectionResetError):  # what was said is thrown away unread
                    while guest.recv(1 << 16):
                        pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        serves = threading.Thread(target=serve)
        serves.start()
        server = HttpServer(f"http://127.0.0.1:{listener.getsockname()[1]}/")
        for body in (b"1", b"2"):
            server.post(Body(body, {}), 30)
            assert said.acquire(timeout=30)
        server.hang_up()
        serves.join(30)
    assert bodies == [b"1", b"2"]


def refuses_early(listener: socket.socket, says: bytes) -> None:
    """Answer two guests when they have begun to talk, and hang up on what they have still to say."""
    for _ in range(2):
        guest, _ = listener.accept()
        with guest:
            guest.recv(1000)
            guest.sendall(says)


@pytest.mark.parametrize(
    ("says", "final"),
    [
        (b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno", True),
        (b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", False),
    ],
)
def test_an_answer_to_what_was_not_sent_to_its_end_is_obeyed(*, says: bytes, final: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        refuses = threading.Thread(target=refuses_early, args=(listener, says))
        refuses.start()
        server = HttpServer(f"http://127.0.0.1:{listener.getsockname()[1]}/")
        for _ in range(2):
            with pytest.raises(WebhookError, match=f"answers {says[9:12].decode()}") as raised:
                server.post(Body(b"x" * (16 << 20), {}), 30)
            assert (raised.value.final, raised.value.wait_s) == (final, 0.0 if final else 7.0)
        refuses.join(30)


def test_who_hangs_up_and_says_nothing_before_he_has_it_all_is_no_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        refuses = threading.Thread(target=refuses_early, args=(listener, b""))
        refuses.start()
        server = HttpServer(f"http://127.0.0.1:{listener.getsockname()[1]}/")
        for _ in range(2):
            with pytest.raises(WebhookError, match="cannot be reached") as raised:
                server.post(Body(b"x" * (16 << 20), {}), 30)
            assert not raised.value.final
        refuses.join(30)
