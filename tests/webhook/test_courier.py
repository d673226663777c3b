"""A courier by itself: how long it lets a server take, what gives way, and what becomes of every notice."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

import pytest
from clock import Clock
from daemon import until
from news import news
from structlog.testing import capture_logs

from edged.backoff import Backoff
from edged.contract import event_messages
from edged.contract.notices import Notice
from edged.webhook.courier import Courier
from edged.webhook.server import HttpServer, WebhookError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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
        with self.courier._due:  # noqa: SLF001  # what is counted is done with when that is free again
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
    assert rig.courier.close(30.0, keep=True) == []
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
    rig.courier.close(30.0, keep=False)


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
    rig.server.open.set()
    until(lambda: rig.counts == (200, 0, 2))
    assert rig.done[2] == first[0]
    rig.clock.now += 59.0
    assert rig.courier.problem
    rig.clock.now += 1.0
    assert rig.courier.problem == ""
    rig.courier.close(30.0, keep=False)


def test_what_gave_way_or_was_given_up_while_it_was_under_way_is_counted_once() -> None:
    rig = Rig(None, shut=True)
    told = rig.put(notice(1))
    until(lambda: rig.server.timeouts)
    assert rig.courier.close(0.0, keep=False) == []
    assert (rig.counts, rig.done) == ((0, 0, 1), told)
    rig.server.open.set()
    until(lambda: rig.server.hung_up)
    assert (rig.counts, rig.done) == ((0, 0, 1), told)


class Waits(Backoff):
    """Gives the waits it is told to, and notes how it was made and what it was asked."""

    made: list[tuple[float, float]]
    asked: list[float | str]
    gives: list[float]

    def __init__(self, first_s: float, most_s: float) -> None:
        super().__init__(first_s, most_s)
        self.made.append((first_s, most_s))

    def after(self, good_s: float) -> float:
        self.asked.append(good_s)
        return self.gives.pop(0)

    def reset(self) -> None:
        self.asked.append("reset")


def test_between_two_attempts_it_waits_as_long_as_the_server_asks_or_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And tells once what is wrong, until that changes."""
    Waits.made, Waits.asked, Waits.gives = [], [], [0.0, 3.0, 7.0]
    monkeypatch.setattr("edged.webhook.courier.Backoff", Waits)
    rig, waits = Rig(busy(), busy(5.0), WebhookError("it is away"), None), list[float]()

    def wait_for(over: Callable[[], bool], wait_s: float) -> bool:
        waits.append(wait_s)
        return over()

    monkeypatch.setattr(rig.courier._due, "wait_for", wait_for)  # noqa: SLF001
    with capture_logs() as logs:
        rig.put(notice(1), notice(2))
        until(lambda: rig.counts == (2, 0, 0))
    rig.courier.close(30.0, keep=False)
    assert waits == [0.05, 5.0, 7.0]
    assert (Waits.made, Waits.asked) == ([(1.0, 60.0)], [0.0, 0.0, 0.0, "reset", "reset"])
    assert [(line["event"], line.get("error")) for line in logs] == [
        ("webhook_fails", "it is busy."),
        ("webhook_fails", "it is away."),
        ("webhook_works_again", None),
    ]


def busy(wait_s: float = 0.0) -> WebhookError:
    return WebhookError("it is busy", wait_s=wait_s)


def test_it_has_a_thread_of_its_own_that_gives_way_to_others() -> None:
    rig, found = Rig(None), list[tuple[str, int]]()

    def post(body: Body, timeout_s: float) -> None:
        del body, timeout_s
        thread = threading.current_thread()
        found.append((thread.name, os.getpriority(os.PRIO_PROCESS, threading.get_native_id())))

    rig.server.post = post  # type: ignore[method-assign]
    rig.put(notice(1))
    until(lambda: found)
    rig.courier.close(30.0, keep=False)
    assert found == [("webhook", min(os.getpriority(os.PRIO_PROCESS, 0) + 10, 19))]


def test_after_a_while_without_news_it_hangs_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edged.webhook.courier._QUIET_S", 0.01)
    rig = Rig(None)
    until(lambda: rig.server.hung_up > 1)
    told = rig.put(notice(1))
    until(lambda: rig.done == told)
    rig.courier.close(30.0, keep=False)


@pytest.mark.parametrize("keep", [False, True])
def test_too_many_are_told_once_a_minute_and_the_account_at_the_end(keep: bool) -> None:  # noqa: FBT001
    rig = Rig(None, shut=True)
    rig.put(notice(0))
    until(lambda: rig.server.timeouts)
    with capture_logs() as logs:
        rig.put(*(notice(number) for number in range(1, 202)))
        rig.clock.now += 60.0
        rig.put(notice(202))
        assert [line["event"] for line in logs] == ["webhook_overflow"]
        rig.clock.now += 60.5
        rig.put(notice(203))
        assert [line["event"] for line in logs] == ["webhook_overflow"] * 2
        left = rig.courier.close(0.0, keep=keep)
    assert len(left) == (200 if keep else 0)
    assert account(logs[-1]) == ("warning", 0, 0, 4 if keep else 204, len(left), rig.server.name)
    rig.server.open.set()


def test_the_account_tells_every_fate_and_is_a_warning_where_something_was_refused() -> None:
    ends = (None, WebhookError("no", final=True))
    told: list[tuple[Any, ...]] = []
    for count, end in ((0, None), *((1, end) for end in ends)):
        rig = Rig(end)
        rig.put(*(notice(number) for number in range(count)))
        until(lambda rig=rig, count=count: len(rig.done) == count)  # type: ignore[misc]  # mypy cannot infer it
        with capture_logs() as logs:
            rig.courier.close(30.0, keep=True)
        told += [account(line) for line in logs]
    name = "http://localhost:1/***"
    assert told == [
        ("info", 0, 0, 0, 0, name),
        ("info", 1, 0, 0, 0, name),
        ("warning", 0, 1, 0, 0, name),
    ]


def account(line: Mapping[str, Any]) -> tuple[Any, ...]:
    assert line["event"] == "webhook_account"
    return tuple(line[of] for of in ("log_level", "delivered", "refused", "lost", "kept", "server"))
