"""Frames on their way: all of them, in order, the stages side by side, in bounded memory."""

from __future__ import annotations

import asyncio
import threading
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest
from parts import FakeEngine, Rig, Sink, Source, detector, threads

from edged import sources
from edged.metrics import Ledger, Meter
from edged.model.detector import load
from edged.pipeline import Intake, Outlet, Pipeline
from edged.settings import loading
from edged.sinks.memory import MemorySink

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Meeting:
    """Hooks that wait for each other: who works alone waits in vain."""

    def __init__(self, parties: int) -> None:
        self._barrier = threading.Barrier(parties)

    def at(self, number: int) -> Callable[[int], None]:
        """Comes with the frame of that number in its hand."""

        def come(came: int) -> None:
            if came == number:
                self._barrier.wait(20)

        return come


def test_every_frame_becomes_a_result_in_order_at_every_sink() -> None:
    sinks = Sink(name="one"), Sink(name="two")
    counts = Rig(Source(200), detector(), *sinks).go()
    assert (counts.captured, counts.inferred, counts.dropped) == (200, 200, {})
    for sink in sinks:
        assert sink.ids == list(range(200))
        assert [result.detections[0].class_id for result in sink.results] == list(range(200))


def test_an_empty_source_ends_at_once_with_nothing() -> None:
    source = Source(1)
    source.stop()
    sink = Sink()
    assert Rig(source, detector(), sink).go().captured == 0
    assert sink.ids == []


def test_a_pipeline_without_a_sink_still_accounts_for_every_frame() -> None:
    assert Rig(Source(20), detector()).go().inferred == 20


def test_stages_work_at_the_same_time() -> None:
    """Each with a frame of its own: the sinks with the first, the source with the sixth."""
    meeting = Meeting(6)
    sinks = Sink(meeting.at(0), name="one"), Sink(meeting.at(0), name="two")
    finds = detector(meeting.at(2), preprocess=meeting.at(3), decode=meeting.at(1))
    assert Rig(Source(8, before=meeting.at(5)), finds, *sinks).go().inferred == 8


def test_workers_work_at_the_same_time() -> None:
    meeting = threading.Barrier(3)

    def meet(number: int) -> None:
        if number < 3:
            meeting.wait(20)

    engines = [FakeEngine(meet) for _ in range(3)]
    assert Rig(Source(10), detector(*engines), Sink()).go().inferred == 10
    assert all(engine.invoked for engine in engines), "each has its share"


def test_results_keep_the_order_of_the_frames_whatever_the_workers_take() -> None:
    done = [threading.Event() for _ in range(250)]

    def let_one_overtake(number: int) -> None:
        """Every third waits for the one after it."""
        assert number % 3 or number == 249 or done[number + 1].wait(20)
        done[number].set()

    engines = [FakeEngine(let_one_overtake) for _ in range(3)]
    sink = Sink()
    counts = Rig(Source(250), detector(*engines), sink).go()
    assert counts.inferred == 250
    assert sink.ids == list(range(250))
    assert [result.detections[0].class_id for result in sink.results] == list(range(250))
    assert sorted(number for engine in engines for number in engine.invoked) == list(range(250))


def test_an_engine_is_called_by_one_thread_at_a_time() -> None:
    inside = [0, 0, 0]
    most = [0, 0, 0]

    def note(worker: int, _: int) -> None:
        inside[worker] += 1
        most[worker] = max(most[worker], inside[worker])
        time.sleep(0.001)
        inside[worker] -= 1

    Rig(Source(100), detector(*(partial(note, worker) for worker in range(3))), Sink()).go()
    assert most == [1, 1, 1]


@pytest.mark.parametrize("slow", ["sink", "engine", "decoder"])
@pytest.mark.parametrize("workers", [1, 3])
def test_a_slow_stage_makes_the_source_wait_and_memory_stays_bounded(slow: str, workers: int) -> None:
    def nap(_: int) -> None:
        time.sleep(0.002)

    def quick(_: int) -> None:
        pass

    hooks = {stage: nap if stage == slow else quick for stage in ("sink", "engine", "decoder")}
    most = 0

    def look(number: int) -> None:
        nonlocal most
        most = max(most, source.alive)
        hooks["sink"](number)

    source = Source(100)
    counts = Rig(source, detector(*[hooks["engine"]] * workers, decode=hooks["decoder"]), Sinkhole(look)).go()
    assert counts.inferred == 100
    # Queues (2 before the model, workers + 2 in order behind it, 3 before the sink), and one in each hand.
    assert most <= 2 + (workers + 2) + 3 + (1 + 1 + workers + 1 + 1)


class Sinkhole(Sink):
    """Keeps nothing."""

    def send(self, result: object) -> None:
        super().send(result)  # type: ignore[arg-type]  # the same type as there
        self.results.clear()


def test_nothing_is_kept_after_the_end() -> None:
    source = Source(100)
    rig = Rig(source, detector(), Sinkhole())
    rig.go()
    assert threads() == []
    assert source.alive == 0


def test_only_labels_that_are_asked_for_are_kept() -> None:
    sink = Sink()
    Rig(Source(10), detector(keep=frozenset({"odd"})), sink).go()
    found = [[item.label for item in result.detections] for result in sink.results]
    assert found == [[], ["odd"]] * 5


def test_timings_say_where_a_frame_has_spent_its_time() -> None:
    def nap(_: int) -> None:
        time.sleep(0.01)

    sink = Sink()
    rig = Rig(Source(20), detector(nap, decode=nap), sink)
    rig.go()
    for result in sink.results:
        timings = dict(result.timings_ms)
        assert list(timings) == ["capture", "queue", "preprocess", "predict", "postprocess", "total"]
        assert timings["predict"] >= 10
        assert timings["postprocess"] >= 10
        parts = sum(timings[stage] for stage in ("queue", "preprocess", "predict", "postprocess"))
        assert parts == pytest.approx(timings["total"], abs=0.01)
    stages = rig.meter.take()
    assert {stage: figures.count for stage, figures in stages.items()} == dict.fromkeys(timings, 20)


def test_the_demo_clip_goes_through_the_real_engine_frame_by_frame(demo_model: Path, demo_clip: Path) -> None:
    settings = loading.load(
        None, {"EDGED_SOURCE": str(demo_clip), "EDGED_MODEL": str(demo_model), "EDGED_WORKERS": "2"}
    )
    finds = load(settings)
    source, again = sources.create(settings), sources.create(settings)
    source.open()
    again.open()
    sink, ledger = MemorySink(), Ledger()

    async def run() -> None:
        await Pipeline(
            intake=Intake(source, waits=True, ledger=ledger),
            detector=finds,
            outlets=[Outlet(sink)],
            max_age_s=1.0,
            meter=Meter(),
            ledger=ledger,
        ).run()

    asyncio.run(run())
    assert [result.frame.frame_id for result in sink.results] == list(range(200))
    # The same frames through the same engine, one after the other.
    tensor = finds.preprocess.new_input()
    for result, frame in zip(sink.results, again.frames(), strict=True):
        geometry = finds.preprocess(frame.pixels, tensor)
        outputs = finds.engines[0].invoke(tensor)
        assert list(result.detections) == list(finds.decoder.decode(outputs, geometry))
    assert any(result.detections for result in sink.results)
