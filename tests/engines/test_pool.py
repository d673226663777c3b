"""Engines that several cameras share: fair turns, and closed with the last user."""

from __future__ import annotations

import threading
import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

import pytest
from daemon import until

from edged import bridge
from edged.engines.pool import EnginePool, EnginePools, Guest, Turns
from edged.errors import DeviceError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edged.records import Tensor, TensorSpec


class Device:
    """An engine that notes whether it is closed."""

    device = "fake"
    runtime = "none"
    degraded = ""
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()

    def __init__(self) -> None:
        self.closed = False

    def invoke(self, tensor: Tensor) -> Sequence[Tensor]:
        return [tensor]

    def close(self) -> None:
        self.closed = True


def shares(weights: list[float], *, turns: int, idle_first: int | None = None) -> list[int]:
    """How many of ``turns`` turns each guest gets while all of them always want one."""
    desk = Turns(1)
    guests = [Guest(weight) for weight in weights]
    got: Counter[int] = Counter()
    order: list[int] = []
    over = threading.Event()

    def wanting() -> int:
        return len(weights) - 1 - (idle_first is not None and len(order) < turns // 2)

    def guest(number: int) -> None:
        if number == idle_first:
            while len(order) < turns // 2:
                time.sleep(0.001)
        while desk.take(guests[number]):
            order.append(number)
            got[number] += len(order) <= turns
            if len(order) >= turns:
                over.set()
            # The inference lasts until all others wait again.
            while len(desk._waiting) < wanting() and not over.is_set():  # noqa: SLF001
                time.sleep(0.0001)
            desk.give_back()

    threads = [bridge.start(f"guest-{number}", partial(guest, number)) for number in range(len(weights))]
    assert over.wait(30)
    for one in guests:
        desk.dismiss(one)
    for thread in threads:
        thread.join(10)
    return [got[number] for number in range(len(weights))]


def test_turns_are_shared_evenly() -> None:
    assert all(abs(share - 100) <= 5 for share in shares([1, 1, 1, 1], turns=400))


def test_a_weight_gives_more_turns() -> None:
    double, *others = shares([2, 1, 1], turns=400)
    assert abs(double - 200) <= 40
    assert all(abs(share - 100) <= 20 for share in others)


def test_who_has_not_wanted_any_saves_none_up() -> None:
    late, always = shares([1, 1], turns=400, idle_first=0)
    assert abs(late - 100) <= 20
    assert late + always == 400


def test_who_is_dismissed_waits_no_longer_and_takes_no_turn() -> None:
    desk, holder, waiting = Turns(1), Guest(), Guest()
    assert desk.take(holder)
    taken: list[bool] = []

    def wait() -> None:
        taken.append(desk.take(waiting))

    thread = bridge.start("waiting", wait)
    until(lambda: len(desk._waiting) == 1)  # noqa: SLF001  # nothing else tells
    assert not taken
    desk.dismiss(waiting)
    thread.join(5)
    assert taken == [False]
    desk.give_back()
    assert desk.take(holder)


def test_one_wish_is_opened_once_and_closed_with_its_last_user() -> None:
    pools, made = EnginePools(), list[Device]()

    def opens() -> list[Device]:
        made.append(Device())
        return made[-1:]

    first, second = pools.borrow("wish", opens), pools.borrow("wish", opens)
    other = pools.borrow("other wish", opens)
    assert first is second
    assert other is not first
    assert len(made) == 2
    pools.give_back("wish")
    assert not made[0].closed
    pools.give_back("wish")
    assert (made[0].closed, made[1].closed) == (True, False)
    pools.give_back("other wish")
    assert pools.borrow("wish", opens) is not first


def test_a_turn_is_due_by_weight_and_by_the_invokes_it_was_for() -> None:
    desk, heavy, light = Turns(4), Guest(2.0), Guest()
    assert desk.take(heavy)
    assert desk.take(heavy)
    assert heavy.due == 1.0
    desk.charge(heavy, 3)
    assert heavy.due == 2.0
    assert desk.take(light)
    assert light.due == 1.5, "it begins where the others are, and saves nothing up"
    assert (Guest().due, Guest().weight) == (0.0, 1.0)


def test_the_turns_are_one_more_than_the_engines_and_each_that_is_given_back_can_be_taken_again() -> None:
    desk = EnginePool([Device(), Device()]).turns
    assert [desk.take(Guest()) for _ in range(3)] == [True, True, True]
    taken: list[bool] = []
    for count in (1, 2):
        others = [bridge.start("other", lambda: taken.append(desk.take(Guest()))) for _ in range(count)]
        others[0].join(0.05)
        assert taken == []
        for _ in range(count):
            desk.give_back()
        for other in others:
            other.join(10)
        assert taken == [True] * count
        taken.clear()


def test_an_engine_is_one_workers_alone_until_it_is_given_back_though_it_fails() -> None:
    class Broken(Device):
        def invoke(self, tensor: Tensor) -> Sequence[Tensor]:
            raise DeviceError(f"it is broken: {tensor}")

    engines = [Device(), Broken()]
    pool = EnginePool(engines)
    with pool.engine() as first, pool.engine() as second:
        assert [first, second] == engines
    tensor: Tensor = object()  # type: ignore[assignment]  # it is only handed on
    for _ in range(2):
        with pytest.raises(DeviceError, match="it is broken"):
            pool.run(tensor)
        assert pool.run(tensor) == [tensor], "in turns: who was given back comes last"


def test_engines_are_closed_in_reverse() -> None:
    order: list[Device] = []

    class Noting(Device):
        def close(self) -> None:
            order.append(self)

    engines = [Noting(), Noting()]
    EnginePool(engines).close()
    assert order == engines[::-1]


def test_a_wish_that_could_not_be_opened_is_opened_anew_by_the_next() -> None:
    pools = EnginePools()

    def fails() -> list[Device]:
        raise DeviceError("nothing is plugged in")

    for _ in range(2):
        with pytest.raises(DeviceError, match="plugged"):
            pools.borrow("wish", fails)
    device = Device()
    assert pools.borrow("wish", lambda: [device]).engines == [device]
    pools.give_back("wish")
    assert device.closed


def test_others_with_another_wish_do_not_wait_while_one_opens_and_those_with_the_same_do() -> None:
    pools, opening, opened = EnginePools(), threading.Event(), threading.Event()
    got: list[EnginePool] = []

    def slowly() -> list[Device]:
        opening.set()
        assert opened.wait(10)
        return [Device()]

    threads = [bridge.start("borrows", lambda: got.append(pools.borrow("wish", slowly))) for _ in range(2)]
    assert opening.wait(10)
    pools.borrow("other wish", lambda: [Device()])
    assert got == []
    opened.set()
    for thread in threads:
        thread.join(10)
    assert len(got) == 2
    assert got[0] is got[1]
