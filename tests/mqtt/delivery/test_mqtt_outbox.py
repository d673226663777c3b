"""The account closes whatever happens, and events leave in the order in which they were made."""

from __future__ import annotations

import threading

import pytest
import rig
from clock import Clock
from structlog.testing import capture_logs

from edged.mqtt.delivery.message import Message, Numbers
from edged.mqtt.delivery.outbox import Outbox

LIMIT = 6


def outbox(*, limit: int = LIMIT) -> Outbox:
    return Outbox(limit=limit, wake=lambda: None, orders=Numbers(1))


def take_all(box: Outbox) -> list[bytes]:
    """Send and acknowledge everything that can be sent."""
    payloads = []
    while (message := box.take()) is not None:
        payloads.append(message.payload)
        box.settle(message)
    return payloads


def test_events_leave_in_order() -> None:
    box = outbox()
    for number in range(4):
        box.put("t", b"%d" % number)
    box.attach()
    assert take_all(box) == [b"0", b"1", b"2", b"3"]
    assert box.delivery().acknowledged == 4


def test_of_a_value_only_the_newest_is_sent() -> None:
    box = outbox()
    box.attach()
    box.post("state", b"1")
    box.post("state", b"2")
    assert take_all(box) == [b"2"]
    assert box.delivery().dropped == {"superseded": 1}


def test_retained_values_are_due_again_on_every_connection() -> None:
    box = outbox()
    box.post("a", b"1")
    box.post("b", b"2")
    box.post("c", b"", retain=True)
    for _ in range(2):
        box.attach()
        assert take_all(box)[:2] == [b"1", b"2"]
        box.detach()


def test_a_cleared_topic_is_cleared_once() -> None:
    box = outbox()
    box.post("a", b"1")
    box.post("a", b"")
    box.attach()
    assert take_all(box) == [b""]
    box.detach()
    box.attach()
    assert take_all(box) == []


def test_values_that_are_not_retained_are_dropped_without_a_connection() -> None:
    box = outbox()
    box.post("timings", b"1", qos=0, retain=False)
    assert box.delivery().dropped == {"disconnected": 1}


def test_what_was_not_acknowledged_is_sent_again_first() -> None:
    box = outbox()
    box.attach()
    for number in range(3):
        box.put("t", b"%d" % number)
    box.take()
    box.take()
    box.detach()
    box.put("t", b"3")
    box.attach()
    assert take_all(box) == [b"0", b"1", b"2", b"3"]


def test_a_full_outbox_of_a_live_source_loses_the_oldest_and_never_blocks() -> None:
    box = outbox(limit=3)
    box.attach()
    for number in range(5):
        box.put("t", b"%d" % number)
    assert box.delivery().dropped == {"queue_full": 2}
    assert take_all(box) == [b"2", b"3", b"4"]


def test_a_source_that_can_wait_does_so_while_the_broker_is_slow() -> None:
    box = outbox(limit=2)
    box.attach()
    box.put("t", b"0")
    box.put("t", b"1")
    blocked = threading.Thread(target=box.put, args=("t", b"2"), kwargs={"waits": True})
    blocked.start()
    assert rig.until(lambda: box.waiting)
    assert blocked.is_alive()
    message = box.take()
    assert message is not None
    blocked.join(30)
    assert not blocked.is_alive()
    assert not box.waiting
    assert box.delivery().dropped == {}


def test_a_source_that_waits_is_set_free_at_the_end() -> None:
    box = outbox(limit=1)
    box.put("t", b"0")
    blocked = threading.Thread(target=box.put, args=("t", b"1"), kwargs={"waits": True})
    blocked.start()
    assert rig.until(lambda: box.waiting)
    box.close()
    blocked.join(30)
    assert not blocked.is_alive()
    box.abandon()
    assert box.delivery().dropped == {"shutdown": 2}
    assert box.delivery().closes


def test_a_disk_that_fails_loses_only_what_was_nowhere_else() -> None:
    box = outbox()
    box.disk.recover(2, 1, 2)
    for number in range(3):
        box.put("t", b"%d" % number)
    box.disk.spill(float("inf"))
    box.disk.spilled()
    box.put("t", b"3")
    box.disk.forget("spool_failed")
    assert box.delivery().dropped == {"spool_failed": 5}
    box.attach()
    assert take_all(box) == [b"3"]
    assert box.delivery().closes


def test_values_go_before_events() -> None:
    """They are few and say what is now, however many events still wait."""
    box = outbox()
    box.attach()
    for number in range(3):
        box.put("t", b"%d" % number)
    box.post("state", b"s")
    assert take_all(box) == [b"s", b"0", b"1", b"2"]


