"""Messages on disk while they cannot be sent: one SQLite file, bounded by size and age.

What is promised: a message that was written survives the end of the process by any signal, and the loss of
power (each write is synced). It is read back in the order in which messages were made, over restarts as well,
and leaves the disk after it was acknowledged. A checksum on every row keeps damage from being published.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import sqlite3
import struct
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from edged.mqtt.delivery.age import AgeClock, Mark
from edged.mqtt.delivery.message import Message

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

log = structlog.get_logger()

_APPLICATION = 0x65646764
_VERSION = 1
_PAGE = 4096
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_CLOCK_IS_SET = 1_600_000_000.0
"""Seconds. Up to 0.1.0 messages had the time of the wall clock; one that was not set tells no age."""
_SCHEMA = f"""
CREATE TABLE messages (id INTEGER PRIMARY KEY, topic BLOB, payload BLOB, created REAL, crc INTEGER);
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_VERSION};
"""
# Beside what 0.1.0 has written, and still reads.
_MARK = """
CREATE TABLE IF NOT EXISTS mark (id INTEGER PRIMARY KEY, age_clock REAL NOT NULL, boot TEXT NOT NULL, up REAL)
"""


class SpoolError(Exception):
    """The disk did not do what it should; the message is a sentence for the user."""

    cause = "spool_failed"


class SpoolFullError(SpoolError):
    """There is no room on the disk, for now."""

    cause = "disk_full"


class SpoolDamagedError(SpoolError):
    """The file is not what was written."""

    cause = "spool_damaged"


class Spool:
    """The messages on disk. Used by one thread at a time.

    Args:
        path: the file; missing folders are made.
        max_bytes: what the file may take; the oldest messages go first.
        max_age_s: seconds after which messages are dropped, counted while the machine runs.

    Raises:
        SpoolError: it cannot be opened.
    """

    def __init__(self, path: Path, *, max_bytes: int, max_age_s: float) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SpoolError(f"the folder cannot be made: {error.strerror}") from error
        try:
            self._db = self._open()
        except SpoolDamagedError as error:
            set_aside(path, str(error))
            self._db = self._open()

    def prove(self) -> None:
        """See whether the disk takes a write, and gives everything that is on it.

        Raises:
            SpoolError: it does not.
        """
        self.write(())
        with self._translated():
            # It stands behind the payload: no page is left out.
            self._db.execute("SELECT max(crc) FROM messages").fetchone()

    def extent(self) -> tuple[int, int | None, int]:
        """How many messages there are, the first order and the last (0 without any)."""
        with self._translated():
            count, first, last = self._db.execute(
                "SELECT count(*), min(id), max(id) FROM messages"
            ).fetchone()
        return count, first, last or 0

    def write(self, messages: Sequence[Message]) -> None:
        """Put messages on disk, all or none.

        Raises:
            SpoolFullError: there is no room.
            SpoolError: the disk failed.
        """
        mark = self._age.now()
        rows = [
            (message.order, message.topic.encode(), message.payload, mark.age_clock, _checksum(message))
            for message in messages
        ]
        with self._translated(), self._db:
            self._remember(mark)
            self._db.executemany("INSERT OR REPLACE INTO messages VALUES (?, ?, ?, ?, ?)", rows)

    def read(self, start: int, count: int) -> tuple[list[Message], int | None, int]:
        """At most ``count`` messages from the order ``start`` on, the order that follows, the damaged ones.

        Those are removed and only counted.
        """
        with self._translated():
            rows = self._db.execute(
                "SELECT id, topic, payload, crc FROM messages WHERE id >= ? ORDER BY id LIMIT ?",
                (start, count + 1),
            ).fetchall()
        following = rows.pop()[0] if len(rows) > count else None
        messages = []
        damaged = []
        for order, topic, payload, crc in rows:
            try:
                message = Message(order, topic.decode(), payload, spooled=True)
                intact = crc == _checksum(message)
            except (AttributeError, TypeError, UnicodeDecodeError):
                intact = False
            if intact:
                messages.append(message)
            else:
                damaged.append(order)
        if damaged:
            self.remove(damaged)
        return messages, following, len(damaged)

    def remove(self, orders: Sequence[int]) -> None:
        """Take messages off the disk.

        Raises:
            SpoolFullError: even that needs a little room.
        """
        with self._translated(), self._db:
            self._db.executemany("DELETE FROM messages WHERE id = ?", [(order,) for order in orders])

    @property
    def oversized(self) -> bool:
        """Whether the file holds more than it may."""
        return self._size() > self._max_bytes

    def trim(self, start: int) -> tuple[dict[str, int], int | None]:
        """Drop what is too old or too much from the order ``start`` on; by cause, and the first left."""
        dropped = {"spool_age": self._remove_old(start), "spool_full": 0}
        while (excess := self._size() - self._max_bytes) > 0:
            with self._translated(), self._db:
                first, last = self._db.execute("SELECT min(id), max(id) FROM messages").fetchone()
                average = self._size() / (last - first + 1) if last else 1
                count = self._db.execute(
                    "DELETE FROM messages WHERE id IN "
                    "(SELECT id FROM messages WHERE id >= ? ORDER BY id LIMIT ?)",
                    (start, math.ceil(excess / average)),
                ).rowcount
            if not count:
                break
            dropped["spool_full"] += count
        with self._translated():
            following = self._db.execute("SELECT min(id) FROM messages WHERE id >= ?", (start,)).fetchone()[0]
        return {cause: count for cause, count in dropped.items() if count}, following

    def _remove_old(self, start: int) -> int:
        """Drop the oldest messages up to the first that is young enough."""
        mark = self._age.now()
        with self._translated(), self._db:
            self._remember(mark)
            (young,) = self._db.execute(
                "SELECT min(id) FROM (SELECT id FROM messages WHERE id >= ? "
                "AND NOT created BETWEEN ? AND ? ORDER BY id LIMIT 1)",
                (start, _CLOCK_IS_SET, mark.age_clock - self._max_age_s),
            ).fetchone()
            return self._db.execute(
                "DELETE FROM messages WHERE id >= ? AND id < ifnull(?, 9e18)", (start, young)
            ).rowcount

    def shrink(self) -> None:
        """Give the room of removed messages back to the disk; cheap, if there are hardly any others."""
        with self._translated():
            self._db.execute("VACUUM")
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        """Free the file."""
        with contextlib.suppress(sqlite3.Error):
            self._db.close()

    def _open(self) -> sqlite3.Connection:
        with self._translated():
            # Opened by one thread, used by another; autocommit but for explicit transactions.
            db = sqlite3.connect(self._path, timeout=0.5, check_same_thread=False)
            try:
                db.execute(f"PRAGMA page_size = {_PAGE}")
                db.execute("PRAGMA locking_mode = EXCLUSIVE")
                db.execute("PRAGMA journal_mode = WAL")
                db.execute("PRAGMA synchronous = FULL")
                db.execute("PRAGMA wal_autocheckpoint = 256")
                db.execute(f"PRAGMA journal_size_limit = {256 * _PAGE}")
                self._check(db)
                self._age = _age_clock(db)
            except BaseException:
                db.close()
                raise
        return db

    def _check(self, db: sqlite3.Connection) -> None:
        """Make the table of a new file; refuse one that is not ours."""
        (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        (application,) = db.execute("PRAGMA application_id").fetchone()
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if not tables and not version:
            db.executescript("BEGIN IMMEDIATE;" + _SCHEMA + "COMMIT;")
        elif application != _APPLICATION:
            raise SpoolDamagedError("it is a database, but not a spool of edged")
        elif version != _VERSION:
            raise SpoolDamagedError(f"it has the format {version}, this edged writes the format {_VERSION}")
        db.execute("SELECT id, topic, payload, created, crc FROM messages LIMIT 1").fetchall()
        # Takes the lock now, so that a second daemon on the same file is told at its start.
        db.executescript("BEGIN IMMEDIATE; COMMIT;")

    def _remember(self, mark: Mark) -> None:
        self._db.execute(_MARK)
        self._db.execute("INSERT OR REPLACE INTO mark VALUES (1, ?, ?, ?)", dataclasses.astuple(mark))

    def _size(self) -> int:
        """Bytes in use: pages that hold something, and the log that is not yet merged."""
        with self._translated():
            (pages,) = self._db.execute("PRAGMA page_count").fetchone()
            (free,) = self._db.execute("PRAGMA freelist_count").fetchone()
        return int(pages - free) * _PAGE

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """SQLite's errors as ours."""
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code == sqlite3.SQLITE_FULL:
                raise SpoolFullError("there is no room left on the disk") from error
            if code in _DAMAGED:
                raise SpoolDamagedError(f"the file is damaged: {error}") from error
            if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
                raise SpoolError("another process uses it, probably a second edged") from error
            raise SpoolError(str(error)) from error


def set_aside(path: Path, why: str) -> None:
    """Rename a spool that cannot be used, for whoever wants to look at it; only the last one is kept.

    Raises:
        SpoolError: it cannot be renamed.
    """
    aside = path.with_name(path.name + ".damaged")
    try:
        path.replace(aside)
        for suffix in ("-wal", "-shm"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)
    except OSError as error:
        raise SpoolError(f"{why}, and it cannot be set aside: {error.strerror}") from error
    log.error("mqtt_spool_set_aside", path=str(path), reason=why, kept_as=str(aside))


def _age_clock(db: sqlite3.Connection) -> AgeClock:
    """Goes on where the last user of this file has left it; without a mark, at its newest message."""
    if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'mark'").fetchone():
        for found in db.execute("SELECT age_clock, boot, up FROM mark WHERE typeof(up) = 'real'"):
            return AgeClock(Mark(*found))
    (newest,) = db.execute("SELECT max(created) FROM messages WHERE typeof(created) = 'real'").fetchone()
    return AgeClock(None, first=max(_CLOCK_IS_SET, newest or time.time()))


def _checksum(message: Message) -> int:
    return zlib.crc32(message.payload, zlib.crc32(message.topic.encode() + struct.pack("<q", message.order)))
