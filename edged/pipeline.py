"""capture -> preprocess -> predict -> postprocess -> one bounded queue per sink.

Every stage is a loop in a thread of its own; OpenCV, FFmpeg and TFLite release the interpreter lock, so
the stages really overlap. asyncio owns their lives, but no frame passes through its event loop: a hop
through an executor costs more than a small model's inference.

Two things bound the flow. The input tensors are a fixed set of buffers, and a frame is only taken from
the source when one is free: for a live source there is one buffer a worker, so the frame that goes into
the model is always the newest; for a file there is one more, so that preprocessing overlaps inference.
And every queue has a capacity. Data flows one way; every frame ends as a result or as a counted drop.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TYPE_CHECKING

import structlog

from edged import bridge
from edged.channel import Channel, Closed
from edged.errors import EdgedError, SinkError
from edged.picture import Picture
from edged.records import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edged.detector import Detector
    from edged.engines import Engine
    from edged.imaging import Geometry
    from edged.metrics import Ledger, Meter
    from edged.records import Frame, Tensor
    from edged.sinks import Sink
    from edged.sources import Source

_CAPTURE_AHEAD = 2
"""Frames of a file that are decoded ahead; a live source keeps one, the newest."""
_SINK_QUEUE = 3
"""Results a sink may lag behind; each holds a whole frame."""
_ABORT_DEADLINE_S = 2.0
"""How long stages get to leave their loops once their queues were taken away."""

log = structlog.get_logger()


@dataclass(slots=True)
class _Job:
    """A frame on its way through the model; its worker sets ``done`` when it has outputs or has failed."""

    frame: Frame
    tensor: Tensor
    geometry: Geometry
    preprocess_started: float
    preprocessed: float
    predict_started: float = 0.0
    predicted: float = 0.0
    outputs: Sequence[Tensor] | None = None
    done: threading.Event = field(default_factory=threading.Event)


@dataclass(slots=True)
class Outlet:
    """One sink with its queue and its account: ``results = sent + sum(lost) + queued``."""

    sink: Sink
    queue: Channel[Result]
    lost: Counter[str]
    sent: int = 0
    failure: str = ""
    """Why the last result was not taken; empty when it was."""


class Pipeline:
    """The way of a frame. Knows protocols only; everything is handed in open and stays the caller's to close.

    Args:
        source: gives frames.
        detector: finds things in them; one thread an engine, results keep the order of the frames.
        outlets: where results go, from :func:`outlet`.
        waits: whether every frame must be kept (a file) or only the newest counts (a live source).
        max_age: seconds after which a waiting frame of a live source is dropped.
        meter: latencies of all stages.
        ledger: account of all frames.
    """

    def __init__(
        self,
        *,
        source: Source,
        detector: Detector,
        outlets: Sequence[Outlet],
        waits: bool,
        max_age: float,
        meter: Meter,
        ledger: Ledger,
    ) -> None:
        self._source = source
        self._detector = detector
        self._outlets = outlets
        self._max_age = float("inf") if waits else max_age
        self._meter = meter
        self._ledger = ledger
        self._failure: EdgedError | None = None
        self._awaited: _Job | None = None
        self.stuck: tuple[str, ...] = ()
        """Stages that did not end after :meth:`run`; what they use must be left alone."""
        self._resumed = threading.Event()
        self._resumed.set()

        buffers = len(detector.engines) + (1 if waits else 0)
        self._free: SimpleQueue[Tensor | None] = SimpleQueue()
        for _ in range(buffers):
            self._free.put(detector.preprocess.new_input())
        self._captured: Channel[Frame] = Channel(_CAPTURE_AHEAD if waits else 1, waits=waits)
        self._work: Channel[_Job] = Channel(buffers, waits=True)
        self._ordered: Channel[_Job] = Channel(buffers + 1, waits=True)

    async def run(self) -> None:
        """Until the source has ended and everything has drained.

        Raises:
            EdgedError: source or engine failed; all frames before that are accounted for.
        """
        stages: list[tuple[str, Callable[[], None]]] = [
            ("capture", self._capture),
            ("preprocess", self._preprocess),
            *((f"predict-{number}", self._worker(engine)) for number, engine in enumerate(self._detector.engines)),
            ("postprocess", self._postprocess),
            *((f"sink-{outlet.sink.name}", self._feeder(outlet)) for outlet in self._outlets),
        ]
        running = {name: bridge.run(name, loop) for name, loop in stages}
        # Once the source has been told to stop, nobody waits for it: a camera may never return from a read.
        # Capture closes its queue when it ends, so that the end of the source ends all the others.
        rest = [stage for name, stage in running.items() if name != "capture"]
        try:
            await asyncio.wait(rest, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            if not all(stage.done() for stage in rest):
                self.abort()
            self._source.stop()
            await asyncio.wait(running.values(), timeout=_ABORT_DEADLINE_S)
            self.stuck = tuple(name for name, stage in running.items() if not stage.done())
            for name in self.stuck:
                log.error("stage_stuck", stage=name)
                running[name].cancel()
        for stage in running.values():
            if not stage.cancelled():
                stage.result()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """End the source; what is in the pipeline drains. Safe from any thread, and more than once."""
        self._source.stop()
        self._captured.close()
        self._resumed.set()

    def pause(self) -> None:
        """Take no frame from the source until :meth:`resume`; those that a live source still gives are counted."""
        self._resumed.clear()

    def resume(self) -> None:
        """Take frames again."""
        self._resumed.set()

    @property
    def paused(self) -> bool:
        """Whether :meth:`pause` is in force."""
        return not self._resumed.is_set()

    def _fail(self, error: EdgedError) -> None:
        """Remember why the run ends, and end it as the end of the file would."""
        self._failure = self._failure or error
        self.stop()

    def abort(self) -> None:
        """Take the queues away from stages that do not end by themselves; what was in them is counted."""
        self.stop()
        self._work.abort()
        left = len(self._captured.abort()) + len(self._ordered.abort())
        self._ledger.dropped("aborted", left)
        if self._awaited is not None:
            self._awaited.done.set()
        self._free.put(None)
        for outlet in self._outlets:
            outlet.lost["aborted"] += len(outlet.queue.abort())

    # The stages, each in its own thread.

    def _capture(self) -> None:
        try:
            for frame in self._source.frames():
                self._ledger.captured()
                if not self._resumed.is_set():
                    if self._source.live:
                        self._ledger.dropped("paused")
                        continue
                    self._resumed.wait()
                displaced = self._captured.put(frame)
                if displaced is not None:
                    self._ledger.dropped("superseded")
        except Closed:
            self._ledger.dropped("stopped")
        except EdgedError as error:
            self._fail(error)
        finally:
            self._captured.close()

    def _preprocess(self) -> None:
        try:
            while (tensor := self._free.get()) is not None and (frame := self._fresh()) is not None:
                started = time.monotonic()
                geometry = self._detector.preprocess(frame.image, tensor)
                job = _Job(frame, tensor, geometry, started, time.monotonic())
                self._ordered.put(job)
                try:
                    self._work.put(job)
                except Closed:  # the run is given up; who takes the job out of the order accounts for it
                    job.done.set()
                    return
        except Closed:
            self._ledger.dropped("aborted")
        finally:
            self._work.close()
            self._ordered.close()

    def _fresh(self) -> Frame | None:
        """The next frame that is not too old; None when there are no more."""
        for frame in self._captured:
            if time.monotonic() - frame.captured <= self._max_age:
                return frame
            self._ledger.dropped("stale")
        return None

    def _worker(self, engine: Engine) -> Callable[[], None]:
        def predict() -> None:
            for job in self._work:
                try:
                    job.predict_started = time.monotonic()
                    job.outputs = engine.invoke(job.tensor)
                    job.predicted = time.monotonic()
                except EdgedError as error:
                    self._fail(error)
                finally:
                    job.done.set()
                    self._free.put(job.tensor)

        return predict

    def _postprocess(self) -> None:
        try:
            for job in self._ordered:
                self._awaited = job
                job.done.wait()
                if job.outputs is None:
                    self._ledger.dropped("predict_failed")
                    continue
                result = self._result(job, job.outputs)
                self._ledger.inferred()
                self._meter.observe_all(result.timings_ms)
                for outlet in self._outlets:
                    self._hand_over(outlet, result)
        finally:
            for outlet in self._outlets:
                outlet.queue.close()

    def _result(self, job: _Job, outputs: Sequence[Tensor]) -> Result:
        started = time.monotonic()
        detections = self._detector.decoder.decode(outputs, job.geometry)
        if keep := self._detector.keep:
            detections = [detection for detection in detections if detection.label in keep]
        ended = time.monotonic()
        frame = job.frame
        preprocess = job.preprocessed - job.preprocess_started
        predict = job.predicted - job.predict_started
        total = ended - frame.captured
        timings_ms = {
            "capture": round(frame.capture_ms, 3),
            "queue": round(1e3 * (total - preprocess - predict - (ended - started)), 3),
            "preprocess": round(1e3 * preprocess, 3),
            "predict": round(1e3 * predict, 3),
            "postprocess": round(1e3 * (ended - started), 3),
            "total": round(1e3 * total, 3),
        }
        found = tuple(detections)
        return Result(frame, found, timings_ms, Picture(frame.image, found))

    @staticmethod
    def _hand_over(outlet: Outlet, result: Result) -> None:
        try:
            displaced = outlet.queue.put(result)
        except Closed:
            outlet.lost["aborted"] += 1
        else:
            if displaced is not None:
                outlet.lost["superseded"] += 1

    def _feeder(self, outlet: Outlet) -> Callable[[], None]:
        def feed() -> None:
            for result in outlet.queue:
                try:
                    outlet.sink.send(result)
                except SinkError as error:
                    outlet.lost["failed"] += 1
                    if outlet.failure != str(error):
                        log.error("sink_failed", sink=outlet.sink.name, error=str(error))
                        outlet.failure = str(error)
                else:
                    outlet.sent += 1
                    outlet.failure = ""

        return feed


def outlet(sink: Sink, *, waits: bool) -> Outlet:
    """A sink with a bounded queue: with ``waits`` it slows the pipeline down, else its oldest result goes."""
    return Outlet(sink, Channel(_SINK_QUEUE, waits=waits), Counter())
