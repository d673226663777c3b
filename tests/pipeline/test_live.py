"""A live source: the newest frame counts, latency stays flat, what is left out is counted; and the pause."""

from __future__ import annotations

import asyncio
import statistics
import threading
import time
from contextlib import ExitStack
from itertools import pairwise
from typing import TYPE_CHECKING

from parts import Rig, Sink, Source, detector, threads, until

if TYPE_CHECKING:
    from edged.pipeline import Pipeline

FPS = 50.0
SLOW_S = 0.1


def slow(_: int) -> None:
    time.sleep(SLOW_S)


def test_a_slow_model_gets_the_newest_frame_and_the_others_are_counted() -> None:
    sink = Sink()
    counts = Rig(Source(100, live=True, fps=FPS), detector(slow), sink).go()
    assert counts.captured == 100
    assert counts.dropped["superseded"] >= 50
    assert set(counts.dropped) <= {"superseded", "aborted"}
    assert sink.ids == sorted(set(sink.ids))
    # A frame that is taken was captured while the one before was in the model, never before that.
    waited = [result.timings_ms["queue"] for result in sink.results]
    assert statistics.median(waited) < 500 * SLOW_S


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
    claimed, taken = threading.Event(), ExitStack()

    def prepare(number: int) -> None:
        if number == 1:
            taken.close()
            assert claimed.wait(20)

    sink = Sink()
    finds = detector(lambda _: claimed.set(), preprocess=prepare)
    # The second comes when the first waits for its engine.
    rig = Rig(Source(2, live=True, before=lambda _: time.sleep(0.05)), finds, sink, max_age_s=60.0)
    with taken:
        taken.enter_context(finds.pool.engine())
        counts = rig.go()
    assert (counts.inferred, counts.dropped) == (2, {})
    assert sink.ids == [0, 1]


def test_latency_stays_flat_with_a_model_that_is_too_slow() -> None:
    sink = Sink()
    Rig(Source(150, live=True, fps=FPS), detector(slow), sink).go()
    totals = [result.timings_ms["total"] for result in sink.results]
    third = len(totals) // 3
    assert third >= 5
    first, last = statistics.median(totals[:third]), statistics.median(totals[-third:])
    assert last < 1.5 * first + 10
    assert last < 3e3 * SLOW_S


def test_a_slow_sink_of_a_live_source_loses_the_oldest_and_holds_up_nobody() -> None:
    lazy, quick = Sink(slow, name="lazy"), Sink(name="quick")
    rig = Rig(Source(100, live=True, fps=FPS), detector(), lazy, quick)
    started = time.monotonic()
    counts = rig.go()
    assert time.monotonic() - started < 100 * SLOW_S
    assert len(quick.ids) > 2 * len(lazy.ids)
    assert rig.outlets[0].lost["superseded"] > counts.inferred / 2
    assert lazy.ids == sorted(lazy.ids)
    assert lazy.ids[-1] == max(lazy.ids[-1], *quick.ids), "what is newest is never lost"


def test_frames_that_have_waited_too_long_are_not_worth_a_model() -> None:
    """All but the last were captured ten seconds before anybody had time for them."""
    sink = Sink()
    source = Source(6, live=True, fps=50, age_s=lambda number: 10.0 if number < 5 else 0.0)
    counts = Rig(source, detector(), sink, max_age_s=5.0).go()
    assert counts.dropped["stale"] >= 1
    assert counts.dropped["stale"] + counts.dropped.get("superseded", 0) == 5
    assert sink.ids == [5]


def test_frames_of_a_file_are_never_too_old() -> None:
    sink = Sink()
    counts = Rig(Source(8), detector(slow), sink, max_age_s=0.001).go()
    assert (counts.inferred, counts.dropped) == (8, {})


def test_a_live_source_may_be_told_to_wait() -> None:
    sink = Sink()
    counts = Rig(Source(10, live=True), detector(slow), sink, waits=True, max_age_s=0.001).go()
    assert (counts.inferred, counts.dropped) == (10, {})


def test_a_file_may_be_played_like_a_camera() -> None:
    sink = Sink()
    counts = Rig(Source(100, fps=FPS), detector(slow), sink, waits=False).go()
    assert counts.captured == 100
    assert counts.dropped["superseded"] >= 50


