"""Other parts at a frame boundary: no frame is lost or doubled, nothing old comes after something new."""

from __future__ import annotations

import asyncio
import threading
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest
from parts import Gate, Rig, Sink, Source, detector, threads, wait_until
from waiting import until

from edged.errors import DeviceError, EdgedError
from edged.pipeline import Outlet
from edged.pipeline.follow import Follower
from edged.scene import Scene, SceneRules

if TYPE_CHECKING:
    from edged.pipeline import Pipeline
    from edged.records import Event


def nap(_: int) -> None:
    time.sleep(0.002)


def test_another_detector_takes_over_between_two_frames() -> None:
    sink, rest = Sink(), Gate(100)
    old, new = detector(nap, nap, name="old"), detector(nap, name="new")
    rig = Rig(Source(120, before=rest), old, sink)

    async def exchange(pipeline: Pipeline) -> None:
        await until(lambda: len(sink.results) >= 20)
        await pipeline.exchange(detector=new, max_age_s=1.0)
        rest.open()

    counts = rig.go(exchange)
    assert (counts.inferred, counts.dropped) == (120, {})
    assert sink.ids == list(range(120))
    models = [result.model for result in sink.results]
    change = models.index("new")
    assert 20 <= change < 120
    assert models == ["old"] * change + ["new"] * (120 - change)


def test_another_follower_ends_the_events_of_the_one_before_and_the_same_one_goes_on() -> None:
    ended: list[tuple[str, str]] = []

    class Noted(Follower):
        def __init__(self, name: str) -> None:
            super().__init__(Scene(SceneRules()))
            self.name = name

        def end(self, ended_by: str) -> tuple[Event, ...]:
            ended.append((self.name, ended_by))
            return super().end(ended_by)

    first, second, sink, rest = Noted("first"), Noted("second"), Sink(), Gate(50)
    rig = Rig(Source(60, before=rest), detector(), sink, follower=first)

    async def exchange(pipeline: Pipeline) -> None:
        await until(lambda: len(sink.results) >= 20)
        await pipeline.exchange(detector=detector(), max_age_s=1.0, follower=first)
        assert ended == []
        await pipeline.exchange(detector=detector(), max_age_s=1.0, follower=second)
        rest.open()

    rig.go(exchange)
    assert ended == [("first", "reload"), ("second", "stop")]


def test_many_exchanges_lose_nothing() -> None:
    """Each in the midst of twenty frames; those after them come once it is done."""
    sink, done = Sink(), [0]
    rig = Rig(
        Source(300, before=lambda number: wait_until(lambda: number < 20 * len(done) or number == 300)),
        detector(name="0"),
        sink,
    )

    async def exchange(pipeline: Pipeline) -> None:
        for number in range(1, 15):
            await until(partial(reached, 20 * number - 5))
            new = detector(*[nap] * (number % 3 + 1), name=str(number))
            await pipeline.exchange(detector=new, max_age_s=1.0)
            done.append(number)

    def reached(count: int) -> bool:
        return len(sink.results) >= count

    counts = rig.go(exchange)
    assert (counts.inferred, counts.dropped) == (300, {})
    assert sink.ids == list(range(300))
    order = [int(result.model) for result in sink.results]
    assert order == sorted(order)
    assert set(order) == set(range(15))
    assert threads() == []


def test_a_sink_that_goes_gets_all_results_before_the_boundary_and_one_that_comes_all_after() -> None:
    stays, goes, comes, rest = Sink(name="stays"), Sink(nap, name="goes"), Sink(name="comes"), Gate(80)
    rig = Rig(Source(100, before=rest), detector(nap), stays, goes)

    async def exchange(pipeline: Pipeline) -> None:
        await until(lambda: len(stays.results) >= 20)
        new = Outlet(comes)
        await pipeline.exchange(detector=detector(nap), max_age_s=1.0, outlets=[pipeline.outlets[0], new])
        assert rig.outlets[1].sent == len(goes.ids), "it may be closed now"
        rest.open()

    asyncio.run(rig.run(exchange))
    assert rig.ledger.counts().inferred == 100
    assert stays.ids == list(range(100))
    boundary = len(goes.ids)
    assert 20 <= boundary < 100
    assert goes.ids == list(range(boundary))
    assert comes.ids == list(range(boundary, 100))


