"""The disk's own thread: nobody else waits for it."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from typing import TYPE_CHECKING

from edged import bridge
from edged.backoff import Backoff
from edged.video.segments import NOTHING, Remarks

if TYPE_CHECKING:
    from edged.video.recorder import Recorder
    from edged.video.segments import Sample

_AHEAD = 150
"""Samples that wait for the disk: five seconds of 30 frames each, some megabytes."""
_MOST_BYTES = 64 << 20
"""The samples that wait have this much: a camera's own may be large."""
_GATHER_S = 0.2
"""How long samples are left to come together: a thread that wakes for each of them finds the caches cold."""
_CALM_S = 10.0
"""A fault this long after the one before is a new one, and is tried again soon."""


class BehindError(Exception):
    """The disk does not keep up: there is no room for another sample."""


class _Break:
    """Nothing follows for a while."""


class Writer:
    """Feeds a recorder, and after a fault of the disk tries it again until it is well.

    Args:
        recorder: used by this thread only, once it is started.
        backoff: how long to wait before the disk is tried again; by default up to half a minute.
    """

    def __init__(self, recorder: Recorder, backoff: Backoff | None = None) -> None:
        self.problem = ""
        """Why nothing is recorded; empty when all is well. Whatever is put meanwhile is lost."""
        self._recorder = recorder
        self._queue: queue.Queue[Sample | Remarks | _Break | None] = queue.Queue(_AHEAD)
        self._put = self._taken = 0
        """Bytes, each counted by one thread."""
        self._closing = threading.Event()
        self._ended = threading.Event()
        self._ended.set()
        self._behind = False
        self._backoff = backoff or Backoff(1.0, 30.0, steady_s=_CALM_S, spread=0.0)
        self._failed_at = -_CALM_S

    def start(self, fault: OSError | None = None) -> None:
        """Start the thread; with what is wrong with the disk already, it begins by trying again."""
        self._ended.clear()
        if fault is not None:
            self.problem = _reason(fault)
        bridge.start("video-disk", lambda: self._run(fault))

    def put(self, sample: Sample, *, patience_s: float) -> None:
        """Have a sample recorded.

        Args:
            sample: what to record.
            patience_s: how long to wait for a disk that is behind, before giving up on it.

        Raises:
            BehindError: it is lost; the next one must be a keyframe.
        """
        waiting = self._put - self._taken
        if self._behind and (self._queue.qsize() > _AHEAD // 2 or waiting > _MOST_BYTES // 2):
            raise BehindError
        self._behind = False
        if waiting > _MOST_BYTES:
            self._behind = True
            raise BehindError
        try:
            self._queue.put(sample, timeout=patience_s)
        except queue.Full:
            self._behind = True
            raise BehindError from None
        self._put += len(sample.packet.data)

    def found(self, remarks: Remarks) -> bool:
        """Have stored what was found in pictures that were put before; whether there was room."""
        try:
            self._queue.put_nowait(remarks)
        except queue.Full:
            return False
        return True

    def rest(self) -> None:
        """Nothing follows for a while: what was put is stored as soon as the disk can, not with what follows.

        Never waits; where there is no room for the word, the next sample says it.
        """
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(_Break())

    def close(self, timeout_s: float, last: Remarks = NOTHING) -> bool:
        """Record what waits, end the files and the thread; False if the disk did not let us in time.

        :attr:`problem` tells afterwards whether all of it was stored.

        Args:
            timeout_s: for all of that.
            last: what was found in pictures that were put before.
        """
        deadline = time.monotonic() + timeout_s
        self._closing.set()
        with contextlib.suppress(queue.Full):
            self._queue.put(last, timeout=timeout_s)
            self._queue.put(None, timeout=max(0.0, deadline - time.monotonic()))
        return self._ended.wait(max(0.0, deadline - time.monotonic()))

    def _run(self, fault: OSError | None) -> None:
        try:
            if fault is not None:
                self._recover(fault)
            while (item := self._next()) is not None:
                try:
                    if isinstance(item, _Break):
                        self._recorder.rest()
                    elif isinstance(item, Remarks):
                        self._recorder.found(item)
                    else:
                        self._taken += len(item.packet.data)
                        self._recorder.take(item)
                except OSError as error:
                    self._recover(error)
            self._end()
        except BaseException:
            self.problem = "the thread that writes has failed"
            raise
        finally:
            self._ended.set()

    def _next(self) -> Sample | Remarks | _Break | None:
        if self._queue.empty():
            self._closing.wait(_GATHER_S)
        return self._queue.get()

    def _recover(self, error: OSError) -> None:
        """Try again, ever more seldom, until the disk takes something or :meth:`close` was called."""
        self.problem = _reason(error)
        pause_s = self._backoff.after(time.monotonic() - self._failed_at)
        while not self._closing.wait(pause_s):
            try:
                self._recorder.probe()
            except OSError as again:
                self.problem = _reason(again)
                pause_s = self._backoff.after(0.0)
            else:
                self.problem = ""
                break
        self._failed_at = time.monotonic()

    def _end(self) -> None:
        try:
            self._recorder.close()
        except OSError as error:
            self.problem = _reason(error)


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
