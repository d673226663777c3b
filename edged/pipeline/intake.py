"""The way in: a thread that drains the source."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from edged.channel import Channel, Closed
from edged.sources.decoding.skipping import MotionAware

if TYPE_CHECKING:
    from edged.metrics import Ledger
    from edged.records import Frame
    from edged.sources import Source

_WAITING = 1
"""Frames that wait to be taken: of a file the next, of a live source the newest."""


class Beside(Protocol):
    """What knows the size of a larger stream."""

    size: tuple[int, int] | None


class Intake:
    """Takes every frame from the source, whatever the rest of the pipeline does.

    Draining keeps the latency flat: what a camera's driver or a network buffer holds back grows old there.

    Args:
        source: open; it stays the caller's to close.
        waits: whether a frame that nobody takes makes the source wait (a file) or gives way to the next one.
        ledger: account of all frames.
    """

    def __init__(self, source: Source, *, waits: bool, ledger: Ledger) -> None:
        self.source = source
        self._aware = source if isinstance(source, MotionAware) else None
        self.waits = waits
        self.frames: Channel[Frame] = Channel(_WAITING)
        self.beside: Beside | None = None
        """The larger stream in whose pixels boxes are published; None: those of the frames."""
        self._ledger = ledger
        self._skipped: Counter[str] = Counter()
        self._resumed = threading.Event()
        self._resumed.set()

    def run(self) -> None:
        """Until the source ends or is stopped; blocks.

        Raises:
            SourceError: the source failed for good. What it gave before goes its way.
        """
        try:
            for frame in self.source.frames():
                self._ledger.captured()
                self._count_skipped()
                if self.beside is not None:
                    # When it came says which picture of that stream it shows, however long it was decoded.
                    # A file's stays without that time, as its capture is no part of its way from here on.
                    size, came = self.beside.size, None if frame.decoded is None else frame.captured
                    frame = replace(frame, full=size, decoded=came)  # noqa: PLW2901  # the same one, with more
                if not self._resumed.is_set():
                    if self.source.live:
                        self._ledger.dropped("paused")
                        continue
                    self._resumed.wait()
                if self.frames.put(frame, waits=self.waits) is not None:
                    self._ledger.dropped("superseded")
        except Closed:
            self._ledger.dropped("stopped")
        finally:
            self._count_skipped()
            self.frames.close()

    def _count_skipped(self) -> None:
        """Enter pictures that the source itself left out: they were captured, and dropped for its reasons."""
        for cause, count in self.source.skipped.items():
            if count and (more := count - self._skipped[cause]):
                self._skipped[cause] = count
                self._ledger.captured(more)
                self._ledger.dropped(cause, more)

    def rest(self, frame_id: int, *, quiet: bool) -> None:
        """Let the source know whether anything moves in a frame, so that it may do less."""
        if self._aware is not None:
            self._aware.rest(frame_id, quiet=quiet)

    def stop(self) -> None:
        """End the source. What it has given can still be taken, nothing more comes."""
        self.source.stop()
        self.frames.close()
        self._resumed.set()

    def abort(self) -> None:
        """Stop, and count what nobody has taken as lost."""
        self.stop()
        self._ledger.dropped("aborted", len(self.frames.abort()))

    def pause(self) -> None:
        """Take no more frames; those that a live source still gives are counted as dropped."""
        self._resumed.clear()

    def resume(self) -> None:
        """Take frames again."""
        self._resumed.set()
