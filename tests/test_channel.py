"""The channel between two threads: bounded, in order, and every item accounted for."""

from __future__ import annotations

import threading
import time
import weakref
from functools import partial
from typing import TYPE_CHECKING

import pytest
from daemon import until

from edged import bridge
from edged.channel import Channel, Closed

if TYPE_CHECKING:
    from collections.abc import Callable

_SOON_S = 60.0
"""Enough for a thread to get its turn on a busy machine."""
_MOMENT_S = 0.1
"""Enough for a thread that would not wait to show that it does not."""


def waiting(function: Callable[[], object]) -> threading.Thread:
    """A thread that runs ``function`` and is expected to wait in it."""
    thread = bridge.start("waiting", function)
    thread.join(_MOMENT_S)
    assert thread.is_alive(), "it did not wait"
    return thread


def rest(channel: Channel[int]) -> list[int]:
    """Everything that still comes out."""
    items: list[int] = []
    channel.each(items.append)
    return items


def ended(thread: threading.Thread) -> bool:
    thread.join(_SOON_S)
    return not thread.is_alive()


def test_items_come_out_in_the_order_in_which_they_went_in() -> None:
    channel: Channel[int] = Channel(5)
    for number in range(5):
        assert channel.put(number, waits=True) is None
    assert [channel.get() for _ in range(5)] == [0, 1, 2, 3, 4]


def test_a_full_channel_makes_its_producer_wait_until_there_is_room() -> None:
    channel: Channel[int] = Channel(2)
    channel.put(0, waits=True)
    channel.put(1, waits=True)
    producer = waiting(lambda: channel.put(2, waits=True))
    assert channel.get() == 0
    assert ended(producer)
    channel.close()
    assert rest(channel) == [1, 2]


def test_a_full_channel_that_does_not_wait_hands_back_the_oldest_item() -> None:
    channel: Channel[int] = Channel(2)
    assert [channel.put(number, waits=False) for number in range(5)] == [None, None, 0, 1, 2]
    channel.close()
    assert rest(channel) == [3, 4]


def test_an_empty_channel_makes_its_consumer_wait_for_an_item() -> None:
    channel: Channel[int] = Channel(1)
    got: list[int] = []
    consumer = waiting(lambda: got.append(channel.get()))
    channel.put(7, waits=True)
    assert ended(consumer)
    assert got == [7]


def test_close_lets_out_what_is_inside_and_nothing_more_in() -> None:
    channel: Channel[int] = Channel(3)
    channel.put(0, waits=True)
    channel.put(1, waits=True)
    channel.close()
    with pytest.raises(Closed):
        channel.put(2, waits=True)
    assert rest(channel) == [0, 1]
    with pytest.raises(Closed):
        channel.get()


def test_what_is_given_back_comes_first_again_if_there_is_room_even_after_the_end() -> None:
    channel: Channel[int] = Channel(2)
    channel.put(0, waits=True)
    channel.put(1, waits=True)
    first = channel.get()
    assert channel.give_back(first)
    assert not channel.give_back(first)
    first = channel.get()
    channel.close()
    assert channel.give_back(first)
    assert rest(channel) == [0, 1]


def test_nothing_is_given_back_to_what_was_aborted() -> None:
    channel: Channel[int] = Channel(1)
    assert channel.abort() == []
    assert not channel.give_back(0), "nobody would account for it"


def test_close_ends_the_waiting_on_both_sides() -> None:
    empty: Channel[int] = Channel(1)
    full: Channel[int] = Channel(1)
    full.put(0, waits=True)
    refused: list[int] = []

    def produce() -> None:
        try:
            full.put(1, waits=True)
        except Closed:
            refused.append(1)

    consumer, producer = waiting(lambda: rest(empty)), waiting(produce)
    empty.close()
    full.close()
    assert ended(consumer)
    assert ended(producer)
    assert refused == [1]
    assert rest(full) == [0]


def test_abort_hands_back_what_was_inside() -> None:
    channel: Channel[int] = Channel(3)
    channel.put(0, waits=True)
    channel.put(1, waits=True)
    assert channel.abort() == [0, 1]
    assert channel.abort() == []
    assert rest(channel) == []
    with pytest.raises(Closed):
        channel.put(2, waits=True)


def test_unless_leaves_the_items_to_whoever_comes_next() -> None:
    channel: Channel[int] = Channel(2)
    channel.put(0, waits=True)
    halted = threading.Event()
    assert channel.get(unless=halted) == 0
    channel.put(1, waits=True)
    halted.set()
    with pytest.raises(Closed):
        channel.get(unless=halted)
    assert channel.get() == 1


def test_what_is_offered_is_taken_if_there_is_room_and_at_nobodys_cost() -> None:
    channel: Channel[int] = Channel(2)
    assert [channel.offer(number) for number in range(3)] == [True, True, False]
    assert [channel.get(), channel.get()] == [0, 1]
    consumer = waiting(channel.get)
    assert channel.offer(4)
    assert ended(consumer)
    channel.close()
    assert not channel.offer(5)
    assert rest(channel) == []


