"""Parts for pipelines under test: the shipped synthetic source and memory sink with hooks, and an engine that
can be slow, fail or hang.

The source writes the number of each frame into its pixels, the engine reads it from its input tensor and the
decoder makes it the class of a detection: a result whose tensor was mixed up with another one's shows.
"""

from __future__ import annotations

import asyncio
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

from edged.engines.pool import EnginePool
from edged.imaging.tensors import Encoding, Preprocessor
from edged.metrics import Ledger, Meter
from edged.model.detector import Detector
from edged.pipeline import Intake, Outlet, Pipeline
from edged.pixels import bgr
from edged.records import Box, Detection, Frame, Model, TensorSpec
from edged.sinks.memory import MemorySink
from edged.sources.synthetic import SyntheticSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from edged.imaging.geometry import Geometry, Region
    from edged.metrics import FrameCounts
    from edged.pipeline.admission import Admission
    from edged.pipeline.follow import Follower
    from edged.pixels import Pixels
    from edged.records import Image, Result, Tensor

SIZE = 32
"""Frames and the model's input have it, so that nothing is resized."""
NAMES = ("capture", "preprocess", "predict", "postprocess", "sink")
"""How the names of the pipeline's threads begin."""
_RUN_S = 60.0


def nothing(_: int) -> None:
    """The hook of a part that does as it should."""


class Gate:
    """A hook that lets frames pass until number ``at`` and then blocks until it is opened."""

    def __init__(self, at: int) -> None:
        self._at = at
        self._open = threading.Event()
        self.reached = threading.Event()

    def __call__(self, number: int) -> None:
        if number >= self._at and not self._open.is_set():
            self.reached.set()
            self._open.wait(60)

    def open(self) -> None:
        self._open.set()


class Outpaced:
    """Hooks of a source of ``count`` frames and of a part: ``ratio`` come while the part works on one."""

    def __init__(self, count: int, *, ratio: int) -> None:
        self._count, self._ratio = count, ratio
        self._may_come = ratio
        self._came = 0
        self._changed = threading.Condition()

    def source(self, number: int) -> None:
        with self._changed:
            self._came = number
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: number < self._may_come or number >= self._count, 20)

    def part(self, _: int) -> None:
        with self._changed:
            self._may_come += self._ratio
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: self._came >= min(self._may_come, self._count), 20)


class Source(SyntheticSource):
    """The synthetic source; ``before`` is called in the capture thread before each frame.

    ``age_s`` says how long ago each was captured.
    """

    def __init__(
        self,
        count: int,
        *,
        live: bool = False,
        fps: float = 0.0,
        before: Callable[[int], None] = nothing,
        age_s: Callable[[int], float] = lambda _: 0.0,
    ) -> None:
        super().__init__(width=SIZE, height=SIZE, fps=fps, count=count, live=live)
        self._before = before
        self._age_s = age_s
        self.given: list[weakref.ref[Image]] = []
        self.told_to_end = threading.Event()
        self.open()

    def stop(self) -> None:
        super().stop()
        self.told_to_end.set()

    def frames(self) -> Iterator[Frame]:
        frames = super().frames()
        number = 0
        while True:
            self._before(number)
            started = time.monotonic()
            frame = next(frames, None)
            if frame is None:
                return
            frame.image[0, 0] = (number & 255, number >> 8 & 255, number >> 16)
            self.given.append(weakref.ref(frame.image))
            # Being slow is a part of capturing.
            yield Frame(
                number,
                frame.image,
                time.time(),
                time.monotonic() - self._age_s(number),
                frame.pts,
                1e3 * (time.monotonic() - started),
            )
            number += 1
            del frame

    @property
    def alive(self) -> int:
        """Frames that somebody still holds."""
        return sum(reference() is not None for reference in self.given)


class FakeEngine:
    """Gives back the number that stands in the picture; ``before`` is called with it, in the worker."""

    device = "fake"
    runtime = "none"
    degraded = ""
    inputs: tuple[TensorSpec, ...] = (TensorSpec("picture", (1, SIZE, SIZE, 3), np.dtype(np.uint8)),)
    outputs: tuple[TensorSpec, ...] = (TensorSpec("number", (1,), np.dtype(np.int64)),)

    def __init__(self, before: Callable[[int], None] = nothing) -> None:
        self._before = before
        self.invoked: list[int] = []
        self.closed = False

    def invoke(self, tensor: Tensor) -> Sequence[Tensor]:
        red, green, blue = (int(value) for value in tensor[0, 0, 0])
        number = red << 16 | green << 8 | blue
        self._before(number)
        self.invoked.append(number)
        return [np.array([number])]

    def close(self) -> None:
        self.closed = True


class FakeDecoder:
    """One detection, its class the number that the engine has read."""

    encoding = Encoding("stretch", low=0.0, high=255.0)
    labels = ("even", "odd")
    task = "detect"

    def __init__(self, before: Callable[[int], None] = nothing) -> None:
        self._before = before

    @classmethod
    def mismatch(cls, model: Model) -> str | None:
        del model
        return None

    def decode(self, outputs: Sequence[Tensor], geometry: Geometry) -> list[Detection]:
        del geometry
        number = int(outputs[0][0])
        self._before(number)
        return [Detection(number, self.labels[number % 2], 0.5, Box(0, 0, 4, 4))]


