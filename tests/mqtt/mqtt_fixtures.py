"""Fixtures of the MQTT tests. A plugin, since only the tests' own root may have a conftest.py for mypy."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
import rig
from spooled import Bench

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def needs_mosquitto() -> None:
    """Skip where there is no broker to test against."""
    if rig.MOSQUITTO is None:
        pytest.skip("mosquitto is not installed (apt install mosquitto mosquitto-clients)")


@pytest.fixture
def mosquitto(tmp_path: Path, needs_mosquitto: None) -> Iterator[rig.Mosquitto]:  # noqa: ARG001
    """A broker without passwords."""
    with rig.Mosquitto(tmp_path / "mosquitto") as broker:
        yield broker


@pytest.fixture
def boot_id() -> str:
    """A run of the daemon."""
    return uuid4().hex


@pytest.fixture(params=["5", "3.1.1"])
def version(request: pytest.FixtureRequest) -> str:
    """The protocol's."""
    return str(request.param)


@pytest.fixture
def subscriber(mosquitto: rig.Mosquitto) -> Iterator[rig.Subscriber]:
    """Hears everything."""
    with rig.Subscriber(mosquitto.port) as listener:
        yield listener


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """An outbox with its spooler, whose account closes at the end."""
    made = Bench(tmp_path / "spool.sqlite3")
    yield made
    made.spooler.close(60)
    assert made.box.delivery().closes
