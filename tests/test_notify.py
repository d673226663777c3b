"""What the service manager hears, through a real socket."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

import pytest

from edged.config import ServiceManager
from edged.notify import Notifier

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Ear:
    """A service manager's end of the socket."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(5)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)

    def hear(self) -> str:
        return self._socket.recv(4096).decode()

    def nothing(self) -> bool:
        self._socket.setblocking(False)
        try:
            self._socket.recv(4096)
        except BlockingIOError:
            return True
        return False

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def ear(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ear]:
    abstract = f"@edged-test-{tmp_path.name}-{time.monotonic_ns()}"
    opened = Ear(abstract if request.param == "abstract" else str(tmp_path / "notify"))
    yield opened
    opened.close()


def test_every_word_reaches_the_service_manager(ear: Ear) -> None:
    notifier = Notifier(ServiceManager(ear.address, 20.0))
    before = time.monotonic_ns() // 1000
    for say, heard in (
        (notifier.ready, "READY=1"),
        (notifier.alive, "WATCHDOG=1"),
        (notifier.stopping, "STOPPING=1"),
        (lambda: notifier.extend(30.5), "EXTEND_TIMEOUT_USEC=30500000"),
        (lambda: notifier.status("running: 3.0 frames/s"), "STATUS=running: 3.0 frames/s"),
    ):
        say()
        assert ear.hear() == heard
    notifier.reloading()
    word, clock = ear.hear().splitlines()
    assert word == "RELOADING=1"
    assert before <= int(clock.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000


def test_a_status_is_only_told_when_it_has_changed(ear: Ear) -> None:
    notifier = Notifier(ServiceManager(ear.address, None))
    for text in ("starting", "starting", "running", "running"):
        notifier.status(text)
    assert [ear.hear(), ear.hear()] == ["STATUS=starting", "STATUS=running"]
    assert ear.nothing()


def test_without_a_watchdog_it_is_not_fed(ear: Ear) -> None:
    notifier = Notifier(ServiceManager(ear.address, None))
    notifier.alive()
    assert ear.nothing()


def test_without_a_service_manager_nothing_is_sent_and_nothing_fails() -> None:
    notifier = Notifier(ServiceManager(None, 20.0))
    notifier.ready()
    notifier.alive()
    notifier.status("running")


def test_a_service_manager_that_is_gone_or_does_not_listen_stops_nobody(tmp_path: Path) -> None:
    Notifier(ServiceManager(str(tmp_path / "nowhere"), 20.0)).ready()
    deaf = Ear(str(tmp_path / "deaf"))
    notifier = Notifier(ServiceManager(deaf.address, 20.0))
    started = time.monotonic()
    for _ in range(2000):  # more than the kernel queues for a socket
        notifier.alive()
    assert time.monotonic() - started < 5
    deaf.close()
