"""The middle: preprocess -> predict (one thread an engine) -> postprocess, in the order of the frames.

The input tensors are a fixed set of buffers, and a frame is only taken when one is free. That is the
admission to the model: for a live source there is one buffer an engine, so what goes in is always the
newest frame; while it waits for an engine that another camera has, a newer one takes its place. For a file
there is one buffer more, so that preprocessing overlaps inference. A frame may need several looks, at parts
of it: they follow each other into the model, side by side where there are several engines, all in the one
turn of their frame, and make one result.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import structlog

from edged.channel import Channel, Closed
from edged.engines.pool import Guest
from edged.errors import EdgedError, OutputError
from edged.metrics import Pulse
from edged.pipeline.findings import Findings
from edged.pipeline.looks import FrameJob
from edged.pipeline.workers import Workers

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from edged.imaging.geometry import Region
    from edged.metrics import Ledger, Meter
    from edged.model.detector import Detector
    from edged.pipeline.admission import Admission
    from edged.pipeline.follow import Follower
    from edged.pipeline.intake import Intake
    from edged.records import Frame, Result, Tensor

    Start = Callable[[str, Callable[[], None]], asyncio.Future[None]]

_ONE_LOOK = (None,)
"""At all of a frame."""

log = structlog.get_logger()


class Inference:
    """Takes frames, gives results. Every frame that it takes ends as a result or as a counted drop.

    Args:
        detector: finds things; it stays the caller's to close.
        emit: gets every result, in the order of the frames, from one thread; may block.
        waits: whether every frame counts (a file) or the newest (a live source).
        max_age_s: seconds after which a frame that has waited is dropped; infinite for a file.
        meter: latencies of the stages.
        ledger: account of all frames.
        weight: how many turns it gets of engines that it shares.
        follower: makes tracks and events of detections; None: they stay what they are.
        admission: which frames the model looks at, and at what of them; None: at all, once.
    """

    def __init__(
        self,
        detector: Detector,
        *,
        emit: Callable[[Result], None],
        waits: bool,
        max_age_s: float,
        meter: Meter,
        ledger: Ledger,
        weight: float = 1.0,
        follower: Follower | None = None,
        admission: Admission | None = None,
    ) -> None:
        self._detector = detector
        self._admission = admission
        gated = admission is not None and admission.gated
        complete = admission is None or admission.complete
        self._findings = Findings(detector, follower, waits=waits, gated=gated, complete=complete)
        self._emit = emit
        self._max_age_s = max_age_s
        self._meter = meter
        self._ledger = ledger
        self._halted = threading.Event()
        self._aborted = False
        self._intake: Intake | None = None
        self._awaited: FrameJob | None = None
        self._failure: EdgedError | None = None
        self.bad_output: OutputError | None = None
        """Why the output for some frame was not believed; None while all was."""
        self.problem = ""
        """The same of the last frame; empty when it was believed."""
        self._renews = not waits and (admission is None or not (gated or admission.looks != (1, 1)))
        """Whether a frame that waits for its engine gives way to a newer one: any of them will do."""
        several = admission is not None and admission.looks != (1, 1)
        self._workers = Workers(
            detector, spare=1 if waits or several else 0, failed=self._fail, claimed=self._claimed
        )
        self._preparing = _Accounted(ledger, "preprocess_failed")
        self._finishing = _Accounted(ledger, "postprocess_failed")
        self._guest = Guest(weight)
        self._ordered: Channel[FrameJob] = Channel(self._workers.buffers + 1)
        self._stages: list[tuple[Pulse, Callable[[Pulse], None]]] = [
            (Pulse("preprocess"), self._preprocess),
            *((pulse, self._workers.predict) for pulse in self._workers.pulses),
            (Pulse("postprocess"), self._postprocess),
        ]
        self.pulses = [pulse for pulse, _ in self._stages]

    def start(self, intake: Intake, run: Start) -> list[asyncio.Future[None]]:
        """Work on its frames until they end or :meth:`halt`; ``run`` starts each stage in a thread."""
        self._intake = intake
        return [run(pulse.name, partial(loop, pulse)) for pulse, loop in self._stages]

    @property
    def failure(self) -> EdgedError | None:
        """Why the model could not go on."""
        return self._failure

    def _fail(self, error: EdgedError) -> None:
        self._failure = self._failure or error
        self.halt()

    def unsettle(self) -> None:
        """What was seen last is not to be relied on."""
        self._findings.unsettle()

    def halt(self) -> None:
        """Take no further frame; what was taken becomes a result. The frames stay for whoever comes next."""
        self._halted.set()
        self._workers.halt()
        self._detector.pool.turns.dismiss(self._guest)
        if self._intake is not None:
            self._intake.frames.wake()

    def abort(self) -> None:
        """Give up what was taken and is not finished; all of it is counted."""
        self.halt()
        self._aborted = True
        self._workers.abort()
        self._ledger.dropped("aborted", len(self._ordered.abort()))
        if (awaited := self._awaited) is not None:
            awaited.done.put(None)

    # The stages, each in its own thread.

    def _preprocess(self, pulse: Pulse) -> None:
        try:
            while (tensor := self._workers.tensor()) is not None and self._admit(tensor, pulse):
                pass
        finally:
            self._workers.close()
            self._ordered.close()

    def _admit(self, tensor: Tensor, pulse: Pulse) -> bool:
        """Bring the next frame on its way; False when there are no more."""
        assert self._intake is not None  # noqa: S101  # start() comes first
        frames = self._intake.frames
        turns = self._detector.pool.turns
        try:
            while True:
                # Whoever holds a turn must wait for nobody but the engines: all else has to be there first.
                self._ordered.await_room()
                frames.await_item(unless=self._halted)
                if not turns.take(self._guest):
                    return False
                if self._bring(frames, tensor, pulse):
                    return True
        except Closed:
            return False

    def _bring(self, frames: Channel[Frame], tensor: Tensor, pulse: Pulse) -> bool:
        """Bring the newest frame on its way; whether that needs the tensor, and the turn."""
        job: FrameJob | None = None
        turns = self._detector.pool.turns
        try:
            job = self._prepare(frames, tensor, pulse)
        finally:
            if job is None:
                turns.give_back()
        if job is None:
            return False
        if len(job.parts) > 1:
            turns.charge(self._guest, len(job.parts))
        self._workers.bring(job, pulse)
        if job.claimed is not None:
            self._renew(frames, job, job.claimed, pulse)
        return True

    def _renew(self, frames: Channel[Frame], job: FrameJob, claimed: threading.Event, pulse: Pulse) -> None:
        """While a job waits for an engine that another camera has, have it be of the newest frame."""
        with suppress(Closed):
            while not self._halted.is_set():
                frames.await_item(unless=claimed)
                frame = frames.get(unless=self._halted)
                with self._preparing:
                    renewed = self._workers.renew(job, frame, pulse)
                # Where an engine was quicker it waits for the next turn, unless an even newer one has come.
                if renewed or not frames.give_back(frame):
                    self._ledger.dropped("superseded")

    def _claimed(self) -> None:
        if self._intake is not None:
            self._intake.frames.wake()

    def _prepare(self, frames: Channel[Frame], tensor: Tensor, pulse: Pulse) -> FrameJob | None:
        """The newest frame, in order, with its first look; None if the model does not get it."""
        frame = frames.get(unless=self._halted)
        begun = time.monotonic()
        if begun - frame.captured > self._max_age_s:
            self._ledger.dropped("stale")
            return None
        with pulse, self._preparing:
            parts = self._parts(frame)
            job = FrameJob(frame, parts, begun, time.monotonic())
            if self._renews:
                job.claimed = threading.Event()
            if parts:
                self._workers.prepare(job, parts[0], tensor)
            job.preprocessed = time.monotonic()
        try:
            self._ordered.put(job, waits=True)
        except Closed:
            self._ledger.dropped("aborted")
            return None
        return job if parts else None

    def _parts(self, frame: Frame) -> Sequence[Region | None]:
        """What of a frame the model looks at."""
        admission = self._admission
        if admission is None:
            return _ONE_LOOK
        if admission.gated:
            wanted = admission.wants(frame, anyway=self._findings.restless)
            if self._intake is not None:
                self._intake.rest(frame.frame_id, quiet=not wanted)
            if not wanted:
                return ()
        if admission.looks == (1, 1):
            return _ONE_LOOK
        preprocess = self._detector.preprocess
        base = preprocess.geometry(frame.width, frame.height).region
        return admission.parts(frame, base, preprocess.size, self._findings.places)

    def _postprocess(self, pulse: Pulse) -> None:
        self._ordered.each(partial(self._finish, pulse))

    def _finish(self, pulse: Pulse, job: FrameJob) -> None:
        """Wait for the outputs of the next frame in order, and make them a result."""
        if not job.parts:
            # It is as still as a frame whose output was not believed.
            if not self._findings.settled and self.problem:
                self._ledger.dropped("bad_output")
                return
            with pulse, self._finishing:
                result = self._findings.carry(job)
            self._ledger.still()
            self._pass_on(result)
            return
        self._awaited = job
        if self._aborted:  # it may have come while nobody was awaited
            job.done.put(None)
        job.done.get()
        self._awaited = None
        if not job.complete:
            self._ledger.dropped(job.cause or "aborted")
            return
        try:
            with pulse, self._finishing:
                result = self._findings.read(job)
        except OutputError as error:  # nothing was seen is not what this means
            self.unsettle()
            self._ledger.dropped("bad_output")
            if self.bad_output is None:  # once a model, however many frames; the ledger counts them
                log.error("bad_output", frame_id=job.frame.frame_id, error=str(error))
            self.bad_output = self.bad_output or error
            self.problem = str(error)
            return
        self.problem = ""
        self._ledger.inferred()
        self._pass_on(result)

    def _pass_on(self, result: Result) -> None:
        self._meter.observe_all(result.timings_ms)
        self._emit(result)


class _Accounted:
    """Counts the frame in hand if it comes to its end by an error that nobody foresaw. For every frame.

    Args:
        ledger: account of all frames.
        cause: under which it is counted.
    """

    def __init__(self, ledger: Ledger, cause: str) -> None:
        self._ledger = ledger
        self._cause = cause

    def __enter__(self) -> None:
        """Nothing has failed yet."""

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and not issubclass(kind, OutputError):  # that one is foreseen
            self._ledger.dropped(self._cause)
