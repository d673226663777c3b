"""The ledger of events: what is on disk and when, whatever the disk, the system or a message does."""

from __future__ import annotations

import itertools
import json
import os
import threading
from typing import TYPE_CHECKING

from daemon import until
from news import news

from edged import bridge
from edged.contract import happenings as contract
from edged.durable.ledger import EventLedger

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from edged.contract.happenings import Telling


def test_a_file_that_is_damaged_or_cannot_be_written_is_told_and_ends_nothing(tmp_path: Path) -> None:
    path = tmp_path / "edged-lab1.events.json"
    path.write_text('{"open": ["{}"]}', encoding="utf-8")
    ledger = EventLedger(path)
    assert ledger.leftovers("0" * 32) == []
    lost = EventLedger(tmp_path / "file" / "edged-lab1.events.json")
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    lost.totals.add("a")
    lost.flush()
    assert "cannot be written: " in lost.problem
    assert lost.totals.under() == {"a": 1}


def test_an_acknowledgement_does_not_wait_for_a_disk_that_hangs(tmp_path: Path) -> None:
    """A FIFO that nobody reads: whoever opens it to write hangs."""
    path = tmp_path / "edged-lab1.events.json"
    ledger = EventLedger(path)
    ledger.totals.add("a")
    fifo = path.with_name(path.name + ".new")
    os.mkfifo(fifo)
    writer = threading.Thread(target=ledger.flush, daemon=True)
    writer.start()
    try:
        ledger.safe(b"anything")
        assert ledger.totals.recall("b", 3) == 3
        assert writer.is_alive()
    finally:
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        writer.join(10)
        os.close(reader)
    assert not writer.is_alive()


def test_a_disk_that_hangs_is_told_and_not_waited_for_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A FIFO that nobody reads, as above."""
    monkeypatch.setattr("edged.durable.ledger._LAST_S", 0.1)
    path = tmp_path / "edged-lab1.events.json"
    ledger = EventLedger(path, clock=itertools.count(0, 5.1).__next__)
    fifo = path.with_name(path.name + ".new")
    os.mkfifo(fifo)
    ledger.totals.add("a")
    ledger.keep()
    end = threading.Thread(target=ledger.close, daemon=True)
    try:
        until(lambda: ledger.problem)
        assert ledger.problem == f"{str(path)!r} is not written, the disk does not answer; events wait for it"
        end.start()
        end.join(30)
        assert not end.is_alive()
    finally:
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        ledger.settle(30)
        os.close(reader)
    assert "does not answer" not in ledger.problem


def test_what_the_disk_has_not_taken_is_written_when_it_is_well_again(tmp_path: Path) -> None:
    """Though nothing else happens: the event is open, and a kill comes next."""
    blocked = tmp_path / "spool"
    blocked.write_text("not a folder", encoding="utf-8")
    ledger = EventLedger(blocked / "edged-lab1.events.json")
    ledger.retry()
    ledger.settle(30)
    assert ledger.problem == "", "nothing was to be written"
    ledger.note(message(1), lambda: None)
    ledger.settle(30)
    assert "cannot be written: " in ledger.problem
    ledger.retry()
    ledger.settle(30)
    assert "cannot be written: " in ledger.problem
    blocked.unlink()
    ledger.retry()
    ledger.settle(30)
    assert ledger.problem == ""
    left = [
        json.loads(payload)
        for _, payload in EventLedger(blocked / "edged-lab1.events.json").leftovers("1" * 32)
    ]
    assert [one["type"] for one in left] == ["start", "end"]


def test_a_start_does_not_wait_for_a_disk_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edged.durable.ledger._SLOW_S", 0.1)
    path = tmp_path / "edged-lab1.events.json"
    before = EventLedger(path)
    before.note(message(1), lambda: None)
    before.settle(30)
    ledger = EventLedger(path)
    fifo = path.with_name(path.name + ".new")
    os.mkfifo(fifo)
    left: list[tuple[str, bytes]] = []
    start = threading.Thread(target=lambda: left.extend(ledger.leftovers("1" * 32)), daemon=True)
    start.start()
    try:
        start.join(30)
        assert [json.loads(payload)["type"] for _, payload in left] == ["start", "end"]
    finally:
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        ledger.settle(30)
        os.close(reader)


def test_a_thread_that_the_system_refuses_is_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It allows so many (TasksMax=), or has no memory for one."""

    def refused(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    ledger = EventLedger(tmp_path / "edged-lab1.events.json")
    sent: list[str] = []
    with monkeypatch.context() as poor:
        poor.setattr(bridge, "start", refused)
        ledger.note(message(1), lambda: sent.append("first"))
        assert sent == []
    ledger.keep()
    ledger.settle(30)
    assert sent == ["first"]


def test_a_message_that_cannot_be_sent_keeps_back_none_behind_it(tmp_path: Path) -> None:
    def broken() -> None:
        raise ValueError

    ledger = EventLedger(tmp_path / "edged-lab1.events.json")
    sent: list[str] = []
    ledger.note(message(1), broken)
    ledger.note(message(2), lambda: sent.append("second"))
    ledger.settle(30)
    assert sent == ["second"]


def test_a_crossing_in_the_moment_of_an_acknowledgement_is_kept(tmp_path: Path) -> None:
    class Moment(bytes):
        def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
            ledger.totals.add("a")
            return super().decode(encoding, errors)

    path = tmp_path / "edged-lab1.events.json"
    ledger = EventLedger(path)
    ledger.safe(Moment(b"of another run"))
    ledger.flush()
    assert EventLedger(path).totals.under() == {"a": 1}


def message(number: int) -> Telling:
    """That something has come."""
    return contract.told(news(number, "start"), camera="front", boot_id="0" * 32)