def test_a_sink_that_stays_holds_up_a_file_and_no_camera_that_comes_after_it() -> None:
    asked, over = threading.Event(), threading.Event()

    def wait(_: int) -> None:
        assert len(slow.results) != 5 or asked.wait(20)
        assert len(slow.results) != 10 or over.wait(20)

    slow = Sink(wait)
    camera = Source(100, live=True, before=lambda _: wait_until(lambda: not rig.ledger.counts().in_flight))
    rig = Rig(Source(10), detector(), slow)

    async def exchange(pipeline: Pipeline) -> None:
        # Five are taken, one is in its hand and two wait: there is no room for the ninth.
        await until(lambda: rig.ledger.counts().inferred == 9)
        change = asyncio.create_task(
            pipeline.exchange(detector=detector(), max_age_s=1.0, intake=rig.intake(camera))
        )
        await asyncio.sleep(0)
        assert rig.outlets[0].lost == {}, "of the file"
        asked.set()
        await change
        # One is in the sink's hand and two wait, at the most.
        await until(lambda: rig.outlets[0].lost["superseded"] >= 97)
        over.set()

    asyncio.run(rig.run(exchange))
    lost = rig.outlets[0].lost["superseded"]
    assert rig.ledger.counts().inferred == 110, "though the sink took one of the camera's until it was over"
    assert 10 <= rig.outlets[0].sent <= 13
    assert rig.outlets[0].sent + lost == 110


def test_another_source_begins_where_the_old_one_is_cut_off_and_the_account_goes_over_both() -> None:
    sink = Sink()
    first, second = Source(0), Source(30)
    rig = Rig(first, detector(nap), sink)

    async def exchange(pipeline: Pipeline) -> None:
        await until(lambda: len(sink.results) >= 10)
        await pipeline.exchange(detector=detector(nap), max_age_s=1.0, intake=rig.intake(second))

    asyncio.run(rig.run(exchange))
    counts = rig.ledger.counts()
    assert counts.in_flight == 0
    assert counts.captured == len(first.given) + len(second.given)
    cut = len(sink.ids) - 30
    assert sink.ids == [*range(cut), *range(30)]
    assert counts.inferred == cut + 30
    assert sum(counts.dropped.values()) == len(first.given) - cut
    assert threads() == []


def test_a_live_source_can_follow_a_file() -> None:
    sink = Sink()
    first, second = Source(0), Source(50, live=True, fps=100)
    rig = Rig(first, detector(nap), sink)

    async def exchange(pipeline: Pipeline) -> None:
        await until(lambda: len(sink.results) >= 10)
        slow = detector(lambda _: time.sleep(0.05), name="slow")
        await pipeline.exchange(detector=slow, max_age_s=1.0, intake=rig.intake(second))

    asyncio.run(rig.run(exchange))
    counts = rig.ledger.counts()
    assert counts.in_flight == 0
    assert counts.dropped["superseded"] >= 10, "the newest frame counts from now on"


def test_an_exchange_while_the_source_ends_still_comes_about() -> None:
    sink, last = Sink(), Gate(9)
    rig = Rig(Source(10), detector(last, name="old"), sink)

    async def exchange(pipeline: Pipeline) -> None:
        await until(lambda: not threads("capture", within_s=0) and last.reached.is_set())
        change = asyncio.create_task(pipeline.exchange(detector=detector(name="new"), max_age_s=1.0))
        await asyncio.sleep(0)
        last.open()
        await change

    counts = rig.go(exchange)
    assert (counts.inferred, counts.dropped) == (10, {})
    assert sink.ids == list(range(10))


def test_an_exchange_does_not_wait_for_a_frame_that_never_comes() -> None:
    sink = Sink()
    rig = Rig(Source(0, live=True, fps=0.02), detector(name="old"), sink)

    async def exchange(pipeline: Pipeline) -> None:
        await until(lambda: len(sink.results) == 1)
        started = time.monotonic()
        await pipeline.exchange(detector=detector(name="new"), max_age_s=1.0)
        assert time.monotonic() - started < 20
        pipeline.stop()

    assert rig.go(exchange).inferred == 1


def test_an_exchange_while_paused_keeps_what_waits() -> None:
    sink, next_one = Sink(nap), Gate(5)
    rig = Rig(Source(40, before=next_one), detector(name="old"), sink)

    async def exchange(pipeline: Pipeline) -> None:
        await until(next_one.reached.is_set)
        pipeline.intake.pause()
        next_one.open()
        await until(lambda: rig.rests)
        before = len(sink.results)
        await pipeline.exchange(detector=detector(name="new"), max_age_s=1.0)
        assert rig.rests
        assert len(sink.results) == before
        pipeline.intake.resume()

    assert (rig.go(exchange).inferred, sink.ids) == (40, list(range(40)))


