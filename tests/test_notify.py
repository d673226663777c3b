"""What the service manager hears, through a real socket."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

import pytest
from daemon import Ear, until

from edged.daemon.notify import Notifier
from edged.settings.systemd import ServiceManager

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=["path", "abstract"])
def ear(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ear]:
    abstract = f"@edged-test-{tmp_path.name}-{time.monotonic_ns()}"
    with Ear(abstract if request.param == "abstract" else str(tmp_path / "notify")) as opened:
        yield opened


def heard(ear: Ear, count: int) -> list[str]:
    """The first words, and that no more follow."""
    until(lambda: len(ear.words) >= count)
    time.sleep(0.2)
    return ear.words


def test_every_word_reaches_the_service_manager(ear: Ear) -> None:
    notifier = Notifier(ServiceManager(ear.address, 20.0))
    before = time.monotonic_ns() // 1000
    notifier.ready()
    notifier.alive()
    notifier.stopping()
    notifier.extend(30.5)
    notifier.status("running: 3.0 frames/s")
    notifier.reloading()
    *words, reloading = heard(ear, 6)
    assert words == [
        "READY=1",
        "WATCHDOG=1",
        "STOPPING=1",
        "EXTEND_TIMEOUT_USEC=30500000",
        "STATUS=running: 3.0 frames/s",
    ]
    word, clock = reloading.splitlines()
    assert word == "RELOADING=1"
    assert before <= int(clock.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000


def test_a_status_is_only_told_when_it_has_changed(ear: Ear) -> None:
    notifier = Notifier(ServiceManager(ear.address, None))
    for text in ("starting", "starting", "running", "running"):
        notifier.status(text)
    assert heard(ear, 2) == ["STATUS=starting", "STATUS=running"]


def test_without_a_watchdog_it_is_not_fed(ear: Ear) -> None:
    notifier = Notifier(ServiceManager(ear.address, None))
    notifier.alive()
    notifier.ready()
    assert heard(ear, 1) == ["READY=1"]


def test_without_a_service_manager_nothing_is_sent_and_nothing_fails() -> None:
    notifier = Notifier(ServiceManager(None, 20.0))
    notifier.ready()
    notifier.alive()
    notifier.status("running")


def test_a_service_manager_that_is_gone_or_does_not_listen_stops_nobody(tmp_path: Path) -> None:
    Notifier(ServiceManager(str(tmp_path / "nowhere"), 20.0)).ready()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind(str(tmp_path / "deaf"))
        notifier = Notifier(ServiceManager(str(tmp_path / "deaf"), 20.0))
        started = time.monotonic()
        for _ in range(2000):  # more than the kernel queues for a socket
            notifier.alive()
        assert time.monotonic() - started < 20
