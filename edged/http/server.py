"""A small HTTP server in a thread of its own, which takes next to no memory before the first visitor."""

from __future__ import annotations

import asyncio
import contextlib
import os
import selectors
import socket
import threading
from typing import TYPE_CHECKING

import structlog

from edged import bridge
from edged.errors import SinkError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edged.http.views import Display
    from edged.settings.listener import Address

_BACKLOG = 64
"""Who may wait while the server is imported."""

log = structlog.get_logger()


class Server:
    """Serves what there is to show until :meth:`close`.

    Args:
        address: where to listen.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._listener: socket.socket | None = None
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._wake: int | None = None
        """Written to, the thread looks up while there is no event loop."""
        self._closing = False
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
            self._listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
            self._listener.setblocking(False)
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise SinkError(
                f"the live view cannot listen on {host}:{port}: {reason}",
                hint="Set EDGED_HTTP to a free port of this machine, or restart edged if it is its own",
            ) from error

    def start(self, display: Display, on_stop: Callable[[], None]) -> None:
        """Serve; ``on_stop`` is called in the event loop to send visitors home."""
        woken, self._wake = os.pipe()
        bridge.start("http", lambda: self._run(woken, display, on_stop))

    def call(self, function: Callable[[], None]) -> None:
        """Run ``function`` soon in the event loop. Safe from any thread; after the end it does nothing.

        Before the first visitor there is no event loop, nobody waits in it for anything, and it is run here.
        """
        with self._lock:
            if self._loop is None:
                if not self._closing:
                    function()
                return
        if not self._ended.is_set():
            with contextlib.suppress(RuntimeError):  # it may end in between
                self._loop.call_soon_threadsafe(function)

    def close(self, timeout_s: float) -> None:
        """Stop listening, hang up, and end the thread."""
        with self._lock:
            self._closing = True
            wake, self._wake = self._wake, None
        if wake is not None:
            os.close(wake)
            if self._stop is not None:
                self.call(self._stop.set)
            self._ended.wait(timeout_s)
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def _run(self, woken: int, display: Display, on_stop: Callable[[], None]) -> None:
        try:
            assert self._listener is not None  # noqa: S101  # bind() comes first
            if _somebody_comes(self._listener, woken):
                asyncio.run(self._serve(self._listener, display, on_stop))
        except Exception:
            # An update may have replaced what is imported only now. Who comes must not wait for nobody.
            log.exception("http_ended", hint="Restart edged, or install it again if that does not help")
            if self._listener is not None:
                self._listener.close()
        finally:
            os.close(woken)
            self._ended.set()

    async def _serve(self, listener: socket.socket, display: Display, on_stop: Callable[[], None]) -> None:
        from edged.http.serving import serve  # noqa: PLC0415  # some megabytes that nobody needs who is alone

        with self._lock:
            if self._closing:
                return
            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        await serve(listener, display, self._stop, on_stop)


def _somebody_comes(listener: socket.socket, woken: int) -> bool:
    """Wait for a visitor; whether it is one, and not the end."""
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        selector.register(woken, selectors.EVENT_READ)
        return all(key.fileobj is listener for key, _ in selector.select())
