"""When a decoder that has fallen behind leaves out pictures, and which."""

from __future__ import annotations

from edged.sources.decoding.haste import Haste, Order
from edged.sources.packets.arrivals import Arrival

PERIOD_S = 1 / 25


class Stream:
    """Packets that are judged, a keyframe every second."""

    def __init__(self, *, group: int = 25) -> None:
        self.now = 0.0
        self.haste = Haste(clock=lambda: self.now)
        self._group = group
        self._count = 0

    def next(self, lag_s: float, *, waited_s: float = 0.0) -> Order:
        """What becomes of the next one."""
        order = self.haste.judge(Arrival(lag_s, waited_s), fresh=self._count % self._group == 0)
        self._count += 1
        self.now += PERIOD_S
        return order


def test_a_small_lag_costs_nothing() -> None:
    """Pictures that others need least go first, until there is next to no lag left."""
    stream = Stream()
    assert {stream.next(0.2) for _ in range(100)} == {Order.DECODE}
    assert stream.next(0.3) is Order.SPARE
    assert stream.next(0.1) is Order.SPARE
    assert stream.next(0.04) is Order.DECODE
    assert stream.next(0.1) is Order.DECODE


def test_who_does_not_catch_up_begins_anew_at_the_next_keyframe() -> None:
    """It gets as long as it was behind."""
    stream = Stream()
    [stream.next(0.0) for _ in range(51)]
    orders = [stream.next(0.6) for _ in range(24)]
    assert orders == [Order.SPARE] * 15 + [Order.LEAVE] * 9
    assert stream.next(0.3) is Order.ANEW
    assert stream.next(0.0) is Order.DECODE


def test_who_is_fast_catches_up_and_loses_nothing() -> None:
    """After the network held everything back for two seconds."""
    stream = Stream()
    [stream.next(0.0) for _ in range(51)]
    assert Order.LEAVE not in [stream.next(2.0 - 0.04 * step) for step in range(40)]
    assert stream.next(0.4) is Order.SPARE


def test_who_waits_for_packets_is_not_slow() -> None:
    """What is late then is so for other reasons, and no picture comes sooner for others being left out."""
    stream = Stream()
    [stream.next(0.0) for _ in range(51)]
    assert Order.LEAVE not in [stream.next(3.0, waited_s=0.3 * PERIOD_S) for _ in range(500)]


def test_nothing_is_left_out_before_it_is_known_that_keyframes_come() -> None:
    """Or nothing would be seen any more."""
    stream = Stream(group=1000)
    assert {stream.next(5.0) for _ in range(500)} == {Order.SPARE}


def test_a_keyframe_that_does_not_come_is_not_waited_for_for_ever() -> None:
    """The camera counts as lost then."""
    stream = Stream()
    [stream.next(0.0) for _ in range(51)]
    stream.next(0.6)
    stream._group = 10**6  # noqa: SLF001  # from now on there is none
    orders = [stream.next(5.0) for _ in range(450)]
    assert Order.LEAVE in orders
    assert orders[-1] is Order.GIVE_UP