def test_who_awaits_an_item_leaves_it_in_the_channel() -> None:
    channel: Channel[int] = Channel(2)
    halted = threading.Event()
    consumer = waiting(lambda: channel.await_item(unless=halted))
    channel.put(0, waits=True)
    assert ended(consumer)
    channel.close()
    channel.await_item(unless=halted)
    assert rest(channel) == [0]
    with pytest.raises(Closed):
        channel.await_item(unless=halted)


def test_who_has_to_stop_awaits_no_item() -> None:
    channel: Channel[int] = Channel(1)
    halted = threading.Event()
    halted.set()
    with pytest.raises(Closed):
        channel.await_item(unless=halted)
    channel.put(0, waits=True)
    with pytest.raises(Closed):
        channel.await_item(unless=halted)
    assert channel.get() == 0


def test_who_awaits_room_has_it_afterwards() -> None:
    channel: Channel[int] = Channel(1)
    channel.await_room()
    channel.put(0, waits=True)
    producer = waiting(channel.await_room)
    assert channel.get() == 0
    assert ended(producer)
    assert channel.offer(1)
    refused: list[Closed] = []

    def produce() -> None:
        try:
            channel.await_room()
        except Closed as told:
            refused.append(told)

    producer = waiting(produce)
    channel.close()
    assert ended(producer)
    assert len(refused) == 1


def test_all_who_wait_are_told_one_after_the_other_and_nobody_is_where_nobody_waits() -> None:
    channel: Channel[int] = Channel(1)
    got: list[int] = []
    takers = [waiting(lambda: got.append(channel.get())) for _ in range(2)]
    for number in (0, 1):
        channel.put(number, waits=True)
    assert all(map(ended, takers))
    channel.put(2, waits=True)
    givers = [waiting(partial(channel.put, number, waits=True)) for number in (3, 4)]
    got += [channel.get() for _ in range(3)]
    assert all(map(ended, givers))
    assert sorted(got) == [0, 1, 2, 3, 4]
    assert (channel._takers.count, channel._givers.count) == (0, 0)  # noqa: SLF001


def test_wake_ends_the_waiting_of_whoever_has_to_stop_and_of_nobody_else() -> None:
    channel: Channel[int] = Channel(1)
    halted = threading.Event()
    got: list[int] = []

    def consume(unless: threading.Event | None) -> None:
        try:
            got.append(channel.get(unless=unless))
        except Closed:
            got.append(-1)

    first, second = waiting(lambda: consume(halted)), waiting(lambda: consume(None))
    halted.set()
    channel.wake()
    assert ended(first)
    assert got == [-1]
    assert second.is_alive()
    channel.put(5, waits=True)
    assert ended(second)
    assert got == [-1, 5]


@pytest.mark.parametrize("waits", [True, False])
def test_many_threads_lose_nothing_double_nothing_and_never_wait_for_ever(*, waits: bool) -> None:
    capacity, producers, each = 4, 4, 500
    channel: Channel[tuple[int, int]] = Channel(capacity)
    displaced: list[list[tuple[int, int]]] = [[] for _ in range(producers)]
    taken: list[list[tuple[int, int]]] = [[] for _ in range(3)]
    naps = [number % 19 == 0 for number in range(each)]

    def produce(producer: int) -> None:
        for number in range(each):
            gone = channel.put((producer, number), waits=waits)
            if gone is not None:
                displaced[producer].append(gone)
            if naps[number]:
                time.sleep(0.0005)

    def consume(into: list[tuple[int, int]]) -> None:
        def take(item: tuple[int, int]) -> None:
            into.append(item)
            if naps[item[1]]:
                time.sleep(0.0005)

        channel.each(take)

    makers = [bridge.start(f"producer-{number}", partial(produce, number)) for number in range(producers)]
    takers = [bridge.start(f"consumer-{number}", partial(consume, into)) for number, into in enumerate(taken)]
    assert all(ended(thread) for thread in makers)
    channel.close()
    assert all(ended(thread) for thread in takers)

    everything = sorted(item for part in (*taken, *displaced) for item in part)
    assert everything == [(producer, number) for producer in range(producers) for number in range(each)]
    assert waits is not any(displaced)
    for part in taken:  # what one consumer gets of one producer is in order
        for producer in range(producers):
            numbers = [number for maker, number in part if maker == producer]
            assert numbers == sorted(numbers)


def test_a_channel_never_holds_more_than_its_capacity() -> None:
    channel: Channel[int] = Channel(3)
    put = 0

    def produce() -> None:
        nonlocal put
        for number in range(50):
            channel.put(number, waits=True)
            put = number + 1

    producer = bridge.start("producer", produce)
    for taken in range(50):
        time.sleep(0.001)
        assert put - taken <= 3
        assert channel.get() == taken
    assert ended(producer)


def test_each_keeps_nothing_alive_while_it_waits_for_more() -> None:
    """Items hold whole frames: a camera that is silent for a night must not keep its last one."""

    class Item:
        pass

    channel: Channel[Item] = Channel(2)
    seen: list[weakref.ref[Item]] = []
    thread = threading.Thread(target=channel.each, args=(lambda item: seen.append(weakref.ref(item)),))
    thread.start()
    channel.put(Item(), waits=True)
    until(lambda: seen and seen[0]() is None, why=lambda: "it is kept")
    channel.close()
    thread.join(_SOON_S)
    assert not thread.is_alive()
