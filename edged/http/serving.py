"""Answers visitors in the event loop: what only they need, imported with the first of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from tornado.httpserver import HTTPServer

from edged.http.handlers import application

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import Callable

    from tornado.iostream import IOStream

    from edged.http.views import Display

_MOST_CONNECTIONS = 64
"""More than that is no household, and must not take the descriptors that a camera needs."""
_IDLE_S = 60.0
_MOST_BYTES = 16 << 10
"""A request may have this much: nothing is ever sent to us."""

log = structlog.get_logger()


async def serve(
    listener: socket.socket, display: Display, stop: asyncio.Event, on_stop: Callable[[], None]
) -> None:
    """Answer until it is to stop.

    Args:
        listener: bound, and not blocking.
        display: what there is to show.
        stop: ends it.
        on_stop: sends visitors home.
    """
    server = _BoundedServer(
        application(display),
        idle_connection_timeout=_IDLE_S,
        body_timeout=_IDLE_S,
        max_header_size=_MOST_BYTES,
        max_body_size=_MOST_BYTES,
        max_buffer_size=_MOST_BYTES * 4,
    )
    server.add_socket(listener)
    await stop.wait()
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
