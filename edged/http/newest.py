"""The newest picture, for whoever is ready to look at it."""

from __future__ import annotations

import asyncio


class NewestPicture:
    """Hands the next picture to all who wait for one. Whoever is still busy with an older one misses it.

    So there is no queue, a slow viewer skips pictures, and nobody who waits is nobody to draw for.
    Everything but :attr:`wanted` belongs to the event loop.
    """

    def __init__(self) -> None:
        self.wanted = 0
        """How many wait. May be read from any thread."""
        self._waiting: set[asyncio.Future[bytes | None]] = set()
        self._closed = False

    async def next(self) -> bytes | None:
        """The next picture; None when no more will come."""
        if self._closed:
            return None
        future: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        self.wanted = len(self._waiting)
        try:
            return await future
        finally:
            self._waiting.discard(future)
            self.wanted = len(self._waiting)

    def put(self, picture: bytes | None) -> None:
        """Show a picture."""
        waiting, self._waiting = self._waiting, set()
        self.wanted = 0
        for future in waiting:
            if not future.done():
                future.set_result(picture)

    def close(self) -> None:
        """Send everybody home."""
        self._closed = True
        self.put(None)
