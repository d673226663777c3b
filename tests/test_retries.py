"""Cameras that have failed while others run: tried again, less and less often, whatever it is that fails."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest
from around import Around
from clock import Clock
from source_clips import make, over_udp
from structlog.testing import capture_logs
from waiting import until

from edged.backoff import Backoff
from edged.daemon.camera import CameraRun
from edged.daemon.cameras import Cameras
from edged.daemon.reload import Prepared, prepare
from edged.daemon.retries import Retries
from edged.daemon.stop_budget import StopBudget
from edged.errors import ModelError, SourceError
from edged.settings import loading
from edged.sources.cameras import live

if TYPE_CHECKING:
    from pathlib import Path

    from edged.settings.declared import Settings


class Noting(Retries):
    """Remembers how long those ran that have failed."""

    def __init__(self) -> None:
        super().__init__(lambda: None)
        self.ran_s: list[float] = []

    def failed(self, name: str, good_s: float) -> float:
        """Note it."""
        self.ran_s.append(good_s)
        return super().failed(name, good_s)


def two(model: Path, **more: str) -> dict[str, Settings]:
    """Settings of two cameras by name; ``front`` has no source, unless it is given."""
    environ = {
        "EDGED_CAMERAS": "front,back",
        "EDGED_MODEL": str(model),
        "EDGED_DEVICE": "cpu",
        "EDGED_SCORE_THRESHOLD": "0.5",
        "EDGED_FRONT_SOURCE": "/nowhere.mp4",
        "EDGED_BACK_SOURCE": "synthetic:?width=64&height=64",
        **more,
    }
    return {one.camera: one for one in loading.load_all(environ=environ)}


async def opened(settings: dict[str, Settings]) -> tuple[Cameras, Noting, Around]:
    """Cameras of which as many as can are open."""
    retries, around = Noting(), Around()
    cameras = Cameras(list(settings.values()), around, retries, lambda *_: None)
    await cameras.open()
    return cameras, retries, around


def test_a_camera_that_ran_for_long_is_tried_again_less_and_less_often(
    demo_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the failure that ended the run may begin the waits anew."""

    async def scenario() -> list[float]:
        cameras, retries, around = await opened(two(demo_model))
        monkeypatch.setattr(CameraRun, "good_s", property(lambda _: 3600.0))
        for _ in range(3):
            cameras.hurry()
            await cameras.revive()
        await around.close(cameras.by_name["back"].closers())
        return retries.ran_s

    assert asyncio.run(scenario()) == [0.0] * 4


def test_a_wrong_setting_of_one_camera_lets_none_begin(demo_model: Path) -> None:
    """Who has written it looks at the start, and what could be right soon is another thing."""
    wrong = {"EDGED_FRONT_SOURCE": "synthetic:?width=64&height=64", "EDGED_FRONT_MODEL": "/nowhere.tflite"}

    async def scenario() -> list[str]:
        around = Around()
        cameras = Cameras(list(two(demo_model, **wrong).values()), around, Noting(), lambda *_: None)
        with pytest.raises(ModelError, match="nowhere"):
            await cameras.open()
        return around.did

    assert {"open-detector", "close-source", "close-detector"} <= set(asyncio.run(scenario()))


def test_one_that_has_failed_fails_the_run_unless_somebody_has_stopped_the_others(demo_model: Path) -> None:
    """Who waits for the end of files must hear of it."""

    async def scenario() -> None:
        cameras, _, _ = await opened(two(demo_model))
        runs = asyncio.create_task(cameras.run())
        cameras.stop()
        await asyncio.wait_for(runs, 60)
        assert cameras.outcome(stopped=True).frames.in_flight == 0
        with pytest.raises(SourceError, match="nowhere"):
            cameras.outcome(stopped=False)

    asyncio.run(scenario())


