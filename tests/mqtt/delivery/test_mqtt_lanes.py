"""What goes over the disk and what is retained, step by step: nothing is lost, doubled or out of turn."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from edged.mqtt.delivery.lanes import Lanes
from edged.mqtt.delivery.message import Message, Numbers
from edged.mqtt.delivery.outbox import Outbox
from edged.mqtt.handover import Handover

if TYPE_CHECKING:
    from pathlib import Path

FOREVER = float("inf")


def outbox(*, limit: int = 6, first: int = 1, now: float = 1000.0) -> Outbox:
    return Outbox(limit=limit, wake=lambda: None, orders=Numbers(first), clock=lambda: now)


def put(box: Outbox, *numbers: int) -> None:
    for number in numbers:
        box.put("t", b"%d" % number)


def stored(*orders: int) -> list[Message]:
    """As they come off the disk."""
    return [Message(order, "t", b"%d" % order, spooled=True) for order in orders]


def take(box: Outbox) -> Message:
    message = box.take()
    assert message is not None
    return message


def take_all(box: Outbox) -> list[bytes]:
    payloads = []
    while (message := box.take()) is not None:
        payloads.append(message.payload)
        box.settle(message)
    return payloads


def test_at_first_there_is_no_connection_and_nothing_waits_or_is_closed() -> None:
    lanes = Lanes(limit=1, orders=Numbers(1))
    assert (lanes.attached, lanes.closed, outbox().waiting) == (False, False, False)


def test_events_after_the_end_are_counted_each() -> None:
    box = outbox()
    box.close()
    put(box, 1, 2, 3)
    account = box.delivery()
    assert (account.made, account.dropped, account.closes) == (3, {"shutdown": 3}, True)


# Values.


def test_a_value_is_what_was_posted() -> None:
    box = outbox(first=5)
    box.attach()
    box.post("state", b"on", qos=0, retain=True)
    box.post("answer", b"yes", retain=False, key="reply")
    box.post("count", b"1")
    assert [take(box) for _ in range(3)] == [
        Message(5, "state", b"on", 0, retain=True, key="state", made=1000.0),
        Message(6, "answer", b"yes", 1, retain=False, key="reply", made=1000.0),
        Message(7, "count", b"1", 1, retain=True, key="count", made=1000.0),
    ]


def test_an_event_is_what_was_put() -> None:
    box = outbox()
    box.attach()
    box.put("edged/a", b"0", captured=999.5)
    assert take(box) == Message(1, "edged/a", b"0", made=1000.0, captured=999.5)


def test_what_is_due_again_is_a_new_message_of_now() -> None:
    now = 1000.0
    box = Outbox(limit=6, wake=lambda: None, orders=Numbers(1), clock=lambda: now)
    box.post("a", b"1")
    now = 2000.0
    box.attach()
    assert take(box) == Message(2, "a", b"1", 1, retain=True, key="a", made=2000.0)


def test_what_waits_already_is_not_due_a_second_time() -> None:
    box = outbox()
    box.post("a", b"1")
    box.post("status", b"online")
    box.attach(last="status")
    box.renew()
    account = box.delivery()
    assert (account.made, account.queued, account.dropped) == (2, 2, {})
    assert take_all(box) == [b"1"]
    box.renew()
    assert take_all(box) == [b"1"]
    box.release()
    assert take_all(box) == [b"online"]


def test_topics_that_are_retained_are_known_by_how_they_begin() -> None:
    box = outbox()
    for topic, payload in (("edged/a/x", b"1"), ("edged/a/y", b""), ("edged/b/x", b"1")):
        box.post(topic, payload)
    assert box.retained("edged/a/") == ["edged/a/x"]


def test_values_that_would_be_stale_are_counted_for_why_they_were_not_sent() -> None:
    box = outbox()
    for _ in range(2):
        box.post("timings", b"1", retain=False)
    box.close()
    for _ in range(3):
        box.post("timings", b"1", retain=False)
    account = box.delivery()
    assert account.dropped == {"disconnected": 2, "shutdown": 3}
    assert (account.made, account.closes) == (5, True)


def test_what_flies_when_the_connection_goes_is_sent_again_unless_it_would_be_stale_or_there_is_newer() -> (
    None
):
    box = outbox(limit=20)
    box.attach()
    put(box, 0, 1)
    events = [take(box), take(box)]
    for key in "abc":
        box.post(f"at most once {key}", b"x", qos=0, retain=False)
        take(box)
        box.post(f"retained {key}", b"x", qos=0)
        take(box)
        box.post(f"old {key}", b"old", retain=False)
        take(box)
    for key in "abc":
        box.post(f"old {key}", b"new", retain=False)
    put(box, 2)
    assert box.in_flight == 11
    box.detach()
    assert box.delivery().dropped == {"disconnected": 3, "superseded": 3}
    box.attach()
    values = [take(box) for _ in range(6)]
    assert sorted(value.payload for value in values) == [b"new"] * 3 + [b"x"] * 3
    assert [take(box).order for _ in range(2)] == [event.order for event in events]
    assert take(box).payload == b"2"
    assert box.take() is None
    account = box.delivery()
    assert (account.queued, account.in_flight, account.closes) == (0, 9, True)


def test_refusals_are_counted_by_their_cause() -> None:
    box = outbox()
    box.attach()
    put(box, 0, 1, 2)
    for cause in ("refused", "refused", ""):
        box.settle(take(box), cause)
    account = box.delivery()
    assert (account.dropped, account.acknowledged, account.closes) == ({"refused": 2}, 1, True)


def test_a_value_that_is_posted_over_and_over_is_superseded_every_time() -> None:
    box = outbox()
    box.attach()
    for number in range(4):
        box.post("a", b"%d" % number)
    assert box.delivery().dropped == {"superseded": 3}
    assert take_all(box) == [b"3"]


# The disk.


def test_numbers_go_on_behind_what_an_earlier_start_has_left() -> None:
    box = outbox()
    put(box, 0, 1)
    box.disk.recover(5, 3, 9)
    assert [(one.order, one.payload) for one in box.disk.spill(FOREVER)] == [(10, b"0"), (11, b"1")]
    assert (box.disk.works, box.disk.unloaded, box.delivery().recovered) == (True, 3, 5)
    box.disk.spilled()
    assert (box.disk.unloaded, box.disk.count) == (3, 7)


def test_values_that_wait_get_numbers_of_their_own_when_a_disk_is_found() -> None:
    box = outbox()
    box.post("a", b"value")
    box.post("z", b"held")
    box.attach(last="z")
    assert box.disk.recover(2, 3, 4)
    box.disk.load(3, stored(3, 4), None)
    assert (take(box).order, take(box).order) == (5, 3)
    box.release()
    held = take(box)
    assert (held.order, held.payload, take(box).order) == (6, b"held", 4)


def test_a_disk_that_is_found_late_is_read_however_much_was_sent_in_vain() -> None:
    box = outbox(limit=20)
    box.attach()
    put(box, *range(8))
    for _ in range(8):
        take(box)
    box.detach()
    assert box.disk.recover(3, 1, 3)
    box.attach()
    assert box.take() is None, "older ones are on the disk"
    assert box.disk.wanted(8) == (1, 8)


@pytest.mark.parametrize("last", [3, 4])
def test_a_disk_is_taken_on_beside_newer_messages_in_flight(last: int) -> None:
    """There are always some where the broker is slow; but no number may be there twice."""
    box = outbox()
    box.attach()
    put(box, *range(5))
    for _ in range(3):
        box.settle(take(box))
    assert take(box).order == 4
    assert box.disk.recover(last, 1, last) == (last < 4)


@pytest.mark.parametrize(
    ("limit", "older_than", "spilt"),
    [(20, 1000.0, 0), (20, 1000.5, 3), (7, 0.0, 0), (6, 0.0, 3)],
)
def test_what_is_old_goes_to_the_disk_or_all_if_it_gets_tight(
    limit: int, older_than: float, spilt: int
) -> None:
    box = outbox(limit=limit)
    put(box, 0, 1, 2)
    assert len(box.disk.spill(older_than)) == spilt


def test_what_is_younger_goes_in_the_same_write() -> None:
    now = 1000.0
    box = Outbox(limit=20, wake=lambda: None, orders=Numbers(1), clock=lambda: now)
    put(box, 0)
    now = 1001.0
    put(box, 1)
    assert len(box.disk.spill(1000.5)) == 2


def test_what_was_sent_in_vain_goes_to_the_disk_only_without_a_connection() -> None:
    box = outbox(limit=20)
    box.attach()
    put(box, 0)
    take(box)
    box.detach()
    box.attach()
    assert box.disk.spill(0.0) == []
    assert take(box).payload == b"0"
    box.detach()
    assert [one.payload for one in box.disk.spill(0.0)] == [b"0"]


def test_nothing_overtakes_what_is_on_its_way_to_the_disk_or_there() -> None:
    box = outbox()
    put(box, 0)
    box.disk.spill(FOREVER)
    put(box, 1)
    box.attach()
    assert box.take() is None
    box.disk.spilled()
    assert box.take() is None
    box.disk.load(1, stored(1), None)
    assert take_all(box) == [b"1", b"1"]


def test_a_disk_that_failed_takes_part_again_when_it_works() -> None:
    box = outbox(limit=2)
    box.disk.recover(0, None, 0)
    put(box, 0, 1)
    box.disk.spill(FOREVER)
    box.disk.unspill("disk_full")
    assert (box.disk.works, box.disk.overflow) == (False, "disk_full")
    box.disk.spill(FOREVER)
    box.disk.spilled()
    assert (box.disk.works, box.disk.overflow) == (True, "queue_full")
    put(box, 2, 3, 4)
    assert box.delivery().dropped == {"queue_full": 1}
    box.disk.forget("spool_failed")
    assert not box.disk.works


def test_as_much_is_read_ahead_as_is_wanted_while_there_is_somebody_to_send_it_to() -> None:
    box = outbox()
    box.disk.recover(9, 1, 9)
    assert box.disk.wanted(4) is None, "no connection"
    box.attach()
    assert box.disk.wanted(4) == (1, 4)
    box.disk.load(1, stored(1, 2), 3)
    assert box.disk.wanted(4) == (3, 2)
    assert box.disk.wanted(2) is None, "there is enough"
    box.close()
    assert box.disk.wanted(4) is None, "it is the end"
    box = outbox()
    box.attach()
    assert box.disk.wanted(4) is None, "there is nothing"


def test_what_is_trimmed_is_counted_off() -> None:
    box = outbox()
    box.disk.recover(10, 1, 10)
    for first in (1, 4):
        box.disk.trimmed(first, "spool_full", 3, first + 3)
    assert (box.disk.count, box.disk.unloaded) == (4, 7)
    assert box.delivery().dropped == {"spool_full": 6}
    assert box.delivery().closes


def test_what_was_read_before_the_disk_failed_is_not_lost_with_it() -> None:
    box = outbox()
    box.disk.recover(9, 1, 9)
    box.attach()
    box.disk.load(1, stored(1, 2, 3), 4)
    flying = take(box)
    assert (box.delivery().queued, box.delivery().in_flight, box.delivery().spooled) == (0, 0, 9)
    box.disk.forget("spool_failed")
    account = box.delivery()
    assert (account.queued, account.in_flight, account.spooled) == (2, 1, 0)
    assert account.dropped == {"spool_failed": 6}
    assert account.closes
    box.settle(flying)
    assert take_all(box) == [b"2", b"3"]
    assert (box.disk.count, box.disk.finished()) == (0, [])
    box.disk.recover(2, 20, 21)
    assert box.delivery().recovered == 11, "of both disks together"
    box.disk.forget("spool_failed")
    assert box.delivery().dropped == {"spool_failed": 8}


def test_what_was_settled_out_of_order_is_not_sent_again_after_a_lost_connection() -> None:
    """It may still be on the disk, behind one that has to be read again."""
    box = outbox()
    box.disk.recover(3, 1, 3)
    box.attach()
    box.disk.load(1, stored(1, 2, 3), None)
    first, second, third = (take(box) for _ in range(3))
    box.settle(second)
    box.detach()
    box.attach()
    assert box.disk.wanted(9) == (1, 9)
    box.disk.load(1, stored(1, 2, 3), None)
    assert take_all(box) == [first.payload, third.payload]
    account = box.delivery()
    assert (account.acknowledged, account.spooled, account.closes) == (3, 0, True)
    assert box.disk.finished() == [1, 2, 3]
    box.disk.removed([1, 2])
    assert box.disk.finished() == [3]


def test_with_the_connection_what_was_read_goes_back_to_be_read_again() -> None:
    box = outbox()
    box.disk.recover(5, 1, 5)
    box.attach()
    box.disk.load(1, stored(1, 2), 3)
    take(box)
    box.detach()
    assert (box.disk.unloaded, box.delivery().queued) == (1, 0)
    box = outbox()
    box.disk.recover(1, 7, 7)
    box.attach()
    box.disk.load(7, stored(7), None)
    box.detach()
    assert box.disk.unloaded == 7


# What outlives a node.


def test_a_run_counts_from_one_and_reads_each_ledger_once(tmp_path: Path) -> None:
    began = time.time()
    run = Handover()
    assert began <= run.started <= time.time()
    assert (run.orders.take(), run.orders.take()) == (1, 2)
    assert [next(run.seqs[camera]) for camera in ("a", "a", "b")] == [0, 1, 0]
    assert run.called == []
    with run.turn:
        assert run.turn.locked()
    assert run.ledger(None) is run.ledger(None)
    assert run.ledger(tmp_path / "events") is not run.ledger(None)
