"""A camera that fails in front of the real pipeline: runs that tests and benchmark share."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import cameras
import numpy as np
import psutil

from edged.backoff import Backoff
from edged.engines.pool import EnginePool
from edged.imaging.tensors import Encoding, Preprocessor
from edged.metrics import Ledger, Meter
from edged.model.detector import Detector
from edged.pipeline import Intake, Outlet, Pipeline
from edged.records import Detection, Model, TensorSpec
from edged.sources.cameras.reader import Deadlines
from edged.sources.stream import StreamCamera, StreamSource

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from edged.imaging.geometry import Geometry
    from edged.metrics import FrameCounts
    from edged.records import Result, Tensor
    from edged.sinks import Sink
    from edged.sources.cameras.live import LiveSource

READ_S = 2.0
BACKOFF_S = 1.0
PROMISE_S = BACKOFF_S + 5.0
"""How soon frames must come again once the camera is there."""


class Blind:
    """An engine that sees nothing, for a pipeline whose model does not matter."""

    device = "none"
    runtime = "none"
    degraded = ""
    inputs = (TensorSpec("picture", (1, 32, 32, 3), np.dtype(np.uint8)),)
    outputs = (TensorSpec("nothing", (1,), np.dtype(np.uint8)),)
    encoding = Encoding("letterbox", low=0.0, high=255.0)
    labels = ("nothing",)

    def invoke(self, tensor: Tensor) -> Sequence[Tensor]:
        del tensor
        return [np.zeros(1, np.uint8)]

    def decode(self, outputs: Sequence[Tensor], geometry: Geometry) -> list[Detection]:
        del outputs, geometry
        return []

    def close(self) -> None:
        pass


class Counting:
    """A sink that keeps when frames came, how large they were and how long they had been away."""

    name = "counting"

    def __init__(self) -> None:
        self.frames = 0
        self.last = time.monotonic()
        self.longest_gap_s = 0.0
        self.sizes: set[tuple[int, int]] = set()
        self.in_order = True
        self._last_id = -1

    def open(self) -> None:
        pass

    def send(self, result: Result) -> None:
        now = result.frame.captured
        if self.frames:
            self.longest_gap_s = max(self.longest_gap_s, now - self.last)
        self.in_order &= result.frame.frame_id > self._last_id
        self._last_id = result.frame.frame_id
        self.sizes.add((result.frame.width, result.frame.height))
        self.last = now
        self.frames += 1

    def close(self) -> None:
        pass


class Watched:
    """A pipeline that runs on a source in a thread of its own; leaving closes everything and the account."""

    def __init__(self, source: LiveSource, *sinks: Sink) -> None:
        self.source = source
        self.sink = Counting()
        self.ledger = Ledger()
        self.failure: BaseException | None = None
        self._outlets = [Outlet(sink) for sink in (self.sink, *sinks)]
        self._pipeline: Pipeline | None = None
        self._thread = threading.Thread(target=self._run, name="watched", daemon=True)

    def __enter__(self) -> Self:
        self.source.open()
        for outlet in self._outlets:
            outlet.sink.open()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._pipeline is None and self._thread.is_alive():
            time.sleep(0.01)
        if self._pipeline is not None:
            self._pipeline.stop()
        self._thread.join(60)
        self.source.close()
        for outlet in self._outlets:
            outlet.sink.close()

    def _run(self) -> None:
        blind: Any = Blind()
        detector = Detector(
            Model("blind", Blind.inputs, Blind.outputs),
            EnginePool([blind]),
            Preprocessor(Blind.inputs[0], Blind.encoding),
            blind,
            frozenset(),
        )

        async def run() -> None:
            pipeline = Pipeline(
                intake=Intake(self.source, waits=False, ledger=self.ledger),
                detector=detector,
                outlets=self._outlets,
                max_age_s=1.0,
                meter=Meter(),
                ledger=self.ledger,
            )
            self._pipeline = pipeline
            await pipeline.run()

        try:
            asyncio.run(run())
        except BaseException as error:  # noqa: BLE001  # looked at by the test
            self.failure = error

    @property
    def counts(self) -> FrameCounts:
        """The account of the frames."""
        return self.ledger.counts()

    @property
    def closes(self) -> bool:
        """Whether every frame has an end, after the run."""
        counts = self.counts
        whole = counts.in_flight == 0 and counts.captured == counts.inferred + sum(counts.dropped.values())
        return whole and not self._thread.is_alive() and self.failure is None

    def until_lost(self, within_s: float) -> float:
        """Wait until the source tells of its loss; how long that took."""
        return self._until(lambda: bool(self.source.problem), within_s, "the loss was not noticed")

    def until_frames(self, within_s: float, count: int = 3) -> float:
        """Wait for so many more frames; how long it took until the first of them."""
        begun, had = time.monotonic(), self.sink.frames
        first = self._until(lambda: self.sink.frames > had, within_s, "no frames")
        left = within_s - (time.monotonic() - begun)
        self._until(lambda: self.sink.frames >= had + count, max(left, 1.0), "no more frames")
        return first

    def _until(self, true: Callable[[], bool], within_s: float, otherwise: str) -> float:
        begun = time.monotonic()
        while not true():
            passed = time.monotonic() - begun
            if passed > within_s or not self._thread.is_alive():
                raise TimeoutError(f"{otherwise} for {passed:.1f} s: {self.source.problem or self.failure!r}")
            time.sleep(0.005)
        return time.monotonic() - begun


@dataclass(slots=True)
class Outcome:
    """What one run has shown."""

    noticed_s: list[float] = field(default_factory=list)
    """From the fault to ``problem``."""
    back_s: list[float] = field(default_factory=list)
    """From the camera's return to the first frame."""
    frames: int = 0
    reconnects: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    threads: int = 0
    """More at the end than early in the run."""
    descriptors: int = 0
    rss_mb: float = 0.0
    promises: dict[str, bool] = field(default_factory=dict)


