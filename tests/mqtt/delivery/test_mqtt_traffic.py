"""Outbox, spool and connection in every order of their steps, against a model that is a list.

The threads of the daemon meet in the outbox: those that make messages, the one of the connection, the one of
the spool, which takes messages out, writes them and says so. Here each half of such a step is a rule of its
own, so that anything may happen between the halves.
"""

from __future__ import annotations

import shutil
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from rig import QUICK_DISK

from edged.mqtt.delivery.message import Message, Numbers
from edged.mqtt.delivery.outbox import Outbox
from edged.mqtt.delivery.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Sequence

LIMIT = 6
FOREVER = float("inf")


@dataclass(frozen=True)
class Portion:
    """What was read from the disk, and is not yet handed over."""

    start: int
    messages: list[Message]
    following: int | None


class Traffic(RuleBasedStateMachine):
    """Events are known by the number in their payload."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir=QUICK_DISK))
        self.path = self.folder / "s"
        self.made = 0
        self.left: list[int] = []
        """Events that have not come to their end, in the order in which they have to go out."""
        self.on_disk: set[int] = set()
        self.flight: list[Message] = []
        self.settled: list[Message] = []
        self.attached = False
        self.writing: Sequence[Message] = ()
        self.portion: Portion | None = None
        self.spool: Spool | None = None
        self.earlier = 0

    @initialize(earlier=st.integers(0, 5))
    def start(self, earlier: int) -> None:
        """An earlier start has left something on the disk."""
        with closing(Spool(self.path, max_bytes=10_000_000, max_age_s=1e6)) as spool:
            spool.write([Message(order, "t", b"%d" % (order - 1)) for order in range(1, earlier + 1)])
        self.made = self.earlier = earlier
        self.box = Outbox(limit=LIMIT, wake=lambda: None, orders=Numbers(1))

    def teardown(self) -> None:
        try:
            self.finish()
        finally:
            if self.spool is not None:
                self.spool.close()
            shutil.rmtree(self.folder)

    @property
    def idle_disk(self) -> bool:
        """The spool's thread is not in the midst of something."""
        return self.spool is not None and not self.writing and self.portion is None

    # Who makes messages.

    @rule(count=st.integers(1, 4))
    def put(self, count: int) -> None:
        for _ in range(count):
            if len(self.box._lanes.queue) < LIMIT:  # noqa: SLF001  # what overflow does is tested by itself
                self.box.put("t", b"%d" % self.made)
                self.left.append(self.made)
                self.made += 1

    @rule(key=st.sampled_from("ab"), retain=st.booleans(), qos=st.integers(0, 1))
    def post(self, key: str, retain: bool, qos: int) -> None:  # noqa: FBT001
        self.box.post(key, b"v", retain=retain, qos=qos)

    # The connection.

    @precondition(lambda self: self.spool is not None and not self.attached)
    @rule()
    def connect(self) -> None:
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
            if not message.key:
                flying = {int(other.payload) for other in self.flight if not other.key}
                assert int(message.payload) == next(number for number in self.left if number not in flying)
            self.flight.append(message)

    @precondition(lambda self: self.flight)
    @rule(data=st.data(), cause=st.sampled_from(["", "refused"]))
    def settle(self, data: st.DataObject, cause: str) -> None:
        message = self.flight.pop(data.draw(st.integers(0, len(self.flight) - 1)))
        self.box.settle(message, cause)
        self.settled.append(message)
        if not message.key:
            self.left.remove(int(message.payload))
            self.on_disk.discard(int(message.payload))

    @precondition(lambda self: self.settled)
    @rule(data=st.data(), cause=st.sampled_from(["", "refused"]))
    def settle_again(self, data: st.DataObject, cause: str) -> None:
        before = self.box.delivery()
        self.box.settle(data.draw(st.sampled_from(self.settled)), cause)
        assert self.box.delivery() == before

    # The thread of the spool.

    @precondition(lambda self: self.spool is None)
    @rule()
    def open_spool(self) -> None:
        self.spool = Spool(self.path, max_bytes=10_000_000, max_age_s=1e6)
        assert self.box.disk.recover(*self.spool.extent())
        self.left = [*range(self.earlier), *self.left]
        self.on_disk = set(range(self.earlier))

    @precondition(lambda self: self.idle_disk)
    @rule(everything=st.booleans())
    def begin_to_write(self, everything: bool) -> None:  # noqa: FBT001
        self.writing = self.box.disk.spill(FOREVER if everything else 0.0)

    @precondition(lambda self: self.writing)
    @rule()
    def have_written(self) -> None:
        assert self.spool is not None
        self.spool.write(self.writing)
        self.box.disk.spilled()
        self.on_disk |= {int(message.payload) for message in self.writing}
        self.writing = ()

    @precondition(lambda self: self.writing)
    @rule()
    def find_the_disk_full(self) -> None:
        before = self.box.delivery().dropped.get("disk_full", 0)
        self.box.disk.unspill("disk_full")
        for message in self.writing[: self.box.delivery().dropped.get("disk_full", 0) - before]:
            self.left.remove(int(message.payload))  # the oldest
        self.writing = ()

    @precondition(lambda self: self.idle_disk)
    @rule(most=st.integers(1, 5))
    def begin_to_read(self, most: int) -> None:
        assert self.spool is not None
        if wanted := self.box.disk.wanted(most):
            messages, following, damaged = self.spool.read(*wanted)
            assert not damaged
            self.portion = Portion(wanted[0], messages, following)

    @precondition(lambda self: self.portion)
    @rule()
    def have_read(self) -> None:
        assert self.portion is not None
        self.box.disk.load(self.portion.start, self.portion.messages, self.portion.following)
        self.portion = None

    @precondition(lambda self: self.idle_disk)
    @rule()
    def remove_what_is_finished(self) -> None:
        assert self.spool is not None
        done = self.box.disk.finished()
        self.spool.remove(done)
        self.box.disk.removed(done)
        assert self.spool.extent()[0] == len(self.on_disk)

    @precondition(lambda self: self.idle_disk and self.box.disk.unloaded is not None)
    @rule(count=st.integers(1, 3))
    def trim(self, count: int) -> None:
        """The file is too large: what is only there goes, the oldest first."""
        assert self.spool is not None
        self.remove_what_is_finished()
        start = self.box.disk.unloaded
        assert start is not None
        messages, following, _ = self.spool.read(start, count)
        self.spool.remove([message.order for message in messages])
        self.box.disk.trimmed(start, "spool_full", len(messages), following)
        for message in messages:
            self.left.remove(int(message.payload))
            self.on_disk.remove(int(message.payload))

    @precondition(lambda self: self.idle_disk)
    @rule()
    def lose_the_disk(self) -> None:
        """It fails, and another begins."""
        assert self.spool is not None
        before = self.box.delivery()
        self.box.disk.forget("spool_failed")
        after = self.box.delivery()
        lost = after.dropped.get("spool_failed", 0) - before.dropped.get("spool_failed", 0)
        in_memory = {
            int(message.payload)
            for message in (*self.box._lanes.ready, *self.box._lanes.queue, *self.flight)  # noqa: SLF001
            if not message.key
        }
        assert lost == len(set(self.left) - in_memory)
        self.left = [number for number in self.left if number in in_memory]
        self.on_disk.clear()
        self.spool.remove(range(1, 1000))

    @precondition(lambda self: self.idle_disk and not self.on_disk)
    @rule(first=st.integers(1, 30), count=st.integers(0, 4))
    def find_the_disk_again(self, first: int, count: int) -> None:
        """It was away; what is on it, under whatever numbers, is older than all in memory."""
        assert self.spool is not None
        self.spool.remove(range(1, 1000))
        found = range(self.made, self.made + count)
        self.spool.write([Message(first + number, "t", b"%d" % one) for number, one in enumerate(found)])
        stored, lowest, highest = self.spool.extent()
        recovered = self.box.disk.recover(stored, lowest, highest)
        assert recovered == all(message.order > highest for message in self.flight)
        if not recovered:
            self.spool.remove(range(1, 1000))
            return
        self.made += count
        self.left = [*found, *self.left]
        self.on_disk = set(found)
        self.settled.clear()  # their numbers may be given again; who sends forgets them with the connection

    def finish(self) -> None:
        """All that is left goes out, once each and in order, and nothing stays on the disk."""
        if self.spool is None:
            self.open_spool()
        assert self.spool is not None
        if self.writing:
            self.have_written()
        if self.portion:
            self.have_read()
        self.lose_connection()
        self.connect()
        sent: list[int] = []
        while True:
            message = self.box.take()
            if message is not None:
                self.box.settle(message)
                if not message.key:
                    sent.append(int(message.payload))
            elif self.box.disk.unloaded is not None:
                self.begin_to_read(5)
                self.have_read()
            else:
                break
        assert sent == self.left
        account = self.box.delivery()
        assert account.closes, account
        assert account.queued == account.in_flight == account.spooled == 0
        self.spool.remove(self.box.disk.finished())
        assert self.spool.extent()[0] == 0

    @invariant()
    def the_account_closes(self) -> None:
        account = self.box.delivery()
        assert account.closes, account
        assert account.spooled == len(self.on_disk)
        assert len(self.box._lanes.queue) <= LIMIT  # noqa: SLF001


Traffic.TestCase.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
TestTraffic = pytest.mark.timeout(300)(Traffic.TestCase)