def test_only_values_leave_where_only_values_may() -> None:
    box = outbox()
    box.attach()
    box.put("t", b"0")
    box.post("state", b"s")
    message = box.take(events=False)
    assert message is not None
    assert message.payload == b"s"
    assert not box.idle(events=False)
    box.settle(message)
    assert box.take(events=False) is None
    assert box.idle(events=False)
    assert not box.idle()


def test_a_message_comes_to_its_end_once() -> None:
    box = outbox()
    box.disk.recover(0, None, 0)
    box.put("t", b"0")
    box.disk.spill(float("inf"))
    box.disk.spilled()
    box.attach()
    start, _ = box.disk.wanted(1) or (0, 0)
    box.disk.load(start, [Message(start, "t", b"0", spooled=True)], None)
    message = box.take()
    assert message is not None
    box.settle(message)
    box.settle(message)
    box.settle(message, "refused")
    assert (box.disk.count, list(box.disk.finished())) == (0, [message.order])
    account = box.delivery()
    assert (account.made, account.acknowledged, account.dropped) == (1, 1, {})


def test_what_was_read_before_the_connection_was_lost_is_not_taken_twice() -> None:
    """The disk is asked, the connection goes and comes back, and only then the answer arrives."""
    box = outbox()
    box.disk.recover(3, 1, 3)
    disk = [Message(order, "t", b"%d" % order, spooled=True) for order in (1, 2, 3)]
    box.attach()
    box.disk.load(1, disk[:2], 3)
    message = box.take()
    assert message is not None
    assert box.disk.wanted(5) == (3, 4)
    box.detach()
    box.attach()
    box.disk.load(3, disk[2:], None)
    assert box.take() is None
    assert box.disk.unloaded == 1
    box.disk.load(1, disk, None)
    assert take_all(box) == [b"1", b"2", b"3"]


@pytest.mark.parametrize("step", ["crowd", "wait", "attach", "detach"])
def test_the_thread_of_the_spool_is_woken_when_there_is_work(step: str) -> None:
    box = outbox(limit=4)
    if step in {"wait", "detach"}:
        box.attach()
    for number in range(4 if step == "wait" else 1):
        box.put("t", b"%d" % number)
    box.disk.due.clear()
    if step == "crowd":
        box.put("t", b"1")
    elif step == "wait":
        blocked = threading.Thread(target=box.put, args=("t", b"4"), kwargs={"waits": True})
        blocked.start()
        assert box.disk.due.wait(30)
        box.close()
        blocked.join(30)
    else:
        getattr(box, step)()
    assert box.disk.due.is_set()


def test_who_sends_is_woken_by_everything_there_is_to_send() -> None:
    woken: list[str] = []
    box = Outbox(limit=LIMIT, wake=lambda: woken.append(step), orders=Numbers(1))
    step = "put"
    box.put("t", b"0")
    step = "post"
    box.post("state", b"s")
    step = "unspill"
    box.disk.spill(float("inf"))
    box.disk.unspill("disk_full")
    step = "spilled"
    box.disk.spill(float("inf"))
    box.disk.spilled()
    box.attach()
    step = "load"
    box.disk.load(1, [Message(1, "t", b"0", spooled=True)], None)
    step = "forget"
    box.disk.forget("spool_failed")
    step = "renew"
    box.renew()
    step = "close"
    box.close()
    assert woken == ["put", "post", "unspill", "spilled", "load", "forget", "renew", "close"]


def test_a_file_does_not_wait_for_ever_for_a_broker_that_has_gone() -> None:
    """It goes on after ten seconds. A second loss gives no second grace: a broker that comes and goes
    must not hold a file up for good.
    """
    clock = Clock()
    box = Outbox(limit=1, wake=lambda: None, orders=Numbers(1), clock=clock)
    box.attach()
    box.put("t", b"0")
    box.detach()
    clock.now += 9.9
    blocked = threading.Thread(target=box.put, args=("t", b"1"), kwargs={"waits": True})
    blocked.start()
    blocked.join(0.05)
    assert blocked.is_alive()
    clock.now += 0.2
    blocked.join(30)
    assert not blocked.is_alive()
    assert box.delivery().dropped == {"queue_full": 1}
    box.detach()
    box.put("t", b"2", waits=True)
    box.attach()
    assert take_all(box) == [b"2"]


def test_a_file_does_not_wait_for_ever_for_a_broker_that_was_never_there() -> None:
    clock = Clock()
    box = Outbox(limit=1, wake=lambda: None, orders=Numbers(1), clock=clock)
    box.put("t", b"0")
    box.detach()
    clock.now += 11
    ended = threading.Thread(target=box.put, args=("t", b"1"), kwargs={"waits": True}, daemon=True)
    ended.start()
    ended.join(30)
    assert not ended.is_alive()
    assert box.delivery().dropped == {"queue_full": 1}


