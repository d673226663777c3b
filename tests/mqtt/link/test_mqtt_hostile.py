"""Brokers that do harm, by mistake or on purpose: what they send is bounded, and what ails them is told."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from clock import Clock
from hostile import Hostile, Line, acknowledge, number, packets
from structlog.testing import capture_logs

from edged.backoff import Backoff
from edged.mqtt.link import silence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hostile import Answer


@pytest.fixture
def hostile() -> Iterator[Callable[..., tuple[Hostile, Line]]]:
    made: list[Any] = []

    def make(answer: Answer, *, clock: Callable[[], float] = time.monotonic) -> tuple[Hostile, Line]:
        broker = Hostile(answer)
        line = Line(broker.port, clock)
        made.extend((line, broker))
        return broker, line

    yield make
    for part in made:
        part.close()


@pytest.mark.parametrize("code", [*range(0x80, 0xA3), 0xC0, 0xFF])
def test_a_refusal_of_one_message_costs_that_message_only(
    hostile: Callable[..., tuple[Hostile, Line]], code: int
) -> None:
    """Whatever the reason of a PUBACK, the session goes on and the refusal is counted by its name."""

    def answer(connection: socket.socket, head: int, content: bytes) -> None:
        if b"bad" in content:
            connection.sendall(b"\x40\x04" + number(content) + bytes([code, 0]))
        else:
            acknowledge(connection, head, content)

    broker, line = hostile(answer)
    with capture_logs():
        for payload in (b"good", b"bad", b"good", b"good"):
            line.outbox.put("t/detections", payload)
        line.until(lambda: line.outbox.delivery().acknowledged == 3)
        line.until(lambda: sum(line.outbox.delivery().dropped.values()) == 1)
    (cause,) = line.outbox.delivery().dropped
    assert cause.startswith("refused_")
    assert broker.sessions == 1
    if code == 0x95:
        assert cause == "refused_packet_too_large"


def test_a_message_that_ends_every_session_is_given_up(
    hostile: Callable[..., tuple[Hostile, Line]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others get through; the one that ends the session even alone is counted."""
    monkeypatch.setattr("edged.mqtt.link.connection.Backoff", lambda *_, **__: Backoff(0.05, 0.1))

    def answer(connection: socket.socket, head: int, content: bytes) -> None:
        if b"bad" in content:
            connection.shutdown(socket.SHUT_RDWR)
            raise OSError
        acknowledge(connection, head, content)

    _, line = hostile(answer)
    with capture_logs():
        line.outbox.post("t/availability", b"online")  # as every daemon does first, on every connection
        for payload in (b"good", b"bad", b"good", b"good"):
            line.outbox.put("t/detections", payload)
        line.until(lambda: line.outbox.idle() and line.outbox.delivery().dropped.get("ends_session"))
    assert line.outbox.delivery().dropped == {"ends_session": 1}
    assert line.outbox.delivery().closes


