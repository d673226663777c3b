"""The waits between attempts."""

from __future__ import annotations

from edged.backoff import Backoff


def test_ceiling_doubles_up_to_the_most() -> None:
    """A camera that stays away is tried ever more seldom, but never less than once in 30 s."""
    backoff = Backoff(jitter=lambda: 1.0)
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
    backoff = Backoff(jitter=lambda: 1.0)
    for _ in range(4):
        backoff.after(0.0)
    assert backoff.after(3600.0) == 1.0


def test_one_picture_is_no_recovery() -> None:
    """A camera that gives a picture and fails, again and again, is not hammered."""
    backoff = Backoff(jitter=lambda: 1.0)
    assert [backoff.after(0.1) for _ in range(5)] == [1.0, 2.0, 4.0, 8.0, 16.0]
