"""A small HTTP server in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from typing import TYPE_CHECKING

import structlog
from tornado.httpserver import HTTPServer

from edged import bridge
from edged.errors import SinkError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tornado.iostream import IOStream
    from tornado.web import Application

    from edged.settings.listener import Address

_MOST_CONNECTIONS = 64
"""More than that is no household, and must not take the descriptors that a camera needs."""
_IDLE_S = 60.0
_MOST_BYTES = 16 << 10
"""A request may have this much: nothing is ever sent to us."""

log = structlog.get_logger()


class Server:
    """Serves an application until :meth:`close`.

    Args:
        address: where to listen.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._listener: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._ready = threading.Event()
        self._ended = threading.Event()

    @property
    def port(self) -> int:
        """The port that is listened on, once it is bound."""
        assert self._listener is not None  # noqa: S101  # bind() comes first
        return int(self._listener.getsockname()[1])

    def bind(self) -> None:
        """Take the port.

        Raises:
            SinkError: it is in use, or not ours to take.
        """
        host, port = self._address.host, self._address.port
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._listener = socket.create_server((host, port), family=family, backlog=_MOST_CONNECTIONS)
            self._listener.setblocking(False)
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise SinkError(
                f"the live view cannot listen on {host}:{port}: {reason}",
                hint="Set EDGED_HTTP to a free port of this machine, or restart edged if it is its own",
            ) from error

    def start(self, application: Application, on_stop: Callable[[], None]) -> None:
        """Serve; ``on_stop`` is called in the event loop to send visitors home."""
        bridge.start("http", lambda: self._run(application, on_stop))
        self._ready.wait()

    def call(self, function: Callable[[], None]) -> None:
        """Run ``function`` soon in the event loop. Safe from any thread; after the end it does nothing."""
        if self._loop is None or self._ended.is_set():
            return
        with contextlib.suppress(RuntimeError):  # it may end in between
            self._loop.call_soon_threadsafe(function)

    def close(self, timeout_s: float) -> None:
        """Stop listening, hang up, and end the thread."""
        stop = self._stop
        if stop is not None:
            self.call(stop.set)
            self._ended.wait(timeout_s)
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def _run(self, application: Application, on_stop: Callable[[], None]) -> None:
        try:
            asyncio.run(self._serve(application, on_stop))
        finally:
            self._ended.set()
            self._ready.set()

    async def _serve(self, application: Application, on_stop: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        server = _BoundedServer(
            application,
            idle_connection_timeout=_IDLE_S,
            body_timeout=_IDLE_S,
            max_header_size=_MOST_BYTES,
            max_body_size=_MOST_BYTES,
            max_buffer_size=_MOST_BYTES * 4,
        )
        assert self._listener is not None  # noqa: S101  # bind() comes first
        server.add_socket(self._listener)
        self._ready.set()
        await self._stop.wait()
        server.stop()
        on_stop()
        await server.close_all_connections()


class _BoundedServer(HTTPServer):
    """Hangs up on whoever is too many."""

    def handle_stream(self, stream: IOStream, address: tuple[str, int]) -> None:
        """Take a connection, or not."""
        if len(self._connections) >= _MOST_CONNECTIONS:
            log.debug("http_crowded", connections=_MOST_CONNECTIONS)
            stream.close()
            return
        super().handle_stream(stream, address)
