"""How old a packet was when it was read, by the times of its stream."""

from __future__ import annotations

import random

import pytest

from edged.sources.decoding.haste import Haste, Order
from edged.sources.packets.arrivals import Arrivals

PERIOD_S = 1 / 25


class Camera:
    """Sends a packet every period, and a reader that takes some time for each."""

    def __init__(self, *, drift: float = 0.0, jitter_s: float = 0.0, ahead_s: float = 0.0) -> None:
        self.arrivals = Arrivals()
        self.now = 1000.0
        self.sent = 0
        self.shift_s = 0.0
        """By what the camera's clock was set."""
        self._began = self.now
        self._drift, self._jitter_s, self._ahead_s = drift, jitter_s, ahead_s
        self._chance = random.Random(0)  # noqa: S311  # no secret

    def read(self, busy_s: float, count: int) -> list[tuple[float, float]]:
        """The lag that is told of so many packets, and the right one."""
        told = []
        for _ in range(count):
            moment = self.sent * PERIOD_S
            ahead_s = self._ahead_s if self.sent < 10 else 0.0
            came = self._began + moment - ahead_s + self._jitter_s * self._chance.random()
            asked = self.now
            self.now = max(self.now, came) + 1e-4
            stamp = moment * (1 + self._drift) + 7 + self.shift_s
            lag_s = self.arrivals.read(asked, self.now, stamp).lag_s
            told.append((lag_s, self.now - came))
            assert self.now - self.arrivals.picture(stamp) == pytest.approx(lag_s, abs=0.001)
            self.now += busy_s
            self.sent += 1
        return told


def test_who_keeps_up_sees_no_lag() -> None:
    """Whatever the network's jitter and how busy the reader is."""
    for busy_s in (0.001, 0.03):
        camera = Camera(jitter_s=0.008)
        assert max(lag for lag, _ in camera.read(busy_s, 500)) < 0.02


def test_who_is_too_slow_sees_how_late_it_is() -> None:
    """Also if it is slow by very little."""
    for busy_s, count in ((0.06, 100), (0.0405, 1500)):
        camera = Camera()
        camera.read(0.005, 100)
        told = camera.read(busy_s, count)
        assert told[-1][1] > 0.5
        assert all(abs(lag - right) < 0.02 for lag, right in told)


def test_what_comes_at_the_beginning_earlier_than_it_will_is_no_measure() -> None:
    """Servers begin with a burst."""
    camera = Camera(ahead_s=0.5)
    assert max(lag for lag, _ in camera.read(0.03, 300)) < 0.02


def test_a_camera_whose_clock_drifts_is_not_late() -> None:
    """Eight minutes of a clock that is slow, or fast, by 200 in a million."""
    for drift in (-2e-4, 2e-4):
        camera = Camera(drift=drift)
        assert max(lag for lag, _ in camera.read(0.03, 12_000)) < 0.02


@pytest.mark.parametrize("drift", [-5e-3, -1e-2])
def test_a_camera_that_sends_fewer_frames_than_it_counts_is_not_late(drift: float) -> None:
    """It stamps 25 frames a second, and the exposure takes a little longer; the reader is busy for 70%."""
    camera = Camera(drift=drift)
    assert max(lag for lag, _ in camera.read(0.028, 4000)) < 0.1
    lag, right = camera.read(0.06, 50)[-1]
    assert lag == pytest.approx(right, abs=0.1)


def hurried(
    count: int, *, busy: float, clock: float, spare: bool, jitter_s: float = 0.008
) -> tuple[list[int], list[float]]:
    """Which packets are left out, and how late each is, of a decoder that obeys.

    It is busy for so much of a period with each, and the camera's clock runs at this rate.
    """
    arrivals, chance, now = Arrivals(), random.Random(0), [1000.0]  # noqa: S311  # no secret
    haste = Haste(clock=lambda: now[0])
    left, late = [], []
    for number in range(count):
        came = 1000.0 + number * PERIOD_S + jitter_s * chance.random()
        asked = now[0]
        now[0] = max(asked, came) + 1e-4
        arrival = arrivals.read(asked, now[0], 7 + number * PERIOD_S * clock)
        order = haste.judge(arrival, fresh=number % 50 == 0)
        late.append(now[0] - came)
        if order in {Order.LEAVE, Order.GIVE_UP} or (spare and order is Order.SPARE):
            left.append(number)
        else:
            now[0] += busy * PERIOD_S * chance.uniform(0.9, 1.1)
    return left, late


@pytest.mark.parametrize("spare", [True, False])
@pytest.mark.parametrize("busy", [0.7, 0.8, 0.9, 0.95])
@pytest.mark.parametrize("clock", [0.5, 0.9])
def test_a_camera_whose_clock_runs_slow_loses_next_to_nothing(
    clock: float, busy: float, *, spare: bool
) -> None:
    """It takes an episode or two to learn the rate; then four minutes lose no second more."""
    left, late = hurried(6000, busy=busy, clock=clock, spare=spare)
    assert len(left) < 150
    assert len([number for number in left if number > 1000]) < 50
    assert max(late) < 0.1


@pytest.mark.parametrize("jitter_s", [0.008, 0.3])
@pytest.mark.parametrize("clock", [1.0, 0.5, 0.9])
def test_whoever_is_too_slow_catches_up_whatever_the_rate_of_the_clock(clock: float, jitter_s: float) -> None:
    _, late = hurried(5000, busy=1.3, clock=clock, spare=True, jitter_s=jitter_s)
    assert max(late) < 2.0


@pytest.mark.parametrize("shift_s", [-3600.0, 20.0])
def test_a_clock_that_is_set_is_learned_anew(shift_s: float) -> None:
    """Forward or back; later lags are seen all the same."""
    camera = Camera()
    camera.read(0.03, 200)
    camera.shift_s = shift_s
    assert max(lag for lag, _ in camera.read(0.03, 100)) < 0.02
    lag, right = camera.read(0.06, 50)[-1]
    assert lag == pytest.approx(right, abs=0.02)


def test_a_clock_that_stood_still_is_no_lag_for_who_has_time_to_wait() -> None:
    """A camera that was stuck for three seconds, and does not say so."""
    camera = Camera()
    camera.read(0.01, 200)
    camera.shift_s -= 0.5 * PERIOD_S  # not even set back: it goes on a little later
    camera.shift_s -= 3.0
    camera.sent += 75
    assert max(lag for lag, _ in camera.read(0.01, 100)) < 0.02


def test_pictures_without_times_came_when_they_were_read() -> None:
    """And their times rise."""
    arrivals = Arrivals()
    assert arrivals.read(0.0, 5.0, None).lag_s == 0.0
    first, second = arrivals.picture(None), arrivals.picture(None)
    assert first == 5.0
    assert first < second < 5.001
