"""A web server that answers as a test wants it, and the source that asks it."""

from __future__ import annotations

import contextlib
import threading
import time
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
from source_clips import numbered

from edged import sources
from edged.settings.declared import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edged.sources import Source

    Reply = Callable[[BaseHTTPRequestHandler, int], None]
    """Answers one request, the n-th."""


class Handler(BaseHTTPRequestHandler):
    """Has every request answered by the test."""

    protocol_version = "HTTP/1.1"

    def __init__(self, *arguments: Any, reply: Reply, asked: list[float]) -> None:
        self._reply = reply
        self._asked = asked
        super().__init__(*arguments)

    def do_GET(self) -> None:
        self._asked.append(time.monotonic())
        self.close_connection = True
        with contextlib.suppress(OSError):
            self._reply(self, len(self._asked) - 1)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """Takes it when a client hangs up."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes is no error."""


@contextlib.contextmanager
def serving(handler: Any) -> Iterator[str]:
    server = Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=partial(server.serve_forever, 0.05), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def answering(reply: Reply) -> Iterator[tuple[str, list[float]]]:
    """A server's URL, and the times of requests."""
    asked: list[float] = []
    with serving(partial(Handler, reply=reply, asked=asked)) as url:
        yield url, asked


@contextlib.contextmanager
def source_of(url: str, **more: object) -> Iterator[Source]:
    given = {"source": url, "model": Path("none.tflite"), "read_timeout": 2, **more}
    source = sources.create(Settings.model_validate(given))
    try:
        source.open()
        yield source
    finally:
        source.stop()
        source.close()


def rising(numbers: list[int]) -> bool:
    """Whether each picture came once, in order; a machine under load may have lost some."""
    return numbers == sorted(set(numbers))


def jpeg(number: int) -> bytes:
    return cv2.imencode(".jpg", numbered(number))[1].tobytes()


def head(handler: BaseHTTPRequestHandler, kind: str, *, length: int | None = None) -> None:
    handler.send_response(200)
    if kind:
        handler.send_header("Content-Type", kind)
    if length is not None:
        handler.send_header("Content-Length", str(length))
    handler.send_header("Connection", "close")
    handler.end_headers()


def part(
    number: int, before: bytes = b"--frame\r\n", length: int | None = None, after: bytes = b"\r\n"
) -> bytes:
    picture = jpeg(number)
    size = len(picture) if length is None else length
    said = b"Content-Length: %d\r\n" % size if size >= 0 else b""
    return before + b"Content-Type: image/jpeg\r\n" + said + b"\r\n" + picture + after
