"""The looks at a frame through the engines: each needs an input tensor, all of them one turn."""

from __future__ import annotations

import threading
import time
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING

from edged.channel import Channel, Closed
from edged.errors import EdgedError
from edged.metrics import Pulse
from edged.pipeline.looks import FrameJob, Look

if TYPE_CHECKING:
    from collections.abc import Callable

    from edged.imaging.geometry import Region
    from edged.model.detector import Detector
    from edged.records import Frame, Tensor


class Workers:
    """A fixed set of input tensors, and a thread an engine that takes what is in them.

    Who brings a job holds a turn of the engines; it is given back with the last look.

    Args:
        detector: has engines and preprocessing; it stays the caller's to close.
        spare: tensors beside those that the engines work on.
        failed: is told why an engine could not go on; from its thread.
        claimed: is called when an engine begins with a job that may be claimed, and when that has ended; from
            any thread.
    """

    def __init__(
        self,
        detector: Detector,
        *,
        spare: int,
        failed: Callable[[EdgedError], None],
        claimed: Callable[[], None],
    ) -> None:
        self._detector = detector
        self._failed = failed
        self._claimed = claimed
        self._newer: Tensor | None = None
        """Where a newer frame is brought while an older one waits for its engine; made when it is needed."""
        self._aborted = False
        self._settling = threading.Lock()
        self.buffers = len(detector.engines) + spare
        # None instead of a tensor ends the intake.
        self._free: SimpleQueue[Tensor | None] = SimpleQueue()
        for _ in range(self.buffers):
            self._free.put(detector.preprocess.new_input())
        self._work: Channel[tuple[FrameJob, Look]] = Channel(self.buffers)
        self.pulses = [Pulse(f"predict-{number}") for number in range(len(detector.engines))]

    def tensor(self) -> Tensor | None:
        """A tensor for the next frame, as soon as one is free; None once there is to be none."""
        return self._free.get()

    def halt(self) -> None:
        """There is to be no next frame."""
        self._free.put(None)

    def close(self) -> None:
        """No further look comes; those that were handed over are still taken."""
        self._work.close()

    def abort(self) -> None:
        """Take no further look."""
        self._aborted = True
        for job, _ in self._work.abort():
            self._settle(job)
        self._free.put(None)  # no tensor comes back any more for who waits for another one

    def prepare(self, job: FrameJob, part: Region | None, tensor: Tensor) -> Look:
        """Bring a part of the frame into a tensor."""
        look = Look(tensor, self._detector.preprocess(job.frame.pixels, tensor, part))
        job.looks.append(look)
        return look

    def bring(self, job: FrameJob, pulse: Pulse) -> None:
        """Bring all looks on their way: the first is ready, the others as soon as each has a tensor."""
        self._hand_over(job, job.looks[0])
        left = len(job.parts) - 1
        try:
            for part in job.parts[1:]:
                tensor = self._another()
                if tensor is None:
                    return
                if job.cause:
                    self._free.put(tensor)
                    return
                with pulse:
                    look = self.prepare(job, part, tensor)
                left -= 1
                self._hand_over(job, look)
        except BaseException:
            job.cause = job.cause or "preprocess_failed"
            raise
        finally:
            if left:
                self._settle(job, left)

    def renew(self, job: FrameJob, frame: Frame, pulse: Pulse) -> bool:
        """Have a job that waits for its engine be of a newer frame; False if an engine has begun with it."""
        preprocess = self._detector.preprocess
        if self._newer is None:
            self._newer = preprocess.new_input()
        with pulse:
            begun = time.monotonic()
            geometry = preprocess(frame.pixels, self._newer)
            ready = time.monotonic()
        with self._settling:
            if job.claimed is None or job.claimed.is_set():
                return False
            look = job.looks[0]
            look.tensor, self._newer, look.geometry = self._newer, look.tensor, geometry
            job.frame, job.begun, job.admitted, job.preprocessed = frame, begun, begun, ready
            return True

    def predict(self, pulse: Pulse) -> None:
        """Take looks until there are no more; blocks."""
        self._work.each(partial(self._invoke, pulse))

    def _another(self) -> Tensor | None:
        """A tensor for a further look, as soon as one is free; None once nothing is to be finished."""
        while True:
            tensor = self._free.get()
            if tensor is not None or self._aborted:
                return tensor

    def _hand_over(self, job: FrameJob, look: Look) -> None:
        try:
            self._work.put((job, look), waits=True)
        except Closed:  # given up in between; who takes the job out of the order accounts for it
            self._settle(job)

    def _claim(self, claimed: threading.Event) -> None:
        with self._settling:
            claimed.set()
        self._claimed()

    def _settle(self, job: FrameJob, looks: int = 1) -> None:
        """So many looks at a frame have ended, well or not: with the last one its turn is over."""
        with self._settling:
            job.left -= looks
            if job.left:
                return
            if job.claimed is not None:
                job.claimed.set()
        if job.claimed is not None:
            self._claimed()
        self._detector.pool.turns.give_back()
        job.done.put(None)

    def _invoke(self, pulse: Pulse, work: tuple[FrameJob, Look]) -> None:
        job, look = work
        pool, engine = self._detector.pool, None
        try:
            if job.cause:  # of a frame that will be no result
                return
            engine = pool.take()
            with pulse:
                if job.claimed is not None:
                    self._claim(job.claimed)
                look.started = time.monotonic()
                look.outputs = engine.invoke(look.tensor)
                look.ended = time.monotonic()
        except BaseException as error:
            job.cause = "predict_failed"
            if not isinstance(error, EdgedError):
                raise
            self._failed(error)
        finally:
            if engine is not None:
                pool.give_back(engine)
            self._settle(job)
            self._free.put(look.tensor)
