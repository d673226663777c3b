"""A disk that fails, is damaged, hangs or is not there yet: what is told, what is lost, how it comes back."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

import pytest
import rig
from spooled import WEEK_S, Bench, Called
from structlog.testing import capture_logs

from edged.mqtt.delivery.spool import Spool, SpoolDamagedError, SpoolError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edged.mqtt.delivery.message import Message

pytest_plugins = ("mqtt_fixtures",)


@pytest.mark.parametrize("when", ["write", "read"])
def test_a_disk_that_fails_is_told_and_used_again_once_it_takes_something(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, when: str
) -> None:
    """What is in memory goes on; what was only on the disk is counted, and comes when the disk is back."""
    assert "mqtt-spool" in {thread.name for thread in threading.enumerate()}
    bench.put(3)
    bench.turn(2.0)
    calls = Called(monkeypatch, when)
    calls.error = SpoolError("disk I/O error")
    bench.put(2)
    with capture_logs() as logs:
        bench.now += 2.0
        if when == "read":
            assert rig.until(lambda: bench.box.disk.count == 5)
        bench.box.attach()
        bench.box.disk.due.set()
        assert rig.until(lambda: "disk I/O error" in bench.spooler.problem)
        lost = bench.box.delivery().dropped
        assert lost == ({"spool_failed": 3} if when == "write" else {"spool_failed": 5})
        assert bench.send() == 5 - lost["spool_failed"]
        # The file is let go, and left alone for a while.
        Spool(tmp_path / "spool.sqlite3", max_bytes=1, max_age_s=1.0).close()
        bench.turn(4.9)
        assert bench.box.delivery().recovered == 0
        if when == "write":
            bench.turn(0.2)
            bench.turn()
            assert bench.box.delivery().recovered == 0, "it would be read again and again"
            bench.turn(4.9)
        monkeypatch.undo()
        bench.turn(0.2)
        assert rig.until(lambda: not bench.spooler.problem)
        bench.turn(0.1)
        assert bench.send() == lost["spool_failed"]
    assert [entry["event"] for entry in logs] == [
        "mqtt_spool_fails",
        "mqtt_spool_recovered",
        "mqtt_spool_works_again",
    ]
    assert bench.box.delivery().closes


def test_a_disk_that_rests_is_tried_once_more_at_the_end(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    folder.write_text("not a folder")
    bench = Bench(folder / "spool.sqlite3")
    bench.put(3)
    folder.unlink()
    bench.spooler.close(5)
    assert (bench.box.disk.count, bench.box.delivery().closes) == (3, True)
    with contextlib.closing(Spool(folder / "spool.sqlite3", max_bytes=10**6, max_age_s=WEEK_S)) as spool:
        assert spool.extent()[0] == 3


def test_a_folder_that_comes_late_is_used_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was made meanwhile has new numbers, and goes behind what an earlier start has left."""
    folder = tmp_path / "disk"
    before = Bench(folder / "spool.sqlite3")
    before.put(3)
    before.spooler.close(5)
    folder.rename(tmp_path / "unplugged")
    folder.write_text("not a folder")
    bench = Bench(folder / "spool.sqlite3")
    assert "the folder cannot be made" in bench.spooler.problem
    bench.box.put("t", b"new")
    bench.box.attach()
    flying = bench.box.take()
    assert flying is not None
    bench.box.put("t", b"newer")
    folder.unlink()
    (tmp_path / "unplugged").rename(folder)
    looks = Called(monkeypatch, "prove")
    bench.turn(5.0)
    bench.turn()
    assert bench.box.delivery().recovered == 0, "the number in flight may be that of a message on the disk"
    bench.box.settle(flying)
    bench.turn(4.9)
    assert len(looks.with_what) == 1, "each costs an SD card a write"
    bench.turn(0.2)
    assert rig.until(lambda: bench.box.delivery().recovered == 3)
    bench.turn(0.1)
    sent = []
    while (message := bench.box.take()) is not None:
        bench.box.settle(message)
        sent.append(message.payload)
    assert sent == [b"x" * 10] * 3 + [b"newer"]
    assert bench.box.delivery().closes
    bench.spooler.close(5)


def test_a_damaged_file_is_exchanged_and_used_at_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bench.put(3)
    bench.turn(2.0)
    reads = Called(monkeypatch, "read")
    reads.error = SpoolDamagedError("the file is damaged")
    bench.box.attach()
    assert rig.until(lambda: bench.box.delivery().dropped == {"spool_damaged": 3})
    reads.error = None
    bench.box.detach()
    bench.put(2)
    bench.turn(2.0)
    assert (bench.box.disk.count, bench.spooler.problem) == (2, "")
    assert (tmp_path / "spool.sqlite3.damaged").exists()
    bench.box.attach()
    bench.turn(1.0)
    assert bench.send() == 2


def test_a_damaged_file_that_cannot_be_exchanged_is_told(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.put(3)
    bench.turn(2.0)
    Called(monkeypatch, "read").error = SpoolDamagedError("the file is damaged")

    def stays(path: Path, why: str) -> None:
        raise SpoolError(f"{why}, and {path.name} cannot be set aside")

    monkeypatch.setattr("edged.mqtt.delivery.spooler.set_aside", stays)
    bench.box.attach()
    assert rig.until(lambda: bench.spooler.problem)
    assert "the file is damaged, and spool.sqlite3 cannot be set aside" in bench.spooler.problem
    assert bench.box.delivery().dropped == {"spool_damaged": 3}
    bench.put(1)
    assert bench.send() == 1


def test_a_disk_that_hangs_at_the_end_is_told_and_not_waited_for(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    let = threading.Event()
    real = Spool.write

    def hangs(spool: Spool, batch: Sequence[Message]) -> None:
        let.wait(20)
        real(spool, batch)

    monkeypatch.setattr(Spool, "write", hangs)
    bench.put(1)
    with capture_logs() as logs:
        bench.spooler.close(0.05)
    assert [entry["event"] for entry in logs] == ["mqtt_spool_stuck"]
    let.set()
