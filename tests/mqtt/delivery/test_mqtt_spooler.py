"""When messages go to the disk, come back and leave it: by a clock that the test turns, on a real file."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING

import rig
from spooled import Bench, Called
from structlog.testing import capture_logs

from edged.mqtt.delivery.message import Numbers
from edged.mqtt.delivery.outbox import Outbox
from edged.mqtt.delivery.spool import SpoolFullError
from edged.mqtt.delivery.spooler import Spooler, SpoolFile

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

pytest_plugins = ("mqtt_fixtures",)


def test_what_could_not_be_sent_for_a_second_goes_to_the_disk(bench: Bench) -> None:
    bench.put(1)
    bench.turn(1.0)
    assert (bench.box.disk.count, bench.stored) == (0, [])
    bench.turn(0.1)
    assert (bench.box.disk.count, bench.stored) == (1, [1])
    assert bench.spooler.problem == ""
    seen = bench.looks
    assert rig.until(lambda: bench.looks >= seen + 3), "it looks by itself, too"


def test_a_full_disk_is_left_alone_for_five_seconds_and_used_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each try costs an SD card a write; a disk that was full a moment ago still is."""
    writes = Called(monkeypatch, "write")
    writes.error = SpoolFullError("there is no room left on the disk")
    with capture_logs() as logs:
        bench.put(1)
        bench.turn(2.0)
        bench.put(1)
        bench.turn(4.9)
        assert len(writes.with_what) == 1
        bench.turn(0.1)
        assert len(writes.with_what) == 2
        assert "spool.sqlite3' cannot be used: there is no room left on" in bench.spooler.problem
        writes.error = None
        bench.turn(5.0)
        assert bench.spooler.problem == ""
    assert [entry["event"] for entry in logs] == ["mqtt_spool_fails", "mqtt_spool_works_again"]
    assert bench.stored == [1, 2]
    assert bench.box.delivery().dropped == {}


