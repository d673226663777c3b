"""What was put on disk comes back in order, and a disk that fails is told and survived."""

from __future__ import annotations

import contextlib
import os
import random
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import rig
from structlog.testing import capture_logs

from edged.mqtt.delivery.message import Message, Numbers
from edged.mqtt.delivery.outbox import Outbox
from edged.mqtt.delivery.spool import Spool, SpoolError, SpoolFullError, set_aside
from edged.mqtt.delivery.spooler import Spooler, SpoolFile

if TYPE_CHECKING:
    from collections.abc import Iterator


def messages(count: int, first: int = 1, size: int = 500) -> list[Message]:
    return [Message(order, "a/b", b"%08d" % order + b"x" * size) for order in range(first, first + count)]


def open_spool(path: Path, *, max_bytes: int = 10_000_000, max_age_s: float = 1e6) -> Spool:
    return Spool(path, max_bytes=max_bytes, max_age_s=max_age_s)


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


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"SQLite format 3\x00" + b"\xff" * 5000])
def test_a_file_that_is_no_spool_is_set_aside_under_another_name(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with capture_logs() as logs:
        spool = open_spool(path)
    assert spool.extent() == (0, None, 0)
    assert path.with_name("spool.sqlite3.damaged").read_bytes() == content
    assert [entry["event"] for entry in logs] == ["mqtt_spool_set_aside"]


def test_a_spool_of_another_version_is_set_aside(path: Path) -> None:
    open_spool(path).close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 7")
    database.close()
    with capture_logs() as logs:
        open_spool(path)
    assert logs[0]["reason"] == "it has the format 7, this edged writes the format 1"


def test_a_database_of_somebody_else_is_set_aside(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE mine (x)")
    database.close()
    with capture_logs() as logs:
        open_spool(path)
    assert "not a spool of edged" in logs[0]["reason"]


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SpoolError, match="folder cannot be made"):
        open_spool(tmp_path / "file" / "spool.sqlite3")


@pytest.mark.parametrize("seed", range(30))
def test_damage_is_never_published(path: Path, seed: int) -> None:
    """Random bytes of the file change: every message read is whole, or it is counted as damaged."""
    chance = random.Random(seed)  # noqa: S311
    spool = open_spool(path)
    originals = messages(300)
    spool.write(originals)
    spool.close()
    content = bytearray(path.read_bytes())
    for _ in range(20):
        content[chance.randrange(len(content))] = chance.randrange(256)
    path.write_bytes(content)
    with capture_logs():
        try:
            spool = open_spool(path)
            found, _, damaged = spool.read(1, 1000)
        except SpoolError:
            return
    wanted = {message.order: message.payload for message in originals}
    assert all(wanted[message.order] == message.payload for message in found)
    assert len(found) + damaged <= 300 + 20
    spool.close()


# With the outbox in front of it.


def outbox(limit: int = 50) -> Outbox:
    return Outbox(limit=limit, wake=lambda: None, orders=Numbers(1))


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a file system of its own needs the right to mount")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def put(box: Outbox, count: int, size: int = 1000) -> None:
    for _ in range(count):
        box.put("t", b"x" * size)


def test_a_full_disk_is_told_and_detection_goes_on(tiny_disk: Path) -> None:
    box = outbox()
    spooler = Spooler(box.disk, SpoolFile(tiny_disk / "spool.sqlite3"))
    spooler.open()
    with capture_logs() as logs:
        for _ in range(100):
            put(box, 25)
            rig.until(lambda: len(box._lanes.queue) < 25, 0.1)  # noqa: SLF001
            if spooler.problem:
                break
        put(box, 200)
    assert "no room left on the disk" in spooler.problem
    assert [entry["event"] for entry in logs] == ["mqtt_spool_fails", "mqtt_overflow"]
    account = box.delivery()
    assert account.closes
    assert account.spooled > 100
    assert account.dropped["disk_full"] >= 150
    assert account.queued <= 100
    spooler.close(5)
    box.abandon()
    assert box.delivery().closes


def test_room_on_the_disk_is_used_again(tiny_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edged.mqtt.delivery.spooler._FULL_S", 0.2)
    ballast = tiny_disk / "ballast"
    ballast.write_bytes(b"x" * 900_000)
    box = outbox(limit=200)
    spooler = Spooler(box.disk, SpoolFile(tiny_disk / "spool.sqlite3"))
    spooler.open()
    put(box, 150)
    assert rig.until(lambda: spooler.problem)
    ballast.unlink()
    assert rig.until(lambda: not spooler.problem and box.disk.count == 150)
    spooler.close(5)
    assert box.delivery().dropped == {}


def test_a_file_damaged_while_in_use_is_replaced(path: Path) -> None:
    count = 6000  # more than SQLite keeps in memory
    box = outbox(limit=count)
    spooler = Spooler(box.disk, SpoolFile(path))
    spooler.open()
    put(box, count)
    assert rig.until(lambda: box.disk.count == count)
    for file in (path, Path(f"{path}-wal")):
        file.write_bytes(os.urandom(file.stat().st_size))
    with capture_logs() as logs:
        box.attach()
        assert rig.until(lambda: _drain(box) or "spool_damaged" in box.delivery().dropped), box.delivery()
        put(box, 40)
        assert rig.until(lambda: _drain(box) >= 40)
        box.detach()
    assert {"mqtt_spool_set_aside"} <= {entry["event"] for entry in logs}
    assert box.delivery().closes
    assert path.with_name(path.name + ".damaged").exists()
    spooler.close(5)
    box.abandon()
    assert box.delivery().closes


def _drain(box: Outbox) -> int:
    """Send what can be sent; how many were."""
    sent = 0
    while (message := box.take()) is not None:
        box.settle(message)
        sent += 1
    return sent


def test_a_spool_that_cannot_be_opened_is_told_and_memory_serves(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    box = outbox()
    spooler = Spooler(box.disk, SpoolFile(tmp_path / "file" / "spool.sqlite3"))
    with capture_logs() as logs:
        spooler.open()
    assert logs[0]["event"] == "mqtt_spool_fails"
    assert "cannot be used: the folder cannot be made" in spooler.problem
    put(box, 60)
    assert box.delivery().dropped == {"queue_full": 10}
    spooler.close(1)


def test_what_is_made_before_the_spool_is_read_overwrites_nothing_in_it(tmp_path: Path) -> None:
    """Numbers of an earlier start are not used again."""
    path = tmp_path / "spool.sqlite3"
    for count in (5, 3):
        box = outbox()
        put(box, count)
        spooler = Spooler(box.disk, SpoolFile(path))
        spooler.open()
        assert rig.until(lambda box=box: box.delivery().queued == 0)  # type: ignore[misc]
        spooler.close(5)
        account = box.delivery()
        assert account.closes
    assert (account.recovered, account.spooled) == (5, 8)
    with contextlib.closing(sqlite3.connect(path)) as stored:
        tables = [name for (name,) in stored.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = max(stored.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in tables)  # noqa: S608
    assert rows == 8


def test_a_row_in_the_place_of_another_is_damage(path: Path) -> None:
    """The checksum covers the order: what was moved by a damaged disk is not published out of turn."""
    with contextlib.closing(open_spool(path)) as spool:
        spool.write(messages(4))
    with contextlib.closing(sqlite3.connect(path)) as stored, stored:
        stored.execute("UPDATE messages SET id = CASE id WHEN 2 THEN 30 WHEN 3 THEN 20 ELSE id END")
    with contextlib.closing(open_spool(path)) as spool:
        found, following, damaged = spool.read(1, 10)
        assert ([message.order for message in found], following, damaged) == ([1, 4], None, 2)
        assert spool.extent()[0] == 2


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
    spooler.close(5)
    assert box.delivery().closes
    with contextlib.closing(open_spool(path)) as spool:
        assert spool.extent() == (0, None, 0)


def test_what_is_in_memory_at_the_end_goes_to_the_disk(path: Path) -> None:
    box = outbox()
    spooler = Spooler(box.disk, SpoolFile(path))
    spooler.open()
    put(box, 5)
    spooler.close(5)
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


def test_what_is_set_aside_leaves_nothing_that_the_next_file_would_take_for_its_own(path: Path) -> None:
    path.parent.mkdir()
    for name in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        name.write_bytes(b"of the old file")
    with capture_logs():
        set_aside(path, "it is damaged")
    assert [left.name for left in path.parent.iterdir()] == ["spool.sqlite3.damaged"]
    with pytest.raises(SpoolError, match="it is damaged, and it cannot be set aside: No such file"):
        set_aside(path, "it is damaged")


def test_a_disk_without_room_takes_all_of_a_batch_or_nothing(path: Path) -> None:
    """SQLite is told that the disk ends where the file does."""
    with contextlib.closing(open_spool(path)) as spool:
        spool.write(messages(3))
        (pages,) = spool._db.execute("PRAGMA page_count").fetchone()  # noqa: SLF001
        spool._db.execute(f"PRAGMA max_page_count = {pages}")  # noqa: SLF001
        with pytest.raises(SpoolFullError, match="there is no room left on the disk"):
            spool.write(messages(100, first=4))
        assert spool.extent() == (3, 1, 3)
        spool.remove([1, 2, 3])
        assert spool.extent() == (0, None, 0)


def test_the_log_of_the_file_stays_small(path: Path) -> None:
    """A megabyte, in SQLite's own numbers: what an SD card is asked to keep beside the messages."""
    with contextlib.closing(open_spool(path)) as spool:
        found = [
            spool._db.execute(f"PRAGMA {name}").fetchone()[0]  # noqa: SLF001
            for name in ("page_size", "wal_autocheckpoint", "journal_size_limit")
        ]
    assert found == [4096, 256, 1 << 20]


def test_a_row_of_other_values_than_were_written_is_damage(path: Path) -> None:
    """Nor is the row before it published a second time in its place."""
    with contextlib.closing(open_spool(path)) as spool:
        spool.write(messages(5))
    with contextlib.closing(sqlite3.connect(path)) as stored, stored:
        stored.execute("UPDATE messages SET topic = NULL WHERE id = 2")
        stored.execute("UPDATE messages SET topic = X'FF' WHERE id = 3")
        stored.execute("UPDATE messages SET payload = NULL WHERE id = 4")
    with contextlib.closing(open_spool(path)) as spool:
        found, following, damaged = spool.read(1, 10)
        assert ([message.order for message in found], following, damaged) == ([1, 5], None, 3)
        assert spool.extent()[0] == 2


def test_folders_that_are_missing_are_made(tmp_path: Path) -> None:
    path = tmp_path / "none" / "of" / "these" / "spool.sqlite3"
    open_spool(path).close()
    assert path.exists()


def test_of_two_messages_that_are_too_much_the_older_goes(path: Path) -> None:
    with contextlib.closing(open_spool(path, max_bytes=60_000)) as spool:
        spool.write(messages(2, size=40_000))
        assert spool.trim(1) == ({"spool_full": 1}, 2)