def test_a_stop_during_an_exchange_of_the_source_stops_the_new_one() -> None:
    sink = Sink(nap)
    second = Source(0)
    rig = Rig(Source(0), detector(), sink)

    async def exchange(pipeline: Pipeline) -> None:
        await until(lambda: len(sink.results) >= 3)
        change = asyncio.create_task(
            pipeline.exchange(detector=detector(), max_age_s=1.0, intake=rig.intake(second))
        )
        await asyncio.sleep(0)
        pipeline.stop()
        await change

    started = time.monotonic()
    asyncio.run(rig.run(exchange))
    assert time.monotonic() - started < 10
    assert rig.ledger.counts().in_flight == 0
    assert threads() == []


def test_an_exchange_that_comes_when_everything_is_over_is_refused() -> None:
    """The sink still works on what it has."""
    gate = Gate(0)
    rig = Rig(Source(3), detector(), Sink(gate))

    async def exchange(pipeline: Pipeline) -> None:
        await until(rig.source.told_to_end.is_set)
        with pytest.raises(EdgedError, match="come to its end"):
            await pipeline.exchange(detector=detector(), max_age_s=1.0)
        gate.open()

    assert rig.go(exchange).inferred == 3


def test_an_exchange_that_an_abort_overtakes_is_refused() -> None:
    gate = Gate(0)
    rig = Rig(Source(0), detector(gate), Sink())

    async def exchange(pipeline: Pipeline) -> None:
        await until(gate.reached.is_set)
        change = asyncio.create_task(pipeline.exchange(detector=detector(), max_age_s=1.0))
        await asyncio.sleep(0)
        pipeline.abort()
        gate.open()
        with pytest.raises(EdgedError, match="come to its end"):
            await change

    rig.go(exchange)
    assert threads() == []


def test_a_device_that_fails_just_before_an_exchange_is_replaced_and_its_frame_is_counted() -> None:
    """That it does not work it finds out when the exchange is under way."""
    gate = Gate(5)

    def fail(number: int) -> None:
        gate(number)
        if number >= 5:
            raise DeviceError("the device is gone")

    sink = Sink()
    rig = Rig(Source(40), detector(fail, name="old"), sink)

    async def exchange(pipeline: Pipeline) -> None:
        await until(lambda: gate.reached.is_set() and len(sink.results) == 5)
        change = asyncio.create_task(pipeline.exchange(detector=detector(name="new"), max_age_s=1.0))
        await asyncio.sleep(0)
        gate.open()
        await change

    counts = rig.go(exchange)
    failed = counts.dropped["predict_failed"]
    assert failed in {1, 2}, "of those that were taken none becomes a result, and none is lost on the way"
    assert sink.ids == [*range(5), *range(5 + failed, 40)]


def test_a_source_that_never_gives_its_thread_back_does_not_stop_the_new_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("edged.pipeline.threads._LET_GO_S", 0.3)
    hang = Gate(5)
    sink, second = Sink(), Source(20)
    rig = Rig(Source(0, before=hang), detector(), sink)

    async def exchange(pipeline: Pipeline) -> None:
        await until(lambda: hang.reached.is_set() and len(sink.results) == 5)
        stuck = await pipeline.exchange(detector=detector(), max_age_s=1.0, intake=rig.intake(second))
        assert stuck == ("capture",)

    try:
        asyncio.run(rig.run(exchange))
        assert sink.ids == [*range(5), *range(20)]
        assert rig.ledger.counts().in_flight == 0
        assert rig.pipeline.stuck == ("old-capture",), "the new one may be closed"
    finally:
        hang.open()
        assert threads() == []


def test_a_sink_that_never_gives_its_thread_back_does_not_stop_what_comes_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("edged.pipeline.threads._LET_GO_S", 0.3)
    hang = Gate(5)
    stays, hangs, comes = Sink(name="stays"), Sink(hang, name="one"), Sink(name="one")

    def come(number: int) -> None:
        wait_until(lambda: number > 5 or len(hangs.results) == number)

    rig = Rig(Source(0, live=True, fps=20, before=come), detector(), stays, hangs)

    async def exchange(pipeline: Pipeline) -> None:
        await until(hang.reached.is_set)
        kept, old = pipeline.outlets
        monkeypatch.setattr("edged.pipeline.outlet._SILENT_S", 0.0)
        assert old.problem == "the sink one does not answer"
        stuck = await pipeline.exchange(detector=detector(), max_age_s=1.0, outlets=[kept, Outlet(comes)])
        assert stuck == ("sink-one",)
        await until(lambda: len(comes.results) >= 20)
        pipeline.stop()

    try:
        asyncio.run(rig.run(exchange))
        assert hangs.ids == [*range(5)]
        assert comes.ids == sorted(set(comes.ids))
        assert comes.ids[0] > hangs.ids[-1]
        assert comes.ids[-1] == stays.ids[-1], (
            "either may have lost one on a busy machine, but never the newest"
        )
        assert rig.outlets[1].lost["aborted"] <= 2
    finally:
        hang.open()
        assert threads() == []
