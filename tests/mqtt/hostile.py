"""A broker that does as it is told, and an outbox with a connection to it."""

from __future__ import annotations

import itertools
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import rig

from edged.mqtt.delivery.message import Numbers
from edged.mqtt.delivery.outbox import Outbox
from edged.mqtt.link.client import BrokerAccess
from edged.mqtt.link.connection import Connection
from edged.mqtt.link.waker import Waker
from edged.settings.broker import Broker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edged.mqtt.link import session as sessions

Answer: TypeAlias = Callable[[socket.socket, int, bytes], None]
"""Given the connection, and first byte and content of a packet: no CONNECT, PINGREQ or SUBSCRIBE."""

ACCEPT = b"\x20\x03\x00\x00\x00"
"""CONNACK of MQTT 5: a new session, no properties."""


def packets(connection: socket.socket) -> Iterator[tuple[int, bytes]]:
    """First byte and content of every packet that the client sends."""
    with connection.makefile("rb") as reader:
        while head := reader.read(1):
            length = 0
            for shift in itertools.count(0, 7):
                byte = reader.read(1)
                if not byte:
                    return
                length |= (byte[0] & 127) << shift
                if not byte[0] & 128:
                    break
            yield head[0], reader.read(length)


class Hostile:
    """A broker that accepts everybody and then answers each packet as it is told."""

    def __init__(self, answer: Answer, *, hello: bytes = ACCEPT) -> None:
        self._answer, self._hello = answer, hello
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.sessions = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                for head, content in packets(connection):
                    if head >> 4 == 1:
                        self.sessions += 1
                        connection.sendall(self._hello)
                    elif head >> 4 == 12:
                        connection.sendall(b"\xd0\x00")
                    elif head >> 4 == 8:
                        connection.sendall(b"\x90\x04" + content[:2] + b"\x00\x00")
                    else:
                        self._answer(connection, head, content)
        except OSError:
            return

    def close(self) -> None:
        self._listener.close()


def number(content: bytes) -> bytes:
    """The packet identifier of a PUBLISH with QoS 1."""
    (length,) = struct.unpack(">H", content[:2])
    return content[2 + length : 4 + length]


def acknowledge(connection: socket.socket, head: int, content: bytes) -> None:
    if head >> 4 == 3 and head & 6:
        connection.sendall(b"\x40\x02" + number(content))


class Nobody:
    """A listener that asks for nothing."""

    def connected(self, session: sessions.Session) -> None: ...

    def acknowledged(self, message: Any) -> None: ...


class Line:
    """An outbox and a connection to a broker."""

    def __init__(self, port: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.waker = waker = Waker()
        self.outbox = Outbox(limit=100, wake=waker.ring, orders=Numbers(1))
        access = BrokerAccess(Broker("127.0.0.1", port), "edged-test")
        self.connection = Connection(
            access, self.outbox, waker, Nobody(), availability="t/availability", clock=clock
        )
        self.connection.open()

    def until(self, true: Callable[[], object], limit_s: float = 30.0) -> None:
        assert rig.until(true, limit_s), (self.outbox.delivery(), self.connection.problem)

    def close(self) -> None:
        self.connection.close(1.0)
        self.outbox.detach()
        self.waker.close()
