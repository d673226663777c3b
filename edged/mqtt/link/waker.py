"""Wakes a thread that waits for a socket."""

from __future__ import annotations

import contextlib
import socket


class Waker:
    """A socket that becomes readable when somebody rings. Ringing never blocks; rings add up to one."""

    def __init__(self) -> None:
        self._listening, self._ringing = socket.socketpair()
        self._listening.setblocking(False)
        self._ringing.setblocking(False)
        self._rung = False

    def fileno(self) -> int:
        """For selectors."""
        return self._listening.fileno()

    def ring(self) -> None:
        """Wake the listener, or let its next wait end at once. Safe from any thread, also after ``close``."""
        if not self._rung:
            self._rung = True
            # Full means that it rings already, closed that nobody listens any more.
            with contextlib.suppress(OSError):
                self._ringing.send(b"\0")

    def silence(self) -> None:
        """Take note of all rings so far; call it before looking for what they meant."""
        with contextlib.suppress(OSError):
            self._listening.recv(4096)
        # In this order: a ring in between is either seen by who asked for silence, or left in the socket.
        self._rung = False

    def close(self) -> None:
        """Free the sockets."""
        self._listening.close()
        self._ringing.close()