def test_each_loss_of_a_broker_that_was_there_gives_a_grace_of_its_own() -> None:
    clock = Clock()
    box = Outbox(limit=1, wake=lambda: None, orders=Numbers(1), clock=clock)
    box.put("t", b"0")
    for _ in range(2):
        box.attach()
        box.detach()
        blocked = threading.Thread(target=box.put, args=("t", b"1"), kwargs={"waits": True})
        blocked.start()
        blocked.join(0.05)
        assert blocked.is_alive()
        clock.now += 100
        blocked.join(30)
        assert not blocked.is_alive()


def test_overflow_is_told_once_and_forgotten_after_half_a_minute() -> None:
    clock = Clock()
    box = Outbox(limit=1, wake=lambda: None, orders=Numbers(1), clock=clock)
    assert not box.problem
    with capture_logs() as logs:
        for number in range(4):
            box.put("t", b"%d" % number)
            clock.now += 30
        assert "queue_full" in box.problem
        clock.now += 1
        assert not box.problem
        assert [entry["event"] for entry in logs] == ["mqtt_overflow"]
        box.put("t", b"4")
    assert [entry["event"] for entry in logs] == 2 * ["mqtt_overflow"]


def test_what_does_not_fit_back_from_a_full_disk_is_dropped_for_that_cause() -> None:
    box = outbox(limit=3)
    for number in range(3):
        box.put("t", b"%d" % number)
    assert len(box.disk.spill(float("inf"))) == 3
    for number in (3, 4):
        box.put("t", b"%d" % number)
    box.disk.unspill("disk_full")
    assert box.delivery().dropped == {"disk_full": 2}
    box.put("t", b"5")
    assert "disk_full" in box.problem
    box.attach()
    assert take_all(box) == [b"3", b"4", b"5"]


def test_what_is_to_come_last_does_and_gives_way_to_what_is_newer() -> None:
    """A camera is not online before all that it has left is put right, but it may go at any time."""
    box = outbox()
    box.post("status", b"online")
    box.post("count", b"0")
    box.attach(last="status")
    assert take_all(box) == [b"0"]
    assert box.delivery().queued == 1
    box.release()
    assert take_all(box) == [b"online"]
    box.detach()
    box.attach(last="status")
    assert take_all(box) == [b"0"]
    box.post("status", b"offline")
    assert take_all(box) == [b"offline"]
    box.release()
    account = box.delivery()
    assert (account.queued, account.dropped, account.closes) == (0, {"superseded": 1}, True)


def test_what_is_damaged_on_the_disk_is_counted_and_no_longer_there() -> None:
    box = outbox()
    box.disk.recover(10, 1, 10)
    box.attach()
    box.disk.load(1, [Message(2, "t", b"2", spooled=True)], 5, damaged=3)
    box.disk.load(5, [Message(8, "t", b"8", spooled=True)], None, damaged=5)
    assert box.disk.count == 2
    assert take_all(box) == [b"2", b"8"]
    account = box.delivery()
    assert account.dropped == {"spool_damaged": 8}
    assert (account.closes, account.spooled) == (True, 0)


def test_what_is_trimmed_elsewhere_does_not_move_the_place_to_read_from() -> None:
    box = outbox()
    box.disk.recover(10, 1, 10)
    box.disk.trimmed(4, "spool_age", 2, 6)
    assert box.disk.unloaded == 1
    box.disk.trimmed(1, "spool_full", 3, 6)
    assert box.disk.unloaded == 6
    assert box.delivery().dropped == {"spool_age": 2, "spool_full": 3}


def test_a_value_that_was_lost_gives_way_to_a_newer_one() -> None:
    box = outbox()
    box.attach()
    for value in (b"1", b"2"):
        box.post("answer", value, retain=False)
        if value == b"1":
            assert box.take() is not None
    box.detach()
    box.attach()
    assert take_all(box) == [b"2"]
    assert box.delivery().dropped == {"superseded": 1}
    assert box.delivery().closes


def test_a_topic_that_is_used_again_while_it_is_cleared_stays() -> None:
    box = outbox()
    box.attach()
    box.post("a", b"")
    clearing = box.take()
    assert clearing is not None
    box.post("a", b"1")
    box.settle(clearing)
    assert take_all(box) == [b"1"]
    box.detach()
    box.attach()
    assert take_all(box) == [b"1"]


def test_a_file_waits_for_a_disk_that_works_however_long_the_broker_is_gone() -> None:
    clock = Clock()
    box = Outbox(limit=1, wake=lambda: None, orders=Numbers(1), clock=clock)
    box.disk.recover(0, None, 0)
    box.put("t", b"0")
    box.detach()
    clock.now += 3600
    blocked = threading.Thread(target=box.put, args=("t", b"1"), kwargs={"waits": True})
    blocked.start()
    assert rig.until(lambda: box.waiting)
    box.disk.spill(float("inf"))
    box.disk.spilled()
    blocked.join(30)
    assert not blocked.is_alive()
    assert box.delivery().dropped == {}
