"""Engines that several cameras share: fair turns, and closed with the last user."""

from __future__ import annotations

import threading
import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from edged import bridge
from edged.engines.pool import EnginePools, Guest, Turns

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
    time.sleep(0.1)
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
