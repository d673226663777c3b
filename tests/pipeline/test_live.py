"""A live source: the newest frame counts, latency stays flat, what is left out is counted; and the pause."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import ExitStack
from itertools import pairwise
from typing import TYPE_CHECKING

from parts import Gate, Outpaced, Rig, Sink, Source, detector, threads, wait_until
from waiting import until

if TYPE_CHECKING:
    from edged.pipeline import Pipeline


def nap(_: int) -> None:
    time.sleep(0.005)


def test_a_slow_model_gets_the_newest_frame_and_the_others_are_counted() -> None:
    """However long it is too slow, it is never further behind than a turn or two of its own."""
    slow, behind = Outpaced(150, ratio=5), list[int]()
    source = Source(150, live=True, before=slow.source)

    def infer(number: int) -> None:
        behind.append(len(source.given) - number)
        slow.part(number)

    sink = Sink()
    counts = Rig(source, detector(infer), sink, max_age_s=60.0).go()
    assert counts.captured == 150
    assert counts.dropped["superseded"] >= 75
    assert set(counts.dropped) <= {"superseded", "aborted"}
    assert sink.ids == sorted(set(sink.ids))
    assert sink.ids[-1] == 149
    assert max(behind) <= 10, behind


def test_a_frame_that_waits_for_its_engine_gives_way_to_newer_ones() -> None:
    """Another camera has the engine meanwhile; with it begins what is newest then."""
    sink, finds = Sink(), detector()
    rig = Rig(Source(20, live=True, fps=100.0), finds, sink, max_age_s=60.0)

    async def give_back(_: Pipeline) -> None:
        await until(lambda: rig.ledger.counts().dropped.get("superseded") == 19)
        other.close()

    with ExitStack() as other:
        other.enter_context(finds.pool.engine())
        counts = rig.go(give_back)
    assert counts.inferred == 1
    assert sink.ids == [19]
    assert [found.class_id for found in sink.results[0].detections] == [19], "and so is its tensor"


def test_a_newer_frame_for_which_the_engine_was_too_quick_has_the_next_turn() -> None:
    """At a frame a second it is the only one of its second."""
    first, claimed, taken = threading.Event(), threading.Event(), ExitStack()

    def come(number: int) -> None:
        assert number == 0 or first.wait(20)

    def prepare(number: int) -> None:
        first.set()
        if number == 1:
            taken.close()
            assert claimed.wait(20)

    sink = Sink()
    finds = detector(lambda _: claimed.set(), preprocess=prepare)
    # The second comes when the first waits for its engine.
    rig = Rig(Source(2, live=True, before=come), finds, sink, max_age_s=60.0)
    with taken:
        taken.enter_context(finds.pool.engine())
        counts = rig.go()
    assert (counts.inferred, counts.dropped) == (2, {})
    assert sink.ids == [0, 1]


def test_a_slow_sink_of_a_live_source_loses_the_oldest_and_holds_up_nobody() -> None:
    """Ten frames become results, and the other sink takes them, while it takes one."""
    slow = Outpaced(100, ratio=10)

    def come(number: int) -> None:
        wait_until(lambda: len(quick.results) == number)
        slow.source(number)

    lazy, quick = Sink(slow.part, name="lazy"), Sink(name="quick")
    rig = Rig(Source(100, live=True, before=come), detector(), lazy, quick)
    counts = rig.go()
    assert counts.inferred == 100
    assert quick.ids == list(range(100))
    assert rig.outlets[0].lost["superseded"] > 50
    assert lazy.ids == sorted(lazy.ids)
    assert lazy.ids[-1] == 99, "what is newest is never lost"


def test_frames_that_have_waited_too_long_are_not_worth_a_model() -> None:
    """All but the last were captured ten seconds before anybody had time for them."""

    def come(number: int) -> None:
        if number == 5:  # of those before it the newest is not displaced
            wait_until(lambda: rig.ledger.counts().in_flight == 0)

    sink = Sink()
    source = Source(6, live=True, before=come, age_s=lambda number: 10.0 if number < 5 else 0.0)
    rig = Rig(source, detector(), sink, max_age_s=5.0)
    counts = rig.go()
    assert counts.dropped["stale"] >= 1
    assert counts.dropped["stale"] + counts.dropped.get("superseded", 0) == 5
    assert sink.ids == [5]


def test_frames_of_a_file_are_never_too_old() -> None:
    counts = Rig(Source(8, age_s=lambda _: 10.0), detector(), Sink(), max_age_s=5.0).go()
    assert (counts.inferred, counts.dropped) == (8, {})


def test_a_live_source_may_be_told_to_wait() -> None:
    source = Source(10, live=True, age_s=lambda _: 10.0)
    counts = Rig(source, detector(nap), Sink(), waits=True, max_age_s=5.0).go()
    assert (counts.inferred, counts.dropped) == (10, {})


def test_a_file_may_be_played_like_a_camera() -> None:
    slow = Outpaced(100, ratio=5)
    counts = Rig(
        Source(100, before=slow.source), detector(slow.part), Sink(), waits=False, max_age_s=60.0
    ).go()
    assert counts.captured == 100
    assert counts.dropped["superseded"] >= 50


def test_a_pause_takes_no_frames_and_counts_those_of_a_live_source() -> None:
    sink = Sink()
    rig = Rig(Source(0, live=True, fps=500), detector(), sink)

    async def pause(pipeline: Pipeline) -> None:
        await until(lambda: len(sink.results) >= 5)
        pipeline.intake.pause()
        await until(lambda: rig.rests and rig.ledger.counts().dropped.get("paused"))
        before = len(sink.results)
        await until(lambda: rig.ledger.counts().dropped["paused"] >= 20)
        assert len(sink.results) == before
        pipeline.intake.resume()
        await until(lambda: len(sink.results) >= before + 5)
        pipeline.stop()

    counts = rig.go(pause)
    assert counts.dropped["paused"] >= 20
    gaps = [later - earlier for earlier, later in pairwise(sink.ids)]
    assert max(gaps) >= 20, "nothing old came after the pause"


def test_a_pause_loses_no_frame_of_a_file() -> None:
    next_one = Gate(10)
    sink = Sink(nap)
    rig = Rig(Source(60, before=next_one), detector(), sink)

    async def pause(pipeline: Pipeline) -> None:
        await until(next_one.reached.is_set)
        pipeline.intake.pause()
        next_one.open()
        await until(lambda: rig.rests)
        before = len(sink.results)
        await asyncio.sleep(0.05)
        assert len(sink.results) == before < 60
        pipeline.intake.resume()

    counts = rig.go(pause)
    assert (counts.inferred, counts.dropped) == (60, {})
    assert sink.ids == list(range(60))


def test_a_stop_ends_a_pause() -> None:
    next_one = Gate(5)
    rig = Rig(Source(0, before=next_one), detector(), Sink(nap))

    async def pause(pipeline: Pipeline) -> None:
        await until(next_one.reached.is_set)
        pipeline.intake.pause()
        next_one.open()
        await until(lambda: rig.rests)
        pipeline.stop()

    started = time.monotonic()
    counts = rig.go(pause)
    assert counts.dropped == {"stopped": 1}, "the one that waited for the end of the pause"
    assert time.monotonic() - started < 10
    assert threads() == []


def test_waiting_is_no_stall_and_work_without_end_is() -> None:
    """However short the limit, and however long: no time has to pass."""
    hold = Gate(5)
    sink = Sink(hold, name="slow")
    rig = Rig(Source(12), detector(), sink)
    stalls: list[str | None] = []

    async def look(pipeline: Pipeline) -> None:
        pipeline.intake.pause()
        await until(lambda: rig.rests)
        await until(lambda: pipeline.stalled(0.0) is None)
        pipeline.intake.resume()
        await until(hold.reached.is_set)
        await until(lambda: pipeline.stalled(0.0) == "sink-slow")
        stalls.append(pipeline.stalled(3600.0))
        hold.open()
        await until(lambda: len(sink.results) == 12 and pipeline.stalled(0.0) is None)

    rig.go(look)
    assert stalls == [None]


def test_a_stuck_engine_is_the_stall_and_not_those_who_wait_for_it() -> None:
    hold = Gate(5)
    rig = Rig(Source(12), detector(hold), Sink())
    stalls: list[str | None] = []

    async def look(pipeline: Pipeline) -> None:
        await until(hold.reached.is_set)
        await until(lambda: rig.ledger.counts().inferred == 5)
        await until(lambda: pipeline.stalled(0.0) == "predict-0")
        stalls.append(pipeline.stalled(3600.0))
        hold.open()

    rig.go(look)
    assert stalls == [None]