def test_a_link_that_takes_nothing_costs_no_message(
    hostile: Callable[..., tuple[Hostile, Line]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where every session ends before anything was acknowledged, it is not the message's fault: it waits."""
    monkeypatch.setattr("edged.mqtt.link.connection.Backoff", lambda *_, **__: Backoff(0.02, 0.04))
    calm = threading.Event()

    def answer(connection: socket.socket, head: int, content: bytes) -> None:
        if not calm.is_set():
            connection.shutdown(socket.SHUT_RDWR)
            raise OSError
        acknowledge(connection, head, content)

    broker, line = hostile(answer)
    with capture_logs():
        line.outbox.post("t/availability", b"online")
        line.outbox.put("t/detections", b"good")
        line.until(lambda: broker.sessions > 12)
        calm.set()
        line.until(line.outbox.idle)
    assert "ends_session" not in line.outbox.delivery().dropped
    assert line.outbox.delivery().closes


def test_a_broker_that_acknowledges_nothing_is_told(hostile: Callable[..., tuple[Hostile, Line]]) -> None:
    """It answers pings and takes messages for ever: that is a trouble, in words, and logged once."""
    clock = Clock()
    holding = threading.Event()
    held: list[tuple[socket.socket, int, bytes]] = []

    def answer(connection: socket.socket, head: int, content: bytes) -> None:
        if holding.is_set():
            acknowledge(connection, head, content)
        else:
            held.append((connection, head, content))

    _, line = hostile(answer, clock=clock)
    with capture_logs() as logs:
        line.outbox.put("t/detections", b"{}")
        line.until(lambda: held)
        clock.now += silence.SILENT_S - 0.1
        assert line.connection.problem == ""
        clock.now += 0.2
        line.waker.ring()
        line.until(lambda: "acknowledged nothing" in line.connection.problem)
        line.until(lambda: any(entry["event"] == "mqtt_not_acknowledged" for entry in logs))
        holding.set()
        for packet in held:
            acknowledge(*packet)
        line.until(lambda: line.connection.problem == "")
        line.until(lambda: any(entry["event"] == "mqtt_acknowledges_again" for entry in logs))
    told = [entry["event"] for entry in logs if "acknowledg" in entry["event"]]
    assert told == ["mqtt_not_acknowledged", "mqtt_acknowledges_again"]


def test_a_huge_packet_costs_no_memory(hostile: Callable[..., tuple[Hostile, Line]]) -> None:
    """268 MB on a topic, the most there can be, are read, acknowledged, forgotten; the session lives."""
    size = 268_000_000
    acknowledged = threading.Event()

    def answer(connection: socket.socket, head: int, content: bytes) -> None:
        if head >> 4 == 4 and content[:2] == b"\x00\x07":
            acknowledged.set()
            return
        acknowledge(connection, head, content)
        if b"now" in content:
            topic = b"t/cmd/x"
            body = struct.pack(">H", len(topic)) + topic + b"\x00\x07\x00"
            length, coded = len(body) + size, bytearray()
            while length:
                coded.append(length & 127 | (128 if length > 127 else 0))
                length >>= 7
            connection.sendall(b"\x32" + coded + body)
            piece = bytes(1_000_000)
            for _ in range(size // len(piece)):
                connection.sendall(piece)

    broker, line = hostile(answer)
    process = psutil.Process(os.getpid())
    with capture_logs() as logs:
        line.outbox.put("t/detections", b"before")
        line.until(lambda: line.outbox.delivery().acknowledged == 1)
        before, most = process.memory_info().rss, 0
        line.outbox.put("t/detections", b"now")
        limit = time.monotonic() + 120.0
        while not acknowledged.wait(0.02):
            assert time.monotonic() < limit, "it is not read to its end"
            most = max(most, process.memory_info().rss)
        line.outbox.put("t/detections", b"after")
        line.until(lambda: line.outbox.delivery().acknowledged == 3)
    assert most - before < 10_000_000
    assert broker.sessions == 1
    (told,) = [entry for entry in logs if entry["event"] == "mqtt_inbound_too_large"]
    assert (told["topic"], told["bytes"] > size) == ("t/cmd/x", True)


@pytest.mark.parametrize(
    "hello", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00\x01\x02\x03", b"\x20\x01\x00", b"SSH-2.0-x\r\n"]
)
def test_what_is_no_broker_is_told_as_such(hello: bytes) -> None:
    """Another protocol on that port is not 'hung up without an answer'."""

    broker = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = broker.accept()
            except OSError:
                return
            with connection:
                connection.recv(1000)
                connection.sendall(hello)
                time.sleep(0.2)

    threading.Thread(target=serve, daemon=True).start()
    with capture_logs():
        line = Line(broker.getsockname()[1])
        line.until(lambda: line.connection.problem)
        assert "not MQTT" in line.connection.problem
        line.close()
    broker.close()


def test_a_broker_that_is_too_slow_is_told(hostile: Callable[..., tuple[Hostile, Line]]) -> None:
    """It acknowledges, but less than is made: what is lost is a trouble of the queue, in words."""

    def slowly(connection: socket.socket, head: int, content: bytes) -> None:
        time.sleep(0.05)
        acknowledge(connection, head, content)

    _, line = hostile(slowly)
    line.until(lambda: line.outbox.problem == "" and not line.connection.problem)
    with capture_logs() as logs:
        for number in range(300):
            line.outbox.put("t/detections", b"%d" % number)
    assert [entry["event"] for entry in logs].count("mqtt_overflow") == 1
    assert line.outbox.delivery().dropped["queue_full"] > 0
    assert "more are made than the broker takes (queue_full)" in line.outbox.problem


class Picky(Hostile):
    """A broker that takes no last will but one of QoS 0 that is not retained."""

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            for head, content in packets(connection):
                if head >> 4 == 1 and content[7] & 0x20:
                    self.refused = [*self.refused, "retain"]
                    connection.sendall(b"\x20\x03\x00\x9a\x00")
                    return
                if head >> 4 == 1 and content[7] & 0x18:
                    self.refused = [*self.refused, "qos"]
                    connection.sendall(b"\x20\x03\x00\x9b\x00")
                    return
                if head >> 4 == 1:
                    self.sessions += 1
                    # Maximum QoS 0, Retain Available 0
                    connection.sendall(b"\x20\x07\x00\x00\x04\x24\x00\x25\x00")
                else:
                    self._answer(connection, head, content)

    refused: list[str]


def test_a_broker_that_takes_no_will_like_ours_is_reached() -> None:
    got: list[tuple[int, bytes]] = []
    broker = Picky(lambda _, head, content: got.append((head, content)))
    broker.refused = []
    with capture_logs() as logs:
        line = Line(broker.port)
        line.outbox.post("t/availability", b"online")
        line.until(lambda: line.outbox.delivery().acknowledged == 1)
        line.until(lambda: got)
    line.close()
    broker.close()
    assert broker.refused == ["retain", "qos"]
    assert broker.sessions == 1
    assert got[0] == (0x30, b"\x00\x0et/availability\x00online"), "QoS 0, not retained"
    reasons = [entry["reason"] for entry in logs if entry["event"] == "mqtt_not_connected"]
    assert ["refused our last will" in reason for reason in reasons] == [True, True]
