"""A server of a few lines: it says one thing to one guest after the other."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress


class Door:
    """Listens on loopback, hears what a guest says first, answers with :attr:`says`, and lets him go.

    Args:
        says: the answer.
        polite: whether it waits for the guest to hang up.
    """

    def __init__(self, says: bytes = b"", *, polite: bool = False) -> None:
        self.says = says
        self._polite = polite
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                guest, _ = self._listener.accept()
            except OSError:
                return
            with guest, suppress(OSError):
                guest.settimeout(2)
                guest.recv(1 << 16)
                guest.sendall(self.says)
                if self._polite:
                    guest.shutdown(socket.SHUT_WR)
                    while guest.recv(1 << 16):
                        pass

    def close(self) -> None:
        """Let nobody in any more."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
