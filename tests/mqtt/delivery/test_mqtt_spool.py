"""What was put on disk comes back in order, and a disk that fails is told and survived."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
import rig
from spooled import messages, open_spool, outbox, put

from edged.mqtt.delivery.spooler import Spooler, SpoolFile


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "spool.sqlite3"


def test_messages_come_back_in_order_over_a_restart(path: Path) -> None:
    spool = open_spool(path)
    spool.write(messages(10))
    spool.close()
    spool = open_spool(path)
    assert spool.extent() == (10, 1, 10)
    first, following, _ = spool.read(1, 4)
    assert [message.order for message in first] == [1, 2, 3, 4]
    assert following == 5
    assert first[0].payload == messages(1)[0].payload
    assert first[0].spooled
    rest, following, _ = spool.read(5, 100)
    assert [message.order for message in rest] == [5, 6, 7, 8, 9, 10]
    assert following is None
    spool.remove([1, 2])
    assert spool.extent() == (8, 3, 10)


def test_the_oldest_go_when_the_file_is_too_large(path: Path) -> None:
    spool = open_spool(path, max_bytes=200_000)
    for batch in range(20):
        spool.write(messages(100, 1 + 100 * batch))
        if spool.oversized:
            dropped, following = spool.trim(1)
            assert dropped.keys() == {"spool_full"}
            assert spool.extent()[1] == following
    count, first, last = spool.extent()
    assert last == 2000
    assert count == 2000 - (first or 0) + 1
    assert 200 < count < 400, "about 200 kB of messages of 500 bytes are left"
    assert path.stat().st_size < 400_000


def test_what_is_loaded_is_never_trimmed(path: Path) -> None:
    spool = open_spool(path, max_bytes=50_000)
    spool.write(messages(400))
    spool.trim(51)
    assert [message.order for message in spool.read(1, 50)[0]] == list(range(1, 51))


def test_messages_are_dropped_when_they_are_too_old(path: Path) -> None:
    spool = open_spool(path)
    spool.write(messages(5))
    spool.close()
    with sqlite3.connect(path) as database:
        database.execute("UPDATE messages SET created = created - 100 WHERE id <= 3")
    database.close()
    spool = open_spool(path, max_age_s=60)
    assert spool.trim(1) == ({"spool_age": 3}, 4)


def test_messages_of_a_clock_that_was_not_set_are_not_taken_for_old(path: Path) -> None:
    spool = open_spool(path)
    spool.write(messages(2))
    spool.close()
    with sqlite3.connect(path) as database:
        database.execute("UPDATE messages SET created = 1000")
    database.close()
    assert open_spool(path, max_age_s=60).trim(1) == ({}, 1)


@pytest.mark.parametrize("days", [10, -10])
def test_a_jump_of_the_clock_is_no_age(path: Path, monkeypatch: pytest.MonkeyPatch, days: float) -> None:
    """A machine without a clock whose network comes late, and one whose clock was ahead."""
    real = time.time
    spool = open_spool(path, max_age_s=60)
    spool.write(messages(3))
    monkeypatch.setattr(time, "time", lambda: real() + days * 86400)
    assert spool.trim(1) == ({}, 1)
    spool.write(messages(3, first=4))
    spool.close()
    spool = open_spool(path, max_age_s=60)
    assert spool.trim(1) == ({}, 1)
    assert spool.extent() == (6, 1, 6)


def test_the_time_between_two_daemons_of_one_boot_is_age(path: Path) -> None:
    spool = open_spool(path)
    spool.write(messages(3))
    spool.close()
    with sqlite3.connect(path) as database:
        database.execute("UPDATE mark SET up = up - 100")  # as if the machine had run on for so long
    database.close()
    spool = open_spool(path, max_age_s=60)
    spool.write(messages(2, first=4))
    assert spool.trim(1) == ({"spool_age": 3}, 4)


def test_the_time_in_which_the_machine_was_off_is_none(path: Path) -> None:
    """The clock may have been wrong before, and be wrong now: the count goes on where it was."""
    spool = open_spool(path, max_age_s=60)
    spool.write(messages(3))
    spool.close()
    with sqlite3.connect(path) as database:
        database.execute("UPDATE mark SET boot = 'another', up = up + 5000, age_clock = age_clock + 50")
    database.close()
    spool = open_spool(path, max_age_s=60)
    spool.write(messages(2, first=4))
    assert spool.trim(1) == ({}, 1)
    spool.close()
    with sqlite3.connect(path) as database:
        database.execute("UPDATE mark SET up = up - 20")
    database.close()
    assert open_spool(path, max_age_s=60).trim(1) == ({"spool_age": 3}, 4)


def test_a_spool_of_0_1_0_counts_from_its_newest_message(path: Path) -> None:
    """It has times of the wall clock, which may have jumped since."""
    spool = open_spool(path)
    spool.write(messages(4))
    spool.close()
    with sqlite3.connect(path) as database:
        database.execute("DROP TABLE mark")
        database.execute("UPDATE messages SET created = created - 9e5")
        database.execute("UPDATE messages SET created = created - 100 WHERE id <= 2")
    database.close()
    assert open_spool(path, max_age_s=60).trim(1) == ({"spool_age": 2}, 3)


def test_an_empty_spool_gives_its_room_back(path: Path) -> None:
    spool = open_spool(path)
    spool.write(messages(2000))
    spool.remove(range(1, 2001))
    spool.shrink()
    assert path.stat().st_size < 100_000


def test_a_second_user_of_the_file_is_told(path: Path) -> None:
    open_spool(path)
    code = (
        "import sys; from pathlib import Path; from edged.mqtt.delivery.spool import Spool\n"
        "Spool(Path(sys.argv[1]), max_bytes=1, max_age_s=1)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[3],
    )
    assert "another process uses it" in run.stderr


def test_what_is_made_before_the_spool_is_read_overwrites_nothing_in_it(tmp_path: Path) -> None:
    """Numbers of an earlier start are not used again."""
    path = tmp_path / "spool.sqlite3"
    for count in (5, 3):
        box = outbox()
        put(box, count)
        spooler = Spooler(box.disk, SpoolFile(path))
        spooler.open()
        assert rig.until(lambda box=box: box.delivery().queued == 0)  # type: ignore[misc]
        spooler.close(60)
        account = box.delivery()
        assert account.closes
    assert (account.recovered, account.spooled) == (5, 8)
    with contextlib.closing(sqlite3.connect(path)) as stored:
        tables = [name for (name,) in stored.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = max(stored.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in tables)  # noqa: S608
    assert rows == 8


def test_every_write_is_synced(path: Path) -> None:
    """What was written survives the loss of power: SQLite's word for it, in its own numbers."""
    with contextlib.closing(open_spool(path)) as spool:
        assert spool._db.execute("PRAGMA synchronous").fetchone() == (2,)  # noqa: SLF001  # FULL
        assert spool._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)  # noqa: SLF001


