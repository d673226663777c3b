"""A courier by itself: how long it lets a server take, what gives way, and what becomes of every notice."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from clock import Clock
from daemon import until
from news import news

from edged.contract import event_messages
from edged.contract.notices import Notice
from edged.webhook.courier import Courier
from edged.webhook.server import HttpServer, WebhookError

if TYPE_CHECKING:
    from edged.contract.event_messages import Telling
    from edged.contract.notices import Body


class Counter(HttpServer):
    """A server behind which nobody stands: a test says how each post ends, the last way for ever."""

    def __init__(self, *ends: WebhookError | None) -> None:
        super().__init__("http://localhost:1/")
        self.ends = list(ends)
        self.timeouts: list[float] = []
        self.hung_up = 0
        self.open = threading.Event()
        """While it is not set, a post goes on."""
        self.open.set()

    def post(self, body: Body, timeout_s: float) -> None:
        assert body.content
        self.timeouts.append(timeout_s)
        assert self.open.wait(30)
        error = self.ends.pop(0) if len(self.ends) > 1 else self.ends[0]
        if error is not None:
            raise error

    def hang_up(self) -> None:
        self.hung_up += 1


def notice(number: int, kind: str = "start") -> Notice:
    return Notice(event_messages.told(news(number, kind), camera="front", boot_id="0" * 32))


class Rig:
    """A courier, what it is done with, and the clock by which it goes."""

    def __init__(self, *ends: WebhookError | None, shut: bool = False) -> None:
        self.server = Counter(*ends)
        if shut:
            self.server.open.clear()
        self.clock = Clock()
        self.done: list[Telling] = []
        self.courier = Courier(self.server, "json", self.done.append, clock=self.clock)

    @property
    def counts(self) -> tuple[int, int, int]:
        counts = self.courier.counts
        return counts["delivered"], counts["refused"], counts["lost"]

    def put(self, *notices: Notice) -> list[Telling]:
        for one in notices:
            self.courier.put(one)
        return [one.telling for one in notices]


def test_every_notice_is_done_with_once_it_was_taken_or_will_never_be() -> None:
    rig = Rig(None, WebhookError("it is no server", final=True), None)
    told = rig.put(notice(1), notice(2), notice(3))
    until(lambda: rig.counts == (2, 1, 0))
    assert rig.done == told
    assert rig.server.timeouts == [10.0] * 3
    assert (rig.courier.problem, rig.server.hung_up) == ("", 0)
    assert rig.courier.close(1.0, keep=True) == []
    assert rig.server.hung_up == 1


def test_what_fails_is_told_until_it_works_again_and_tried_over_another_connection() -> None:
    rig, problems = Rig(None), list[str]()

    def post(body: Body, timeout_s: float) -> None:
        del body, timeout_s
        problems.append(rig.courier.problem)
        if len(problems) == 1:
            raise WebhookError("it is busy")

    rig.server.post = post  # type: ignore[method-assign]
    told = rig.put(notice(1))
    until(lambda: rig.counts == (1, 0, 0))
    assert problems == ["", "the webhook is in trouble: it is busy."]
    assert (rig.done, rig.courier.problem, rig.server.hung_up) == (told, "", 1)
    rig.courier.close(1.0, keep=False)


def test_while_a_server_wants_to_be_left_alone_nothing_is_sent_and_a_stop_does_not_wait() -> None:
    rig = Rig(WebhookError("it is busy", wait_s=300.0))
    told = rig.put(notice(1), notice(2))
    until(lambda: rig.server.hung_up)
    assert rig.courier.close(100.0, keep=True) == told
    assert (len(rig.server.timeouts), rig.counts, rig.done) == (1, (0, 0, 0), [])


@pytest.mark.parametrize("keep", [False, True])
def test_a_stop_gives_the_server_what_time_is_left_and_tells_what_it_has_not_brought(keep: bool) -> None:  # noqa: FBT001
    rig = Rig(None, shut=True)
    told = rig.put(*(notice(number) for number in range(5)))
    until(lambda: rig.server.timeouts)
    left: list[list[Telling]] = []

    def post(body: Body, timeout_s: float) -> None:
        del body
        rig.server.timeouts.append(timeout_s)
        rig.clock.now += (1.0, 1.95, 0.1)[len(rig.server.timeouts) - 2]

    rig.server.post = post  # type: ignore[method-assign]
    end = threading.Thread(target=lambda: left.append(rig.courier.close(3.0, keep=keep)), daemon=True)
    end.start()
    until(lambda: rig.courier._until < float("inf"))  # noqa: SLF001
    rig.server.open.set()
    end.join(30)
    assert rig.server.timeouts == [10.0, 3.0, 2.0, 0.1]
    assert left == [told[4:] if keep else []]
    assert rig.counts == (4, 0, 0 if keep else 1)
    assert rig.done == (told[:4] if keep else told)


def test_of_too_many_the_oldest_update_gives_way_then_the_oldest_but_the_one_under_way() -> None:
    rig = Rig(None, shut=True)
    first = rig.put(notice(0, "update"))
    until(lambda: rig.server.timeouts)
    starts = rig.put(*(notice(number) for number in range(1, 199)))
    updates = rig.put(notice(199, "update"))
    assert (rig.done, rig.courier.problem) == ([], "")
    rig.put(notice(200))
    assert (rig.done, rig.counts) == (updates, (0, 0, 1))
    rig.put(notice(201))
    assert (rig.done, rig.counts) == ([*updates, starts[0]], (0, 0, 2))
    assert rig.courier.problem == (
        "the webhook is in trouble: 2 notices were left out: more are made than it takes."
    )
    rig.clock.now += 59.0
    assert rig.courier.problem
    rig.clock.now += 1.0
    assert rig.courier.problem == ""
    rig.server.open.set()
    until(lambda: rig.counts == (200, 0, 2))
    assert rig.done[2] == first[0]
    rig.courier.close(1.0, keep=False)


def test_what_gave_way_or_was_given_up_while_it_was_under_way_is_counted_once() -> None:
    rig = Rig(None, shut=True)
    told = rig.put(notice(1))
    until(lambda: rig.server.timeouts)
    assert rig.courier.close(0.0, keep=False) == []
    assert (rig.counts, rig.done) == ((0, 0, 1), told)
    rig.server.open.set()
    until(lambda: rig.server.hung_up)
    assert (rig.counts, rig.done) == ((0, 0, 1), told)
