"""Every way in which a run can end: each frame accounted for, nothing hangs, nobody is left behind."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from typing import TYPE_CHECKING

import pytest
from parts import FakeEngine, Gate, Rig, Sink, Source, detector, nothing, threads
from waiting import until

from edged.errors import DeviceError, SinkError, SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edged.pipeline import Pipeline

    Hook = Callable[[int], None]

AT = 10
"""The frame with which things happen."""


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is left behind has not been waiting for a turn of a busy machine's."""
    monkeypatch.setattr("edged.pipeline.threads._ABORT_DEADLINE_S", 20.0)


@pytest.fixture
def gate() -> Iterator[Gate]:
    """Opened at the end, so that no thread outlives the test."""
    made = Gate(AT)
    yield made
    made.open()
    assert threads() == []


def failing(error: Exception) -> Hook:
    def fail(number: int) -> None:
        if number == AT:
            raise error

    return fail


def test_a_stop_lets_everything_that_was_taken_come_to_its_end(gate: Gate) -> None:
    sink = Sink(gate)
    rig = Rig(Source(0), detector(), sink)

    async def stop(pipeline: Pipeline) -> None:
        await until(lambda: rig.ledger.counts().captured > AT + 4)
        pipeline.stop()
        gate.open()

    counts = rig.go(stop)
    assert sum(counts.dropped.values()) <= 1, "only a frame that was just read has nowhere to go"
    assert sink.ids == list(range(counts.inferred))
    assert threads() == []


def test_a_second_stop_and_an_abort_after_the_end_do_nothing() -> None:
    rig = Rig(Source(5), detector(), Sink())

    async def run() -> None:
        await rig.run()
        rig.pipeline.stop()
        rig.pipeline.stop()
        rig.pipeline.abort()

    asyncio.run(run())
    assert rig.closed().inferred == 5


@pytest.mark.usefixtures("patient")
def test_an_abort_ends_at_once_and_counts_what_it_has_cut_off(gate: Gate) -> None:
    sink = Sink(gate)
    rig = Rig(Source(0), detector(nothing, nothing), sink)

    async def abort(pipeline: Pipeline) -> None:
        await until(lambda: gate.reached.is_set() and rig.ledger.counts().captured > AT + 4)
        pipeline.abort()
        gate.open()

    counts = rig.go(abort)
    lost = counts.dropped.get("aborted", 0) + rig.outlets[0].lost["aborted"]
    assert lost > 0
    assert sink.ids == list(range(AT + 1)), "what was in its hand"
    assert threads() == []


@pytest.mark.usefixtures("patient")
def test_a_run_that_is_cancelled_leaves_nobody_behind() -> None:
    rig = Rig(Source(0), detector(), Sink())

    async def cancel() -> None:
        task = asyncio.create_task(rig.build().run())
        await until(lambda: rig.ledger.counts().inferred > AT)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    rig.closed()
    assert threads() == []


@pytest.mark.parametrize("workers", [1, 3])
def test_an_engine_that_fails_costs_its_frame_and_ends_the_run_with_its_error(workers: int) -> None:
    sink = Sink()
    engines = [FakeEngine(failing(DeviceError("the device is gone"))) for _ in range(workers)]
    rig = Rig(Source(0), detector(*engines), sink)
    with pytest.raises(DeviceError, match="the device is gone"):
        rig.go()
    counts = rig.closed()
    assert counts.dropped["predict_failed"] == 1
    assert AT not in sink.ids, "a failed frame is not one without detections"
    assert sink.ids[:AT] == list(range(AT))
    assert sink.ids == sorted(sink.ids)
    assert max(sink.ids) <= AT + 2 * workers, "it has not gone on"
    assert threads() == []


def test_a_source_that_fails_ends_the_run_after_all_that_it_has_given() -> None:
    sink = Sink()
    rig = Rig(Source(0, before=failing(SourceError("the camera is gone"))), detector(), sink)
    with pytest.raises(SourceError, match="the camera is gone"):
        rig.go()
    counts = rig.closed()
    assert (counts.captured, counts.inferred) == (AT, AT)
    assert sink.ids == list(range(AT))
    assert threads() == []


def test_a_sink_that_fails_loses_its_results_and_goes_on_and_the_others_do_not_care() -> None:
    looked = threading.Event()

    def fail(number: int) -> None:
        if AT <= number < AT + 5:
            raise SinkError("the disk is full")
        assert number < AT or looked.wait(20)

    bad, good = Sink(fail, name="bad"), Sink(name="good")
    rig = Rig(Source(30), detector(), bad, good)
    seen: list[str] = []

    async def look(_: Pipeline) -> None:
        await until(lambda: rig.outlets[0].failure)
        seen.append(rig.outlets[0].failure)
        looked.set()

    counts = rig.go(look)
    assert counts.inferred == 30
    assert good.ids == list(range(30))
    assert bad.ids == [*range(AT), *range(AT + 5, 30)]
    assert (rig.outlets[0].sent, dict(rig.outlets[0].lost)) == (25, {"failed": 5})
    assert seen == ["the disk is full."]
    assert rig.outlets[0].failure == "", "it has recovered"