class FakePreprocessor(Preprocessor):
    """The shipped one with a hook."""

    def __init__(self, before: Callable[[int], None]) -> None:
        super().__init__(FakeEngine.inputs[0], FakeDecoder.encoding)
        self._before = before

    def __call__(self, pixels: Pixels, out: Tensor, region: Region | None = None) -> Geometry:
        self._before(int(bgr(pixels)[0, 0, 0]))
        return super().__call__(pixels, out, region)


def detector(
    *engines: Callable[[int], None] | FakeEngine,
    name: str = "fake",
    decode: Callable[[int], None] = nothing,
    preprocess: Callable[[int], None] = nothing,
    keep: frozenset[str] = frozenset(),
) -> Detector:
    """A detector with one worker for each engine, or for each hook of one."""
    made = [engine if isinstance(engine, FakeEngine) else FakeEngine(engine) for engine in engines]
    model = Model(name, FakeEngine.inputs, FakeEngine.outputs)
    # The fake decoder is built otherwise than the decoders of the registry, and used as they are.
    decoder: Any = FakeDecoder(decode)
    return Detector(model, EnginePool(made or [FakeEngine()]), FakePreprocessor(preprocess), decoder, keep)


class Sink(MemorySink):
    """The memory sink; ``before`` is called before each result is taken."""

    def __init__(self, before: Callable[[int], None] = nothing, *, name: str = "memory") -> None:
        super().__init__()
        self.name = name
        self._before = before

    def send(self, result: Result) -> None:
        self._before(result.frame.frame_id)
        super().send(result)

    @property
    def ids(self) -> list[int]:
        """Numbers of the frames in the order in which their results came."""
        return [result.frame.frame_id for result in self.results]


class Rig:
    """A pipeline with everything around it."""

    def __init__(
        self,
        source: Source,
        finds: Detector,
        *sinks: Sink,
        max_age_s: float = 1.0,
        waits: bool | None = None,
        follower: Follower | None = None,
        admission: Admission | None = None,
    ) -> None:
        self.ledger, self.meter = Ledger(), Meter()
        self.source, self.sinks = source, sinks
        self.waits = not source.live if waits is None else waits
        self.outlets = [Outlet(sink) for sink in sinks]
        self._detector, self._max_age_s = finds, max_age_s
        self._follower, self._admission = follower, admission

    def intake(self, source: Source) -> Intake:
        return Intake(source, waits=not source.live, ledger=self.ledger)

    def build(self) -> Pipeline:
        """The pipeline; call it inside a running event loop."""
        self.pipeline = Pipeline(
            intake=Intake(self.source, waits=self.waits, ledger=self.ledger),
            detector=self._detector,
            outlets=self.outlets,
            max_age_s=self._max_age_s,
            meter=self.meter,
            ledger=self.ledger,
            follower=self._follower,
            admission=self._admission,
        )
        return self.pipeline

    async def run(self, meanwhile: Callable[[Pipeline], Any] | None = None) -> None:
        """Until the end; ``meanwhile`` makes a coroutine that acts on the pipeline while it runs."""
        pipeline = self.build()
        run = asyncio.ensure_future(asyncio.wait_for(pipeline.run(), _RUN_S))
        acts = [asyncio.ensure_future(meanwhile(pipeline))] if meanwhile else []
        done, _ = await asyncio.wait([run, *acts], return_when=asyncio.FIRST_EXCEPTION)
        for act in acts:
            if act in done and run not in done:
                pipeline.abort()
            elif act not in done:
                act.cancel()
        await asyncio.gather(run, *(act for act in acts if act in done))

    @property
    def rests(self) -> bool:
        """Whether nothing is on its way but the frame of a file that waits for the end of a pause.

        Of a file this is so for good only if that frame came after the pause began: see :class:`Gate`.
        """
        counts = self.ledger.counts()
        waiting = 0 if self.source.live else 1
        taken = len(self.sinks[0].results) + self.outlets[0].lost.total()
        return counts.in_flight == waiting and taken == counts.inferred

    def go(self, meanwhile: Callable[[Pipeline], Any] | None = None) -> FrameCounts:
        """Run in an event loop of its own; the closed account of the frames."""
        asyncio.run(self.run(meanwhile))
        return self.closed()

    def closed(self) -> FrameCounts:
        """The account of the frames, which must close without anything in flight."""
        counts = self.ledger.counts()
        assert counts.in_flight == 0, counts
        assert counts.captured == counts.results + sum(counts.dropped.values())
        assert counts.captured == len(self.source.given) or len(self.sinks) == 0, counts
        for outlet in self.outlets:
            handed = outlet.sent + sum(outlet.lost.values())
            assert handed == counts.results, (outlet.sink.name, outlet.sent, outlet.lost)
        return counts


def threads(names: str | tuple[str, ...] = NAMES, *, within_s: float = 20.0) -> list[str]:
    """Names of the pipeline's threads, those that begin so, that do not end."""
    deadline = time.monotonic() + within_s
    left = [thread for thread in threading.enumerate() if thread.name.startswith(names)]
    for thread in left:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [thread.name for thread in left if thread.is_alive()]


def wait_until(true: Callable[[], object], *, limit_s: float = 20.0) -> None:
    """As :func:`waiting.until`, for hooks: they are called in threads of the pipeline."""
    deadline = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < deadline, "it never became true"
        time.sleep(0.001)