def test_a_mistake_when_a_camera_is_tried_again_does_not_end_the_others(
    demo_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_: Any) -> None:
        raise ZeroDivisionError("nobody foresaw it")

    async def scenario() -> str:
        cameras, retries, around = await opened(two(demo_model))
        monkeypatch.setattr(CameraRun, "open", broken)
        cameras.hurry()
        await cameras.revive()
        await around.close(cameras.by_name["back"].closers())
        assert len(retries.ran_s) == 2
        return str(cameras.by_name["front"].failure)

    assert "ZeroDivisionError" in asyncio.run(scenario())


def test_a_reload_that_one_camera_refuses_leaves_nothing_open_of_the_others(demo_model: Path) -> None:
    """Neither the next parts of one that goes on, nor a camera that there was not yet."""
    small, large = ({"EDGED_FRONT_SOURCE": f"synthetic:?width={one}&height={one}"} for one in (64, 96))
    more = {"EDGED_CAMERAS": "front,gate,back", "EDGED_GATE_SOURCE": "synthetic:?width=64&height=64"}

    async def scenario() -> None:
        cameras, _, around = await opened(two(demo_model, **small))
        around.did.clear()
        wanted = two(demo_model, **large, **more, EDGED_BACK_MODEL="/nowhere.tflite")
        with pytest.raises(ModelError, match="nowhere"):
            await prepare(wanted, cameras.by_name, around)
        assert [one for one in around.did if one.startswith("open")] == [
            "open-source", "open-detector", "open-source", "open-detector",
        ]  # fmt: skip
        assert around.did[-3:] == ["close-source", "close-source", "close-detector"]
        for camera in cameras.by_name.values():
            await around.close(camera.closers())

    asyncio.run(scenario())


def test_a_camera_that_has_failed_holds_up_nobodys_reload_and_one_that_has_ended_begins_anew(
    demo_model: Path,
) -> None:
    """As soon as its own settings are others: what is to be as it was is tried again by itself, or over."""

    async def scenario() -> None:
        cameras, _, around = await opened(two(demo_model))
        back = cameras.by_name["back"]
        kept, fresh = await prepare(two(demo_model, EDGED_BACK_MAX_AGE="3"), cameras.by_name, around)
        assert (list(kept), list(fresh)) == (["back"], [])
        await back.discard(kept["back"])
        back.over = True
        assert await prepare(two(demo_model), cameras.by_name, around) == ({}, {})
        kept, fresh = await prepare(two(demo_model, EDGED_BACK_MAX_AGE="3"), cameras.by_name, around)
        assert (list(kept), list(fresh)) == ([], ["back"])
        for camera in (back, fresh["back"]):
            await around.close(camera.closers())

    asyncio.run(scenario())


def test_a_camera_that_ends_while_a_reload_is_prepared_keeps_nothing_open(demo_model: Path) -> None:
    """The others go on with their new parts."""

    async def scenario() -> None:
        cameras, _, around = await opened(two(demo_model, EDGED_FRONT_SOURCE="synthetic:?width=64&height=64"))
        runs = asyncio.create_task(cameras.run())
        there = list(cameras.by_name.values())
        await until(lambda: all(one.pipeline is not None and one.pipeline.running for one in there))
        wanted = two(
            demo_model, EDGED_FRONT_SOURCE="synthetic:?width=96&height=96", EDGED_SCORE_THRESHOLD="0.6"
        )
        prepared = await prepare(wanted, cameras.by_name, around)
        front = cameras.by_name["front"]
        front.stop()
        await until(lambda: front.assembly is None)
        around.did.clear()
        await cameras.renew(prepared, wanted)
        closed = [f"close-{part}" for part in ("source", "detector", "detector")]
        assert around.did == closed, "those of the front and an old one"
        assert cameras.by_name["back"].settings.score_threshold == 0.6
        cameras.stop()
        await asyncio.wait_for(runs, 60)

    asyncio.run(scenario())


