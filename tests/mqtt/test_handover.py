"""What the MQTT nodes of one run have in common, one after the other."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from edged.mqtt import handover
from edged.mqtt.handover import Handover

if TYPE_CHECKING:
    from pathlib import Path


def test_the_nodes_of_a_run_share_it_and_those_of_another_do_not() -> None:
    assert handover.of("0" * 32) is handover.of("0" * 32)
    assert handover.of("0" * 32) is not handover.of("1" * 32)


def test_the_next_node_counts_on_where_the_one_before_has_stopped_and_waits_for_its_turn() -> None:
    shared = Handover()
    assert abs(time.time() - shared.started) < 60
    assert [next(shared.seqs[camera]) for camera in ("front", "front", "back")] == [0, 1, 0]
    assert [shared.orders.take() for _ in range(2)] == [1, 2]
    assert shared.called == []
    assert [shared.turn.acquire(blocking=False) for _ in range(2)] == [True, False]


def test_a_file_of_events_is_read_once_a_run(tmp_path: Path) -> None:
    shared, path = Handover(), tmp_path / "events.json"
    assert shared.ledger(path) is shared.ledger(path)
    assert shared.ledger(None) is shared.ledger(None)
    assert (shared.ledger(path).lasting, shared.ledger(None).lasting) == (True, False)
