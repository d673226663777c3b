"""Brokers that fail under load: benchmarks/mqtt_faults.py, shortened."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
import scenarios

if TYPE_CHECKING:
    from pathlib import Path

pytest_plugins = ("mqtt_fixtures",)
pytestmark = pytest.mark.usefixtures("needs_mosquitto")


def test_restarts_lose_nothing(tmp_path: Path) -> None:
    run = scenarios.restarts(tmp_path, number=signal.SIGTERM, count=4, rate=60, seconds=5, seed=1)
    assert run.restarts == 4
    assert run.missing == set()
    assert run.in_order
    assert run.account is not None
    assert run.account.closes


def test_of_a_killed_broker_only_what_it_had_acknowledged_is_missing(tmp_path: Path) -> None:
    run = scenarios.restarts(tmp_path, number=signal.SIGKILL, count=4, rate=60, seconds=5, seed=2)
    assert run.missing <= run.acked
    assert len(run.acked) == run.made
    assert run.account is not None
    assert run.account.closes


@pytest.mark.parametrize("spool", [False, True])
def test_a_frozen_broker_costs_no_memory_and_no_time(tmp_path: Path, spool: bool) -> None:  # noqa: FBT001
    run = scenarios.freeze(tmp_path, rate=300, frozen_s=5, spool=spool, keepalive_s=2)
    assert run.rss_growth_mb < 20
    assert run.made / run.seconds > 290
    assert run.slowest_send_ms < 1000
    assert run.account is not None
    assert run.account.closes
    if spool:
        assert run.missing == set()
    else:
        assert len(run.missing) == run.account.dropped["queue_full"] > 0


def test_a_killed_daemon_loses_the_last_second(tmp_path: Path) -> None:
    run = scenarios.killed(tmp_path, rate=150, outage_s=3)
    assert run.made > 400
    assert run.missing <= {(run.boot_id, seq) for seq in range(run.made - 225, run.made)}
    assert run.account is not None
    assert run.account.closes
