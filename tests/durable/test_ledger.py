"""The ledger of events: what is on disk and when, whatever the disk, the system or a message does."""

from __future__ import annotations

import itertools
import json
import os
import threading
from typing import TYPE_CHECKING

from daemon import until
from news import news
from structlog.testing import capture_logs

from edged import bridge
from edged.contract import event_messages as contract
from edged.durable.ledger import EventLedger

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from edged.contract.event_messages import Telling


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
        with capture_logs() as logs:
            end.start()
            end.join(30)
        assert not end.is_alive()
        assert [line["event"] for line in logs] == ["ledger_stuck"]
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
    begins = f"{str(blocked / 'edged-lab1.events.json')!r} cannot be written: "
    with capture_logs() as logs:
        ledger.note(message(1), lambda: None)
        ledger.settle(30)
        assert ledger.problem.startswith(begins)
        ledger.retry()
        ledger.settle(30)
        assert ledger.problem.startswith(begins)
    assert [line["event"] for line in logs] == ["ledger_fails"]
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
    ledger.note(message(2), lambda: sent.append(threading.current_thread().name))
    with capture_logs() as logs:
        ledger.settle(30)
    assert sent == ["event-ledger"]
    assert "ledger_stuck" not in [line["event"] for line in logs]


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


def left_in(path: Path, boot_id: str = "1" * 32) -> list[tuple[str, str]]:
    """Kind and id of all that the next run brings."""
    found = [json.loads(payload) for _, payload in EventLedger(path).leftovers(boot_id)]
    return [(one["type"], one["event_id"][-1]) for one in found]


def test_the_next_run_brings_what_is_not_safe_and_ends_what_is_open_once(tmp_path: Path) -> None:
    path = tmp_path / "events.json"
    ledger = EventLedger(path)
    assert ledger.leftovers("0" * 32) == []
    told = [message(1), message(2), message(3), message(2, "update"), message(3, "end")]
    for one in told:
        ledger.note(one, lambda: None)
    for number in (0, 2, 3):
        ledger.safe(told[number].json)
    ledger.close()
    following = EventLedger(path)
    left = [(camera, json.loads(payload)) for camera, payload in following.leftovers("1" * 32)]
    assert [(camera, one["type"], one["event_id"][-1]) for camera, one in left] == [
        ("front", "start", "2"),
        ("front", "end", "3"),
        ("front", "end", "1"),
        ("front", "end", "2"),
    ]
    assert [one["boot_id"][0] for _, one in left] == ["0", "0", "1", "1"]
    assert following.leftovers("1" * 32) == []
    assert left_in(path) == [("start", "2"), ("end", "3"), ("end", "1"), ("end", "2")]


def test_an_event_of_which_only_the_end_is_owed_has_it_by_the_next_run(tmp_path: Path) -> None:
    path = tmp_path / "events.json"
    ledger = EventLedger(path)
    ledger.note(message(1), lambda: None)
    ledger.done(message(1))
    ledger.close()
    assert left_in(path) == [("end", "1")]


def test_a_message_is_sent_when_it_is_on_disk_and_in_the_order_of_notes(tmp_path: Path) -> None:
    path, sent = tmp_path / "events.json", list[list[tuple[str, str]]]()
    ledger = EventLedger(path)
    for number in (1, 2):
        ledger.note(message(number), lambda: sent.append(left_in(path)))
        ledger.settle(30)
    assert sent == [
        [("start", "1"), ("end", "1")],
        [("start", "1"), ("start", "2"), ("end", "1"), ("end", "2")],
    ]


def test_the_disk_is_waited_for_by_starts_and_ends_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[bool] = []

    def replace(path: Path, content: bytes, *, lasting: bool) -> None:
        assert path == tmp_path / "events.json"
        assert content
        written.append(lasting)

    monkeypatch.setattr("edged.durable.ledger.replace_file", replace)
    ledger = EventLedger(tmp_path / "events.json")
    for one in (message(1), message(2), message(1, "update"), message(1, "end")):
        ledger.note(one, lambda: None)
        ledger.settle(30)
    ledger.done(message(1))
    ledger.settle(30)
    ledger.totals.add("in")
    ledger.keep()
    ledger.settle(30)
    assert written == [True, True, False, True, False, False]
    ledger.done(message(1))
    ledger.safe(b"of another run")
    ledger.flush()
    ledger.retry()
    ledger.close()
    assert len(written) == 6, "nothing has changed since"


def test_of_too_many_that_are_not_safe_the_oldest_update_goes_and_without_one_the_oldest(
    tmp_path: Path,
) -> None:
    ledger = EventLedger(tmp_path / "events.json")
    told = [message(1), message(1, "update"), *(message(number, "end") for number in range(2, 300))]
    for one in told:
        ledger.note(one, lambda: None)
    assert [*ledger._unsafe] == [one.json.decode() for one in told]  # noqa: SLF001
    told += [message(number, "end") for number in (300, 301)]
    ledger.note(told[-2], lambda: None)
    assert [*ledger._unsafe] == [one.json.decode() for one in (told[0], *told[2:-1])]  # noqa: SLF001
    ledger.note(told[-1], lambda: None)
    assert [*ledger._unsafe] == [one.json.decode() for one in told[2:]]  # noqa: SLF001
    ledger.close()


def test_without_a_file_a_message_is_sent_at_once_and_nothing_outlives_the_run() -> None:
    ledger, sent = EventLedger(None), list[int]()
    ledger.note(message(1), lambda: sent.append(1))
    ledger.done(message(1))
    ledger.totals.add("in")
    ledger.keep()
    ledger.close()
    assert (sent, ledger.problem, ledger.lasting) == ([1], "", False)
    assert ledger.leftovers("1" * 32) == []


def test_what_one_has_not_brought_is_for_the_next_who_asks(tmp_path: Path) -> None:
    ledger = EventLedger(tmp_path / "events.json")
    assert ledger.passed_on() == []
    ledger.pass_on([message(1)])
    ledger.pass_on([message(2)])
    assert ledger.passed_on() == [message(1), message(2)]
    assert ledger.passed_on() == []
    assert ledger.lasting


def test_who_notes_waits_where_the_disk_is_hundreds_of_messages_behind(tmp_path: Path) -> None:
    """The one that is sent holds up all others, as a disk would."""
    ledger, going, sent = EventLedger(tmp_path / "events.json"), threading.Event(), list[int]()
    for number in range(300):
        ledger.note(message(number), lambda: sent.append(going.wait(30)))
    last = threading.Thread(target=ledger.note, args=(message(300), lambda: sent.append(2)), daemon=True)
    last.start()
    last.join(0.05)
    assert last.is_alive()
    going.set()
    last.join(30)
    ledger.settle(30)
    assert sent == [*[1] * 300, 2]


def message(number: int, kind: str = "start") -> Telling:
    """That something has come, goes on or has gone."""
    return contract.told(news(number, kind), camera="front", boot_id="0" * 32)
