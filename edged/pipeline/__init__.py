"""capture -> preprocess -> predict -> postprocess -> one bounded queue per sink.

Every stage is a loop in a thread of its own: OpenCV, FFmpeg and TFLite release the interpreter lock, so the
stages really overlap. asyncio owns their lives, but no frame passes through its event loop: a hop through an
executor costs more than a small model's inference. Every queue is bounded, data flows one way, and every
frame ends as a result or as a counted drop.

Three parts with lives of their own, so that one can be exchanged while the others go on: the
:class:`Intake` lives as long as the source, the :class:`Inference` as long as the model, and an
:class:`Outlet` as long as its sink.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from edged.errors import EdgedError
from edged.pipeline.inference import Inference
from edged.pipeline.intake import Intake
from edged.pipeline.outlet import Outlet
from edged.pipeline.threads import PipelineThreads

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from edged.metrics import Ledger, Meter
    from edged.model.detector import Detector
    from edged.pipeline.admission import Admission
    from edged.pipeline.follow import Follower
    from edged.records import Result

_SINK_NICE = 10
"""Sinks give way: drawing and encoding must not take a core from the model, they have a queue to catch up."""


class Pipeline:
    """The way of a frame. Knows protocols only; parts stay the caller's to open and close.

    Args:
        intake: where frames come from.
        detector: what finds things in them.
        outlets: where results go.
        max_age_s: seconds after which a waiting frame of a live source is dropped.
        meter: latencies of all stages.
        ledger: account of all frames.
        weight: how many turns it gets of engines that it shares.
        follower: what makes tracks and events of detections; None: nothing does.
        admission: which frames the model looks at; None: all.
    """

    def __init__(
        self,
        *,
        intake: Intake,
        detector: Detector,
        outlets: Sequence[Outlet],
        max_age_s: float,
        meter: Meter,
        ledger: Ledger,
        weight: float = 1.0,
        follower: Follower | None = None,
        admission: Admission | None = None,
    ) -> None:
        self.intake = intake
        self._follower = follower
        self._admission = admission
        self.outlets = list(outlets)
        self.running = False
        self.stuck: tuple[str, ...] = ()
        """Threads that did not end after :meth:`run`; what they use must be left alone."""
        self._meter = meter
        self._ledger = ledger
        self._weight = weight
        self._threads = PipelineThreads(unforeseen=self.abort)
        self._inference = self._infer(detector, max_age_s)
        self._exchange: Callable[[], Awaitable[Inference]] | None = None
        self._exchanged: asyncio.Future[tuple[str, ...]] | None = None
        self._stopped = False
        self._over = False

    @property
    def problem(self) -> str:
        """What is wrong with the model's output now; empty when nothing is."""
        return self._inference.problem

    async def run(self) -> None:
        """Until the source has ended and everything has drained.

        Raises:
            EdgedError: source or engine failed; everything before that is drained and accounted for.
        """
        self.running = True
        failure: BaseException | None = None
        try:
            self._threads.start("capture", self.intake.run)
            for outlet in self.outlets:
                self._threads.start(outlet.pulse.name, outlet.run, nice=_SINK_NICE)
            while True:
                await self._threads.ended(self._inference.start(self.intake, self._threads.start))
                if self._exchange is None or self._threads.aborting.is_set():
                    break
                exchange, self._exchange = self._exchange, None
                self._inference = await exchange()
            self._over = True
            failure = self._threads.failure or self._inference.failure
            if self.intake.waits:  # of a file every frame was promised
                failure = failure or self._inference.bad_output
            self.intake.abort()
            self._end_events("stop")
            await self._drain(self.outlets)
        finally:
            self.running = False
            self._over = True
            self.abort()
            if self._exchanged is not None and not self._exchanged.done():
                self._exchanged.set_exception(_too_late())
            self.stuck = await self._threads.end()
        if (failure := failure or self._threads.failure) is not None:
            raise failure

    async def exchange(
        self,
        *,
        detector: Detector,
        max_age_s: float,
        intake: Intake | None = None,
        outlets: Sequence[Outlet] | None = None,
        weight: float = 1.0,
        follower: Follower | None = None,
        admission: Admission | None = None,
    ) -> tuple[str, ...]:
        """Go on with other parts from the next frame on. Parts that are not named stay as they are.

        Frames that were taken become results of the old detector and reach the old outlets; only then do
        the new ones begin. Another follower, or none, ends the events of the present one. The caller opens
        new parts before and closes old ones after.

        Returns:
            Threads of old parts that do not end; what they use must be left alone.

        Raises:
            EdgedError: the run has come to its end; the parts are as they were.
        """
        if self._over:
            raise _too_late()
        exchanged: asyncio.Future[tuple[str, ...]] = asyncio.get_running_loop().create_future()
        self._exchanged = exchanged

        async def at_the_boundary() -> Inference:
            stuck: list[str] = []
            self._follow(follower)
            self._admission = admission
            if outlets is not None:
                stuck += await self._let_go([outlet for outlet in self.outlets if outlet not in outlets])
                for outlet in outlets:
                    if outlet not in self.outlets:
                        self._threads.start(outlet.pulse.name, outlet.run, nice=_SINK_NICE)
                self.outlets = list(outlets)
            if intake is not None:
                self.intake.abort()
                if not await self._threads.has_left("capture"):
                    stuck.append("capture")
                self.intake = intake
                self._threads.start("capture", intake.run)
                if self._stopped:  # it was meant for whatever source there is
                    intake.stop()
            if not exchanged.done():
                exchanged.set_result(tuple(stuck))
            self._weight = weight
            return self._infer(detector, max_age_s)

        self._exchange = at_the_boundary
        self._inference.halt()
        return await exchanged

    def _follow(self, follower: Follower | None) -> None:
        if follower is not self._follower:
            self._end_events("reload")
            self._follower = follower

    def nothing_comes(self, ended_by: str) -> None:
        """No frames for a while, for the camera is ``lost`` or was told to ``stop``: events have ended."""
        if self.running and not self._over:
            self._end_events(ended_by)
            self._inference.unsettle()

    def _end_events(self, ended_by: str) -> None:
        if self._follower is not None and (events := self._follower.end(ended_by)):
            for outlet in self.outlets:
                outlet.tell(events)

    def stop(self) -> None:
        """End the source; what was taken drains."""
        self._stopped = True
        self.intake.stop()

    def abort(self) -> None:
        """End everything now; what does not come to its end is counted as lost."""
        self._threads.abort()
        self.intake.abort()
        self._inference.abort()
        for outlet in self.outlets:
            outlet.abort()

    def stalled(self, limit_s: float) -> str | None:
        """The first thread that has worked on one and the same frame for longer than ``limit_s``.

        Waiting for a frame, or for room in a queue, is no stall: a source that is paused, lost or ended
        leaves everybody waiting. Whoever holds the others up is busy.
        """
        busy = {pulse.name: pulse.busy_s() for pulse in self._inference.pulses}
        busy |= {outlet.pulse.name: outlet.busy_s() for outlet in self.outlets}
        return next((name for name, seconds in busy.items() if seconds > limit_s), None)

    async def _let_go(self, outlets: Iterable[Outlet]) -> list[str]:
        """Let sinks that go take what is in their queues; gives the threads of those that are stuck."""
        going = list(outlets)
        for outlet in going:
            outlet.close()
        stuck = [
            outlet.pulse.name
            for outlet in going
            if not await self._threads.has_left(outlet.pulse.name, outlet)
        ]
        for outlet in going:
            outlet.abort()  # what a stuck one has not taken
        return stuck

    def _infer(self, detector: Detector, max_age_s: float) -> Inference:
        waits = self.intake.waits
        return Inference(
            detector,
            emit=self._emit,
            waits=waits,
            max_age_s=math.inf if waits else max_age_s,
            meter=self._meter,
            ledger=self._ledger,
            weight=self._weight,
            follower=self._follower,
            admission=self._admission,
        )

    def _emit(self, result: Result) -> None:
        for outlet in self.outlets:
            outlet.put(result)

    async def _drain(self, outlets: Iterable[Outlet]) -> None:
        """Let sinks take what is in their queues, and end their threads."""
        ending = list(outlets)
        for outlet in ending:
            outlet.close()
        await self._threads.ended([self._threads[outlet.pulse.name] for outlet in ending])


def _too_late() -> EdgedError:
    return EdgedError("nothing can be exchanged any more: the run has come to its end")


__all__ = ["Intake", "Outlet", "Pipeline"]