def test_a_sink_that_is_stuck_for_ever_is_left_behind_at_the_deadline(gate: Gate) -> None:
    good = Sink(name="good")
    rig = Rig(Source(0), detector(), Sink(gate, name="bad"), good)

    async def stop(pipeline: Pipeline) -> None:
        await until(lambda: gate.reached.is_set() and rig.ledger.counts().captured > AT + 4)
        pipeline.stop()
        await until(lambda: not threads("capture", within_s=0))
        assert pipeline.running, "a slow sink gets its time"
        pipeline.abort()

    started = time.monotonic()
    asyncio.run(rig.run(stop))
    assert time.monotonic() - started < 20
    assert rig.pipeline.stuck == ("sink-bad",)
    counts = rig.ledger.counts()
    assert counts.in_flight == 0
    assert good.ids == list(range(len(good.ids)))
    assert rig.outlets[1].sent + sum(rig.outlets[1].lost.values()) == counts.inferred
    # One is in its hands for ever.
    assert rig.outlets[0].sent + sum(rig.outlets[0].lost.values()) == counts.inferred - 1


def test_a_source_that_is_stuck_in_a_read_does_not_hold_up_the_end(gate: Gate) -> None:
    sink = Sink()
    rig = Rig(Source(0, before=gate), detector(), sink)

    async def stop(pipeline: Pipeline) -> None:
        await until(gate.reached.is_set)
        await until(lambda: len(sink.results) == AT)
        pipeline.stop()

    started = time.monotonic()
    counts = rig.go(stop)
    assert time.monotonic() - started < 20
    assert (counts.captured, counts.inferred) == (AT, AT)
    assert rig.pipeline.stuck == ("capture",)


def test_an_engine_that_hangs_is_left_behind_and_its_frame_is_counted(gate: Gate) -> None:
    sink = Sink()
    rig = Rig(Source(0), detector(gate), sink)

    async def stop(pipeline: Pipeline) -> None:
        await until(lambda: gate.reached.is_set() and rig.ledger.counts().inferred == AT)
        pipeline.stop()
        await until(lambda: not threads("capture", within_s=0))
        assert pipeline.running, "so does a slow engine"
        pipeline.abort()

    started = time.monotonic()
    counts = rig.go(stop)
    assert time.monotonic() - started < 20
    assert counts.inferred == AT
    assert counts.dropped["aborted"] >= 1
    assert rig.pipeline.stuck == ("predict-0",)
    gate.open()


def test_with_one_of_several_engines_hanging_the_frames_of_the_others_are_accounted_for(gate: Gate) -> None:
    def hang(number: int) -> None:
        if number == AT:
            gate(number)

    rig = Rig(Source(0), detector(hang, hang, hang), Sink())

    async def abort(pipeline: Pipeline) -> None:
        await until(lambda: gate.reached.is_set() and rig.ledger.counts().captured > AT + 4)
        await until(lambda: rig.ledger.counts().inferred == AT)
        pipeline.abort()

    counts = rig.go(abort)
    assert counts.inferred == AT, "results stay in order: those behind the stuck one wait for it"
    assert len(rig.pipeline.stuck) == 1


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("stage", ["capture", "preprocess", "predict", "postprocess", "sink"])
def test_an_error_that_nobody_foresaw_ends_the_run_and_is_raised(stage: str) -> None:
    stages = ("capture", "preprocess", "predict", "postprocess", "sink")
    hooks: dict[str, Hook] = dict.fromkeys(stages, nothing)
    hooks[stage] = failing(ZeroDivisionError("a mistake in edged"))
    source = Source(0, before=hooks["capture"])
    finds = detector(hooks["predict"], preprocess=hooks["preprocess"], decode=hooks["postprocess"])
    rig = Rig(source, finds, Sink(hooks["sink"], name="one"), Sink(name="two"))
    with pytest.raises(ZeroDivisionError):
        rig.go()
    rig.closed()
    assert threads() == []
    assert rig.pipeline.stuck == ()


@pytest.mark.parametrize("first", ["camera", "device"])
def test_the_first_error_is_the_one_that_is_raised(first: str) -> None:
    """Who comes second does so while the first is being dealt with; what it says is a consequence."""

    def camera(number: int) -> None:
        if number == AT + 1:
            assert first == "camera" or rig.source.told_to_end.wait(20)
            raise SourceError("the camera is gone")

    def device(number: int) -> None:
        if number == AT:
            assert first == "device" or threads("capture", within_s=20) == []
            raise DeviceError("the device is gone")

    rig = Rig(Source(0, before=camera), detector(device), Sink())
    with pytest.raises(SourceError if first == "camera" else DeviceError, match=first):
        rig.go()
    rig.closed()


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("round_", range(3))
def test_the_account_closes_whenever_an_abort_comes(round_: int) -> None:
    """Aborts at random moments, with workers and sinks of random speed."""
    dice = random.Random(round_)  # noqa: S311  # no secret
    for _ in range(20):
        pace = dice.choice((0.0, 0.0005, 0.002))
        workers = dice.choice((1, 2, 3))
        after = dice.random() * 0.03

        def hook(_: int, pace: float = pace) -> None:
            time.sleep(pace)

        rig = Rig(Source(0), detector(*[hook] * workers, decode=hook), Sink(hook), Sink(name="two"))

        async def abort(pipeline: Pipeline, after: float = after) -> None:
            await asyncio.sleep(after)
            pipeline.abort()

        rig.go(abort)
        assert rig.pipeline.stuck == ()
    assert threads() == []


@pytest.mark.usefixtures("patient")
def test_the_account_closes_whenever_an_engine_hangs_and_an_abort_comes() -> None:
    dice = random.Random(1)  # noqa: S311  # no secret
    for _ in range(25):
        gate = Gate(at=dice.randrange(1, 30))
        rig = Rig(Source(0), detector(gate, gate), Sink())

        async def abort(pipeline: Pipeline, after: float = dice.random() * 0.01, gate: Gate = gate) -> None:
            await until(gate.reached.is_set)
            await asyncio.sleep(after)
            pipeline.abort()
            await asyncio.sleep(0.01)
            gate.open()

        rig.go(abort)
        assert rig.pipeline.stuck == ()