def test_what_waited_on_the_disk_leaves_in_order_and_the_disk_is_empty_then(path: Path) -> None:
    box = outbox(limit=60)
    spooler = Spooler(box.disk, SpoolFile(path))
    spooler.open()
    for number in range(250):
        box.put("t", b"%d" % number, waits=True)
    assert rig.until(lambda: box.disk.count > 150)
    box.attach()
    sent: list[int] = []

    def drained() -> bool:
        while (message := box.take()) is not None:
            sent.append(int(message.payload))
            box.settle(message)
        return len(sent) >= 250

    assert rig.until(drained)
    assert sent == list(range(250))
    spooler.close(60)
    assert box.delivery().closes
    with contextlib.closing(open_spool(path)) as spool:
        assert spool.extent() == (0, None, 0)


def test_what_is_in_memory_at_the_end_goes_to_the_disk(path: Path) -> None:
    box = outbox()
    spooler = Spooler(box.disk, SpoolFile(path))
    spooler.open()
    put(box, 5)
    spooler.close(60)
    with contextlib.closing(open_spool(path)) as spool:
        assert spool.extent()[0] == 5


def test_small_messages_make_no_room_for_large_ones_at_once(path: Path) -> None:
    """The oldest go in several rounds, since their sizes are not known; all are counted."""
    with contextlib.closing(open_spool(path, max_bytes=400_000)) as spool:
        spool.write([*messages(400, size=10), *messages(20, first=401, size=40_000)])
        dropped, following = spool.trim(1)
        count, first, _ = spool.extent()
        assert dropped == {"spool_full": 420 - count}
        assert first == following
        assert 1 <= count < 12
        assert not spool.oversized


def test_a_spool_may_take_what_it_may_to_the_byte(path: Path) -> None:
    with contextlib.closing(open_spool(path)) as spool:
        spool.write(messages(100))
    with contextlib.closing(open_spool(path, max_bytes=1)) as spool:
        pages = spool._size()  # noqa: SLF001  # what it takes now, which no file says while it is open
    for most, dropped in ((pages, False), (pages - 1, True)):
        with contextlib.closing(open_spool(path, max_bytes=most)) as spool:
            assert spool.oversized == dropped
            assert bool(spool.trim(1)[0]) == dropped


def test_nothing_is_left_to_drop_from_an_empty_spool(path: Path) -> None:
    """Its pages alone may be more than it may take."""
    with contextlib.closing(open_spool(path, max_bytes=1)) as spool:
        assert spool.trim(1) == ({}, None)


def test_the_log_of_the_file_stays_small(path: Path) -> None:
    """A megabyte, in SQLite's own numbers: what an SD card is asked to keep beside the messages."""
    with contextlib.closing(open_spool(path)) as spool:
        found = [
            spool._db.execute(f"PRAGMA {name}").fetchone()[0]  # noqa: SLF001
            for name in ("page_size", "wal_autocheckpoint", "journal_size_limit")
        ]
    assert found == [4096, 256, 1 << 20]


def test_folders_that_are_missing_are_made(tmp_path: Path) -> None:
    path = tmp_path / "none" / "of" / "these" / "spool.sqlite3"
    open_spool(path).close()
    assert path.exists()


def test_of_two_messages_that_are_too_much_the_older_goes(path: Path) -> None:
    with contextlib.closing(open_spool(path, max_bytes=60_000)) as spool:
        spool.write(messages(2, size=40_000))
        assert spool.trim(1) == ({"spool_full": 1}, 2)
