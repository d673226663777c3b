"""The waits between attempts."""

from __future__ import annotations

from edged.backoff import Backoff


def test_ceiling_doubles_up_to_the_most() -> None:
    """A camera that stays away is tried ever more seldom, but never less than once in 30 s."""
    backoff = Backoff(jitter=lambda: 0.0)
    assert [backoff.after(0.0) for _ in range(8)] == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]


def test_wait_is_anywhere_below_the_ceiling() -> None:
    """Full jitter: many daemons do not knock in step."""
    backoff = Backoff()
    waits = [backoff.after(0.0) for _ in range(400)][10:]
    assert all(0.0 <= wait <= 30.0 for wait in waits)
    assert min(waits) < 3.0
    assert max(waits) > 27.0


def test_good_connection_starts_the_count_again() -> None:
    """A camera that was well for longer than the last ceiling is tried again soon."""
    backoff = Backoff(jitter=lambda: 0.0)
    for _ in range(4):
        backoff.after(0.0)
    assert backoff.after(3600.0) == 1.0


def test_what_works_again_begins_anew() -> None:
    backoff = Backoff(jitter=lambda: 0.0)
    for _ in range(4):
        backoff.after(0.0)
    backoff.reset()
    assert [backoff.after(0.0) for _ in range(2)] == [1.0, 2.0]


def test_one_picture_is_no_recovery() -> None:
    """A camera that gives a picture and fails, again and again, is not hammered."""
    backoff = Backoff(jitter=lambda: 0.0)
    assert [backoff.after(0.1) for _ in range(5)] == [1.0, 2.0, 4.0, 8.0, 16.0]


def test_what_worked_for_too_short_a_time_had_not_recovered() -> None:
    """Two clients with one id throw each other out for ever: a session of two seconds is no success."""
    backoff = Backoff(0.5, 30.0, steady_s=10.0, jitter=lambda: 0.0)
    assert [backoff.after(good_s) for good_s in (0.0, 2.0, 2.0, 9.9)] == [0.5, 1.0, 2.0, 4.0]
    assert backoff.after(10.0) == 0.5


def test_the_random_share_of_a_wait_can_be_bounded() -> None:
    """A broker is left alone for at least half of the wait, a device for most of it."""
    assert Backoff(8.0, 8.0, spread=0.5, jitter=lambda: 1.0).after(0.0) == 4.0
    assert Backoff(8.0, 8.0, spread=0.5, jitter=lambda: 0.0).after(0.0) == 8.0
    waits = [Backoff(8.0, 8.0, spread=0.2).after(0.0) for _ in range(400)]
    assert 6.4 <= min(waits) < 6.6
    assert 7.8 < max(waits) <= 8.0
