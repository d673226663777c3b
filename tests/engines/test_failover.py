"""Who stands in for whom, and when a lost device is tried again: by a clock that is turned by hand.

Real processes and the fake Edge TPU are in edgetpu/test_edgetpu_failover.py.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest
from daemon import until
from structlog.testing import capture_logs

from edged.backoff import Backoff
from edged.engines.failover import FailoverEngine, Shared, Slot, device_backoff
from edged.errors import ConfigError, DeviceError
from edged.records import TensorSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edged.engines import Engine
    from edged.records import Tensor

PICTURE = np.zeros(4, np.uint8)


class Device:
    """Answers with its number until it fails."""

    device = "fake"
    runtime = "made by hand"
    degraded = ""
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()

    def __init__(self, number: int = 0) -> None:
        self.number = number
        self.fails = False
        self.closed = 0

    def invoke(self, tensor: Tensor) -> Sequence[Tensor]:
        if self.fails:
            raise DeviceError(f"device {self.number} fails")
        return [tensor + self.number]

    def close(self) -> None:
        self.closed += 1


class Waits(Backoff):
    """Notes for how long a device worked and how long to wait, and lets nobody wait so long."""

    def __init__(self, *, steady_s: float) -> None:
        super().__init__(1.0, 60.0, steady_s=steady_s, spread=0.0)
        self.told: list[tuple[float, float]] = []

    def after(self, good_s: float) -> float:
        self.told.append((good_s, super().after(good_s)))
        return 0.0


class Opener:
    """Opens devices, or says why not; the test goes on when it was asked."""

    def __init__(self) -> None:
        self.opened: list[Device] = []
        self.refuses: list[str] = []

    def __call__(self) -> Engine:
        if self.refuses:
            raise DeviceError(self.refuses.pop(0))
        self.opened.append(Device(len(self.opened)))
        return self.opened[-1]


def lose(slot: Slot, device: Device) -> None:
    device.fails = True
    with pytest.raises(DeviceError, match=f"device {device.number} fails"):
        slot.invoke(PICTURE)


def slots(count: int) -> list[Slot]:
    """Open ones, which are not tried again while the test runs."""
    made = [
        Slot(f"tpu:{number}", lambda number=number: Device(number), Backoff(600.0, 600.0, spread=0.0))  # type: ignore[misc]  # mypy cannot infer lambdas with defaults
        for number in range(count)
    ]
    for slot in made:
        slot.open()
    return made


def failing(slot: Slot) -> None:
    assert isinstance(slot.engine, Device)
    slot.engine.fails = True


def answer(engine: FailoverEngine) -> int:
    return int(engine.invoke(PICTURE)[0][0])


@pytest.mark.parametrize(("worked_s", "waits"), [(59.9, [1.0, 2.0, 4.0, 8.0]), (60.0, [1.0] * 4)])
def test_only_a_device_that_was_steady_starts_the_waits_again(worked_s: float, waits: list[float]) -> None:
    """One that comes back and fails soon waits longer every time."""
    now, opener, backoff = 1000.0, Opener(), Waits(steady_s=60.0)
    slot = Slot("tpu", opener, backoff, clock=lambda: now)
    now += 500  # how long it took to open is no time in which it worked
    slot.open()
    for lost in range(4):
        now += worked_s
        lose(slot, opener.opened[-1])
        until(lambda lost=lost: not slot.problem and len(opener.opened) == lost + 2)  # type: ignore[misc]
    assert [(round(good_s, 3), wait) for good_s, wait in backoff.told] == [(worked_s, wait) for wait in waits]
    assert slot.losses == 4
    assert [device.closed for device in opener.opened] == [1, 1, 1, 1, 0]
    slot.close()
    assert opener.opened[-1].closed == 1


def test_a_device_that_stays_away_is_tried_ever_more_seldom_and_told_when_the_reason_is_another() -> None:
    opener, backoff = Opener(), Waits(steady_s=60.0)
    opener.refuses = ["not there"] * 5 + ["in use"] * 3
    slot = Slot("tpu", opener, backoff)
    with capture_logs() as logs:
        slot.retry()
        until(lambda: opener.opened)
        until(lambda: not slot.problem)
        until(lambda: len(logs) == 3)
    assert [(line["event"], line.get("reason")) for line in logs] == [
        ("device_still_lost", "not there."),
        ("device_still_lost", "in use."),
        ("device_back", None),
    ]
    assert backoff.told == [(0.0, wait) for wait in (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0)]
    slot.close()


def test_a_lost_device_is_left_alone_for_as_long_as_it_is_to_be() -> None:
    opener = Opener()
    slot = Slot("tpu", opener, Backoff(600.0, 600.0))
    slot.open()
    lose(slot, opener.opened[0])
    with pytest.raises(DeviceError, match="device 0 fails"):
        slot.invoke(PICTURE)
    assert (slot.losses, slot.engine, len(opener.opened)) == (1, None, 1)
    assert any(thread.name == "retry-tpu" for thread in threading.enumerate())
    slot.close()
    until(lambda: not any(thread.name == "retry-tpu" for thread in threading.enumerate()))


def test_devices_that_were_lost_together_come_back_one_by_one() -> None:
    """Each wait is up to a fifth shorter than its ceiling; a minute of work forgives."""
    firsts = [device_backoff().after(0.0) for _ in range(400)]
    assert 0.8 <= min(firsts) < 0.82
    assert 0.98 < max(firsts) <= 1.0
    backoff = device_backoff()
    longest = [backoff.after(59.9) for _ in range(400)][10:]
    assert min(longest) >= 48.0
    assert 59.0 < max(longest) <= 60.0
    assert backoff.after(60.0) <= 1.0


def test_a_slot_says_why_it_does_not_run() -> None:
    opener = Opener()
    opener.refuses = ["opens no device"]
    slot = Slot("tpu", opener, Waits(steady_s=60.0))
    assert slot.problem == "tpu is not open yet"
    with pytest.raises(DeviceError, match="tpu is not open yet"):
        slot.invoke(PICTURE)
    with pytest.raises(DeviceError, match="opens no device"):
        slot.open()
    assert slot.problem == "opens no device"
    refused = threading.Event()

    def refuse() -> Engine:
        refused.set()
        raise ConfigError("does not fit")

    slot = Slot("tpu", refuse, Backoff(0.001, 600.0, spread=0.0))
    slot.retry()
    assert refused.wait(5)
    until(lambda: slot.problem == "does not fit")
    slot.close()


def test_what_opens_after_the_end_is_closed_at_once() -> None:
    asked, go = threading.Event(), threading.Event()
    late = Device()

    def opens() -> Engine:
        asked.set()
        go.wait(5)
        return late

    slot = Slot("tpu", opens, Waits(steady_s=60.0))
    slot.retry()
    assert asked.wait(5)
    slot.close()
    assert not late.closed
    go.set()
    until(lambda: late.closed == 1)


def test_a_device_that_fails_after_the_end_is_not_tried_again() -> None:
    opener, backoff = Opener(), Waits(steady_s=60.0)
    slot = Slot("tpu", opener, backoff)
    slot.open()
    slot.close()
    lose(slot, opener.opened[0])
    assert (slot.losses, slot.engine, backoff.told) == (0, None, [])


def test_a_worker_borrows_the_device_of_another_before_it_goes_to_the_cpu() -> None:
    own, other = slots(2)
    cpu = Shared(Device(9), 1)
    worker = FailoverEngine([own, other], cpu, Device())
    assert (answer(worker), worker.device, worker.degraded, worker.diverted) == (0, "tpu:0", "", 0)
    failing(own)
    assert (answer(worker), worker.device, worker.diverted, worker.losses) == (1, "tpu:1", 1, 1)
    assert worker.degraded == "device 0 fails; tpu:1 stands in"
    assert (answer(worker), worker.diverted) == (1, 2)
    failing(other)
    assert (answer(worker), worker.device, worker.diverted, worker.losses) == (9, "cpu", 3, 1)
    assert worker.degraded == "device 0 fails; cpu stands in"
    assert (answer(worker), worker.diverted) == (9, 4)
    worker.close()
    other.close()


def test_when_nothing_is_left_the_failure_of_the_own_device_is_told() -> None:
    own, other = slots(2)
    worker = FailoverEngine([own, other], None, Device())
    failing(own)
    failing(other)
    with pytest.raises(DeviceError, match="device 0 fails"):
        worker.invoke(PICTURE)
    assert (worker.device, worker.degraded, worker.diverted) == ("tpu:0", "device 0 fails", 0)
    with pytest.raises(DeviceError, match="device 0 fails"):
        worker.invoke(PICTURE)
    worker.close()
    other.close()


def test_the_last_device_to_fail_is_not_told_for_the_own_one() -> None:
    own, other = slots(2)
    worker = FailoverEngine([own, other], None, Device())
    failing(own)
    assert answer(worker) == 1
    failing(other)
    with pytest.raises(DeviceError, match="device 0 fails"):
        worker.invoke(PICTURE)
    worker.close()
    other.close()


def test_the_failure_of_the_own_device_is_told_though_it_has_come_back_meanwhile() -> None:
    opener = Opener()
    own = Slot("tpu:0", opener, Waits(steady_s=60.0))

    class Late(Device):
        def invoke(self, tensor: Tensor) -> Sequence[Tensor]:
            del tensor
            until(lambda: not own.problem)
            raise DeviceError("another fails")

    other = Slot("tpu:1", Late, Backoff(600.0, 600.0))
    for slot in (own, other):
        slot.open()
    failing(own)
    worker = FailoverEngine([own, other], None, Device())
    with pytest.raises(DeviceError, match="device 0 fails"):
        worker.invoke(PICTURE)
    assert answer(worker) == 1
    worker.close()
    other.close()


def test_a_worker_gives_back_what_is_its_own_and_its_share_of_the_cpu() -> None:
    own, other = slots(2)
    mine, theirs = own.engine, other.engine
    assert isinstance(mine, Device)
    assert isinstance(theirs, Device)
    cpu = Device(9)
    shared = Shared(cpu, 2)
    first, second = FailoverEngine([own, other], shared, Device()), FailoverEngine([other, own], shared, cpu)
    first.close()
    assert (mine.closed, theirs.closed, cpu.closed) == (1, 0, 0)
    failing(own)
    failing(other)
    with pytest.raises(DeviceError, match="device 0 fails"):
        first.invoke(PICTURE)  # not on the CPU: it has given that back
    assert answer(second) == 9
    second.close()
    assert (mine.closed, theirs.closed, cpu.closed) == (2, 1, 1)


def test_a_worker_says_of_the_model_what_all_engines_say() -> None:
    (slot,) = slots(1)
    like = Device()
    like.inputs = (TensorSpec("in", (1, 4), np.dtype(np.uint8)),)
    like.outputs = (TensorSpec("out", (1, 2), np.dtype(np.uint8)),)
    worker = FailoverEngine([slot], None, like)
    assert (worker.runtime, worker.inputs, worker.outputs) == (like.runtime, like.inputs, like.outputs)
    worker.close()
