"""The account closes whatever happens, and events leave in the order in which they were made."""

from __future__ import annotations

import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edged.mqtt.delivery.outbox import Outbox
from edged.mqtt.delivery.spool import Spool
from edged.mqtt.delivery.succession import Numbers

if TYPE_CHECKING:
    from edged.mqtt.delivery.message import Message

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
    time.sleep(0.1)
    assert blocked.is_alive()
    waited = box.waiting
    message = box.take()
    assert message is not None
    blocked.join(2)
    assert not blocked.is_alive()
    assert (waited, box.waiting) == (True, False)
    assert box.delivery().dropped == {}


def test_a_source_that_waits_is_set_free_at_the_end() -> None:
    box = outbox(limit=1)
    box.put("t", b"0")
    blocked = threading.Thread(target=box.put, args=("t", b"1"), kwargs={"waits": True})
    blocked.start()
    time.sleep(0.05)
    box.close()
    blocked.join(2)
    assert not blocked.is_alive()
    box.abandon()
    assert box.delivery().dropped == {"shutdown": 2}
    assert box.delivery().closes


def test_a_disk_that_fails_loses_only_what_was_nowhere_else() -> None:
    box = outbox()
    box.recover(2, 1, 2)
    for number in range(3):
        box.put("t", b"%d" % number)
    box.spill(float("inf"))
    box.spilled()
    box.put("t", b"3")
    box.forget_disk("spool_failed")
    assert box.delivery().dropped == {"spool_failed": 5}
    box.attach()
    assert take_all(box) == [b"3"]
    assert box.delivery().closes


class Traffic(RuleBasedStateMachine):
    """Random traffic over random connections, with and without a disk; the spool is a real one."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.box = outbox()
        self.made = 0
        self.attached = False
        self.flight: list[Message] = []
        self.acked: list[int] = []
        self.has_spool = False
        self.spool = Spool(Path(self.folder.name) / "s", max_bytes=10_000_000, max_age=1e6)

    def teardown(self) -> None:
        self.spool.close()
        self.folder.cleanup()

    @precondition(lambda self: not self.made and not self.has_spool)
    @rule()
    def use_the_disk(self) -> None:
        self.has_spool = True
        self.box.recover(0, None, 0)

    @rule(count=st.integers(1, LIMIT))
    def put(self, count: int) -> None:
        for _ in range(count):
            if self.has_spool and len(self.box._queue) >= LIMIT:  # noqa: SLF001  # the spool's thread is in time
                self.spill(old=True)
            self.box.put("t", b"%d" % self.made)
            self.made += 1

    @rule(key=st.sampled_from("ab"), retain=st.booleans(), qos=st.integers(0, 1))
    def post(self, key: str, retain: bool, qos: int) -> None:  # noqa: FBT001
        self.box.post(key, b"v", retain=retain, qos=qos)

    @rule()
    def connect(self) -> None:
        if not self.attached:
            self.box.attach()
            self.attached = True

    @rule()
    def lose_connection(self) -> None:
        self.box.detach()
        self.attached = False
        self.flight.clear()

    @precondition(lambda self: self.attached)
    @rule(window=st.integers(1, 8))
    def send(self, window: int) -> None:
        while len(self.flight) < window and (message := self.box.take()) is not None:
            self.flight.append(message)

    @precondition(lambda self: self.flight)
    @rule(data=st.data())
    def acknowledge(self, data: st.DataObject) -> None:
        message = self.flight.pop(data.draw(st.integers(0, len(self.flight) - 1)))
        self.box.settle(message)
        if not message.key:
            self.acked.append(int(message.payload))

    @precondition(lambda self: self.has_spool)
    @rule(old=st.booleans())
    def spill(self, old: bool) -> None:  # noqa: FBT001
        batch = self.box.spill(float("inf") if old else 0.0)
        if batch:
            self.spool.write(batch)
            self.box.spilled()

    @precondition(lambda self: self.has_spool)
    @rule()
    def disk_is_full(self) -> None:
        # Only what fits back is taken, so that nothing is lost in this run.
        if len(self.box._queue) + len(self.box._ready) <= LIMIT and self.box.spill(float("inf")):  # noqa: SLF001
            self.box.unspill("disk_full")

    @precondition(lambda self: self.has_spool)
    @rule(most=st.integers(1, 5))
    def load(self, most: int) -> None:
        if wanted := self.box.wanted(most):
            messages, following, damaged = self.spool.read(*wanted)
            self.box.load(wanted[0], messages, following, damaged)

    @precondition(lambda self: self.has_spool)
    @rule()
    def clean_up(self) -> None:
        self.spool.remove(self.box.finished())

    @rule()
    def finish(self) -> None:
        """Everything that is left goes out; with a disk nothing may be missing, and order holds."""
        self.lose_connection()
        self.connect()
        sent: list[int] = []
        for _ in range(10_000):
            message = self.box.take()
            if message is not None:
                self.box.settle(message)
                if not message.key:
                    sent.append(int(message.payload))
            elif self.has_spool and self.box.unloaded is not None:
                self.load(5)
            else:
                break
        assert sent == sorted(sent)
        self.acked += sent
        account = self.box.delivery()
        assert account.queued == account.in_flight == account.spooled == 0
        if self.has_spool:
            assert sorted(set(self.acked)) == list(range(self.made))
            self.clean_up()
            assert self.spool.extent()[0] == 0

    @invariant()
    def account_closes(self) -> None:
        account = self.box.delivery()
        assert account.closes, account
        assert account.queued <= 3 * LIMIT + 8


Traffic.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestTraffic = pytest.mark.timeout(300)(Traffic.TestCase)
