"""What a webhook still owes at a stop, a kill or a reload, and who brings it then."""

from __future__ import annotations

import json
import shutil
import time
from typing import TYPE_CHECKING

from daemon import until
from taker import Server, counted, event, sink, tell

from edged.durable.ledger import EventLedger
from edged.metrics import FrameCounts
from edged.records import Report

if TYPE_CHECKING:
    from pathlib import Path


def test_a_stop_brings_what_waits_and_does_not_wait_for_a_server_that_is_away() -> None:
    with Server(200) as server:
        pass
    taker = sink(server.url, stop_timeout_s=100.0)
    tell(taker, [event(1, "start")])
    until(lambda: taker.problem)
    started = time.monotonic()
    taker.close()
    assert time.monotonic() - started < 30.0
    assert counted(taker, lost=1)()


def test_after_a_kill_the_next_run_brings_what_is_owed_and_ends_what_was_open(tmp_path: Path) -> None:
    kept, left = tmp_path / "kept.json", tmp_path / "left.json"
    with Server(200, 500) as server:
        book = EventLedger(kept)
        killed = sink(server.url, ledger=book, stop_timeout_s=0.2)
        tell(killed, [event(1, "start")])
        until(counted(killed, delivered=1))
        tell(killed, [event(1, "update"), event(2, "start"), event(2, "end"), event(3, "start")])
        book.settle(30)
        shutil.copy(kept, left)  # as a kill leaves it
        killed.close()
    with Server(200) as server:
        book = EventLedger(left)
        again = sink(server.url, ledger=book, boot_id="1" * 32, kinds=("start", "end"))
        until(counted(again, delivered=5))
        again.close()
        book.settle(30)
        told = [(one["event_id"], one["type"], one["ended_by"]) for one in server.events()]
    assert told == [
        ("event2", "start", ""),
        ("event2", "end", "left"),
        ("event3", "start", ""),
        ("event1", "end", "stop"),
        ("event3", "end", "stop"),
    ]
    with Server(200) as server:
        sink(server.url, ledger=EventLedger(left), boot_id="2" * 32).close()
        assert server.got == []


def test_what_a_stop_leaves_is_lost_without_a_file_and_brought_by_the_next_start_with_one(
    tmp_path: Path,
) -> None:
    kept = tmp_path / "kept.json"
    with Server(500) as server:
        book = EventLedger(kept)
        stopped = sink(server.url, ledger=book, stop_timeout_s=0.2)
        tell(stopped, [event(1, "start"), event(1, "end")])
        stopped.close()
        book.close()
        assert counted(stopped)(), "nothing is lost"
        with_none = sink(server.url, stop_timeout_s=0.2)
        tell(with_none, [event(2, "start")])
        with_none.close()
        assert counted(with_none, lost=1)()
    with Server(200) as server:
        again = sink(server.url, ledger=EventLedger(kept), boot_id="1" * 32)
        until(counted(again, delivered=2))
        again.close()
        assert [(one["event_id"], one["type"]) for one in server.events()] == [
            ("event1", "start"),
            ("event1", "end"),
        ]


def test_what_waits_at_a_reload_is_brought_by_the_sink_after_it(tmp_path: Path) -> None:
    """Both have one ledger, and the new one is open before the old one closes."""
    book = EventLedger(tmp_path / "kept.json")
    with Server(500) as away, Server(200) as server:
        before = sink(away.url, ledger=book, stop_timeout_s=0.2)
        tell(before, [event(1, "start"), event(1, "end")])
        after = sink(server.url, ledger=book)
        before.close()
        after.report(Report(10.0, 0.0, {}, FrameCounts(0, 0, {}, 0), 0, {}, {}))
        until(counted(after, delivered=2))
        assert [one["type"] for one in server.events()] == ["start", "end"]
        after.close()


def test_what_was_brought_last_is_not_brought_again_after_a_kill(tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    with Server(200) as server:
        book = EventLedger(kept)
        killed = sink(server.url, ledger=book)
        tell(killed, [event(1, "start"), event(1, "end")])
        until(counted(killed, delivered=2))
        until(lambda: json.loads(kept.read_text())["unsafe"] == [])
        shutil.copy(kept, tmp_path / "left.json")  # as a kill leaves it
        killed.close()
        sink(server.url, ledger=EventLedger(tmp_path / "left.json"), boot_id="1" * 32).close()
    assert [one["type"] for one in server.events()] == ["start", "end"]


def test_a_ledger_that_cannot_be_written_is_a_trouble(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    with Server(200) as server:
        book = EventLedger(tmp_path / "file" / "webhook.json")
        taker = sink(server.url, ledger=book)
        tell(taker, [event(1, "start")])
        until(counted(taker, delivered=1))
        until(lambda: "webhook.json' cannot be written: " in taker.problem)
        taker.close()
        book.close()