def test_a_camera_with_another_name_has_its_port_as_soon_as_its_former_self_is_gone(
    demo_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long it would wait otherwise: while the reload is prepared, both are there."""
    monkeypatch.setattr(live, "Backoff", lambda: Backoff(300.0, 300.0, spread=0.0))
    clip = make(tmp_path / "clip.ts", frames=100, gop=25, b_frames=0)

    def named(name: str) -> dict[str, Settings]:
        more = {"EDGED_CAMERAS": f"{name},back", f"EDGED_{name.upper()}_SOURCE": url}
        return two(demo_model, **({"EDGED_FRONT_SOURCE": ""} | more))

    async def scenario() -> None:
        cameras, _, around = await opened(named("front"))
        runs = asyncio.create_task(cameras.run())
        await until(lambda: cameras.by_name["front"].ledger.counts().captured > 5)
        wanted = named("gate")
        prepared = await prepare(wanted, cameras.by_name, around)
        gate = prepared.fresh["gate"]
        await cameras.renew(prepared, wanted)
        await until(lambda: gate.ledger.counts().captured > 5)
        cameras.stop()
        await asyncio.wait_for(runs, 60)

    with over_udp(clip) as url:
        asyncio.run(scenario())


def test_a_camera_that_begins_in_a_stop_ends_with_the_others(demo_model: Path) -> None:
    async def scenario() -> None:
        settings = two(demo_model)
        cameras, _, around = await opened(settings)
        cameras.stop()
        late = CameraRun(settings["back"], around)
        await late.open()
        await cameras.renew(Prepared({}, {"late": late}), {"front", "back"})
        await asyncio.wait_for(cameras.run(), 60)
        assert late.over

    asyncio.run(scenario())


def test_a_pause_outlives_a_reload_of_a_camera_that_has_failed(demo_model: Path) -> None:
    async def scenario() -> None:
        cameras, _, around = await opened(two(demo_model))
        assert isinstance(cameras.by_name["front"].failure, SourceError)
        cameras.by_name["front"].switches.pause(True)
        wanted = two(demo_model, EDGED_FRONT_SOURCE="synthetic:?width=64&height=64")
        prepared = await prepare({"front": wanted["front"]}, cameras.by_name, around)
        assert prepared.fresh["front"].switches.paused
        for camera in (prepared.fresh["front"], cameras.by_name["back"]):
            await around.close(camera.closers())

    asyncio.run(scenario())


def test_a_camera_is_due_when_its_wait_is_over_and_all_are_when_somebody_asks() -> None:
    async def scenario() -> None:
        clock = Clock()
        retries = Retries(lambda: None, clock=clock)
        waits = {name: retries.failed(name, 0.0) for name in ("front", "back")}
        assert all(1.0 <= wait_s <= 2.0 for wait_s in waits.values()), waits
        assert retries.due() == []
        clock.now += 2.0
        assert retries.due() == ["front", "back"]
        assert retries.due() == [], "each is given once"
        assert [retries.failed("front", 0.0) > 30 for _ in range(7)][-1], "up to a minute"
        retries.hurry()
        assert retries.due() == ["front"]
        assert retries.failed("front", 61.0) <= 2.0, "it has worked for long"

    asyncio.run(scenario())


def test_somebody_is_woken_when_a_camera_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else looks."""
    monkeypatch.setattr("edged.daemon.retries._FIRST_S", 0.02)

    async def scenario() -> None:
        woken = asyncio.Event()
        retries = Retries(woken.set)
        retries.failed("front", 0.0)
        await asyncio.wait_for(woken.wait(), 60)
        assert retries.due() == ["front"]

    asyncio.run(scenario())


def test_what_is_closed_after_the_time_to_stop_gets_half_a_second_and_what_hangs_is_left() -> None:
    """One time for all of it: what the first took, the second lacks."""

    async def scenario() -> None:
        clock, hang = Clock(), threading.Event()

        def wait() -> None:
            hang.wait(30)

        budget = StopBudget(10.0, clock=clock)
        budget.close_within(8.0)
        clock.now += 20.0
        with capture_logs() as logs:
            failed = await budget.close([("one", wait), ("two", lambda: None)])
        hang.set()
        assert failed is None
        assert [(entry["event"], entry["part"], entry["after_s"]) for entry in logs] == [
            ("close_stuck", "one", 0.5)
        ]

    asyncio.run(scenario())
