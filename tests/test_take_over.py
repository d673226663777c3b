"""A daemon that began beside another one of its node: it takes over what that has kept."""

from __future__ import annotations

import asyncio
import fcntl
import json
import signal
import threading
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from loaded import load
from structlog.testing import capture_logs
from waiting import until

from edged.daemon import logs, service
from edged.daemon.reload import prepare
from edged.durable.owner import Owner
from edged.durable.spool_folder import SpoolFolder

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, MutableMapping
    from pathlib import Path
    from typing import Any, Self

    from edged.metrics import FrameCounts
    from edged.records import State
    from edged.settings.declared import Settings

LOOK_S = 0.05


class Beside:
    """Another daemon has the node, and one is served beside it."""

    def __init__(self, folder: Path, model: Path) -> None:
        self.password = folder / "password"
        self.password.write_text("secret")
        self.folder = SpoolFolder(folder / "spool")
        self.settings = load(
            EDGED_SOURCE="synthetic:?width=64&height=64&fps=20",
            EDGED_MODEL=str(model),
            EDGED_MQTT_URL="mqtt://127.0.0.1:9",
            EDGED_MQTT_PASSWORD_FILE=str(self.password),
            EDGED_SPOOL=str(self.folder.path),
            EDGED_NODE="lab1",
            EDGED_CAMERA="front",
        )
        self.other = Owner(["another source"])
        self.progress: list[tuple[FrameCounts, State]] = []
        self.loop: asyncio.AbstractEventLoop
        self.logs: list[MutableMapping[str, Any]] = []

    @property
    def paused(self) -> bool:
        """Whether it says so, and has looked at no frame between two looks at it."""
        told = [(state.lifecycle, counts.inferred) for counts, state in self.progress[-2:]]
        return len(told) > 1 and told[0] == told[1] and told[0][0] == "paused"

    def told(self, event: str) -> int:
        return sum(line["event"] == event for line in self.logs)

    def serve(self, do: Callable[[], Awaitable[None]], reread: Callable[[], Settings] | None = None) -> None:
        """Until ``do`` is done."""

        async def live() -> None:
            self.loop = asyncio.get_running_loop()
            serving = service.serve(
                self.settings, reread=reread, progress=lambda *told: self.progress.append(told)
            )
            served = asyncio.create_task(serving)
            await until(lambda: self.told("running") or served.done())
            try:
                await do()
            finally:
                if not served.done():
                    signal.raise_signal(signal.SIGTERM)
                await served

        with capture_logs() as self.logs:
            asyncio.run(live())

    def __enter__(self) -> Self:
        self.other.enter(self.folder.path, [self.settings])
        return self

    def __exit__(self, *_: object) -> None:
        self.other.leave()


@pytest.fixture
def beside(tmp_path: Path, demo_model: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Beside]:
    """The other one runs; it is looked often whether it has gone."""
    monkeypatch.setattr(service, "_LOOK_S", LOOK_S)
    monkeypatch.setattr(logs, "follow", lambda _: None)  # what is captured here is not written
    with Beside(tmp_path, demo_model) as made:
        yield made


def test_the_event_loop_waits_for_nobodys_turn(beside: Beside, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which may last a second: the other one was stopped in it."""
    waited: list[threading.Thread] = []
    lock = fcntl.flock

    def noted(file: Any, how: int) -> None:
        waited.append(threading.current_thread())
        lock(file, how)

    async def look() -> None:
        monkeypatch.setattr(fcntl, "flock", noted)
        await until(lambda: len(waited) > 2)
        beside.other.leave()
        await until(lambda: beside.told("reloaded"))

    beside.serve(look)
    assert {thread.name for thread in waited} == {"take-over", "own"}


def test_nobody_takes_over_in_the_midst_of_a_reload(beside: Beside) -> None:
    """One camera would be at the broker with one node, and the next one with another."""
    in_midst: list[int] = []

    def reread() -> Settings:
        beside.other.leave()
        for _ in range(10):
            asyncio.run_coroutine_threadsafe(asyncio.sleep(LOOK_S), beside.loop).result(60)
        in_midst.append(beside.told("node_taken_over"))
        return beside.settings

    async def reload() -> None:
        signal.raise_signal(signal.SIGHUP)
        await until(beside.folder.messages("lab1").exists)  # the reload itself takes over

    beside.serve(reload, reread)
    assert in_midst == [0]


def test_what_is_refused_is_tried_again_ever_less_often(
    beside: Beside, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[float] = []

    async def noted(*args: Any) -> Any:
        tried.append(asyncio.get_running_loop().time())
        return await prepare(*args)

    async def refuse_and_mend() -> None:
        monkeypatch.setattr(service, "prepare", noted)
        beside.password.unlink()
        beside.other.leave()
        await until(lambda: beside.told("reload_refused") >= 4)
        assert not beside.folder.messages("lab1").exists()
        beside.password.write_text("another")
        await until(lambda: beside.told("reloaded"))
        await until(beside.folder.messages("lab1").exists)  # once the node so far has said goodbye

    beside.serve(refuse_and_mend)
    waits = [after - before for before, after in pairwise(tried)]
    assert all(wait_s > 0.9 * LOOK_S * 2**number for number, wait_s in enumerate(waits)), waits
    assert (beside.told("node_taken_over"), beside.told("reloaded")) == (1, 1)


def test_a_pause_that_the_other_one_was_told_of_goes_on(beside: Beside) -> None:
    """Even where what there is to open anew is refused so far."""
    switched = beside.folder.switched("lab1", "front")

    async def take_over() -> None:
        switched.write_text(json.dumps({"paused": True}))
        beside.password.unlink()
        beside.other.leave()
        await until(lambda: beside.paused)
        assert not beside.told("reloaded")
        beside.password.write_text("another")
        await until(lambda: beside.told("reloaded"))

    beside.serve(take_over)
    assert json.loads(switched.read_text())["paused"]
