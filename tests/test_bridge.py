"""Threads at the edge of asyncio: named, awaited, abandoned where they are stuck."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from typing import Any

import pytest

from edged import bridge


def test_a_function_runs_in_a_named_daemon_thread_of_its_own() -> None:
    async def ask() -> tuple[str, bool, int]:
        def look() -> tuple[str, bool, int]:
            thread = threading.current_thread()
            return thread.name, thread.daemon, threading.get_ident()

        return await bridge.run("camera", look)

    name, daemon, ident = asyncio.run(ask())
    assert (name, daemon) == ("camera", True)
    assert ident != threading.get_ident()


def test_an_exception_comes_to_whoever_awaits_the_thread() -> None:
    async def ask() -> None:
        def fail() -> None:
            raise LookupError("not there")

        await bridge.run("camera", fail)

    with pytest.raises(LookupError, match="not there"):
        asyncio.run(ask())


def test_an_end_of_iteration_that_escapes_comes_to_whoever_awaits_the_thread_as_well() -> None:
    """A future does not take StopIteration, and whoever waited for the thread would do so for ever."""

    async def ask() -> None:
        def fail() -> None:
            next(iter(()))

        await asyncio.wait_for(bridge.run("camera", fail), 60)

    with pytest.raises(RuntimeError, match="camera has raised StopIteration") as raised:
        asyncio.run(ask())
    assert isinstance(raised.value.__cause__, StopIteration)


def test_the_event_loop_goes_on_while_a_thread_blocks() -> None:
    async def count() -> int:
        release = threading.Event()
        blocked = bridge.run("camera", lambda: release.wait(10))
        turns = 0
        while turns < 100:
            await asyncio.sleep(0)
            turns += 1
        assert not blocked.done()
        release.set()
        assert await blocked
        return turns

    assert asyncio.run(count()) == 100


def test_a_cancelled_thread_is_abandoned_and_its_late_answer_hurts_nobody() -> None:
    release = threading.Event()
    ended = threading.Event()
    hurt: list[dict[str, Any]] = []

    def block() -> None:
        release.wait(10)
        ended.set()
        raise LookupError("nobody wants to know")

    async def give_up() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, what: hurt.append(what))
        waiting = bridge.run("camera", block)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(waiting, 0.05)
        release.set()
        assert await asyncio.to_thread(ended.wait, 60)
        await asyncio.sleep(0.05)

    asyncio.run(give_up())
    assert hurt == []


def test_a_thread_that_outlives_the_loop_hurts_nobody() -> None:
    release = threading.Event()

    async def leave() -> threading.Thread:
        bridge.run("camera", lambda: release.wait(10))
        return next(thread for thread in threading.enumerate() if thread.name == "camera")

    thread = asyncio.run(leave())
    release.set()
    thread.join(60)
    assert not thread.is_alive()


def test_a_stuck_thread_does_not_hold_up_the_exit() -> None:
    script = (
        "import time; from edged import bridge; bridge.start('camera', lambda: time.sleep(600)); print('bye')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout == "bye\n"


def test_a_thread_can_have_a_lower_priority_than_the_others() -> None:
    async def ask(nice: int) -> int:
        return await bridge.run(
            "sink", lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id()), nice=nice
        )

    normal = os.getpriority(os.PRIO_PROCESS, 0)
    assert asyncio.run(ask(0)) == normal
    lower = asyncio.run(ask(19))
    assert lower == 19
    assert os.getpriority(os.PRIO_PROCESS, 0) == normal


def test_a_thread_gives_way_in_a_process_that_gives_way_itself() -> None:
    """With Nice=10 in the unit 3 would be before all others, if the kernel let it be so; 19 is the end."""
    script = (
        "import os, threading; from edged import bridge; "
        "bridge.start('camera', lambda: print(os.getpriority(os.PRIO_PROCESS, os.getpid()), "
        "os.getpriority(os.PRIO_PROCESS, threading.get_native_id())), nice=3).join()"
    )
    command = ["nice", "-n", "10", sys.executable, "-c", script]
    given, own = map(int, subprocess.check_output(command, text=True, timeout=60).split())
    assert given == min(os.getpriority(os.PRIO_PROCESS, 0) + 10, 19)
    assert own == min(given + 3, 19)


def test_a_thread_has_the_priority_of_all_others_unless_it_is_asked_to_have_less() -> None:
    def priority() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    async def ask() -> int:
        return await bridge.run("sink", priority)

    found: list[int] = []
    bridge.start("sink", lambda: found.append(priority())).join(60)
    assert [*found, asyncio.run(ask())] == 2 * [priority()]


def test_a_priority_that_may_not_be_changed_costs_speed_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a sandbox that knows no setpriority."""

    def forbidden(which: int, who: int, priority: int) -> None:
        raise PermissionError(1, "Operation not permitted", f"{which} {who} {priority}")

    monkeypatch.setattr(os, "setpriority", forbidden)
    done = threading.Event()
    bridge.start("sink", done.set, nice=19)
    assert done.wait(5)