def test_a_pause_takes_no_frames_and_counts_those_of_a_live_source() -> None:
    sink = Sink()
    rig = Rig(Source(0, live=True, fps=FPS), detector(), sink)

    async def pause(pipeline: Pipeline) -> None:
        await until(lambda: len(sink.results) >= 5)
        pipeline.intake.pause()
        await asyncio.sleep(0.1)
        before = len(sink.results)
        await until(lambda: rig.ledger.counts().dropped.get("paused", 0) >= 20)
        assert len(sink.results) == before
        pipeline.intake.resume()
        await until(lambda: len(sink.results) >= before + 5)
        pipeline.stop()

    counts = rig.go(pause)
    assert counts.dropped["paused"] >= 20
    gaps = [later - earlier for earlier, later in pairwise(sink.ids)]
    assert max(gaps) >= 20, "nothing old came after the pause"


def _rests(rig: Rig) -> bool:
    """Whether nothing is on its way but the frame that waits for the end of a pause."""
    counts = rig.ledger.counts()
    return counts.in_flight == 1 and len(rig.sinks[0].results) == counts.inferred


def test_a_pause_loses_no_frame_of_a_file() -> None:
    sink = Sink(lambda _: time.sleep(0.002))
    rig = Rig(Source(60), detector(), sink)

    async def pause(pipeline: Pipeline) -> None:
        await until(lambda: len(sink.results) >= 10)
        pipeline.intake.pause()
        await until(lambda: _rests(rig))
        before = len(sink.results)
        await asyncio.sleep(0.1)
        assert len(sink.results) == before < 60
        pipeline.intake.resume()

    counts = rig.go(pause)
    assert (counts.inferred, counts.dropped) == (60, {})
    assert sink.ids == list(range(60))


def test_a_stop_ends_a_pause() -> None:
    rig = Rig(Source(0), detector(), Sink(lambda _: time.sleep(0.002)))

    async def pause(pipeline: Pipeline) -> None:
        await until(lambda: rig.ledger.counts().inferred >= 5)
        pipeline.intake.pause()
        await until(lambda: _rests(rig))
        pipeline.stop()

    started = time.monotonic()
    counts = rig.go(pause)
    assert counts.dropped == {"stopped": 1}, "the one that waited for the end of the pause"
    assert time.monotonic() - started < 10
    assert threads() == []


class Hold:
    """A hook that keeps the frame ``at`` until it is let go."""

    def __init__(self, at: int) -> None:
        self._at = at
        self.held = threading.Event()
        self.let_go = threading.Event()

    def __call__(self, number: int) -> None:
        if number == self._at:
            self.held.set()
            self.let_go.wait(20)


def test_waiting_is_no_stall_and_work_without_end_is() -> None:
    """However short the limit, and however long: no time has to pass."""
    hold = Hold(5)
    sink = Sink(hold, name="slow")
    rig = Rig(Source(12), detector(), sink)
    stalls: list[str | None] = []

    async def look(pipeline: Pipeline) -> None:
        pipeline.intake.pause()
        await until(lambda: _rests(rig))
        await until(lambda: pipeline.stalled(0.0) is None)
        pipeline.intake.resume()
        await until(hold.held.is_set)
        await until(lambda: pipeline.stalled(0.0) == "sink-slow")
        stalls.append(pipeline.stalled(3600.0))
        hold.let_go.set()
        await until(lambda: len(sink.results) == 12)
        stalls.append(pipeline.stalled(0.0))

    rig.go(look)
    assert stalls == [None, None]


def test_a_stuck_engine_is_the_stall_and_not_those_who_wait_for_it() -> None:
    hold = Hold(5)
    rig = Rig(Source(12), detector(hold), Sink())
    stalls: list[str | None] = []

    async def look(pipeline: Pipeline) -> None:
        await until(hold.held.is_set)
        await until(lambda: rig.ledger.counts().inferred == 5)
        await until(lambda: pipeline.stalled(0.0) == "predict-0")
        stalls.append(pipeline.stalled(3600.0))
        hold.let_go.set()

    rig.go(look)
    assert stalls == [None]
