"""A spool that is damaged, none at all or on a full disk: told, set aside and survived."""

from __future__ import annotations

import contextlib
import os
import random
import sqlite3
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import rig
from spooled import messages, open_spool, outbox, put
from structlog.testing import capture_logs

from edged.mqtt.delivery.message import Message
from edged.mqtt.delivery.spool import SpoolDamagedError, SpoolError, SpoolFullError, set_aside
from edged.mqtt.delivery.spooler import Spooler, SpoolFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edged.mqtt.delivery.outbox import Outbox


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "spool.sqlite3"


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


def wreck(path: Path, *pages: int) -> None:
    with path.open("r+b") as file:
        for page in pages:
            file.seek(page * 4096)
            file.write(b"\xff" * 4096)


def test_a_disk_is_proven_only_if_it_gives_every_page_of_a_payload(path: Path) -> None:
    """Else what comes before the bad one would be sent again and again, every five seconds."""
    spool = open_spool(path)
    spool.write([Message(1, "t", b""), Message(2, "t", b"x" * 80_000)])
    spool.close()
    with contextlib.closing(open_spool(path)) as spool:
        spool.prove()
    wreck(path, 10)
    with contextlib.closing(open_spool(path)) as spool:
        assert spool.extent()[0] == 2
        with pytest.raises(SpoolDamagedError):
            spool.prove()


def test_a_file_that_is_damaged_behind_its_beginning_is_exchanged_at_the_start(path: Path) -> None:
    spool = open_spool(path)
    spool.write([Message(number, "t", b"x" * 500) for number in range(1, 400)])
    spool.close()
    wreck(path, 20)
    box = outbox()
    spooler = Spooler(box.disk, SpoolFile(path))
    spooler.open()
    put(box, 5)
    assert spooler.problem == ""
    spooler.close(60)
    assert box.disk.count == 5
    assert path.with_name("spool.sqlite3.damaged").exists()


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


def test_a_full_disk_is_told_and_detection_goes_on(tiny_disk: Path) -> None:
    box = outbox()
    spooler = Spooler(box.disk, SpoolFile(tiny_disk / "spool.sqlite3"))
    spooler.open()
    with capture_logs() as logs:
        for _ in range(100):
            put(box, 25)
            assert rig.until(lambda: len(box._lanes.queue) < 25 or spooler.problem)  # noqa: SLF001
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
    spooler.close(60)
    box.abandon()
    assert box.delivery().closes


def test_room_on_the_disk_is_used_again(tiny_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edged.mqtt.delivery.spooler._REST_S", 0.2)
    ballast = tiny_disk / "ballast"
    ballast.write_bytes(b"x" * 900_000)
    box = outbox(limit=200)
    spooler = Spooler(box.disk, SpoolFile(tiny_disk / "spool.sqlite3"))
    spooler.open()
    put(box, 150)
    assert rig.until(lambda: spooler.problem)
    ballast.unlink()
    assert rig.until(lambda: not spooler.problem and box.disk.count == 150)
    spooler.close(60)
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
    spooler.close(60)
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
