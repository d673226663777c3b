"""How long a broker is left alone before it is tried again."""

from __future__ import annotations

import socket
import threading

import pytest
import rig
from clock import Clock
from door import Door
from hostile import Hostile, Line, acknowledge
from rig import TOPICS

from edged.backoff import Backoff
from edged.metrics import Meter
from edged.settings.broker import Broker

pytest_plugins = ("mqtt_fixtures",)

ACCEPTED = b"\x20\x03\x00\x00\x00"
NOT_AUTHORIZED = b"\x20\x03\x00\x87\x00"
"""Answers to MQTT 5's CONNECT."""


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the connection would have waited, and does not."""
    found: list[float] = []

    class Impatient(Backoff):
        def after(self, good_s: float) -> float:
            found.append(super().after(good_s))
            return 0.02

    monkeypatch.setattr("edged.mqtt.link.connection.Backoff", Impatient)
    return found


@pytest.mark.parametrize("answer", [b"", ACCEPTED], ids=["at once", "after it has accepted us"])
def test_a_broker_that_hangs_up_is_left_alone_for_ever_longer(
    waits: list[float], boot_id: str, answer: bytes
) -> None:
    """Half of each wait is fixed and half is random, so that a fleet does not come back in one moment."""
    knock(waits, boot_id, answer, times=9)
    ceilings = [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    assert all(ceiling / 2 <= wait <= ceiling for wait, ceiling in zip(waits, ceilings, strict=False)), waits
    assert len({round(wait / ceiling, 3) for wait, ceiling in zip(waits, ceilings, strict=False)}) > 5


def test_a_broker_that_refuses_us_is_asked_once_a_minute(waits: list[float], boot_id: str) -> None:
    """Somebody has to mend it first."""
    knock(waits, boot_id, NOT_AUTHORIZED, times=4)
    assert all(30.0 <= wait <= 60.0 for wait in waits), waits


def test_a_long_session_starts_the_waits_again(waits: list[float]) -> None:
    """What a long outage has made of the waits is forgotten; a long wait for an answer is no session."""
    clock, ends = Clock(), threading.Event()

    def answer(connection: socket.socket, head: int, content: bytes) -> None:
        if ends.is_set():
            connection.shutdown(socket.SHUT_RDWR)
            raise OSError
        acknowledge(connection, head, content)

    broker = Hostile(answer)
    line = Line(broker.port, clock)
    try:
        ends.set()
        line.outbox.post("t/availability", b"online")
        line.until(lambda: len(waits) > 8)
        ends.clear()
        line.until(lambda: line.outbox.delivery().acknowledged)
        waits.clear()
        clock.now += 10.1
        ends.set()
        line.outbox.put("t/detections", b"{}")
        line.until(lambda: len(waits) > 1)
        assert waits[0] <= 0.5
    finally:
        line.close()
        broker.close()


def knock(waits: list[float], boot_id: str, answer: bytes, *, times: int) -> None:
    door = Door(answer)
    broker = Broker("127.0.0.1", door.port)
    sink = rig.sink(rig.access(broker), TOPICS, boot_id=boot_id, meter=Meter())
    sink.open()
    try:
        assert rig.until(lambda: len(waits) >= times), waits
    finally:
        sink.close()
        door.close()