def test_a_full_disk_gives_what_it_has_and_gets_the_rest_at_the_end(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.put(3)
    bench.turn(2.0)
    writes = Called(monkeypatch, "write")
    writes.error = SpoolFullError("there is no room left on the disk")
    bench.put(2)
    bench.turn(2.0)
    bench.box.attach()
    bench.turn()
    message = bench.box.take()
    assert message is not None
    assert message.order == 1
    bench.box.detach()
    writes.error = None
    bench.spooler.close(60)
    assert bench.stored == [1, 2, 3, 4, 5]


def test_what_does_not_fit_into_memory_beside_a_full_disk_is_lost_for_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Called(monkeypatch, "write").error = SpoolFullError("there is no room left on the disk")
    bench = Bench(tmp_path / "spool.sqlite3", limit=4)
    bench.put(4)
    assert rig.until(lambda: bench.spooler.problem)
    bench.put(3)
    assert bench.box.delivery().dropped == {"disk_full": 3}
    bench.spooler.close(60)


def test_a_damaged_row_is_counted_and_the_others_are_sent(tmp_path: Path) -> None:
    path = tmp_path / "spool.sqlite3"
    before = Bench(path)
    before.put(3)
    before.spooler.close(60)
    with contextlib.closing(sqlite3.connect(path)) as stored, stored:
        stored.execute("UPDATE messages SET payload = 'y' WHERE id = 2")
    bench = Bench(path)
    bench.box.attach()
    bench.turn()
    assert bench.send() == 2
    assert bench.box.delivery().dropped == {"spool_damaged": 1}
    bench.spooler.close(60)
    assert bench.box.delivery().closes


def test_the_disk_is_read_a_hundred_messages_at_a_time_ten_times_a_second(bench: Bench) -> None:
    """Faster than cameras make them, slower than what a broker with slow subscribers throws away."""
    bench.put(250)
    bench.turn(2.0)
    bench.box.attach()
    sent = []
    for seconds in (0.0, 0.05, 0.06, 0.11):
        bench.turn(seconds)
        sent.append(bench.send())
    assert sent == [100, 0, 100, 50]


def test_what_was_sent_leaves_the_disk_once_a_second_and_the_last_gives_its_room_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    removals, shrinks = Called(monkeypatch, "remove"), Called(monkeypatch, "shrink")
    bench.put(4)
    bench.turn(2.0)
    bench.box.attach()
    bench.turn()
    flying = [bench.box.take() for _ in range(4)]
    for message in flying[:2]:
        assert message is not None
        bench.box.settle(message)
    bench.turn(0.9)
    assert removals.with_what == []
    bench.turn(0.1)
    assert (removals.with_what, shrinks.with_what) == ([[1, 2]], [])
    for message in flying[2:]:
        assert message is not None
        bench.box.settle(message)
    bench.turn(1.0)
    bench.turn(5.0)
    assert (removals.with_what, len(shrinks.with_what)) == ([[1, 2], [3, 4]], 1)


def test_what_a_full_disk_would_not_let_go_is_let_go_later(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even a removal needs a little room; until then nothing of it is forgotten."""
    bench.put(4)
    bench.turn(2.0)
    bench.box.attach()
    bench.turn()
    assert bench.send() == 4
    removals = Called(monkeypatch, "remove")
    removals.error = SpoolFullError("there is no room left on the disk")
    bench.turn(1.0)
    removals.error = None
    bench.turn(4.0)
    assert removals.with_what == [[1, 2, 3, 4]]
    bench.turn(1.0)
    assert removals.with_what == [[1, 2, 3, 4]] * 2


def test_what_is_too_old_is_looked_for_every_half_minute(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "spool.sqlite3", max_age_s=-1.0)  # all is too old at once
    bench.put(3)
    with capture_logs() as logs:
        bench.turn(2.0)
        bench.turn(27.0)
        assert (bench.box.disk.count, logs) == (3, [])
        bench.turn(1.0)
    assert bench.box.delivery().dropped == {"spool_age": 3}
    assert [(one["event"], one["cause"], one["messages"]) for one in logs] == [
        ("mqtt_spool_trimmed", "spool_age", 3)
    ]
    bench.put(1)
    bench.turn(2.0)
    assert bench.box.disk.unloaded == 4
    bench.spooler.close(60)
    assert bench.box.delivery().closes


def test_what_is_too_much_goes_at_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "spool.sqlite3", max_bytes=100_000)
    bench.put(100, size=500)
    bench.turn(2.0)
    assert bench.box.disk.count == 100
    bench.put(150, size=500)
    bench.turn(2.0)
    lost = bench.box.delivery().dropped["spool_full"]
    assert 20 < lost < 150
    bench.box.attach()
    bench.turn()
    first = bench.box.take()
    assert first is not None
    assert first.order == lost + 1
    bench.spooler.close(60)
    assert bench.box.delivery().closes


def test_what_was_sent_out_of_order_is_not_trimmed_as_well(tmp_path: Path) -> None:
    """It is on the disk behind one that was not, and counts as sent."""
    bench = Bench(tmp_path / "spool.sqlite3", limit=8, max_bytes=36_000)
    bench.put(3, size=4000)
    bench.turn(2.0)
    bench.box.attach()
    bench.turn(0.1)
    _, second, _ = (bench.box.take() for _ in range(3))
    assert second is not None
    bench.box.settle(second)
    bench.box.detach()
    bench.put(4, size=4000)
    bench.turn(0.1)
    assert rig.until(lambda: bench.box.delivery().dropped)
    lost = bench.box.delivery().dropped["spool_full"]
    bench.box.attach()
    for _ in range(3):
        bench.turn(0.1)
    assert bench.send() == 6 - lost
    account = bench.box.delivery()
    assert (account.acknowledged, account.spooled, account.closes) == (7 - lost, 0, True)
    bench.spooler.close(5)


def test_the_file_of_a_daemon_that_runs_is_left_to_it(tmp_path: Path) -> None:
    """Neither opened nor made, and whose it is is said."""
    path = tmp_path / "spool.sqlite3"
    box = Outbox(limit=9, wake=lambda: None, orders=Numbers(1))
    spooler = Spooler(box.disk, SpoolFile(path, in_use=True))
    spooler.open()
    assert "another edged that runs has the same EDGED_NODE, and keeps its messages there" in spooler.problem
    assert not path.exists()
    assert SpoolFile(path, in_use=True).events is None


def test_what_an_earlier_start_has_left_is_told_and_sent_first(tmp_path: Path) -> None:
    path = tmp_path / "spool.sqlite3"
    before = Bench(path)
    before.put(2)
    before.spooler.close(60)
    with capture_logs() as logs:
        bench = Bench(path)
    assert [(one["event"], one["messages"]) for one in logs] == [("mqtt_spool_recovered", 2)]
    bench.put(1)
    bench.box.attach()
    bench.turn()
    assert bench.send() == 3
    bench.spooler.close(60)
    with capture_logs() as logs:
        Bench(path).spooler.close(60)
    assert logs == []
