"""Whose what is, in a folder where several daemons keep things: each has a card there, locked while it runs.

A card is never removed: it is how the next start knows which files are its own, though another daemon has the
same sources, or it has itself another name. Nobody removes what a card says to be another one's.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path
    from typing import IO

    from edged.settings.declared import Settings

log = structlog.get_logger()

_ENDS = ".card"
_TURN = "edged.lock"
"""Locked for the moment in which a daemon looks at the cards and takes its own."""
_TURN_S = 1.0
"""How long another one's moment may last; it may have been stopped in it."""


@dataclass(frozen=True, slots=True)
class Whose:
    """What a daemon is called."""

    node: str = ""
    """At the broker; empty without one."""
    cameras: tuple[str, ...] = ()
    config: str = ""
    """Which settings it has, as a hash."""

    def likeness(self, other: Whose) -> int:
        """How much speaks for two being one daemon, now and before."""
        same_node = bool(self.node) and self.node == other.node
        return same_node + (self.cameras == other.cameras) + 2 * (self.config == other.config)


class Owner:
    """One daemon as the owner of what it keeps in EDGED_SPOOL. Thread-safe.

    Args:
        sources: where its frames come from, which outlasts its names.
    """

    def __init__(self, sources: Iterable[str] = ()) -> None:
        self._begins = hashlib.sha256("\n".join(sorted(sources)).encode()).hexdigest()[:8]
        self.origin = self._begins
        """Tells this daemon from others, whatever they are called; stays the same over restarts."""
        self.has_node = True
        """Whether what is kept for the node at the broker is this daemon's, and not that of one that runs."""
        self.knows = False
        """Whether it is known what belongs to others."""
        self._lock = threading.RLock()
        """A thread may wait for our turn while a stop leaves."""
        self._folder: Path | None = None
        self._whose = Whose()
        self._card: _Card | None = None
        self._origins: dict[Path, str] = {}
        """By folder, what it has been in this run: it may leave one and come back."""

    def enter(self, folder: Path | None, settings: Sequence[Settings]) -> None:
        """Take a card in the folder, or write on the one that is held there what has changed.

        Args:
            folder: None where nothing is kept.
            settings: of each camera.
        """
        first = settings[0]
        whose = Whose(
            first.node if first.mqtt_url is not None else "",
            tuple(sorted(one.camera for one in settings)),
            hashlib.sha256("".join(one.fingerprint for one in settings).encode()).hexdigest()[:12],
        )
        with self._lock:
            in_use = self.waits and (folder, whose.node) == (self._folder, self._whose.node)
            if folder != self._folder:
                self.leave()
            self._folder, self._whose = folder, whose
            # What cannot be looked at now is as it was.
            self.has_node, self.knows = bool(whose.node) and not in_use, False
            if folder is None:
                return
            try:
                folder.mkdir(parents=True, exist_ok=True)
                self._take(folder, whose)
                self.knows = True
            except OSError as error:
                log.warning("folder_not_shared", path=str(folder), reason=error.strerror or str(error))
            if whose.node and not self.has_node:
                log.error("node_in_use", node=whose.node, path=str(folder))

    @property
    def waits(self) -> bool:
        """Whether there is a node to take over as soon as the daemon that has it is gone."""
        return self._folder is not None and bool(self._whose.node) and not self.has_node

    def take_over(self) -> bool:
        """Own what is kept for the node, if the daemon that had it has gone; whether that is so."""
        with self._lock, suppress(OSError):  # another time
            if self.waits and self._folder is not None and self._take(self._folder, self._whose):
                self.knows = True
                log.info("node_taken_over", node=self._whose.node, path=str(self._folder))
                return True
        return False

    def leave(self) -> None:
        """Own nothing any more; the card stays for the next start."""
        with self._lock:
            if self._card is not None:
                self._card.close()
            self._card, self._folder, self.knows = None, None, False

    def _take(self, folder: Path, whose: Whose) -> bool:
        """Look at the cards and take or write our own, in our turn; whether the node is ours.

        Raises:
            OSError: another one does not end its turn, or there can be no card here.
        """
        with (folder / _TURN).open("ab") as turn:
            _lock(turn)
            own = self._card.path if self._card is not None else None
            cards = [_Card(path) for path in sorted(folder.glob(f"edged-*{_ENDS}")) if path != own]
            try:
                self.has_node = bool(whose.node) and not any(
                    card.held and card.whose.node == whose.node for card in cards
                )
                if self._card is None:
                    self._card = self._chosen(folder, cards, whose)
                    self.origin = self._origins[folder] = self._card.origin
                self._card.write(whose)
            finally:
                for card in cards:
                    if card is not self._card:
                        card.close()
        return self.has_node

    def _chosen(self, folder: Path, cards: Sequence[_Card], whose: Whose) -> _Card:
        """The card that this daemon had before; a new one where that is not sure."""
        alike = [card for card in cards if card.origin.partition(".")[0] == self._begins]
        free = [card for card in alike if not card.held]
        if own := [card for card in free if card.origin == self._origins.get(folder)]:
            return own[0]
        most = max((card.whose.likeness(whose) for card in free), default=0)
        best = [card for card in free if card.whose.likeness(whose) == most]
        # The only one of these sources has another name now. Who has the very settings of another is like it.
        if best and (len(alike) == 1 or (most and len(best) == 1) or best[0].whose == whose):
            return best[0]
        taken = {card.origin for card in alike}
        numbers = (f"{self._begins}.{number}" for number in range(2, len(taken) + 3))
        origin = next(one for one in (self._begins, *numbers) if one not in taken)
        return _Card(folder / f"edged-{origin}{_ENDS}")


class _Card:
    """A card, locked by us if it is not by another; made if there is none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.origin = path.name.removeprefix("edged-").removesuffix(_ENDS)
        self._file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644), "r+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.held = False
            """Whether a daemon that runs has it."""
        except BlockingIOError:
            self.held = True
        self.whose = _read(self._file.read())

    def write(self, whose: Whose) -> None:
        if whose != self.whose:
            self._file.seek(0)
            self._file.truncate()
            self._file.write(json.dumps(asdict(whose)).encode())
            self._file.flush()
            self.whose = whose

    def close(self) -> None:
        self._file.close()


def _lock(turn: IO[bytes]) -> None:
    """Wait for our turn.

    Raises:
        OSError: another one does not end its own.
    """
    until = time.monotonic() + _TURN_S
    while True:
        try:
            return fcntl.flock(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise TimeoutError(f"another process has held {_TURN} for {_TURN_S:g} s") from None
            time.sleep(0.02)


def _read(content: bytes) -> Whose:
    """What a card says; of one that is damaged nothing."""
    try:
        said: Any = json.loads(content)
        return Whose(str(said["node"]), tuple(map(str, said["cameras"])), str(said["config"]))
    except (ValueError, LookupError, TypeError):
        return Whose()