def source_of(
    server: cameras.Server, *, transport: str = "tcp", backoff_s: float = BACKOFF_S
) -> StreamSource:
    """A stream source with a read deadline of two seconds."""
    deadlines = Deadlines(10.0, READ_S)
    return StreamSource(
        lambda: StreamCamera(server.url, transport=transport, deadlines=deadlines),
        deadlines=deadlines,
        backoff=Backoff(backoff_s, backoff_s),
    )


def freezes_and_kills(
    server: cameras.Server, *, transport: str = "tcp", rounds: int = 1, restart: bool = False
) -> Outcome:
    """The server is frozen and thawed, killed and started again, several times.

    Args:
        server: not started.
        transport: for RTSP.
        rounds: how often both.
        restart: whether a frozen server has to be started again, because it serves one client only.
    """
    outcome = Outcome()
    with cameras.running(server), Watched(source_of(server, transport=transport)) as run:
        run.until_frames(60, count=20)
        gauge = Gauge()
        for _ in range(rounds):
            server.freeze()
            outcome.noticed_s.append(run.until_lost(READ_S + 2))
            if restart:
                server.start()
            else:
                server.thaw()
            outcome.back_s.append(run.until_frames(PROMISE_S, count=20))
            server.kill()
            outcome.noticed_s.append(run.until_lost(READ_S + 2))
            time.sleep(1.0)
            server.start()
            outcome.back_s.append(run.until_frames(PROMISE_S, count=20))
        gauge.read(outcome)
    _account(outcome, run)
    outcome.promises["back within backoff + 5 s"] = max(outcome.back_s) <= PROMISE_S
    outcome.promises["nothing left behind"] = outcome.threads <= 0 and outcome.descriptors <= 1
    return outcome


def cycles(server: cameras.Server, count: int, *, backoff_s: float = BACKOFF_S) -> Outcome:
    """The server hangs up again and again; each time frames must come again.

    Args:
        server: not started, hangs up by itself.
        count: losses to wait for.
        backoff_s: ceiling of the wait before each attempt.
    """
    outcome = Outcome()
    with cameras.running(server), Watched(source_of(server, backoff_s=backoff_s)) as run:
        gauge: Gauge | None = None
        while run.source.reconnects < count:
            known = run.source.reconnects
            run._until(lambda known=known: run.source.reconnects > known, PROMISE_S + 10, "not back")  # type: ignore[misc]  # noqa: SLF001
            if gauge is None and run.source.reconnects >= min(10, count // 2):
                gauge = Gauge()
        run.until_frames(PROMISE_S, count=1)
        assert gauge is not None
        gauge.read(outcome)
    _account(outcome, run)
    outcome.back_s.append(run.sink.longest_gap_s)
    outcome.promises["back within backoff + 5 s"] = run.sink.longest_gap_s <= backoff_s + 5
    outcome.promises["nothing left behind"] = outcome.threads <= 0 and outcome.descriptors <= 1
    return outcome


def goes_on(server: cameras.Server, *sinks: Sink, seconds: float) -> tuple[Outcome, set[tuple[int, int]]]:
    """The server does something odd, and nothing is lost for it; also the sizes of the frames that came."""
    outcome = Outcome()
    with cameras.running(server), Watched(source_of(server), *sinks) as run:
        run.until_frames(60)
        gauge = Gauge()
        time.sleep(seconds)
        run.until_frames(PROMISE_S)
        gauge.read(outcome)
    _account(outcome, run)
    return outcome, run.sink.sizes


class Gauge:
    """How much this process holds, compared with a moment before."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._threads = threading.active_count()
        self._descriptors = cameras.descriptors()
        self._rss = self._process.memory_info().rss

    def read(self, outcome: Outcome) -> None:
        """Write the growth into the outcome."""
        outcome.threads = threading.active_count() - self._threads
        outcome.descriptors = cameras.descriptors() - self._descriptors
        outcome.rss_mb = (self._process.memory_info().rss - self._rss) / 1e6


def _account(outcome: Outcome, run: Watched) -> None:
    outcome.frames = run.counts.inferred
    outcome.reconnects = run.source.reconnects
    outcome.skipped = {cause: count for cause, count in run.source.skipped.items() if count}
    outcome.dropped = dict(run.counts.dropped)
    outcome.promises["the account closes"] = run.closes
    outcome.promises["order"] = run.sink.in_order
