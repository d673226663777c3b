"""When all has come that the broker remembers of us."""

from __future__ import annotations

from clock import Clock

from edged.mqtt.link.recall import Recall


def test_nothing_was_asked_and_nothing_is_waited_for() -> None:
    assert Recall(Clock()).over


def test_it_is_over_a_moment_after_the_last_that_was_retained() -> None:
    clock = Clock()
    recall = Recall(clock)
    recall.asked(1)
    clock.now += 0.05
    assert not recall.over, "the broker has not even taken the question"
    recall.answered(1)
    clock.now += 0.15
    recall.heard()
    clock.now += 0.15
    assert not recall.over
    clock.now += 0.1
    assert recall.over


def test_on_a_slow_link_it_is_waited_for_as_long_again() -> None:
    clock = Clock()
    recall = Recall(clock)
    recall.asked(1)
    clock.now += 1.0
    recall.answered(1)
    clock.now += 1.9
    assert not recall.over
    clock.now += 0.2
    assert recall.over


def test_a_broker_that_never_answers_holds_up_nobody() -> None:
    clock = Clock()
    recall = Recall(clock)
    recall.asked(1)
    recall.answered(2)
    clock.now += 4.9
    assert not recall.over
    clock.now += 0.2
    assert recall.over
