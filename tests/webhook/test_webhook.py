"""Events by HTTP: a real server that takes them, refuses them, hangs, is away and comes back."""

from __future__ import annotations

import base64
import dataclasses
import email.policy
import json
import time
from email.header import decode_header, make_header
from email.parser import BytesParser
from typing import TYPE_CHECKING, Any

import pytest
from daemon import Daemon, until
from door import Door
from taker import SECRET, Server, counted, event, sink, tell

from edged.contract import words
from edged.pipeline.outlet import Outlet
from edged.sinks import Accountant, EventTaker, Reporter

if TYPE_CHECKING:
    from pathlib import Path


def test_every_event_comes_once_and_in_order_with_the_best_picture_so_far() -> None:
    with Server(200) as server:
        taker = sink(server.url)
        assert isinstance(taker, EventTaker)
        assert isinstance(taker, Reporter)
        assert isinstance(taker, Accountant)
        tell(taker, [event(1, "start", grey=10), event(1, "update"), event(1, "update", grey=200)])
        tell(taker, [event(1, "end"), event(2, "end")])
        taker.close()
    assert counted(taker, delivered=5)()
    told = server.events()
    assert [one["type"] for one in told] == ["start", "update", "update", "end", "end"]
    pictures = [base64.b64decode(one["picture"] or "") for one in told]
    assert pictures[0] == pictures[1]
    assert pictures[2] == pictures[3] != pictures[0]
    assert all(picture.startswith(b"\xff\xd8") for picture in pictures[:4])
    assert pictures[4] == b""
    assert told[0]["title"] == "person at front"
    assert told[3]["message"] == "has left after 40 s; was in porch; crossed gate in"
    assert {target for target, _, _ in server.got} == {f"/{SECRET}/send?chat_id=7"}


def test_the_title_says_what_it_is_more_exactly() -> None:
    with Server(200) as server:
        taker = sink(server.url)
        tell(taker, [dataclasses.replace(event(1, "start", label="bird"), sub_label="robin", sub_score=0.8)])
        taker.close()
    (told,) = server.events()
    assert (told["title"], told["sub_label"], told["sub_score"]) == ("bird (robin) at front", "robin", 0.8)


def test_as_a_form_it_is_what_telegram_and_gotify_take() -> None:
    with Server(200) as server:
        taker = sink(server.url, body="form")
        tell(taker, [event(1, "start", label="Fußgänger", grey=10)])
        taker.close()
    _, headers, body = server.got[0]
    head = f"Content-Type: {headers['Content-Type']}\r\n\r\n".encode()
    form = BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
    fields: dict[Any, Any] = {
        part.get_param("name", header="content-disposition"): part.get_payload(decode=True)
        for part in form.iter_parts()
    }
    assert set(fields) == {"title", "message", "caption", "event", "photo"}
    assert fields["caption"] == "Fußgänger at front: has come, in porch".encode()
    assert fields["photo"].startswith(b"\xff\xd8")
    assert json.loads(fields["event"])["event_id"] == "event1"


def test_as_a_picture_it_is_what_ntfy_takes() -> None:
    with Server(200) as server:
        taker = sink(server.url.replace("//", "//ann:s%3Acret@"), body="picture")
        tell(taker, [event(1, "start", label="Fußgänger", grey=10), event(2, "start")])
        taker.close()
    (_, first, picture), (_, second, text) = server.got
    assert picture.startswith(b"\xff\xd8")
    assert str(make_header(decode_header(first["Title"]))) == "Fußgänger at front"
    assert first["Message"] == "has come, in porch"
    assert first["Filename"] == "photo.jpg"
    assert base64.b64decode(first["Authorization"].removeprefix("Basic ")) == b"ann:s:cret"
    assert "Filename" not in second
    assert text == b"has come, in porch"


def test_a_server_that_fails_for_a_while_gets_every_event_all_the_same() -> None:
    with Server(500, 503, 429, 200) as server:
        taker = sink(server.url)
        tell(taker, [event(number, "start") for number in range(3)])
        until(counted(taker, delivered=3))
        assert taker.problem == ""
        taker.close()
    assert [one["event_id"] for one in server.events()] == ["event0"] * 4 + ["event1", "event2"]


def test_one_connection_does_for_all_events_until_nothing_more_comes() -> None:
    with Server(200, keeps=True) as server:
        taker = sink(server.url)
        tell(taker, [event(number, "start", grey=9) for number in range(5)])
        until(counted(taker, delivered=5))
        assert (server.begun, server.over) == (1, 0)
        taker.close()
        until(lambda: server.over)
    assert [one["event_id"] for one in server.events()] == [f"event{number}" for number in range(5)]


def test_a_server_in_trouble_is_tried_again_over_another_connection() -> None:
    with Server(500, 200, keeps=True) as server:
        taker = sink(server.url)
        tell(taker, [event(1, "start"), event(1, "end")])
        until(counted(taker, delivered=2))
        assert server.begun == 2
        taker.close()
    assert [one["type"] for one in server.events()] == ["start", "start", "end"]


def test_a_connection_is_given_up_after_a_while_without_news(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edged.webhook.courier._QUIET_S", 0.05)
    with Server(200, keeps=True) as server:
        taker = sink(server.url)
        tell(taker, [event(1, "start")])
        until(lambda: server.over)
        tell(taker, [event(1, "end")])
        until(counted(taker, delivered=2))
        taker.close()
    assert server.begun == 2


def test_a_server_that_hangs_up_between_two_events_is_no_trouble() -> None:
    with Server(200, keeps=True, rude=True) as server:
        taker = sink(server.url)
        for number in range(3):
            tell(taker, [event(number, "start")])
            until(counted(taker, delivered=number + 1))
            until(server.ended(number + 1))
            assert taker.problem == ""
        taker.close()
    assert len(server.got) == server.begun == 3


@pytest.mark.parametrize("length", [10, 10_000_000], ids=["breaks off", "is too long"])
def test_an_answer_whose_end_does_not_come_is_an_answer(length: int) -> None:
    door = Door(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\nthat" % length)
    taker = sink(f"http://127.0.0.1:{door.port}/")
    tell(taker, [event(1, "start"), event(1, "end")])
    until(counted(taker, delivered=2))
    taker.close()
    door.close()


def test_what_a_server_will_never_take_is_counted_and_told_and_holds_up_nothing() -> None:
    with Server(401, 200) as server:
        taker = sink(server.url)
        tell(taker, [event(1, "start")])
        until(counted(taker, refused=1))
        assert f"http://127.0.0.1:{server.port}/*** answers 401 Unauthorized" in taker.problem
        assert "Hunter2" not in taker.problem
        tell(taker, [event(2, "start")])
        until(counted(taker, refused=1, delivered=1))
        assert taker.problem == ""
        taker.close()
    assert len(server.got) == 2


def test_a_server_that_hangs_blocks_nobody_and_what_overflows_is_counted_and_told() -> None:
    with Server(0) as server:
        taker = sink(server.url, stop_timeout_s=1.0)
        outlet = Outlet(taker)
        started = time.monotonic()
        tell(taker, [event(0, "start")])
        until(lambda: server.got)
        for number in range(1, 300):
            tell(taker, [event(number, "update"), event(number, "end")])
        assert time.monotonic() - started < 30, "599 events, of which none waits for an answer"
        assert "notices were left out" in outlet.problem
        assert outlet.counts["events_lost"] == 399
        assert outlet.busy_s() == 0.0
        taker.close()
        assert time.monotonic() - started < 30
        assert counted(taker, lost=599)()


def test_updates_give_way_before_ends() -> None:
    with Server(0, 200) as server:
        taker = sink(server.url)
        tell(taker, [event(0, "start")])
        until(lambda: server.got)
        for number in range(1, 151):
            tell(taker, [event(number, "update"), event(number, "end")])
        server.open.set()  # the first one is broken off, and tried again
        until(lambda: sum(taker.account().values()) == 301)
        taker.close()
    kinds = [one["type"] for one in server.events()[1:]]
    assert (kinds.count("start"), kinds.count("end"), kinds.count("update")) == (1, 150, 49)


def test_a_server_that_is_away_is_told_and_gets_everything_when_it_comes() -> None:
    with Server(200) as server:
        port = server.port
    taker = sink(server.url)
    tell(taker, [event(1, "start", grey=1), event(1, "end")])
    until(lambda: taker.problem)
    assert taker.problem.startswith(
        f"the webhook is in trouble: http://127.0.0.1:{port}/*** cannot be reached: Connection refused"
    )
    with Server(200, port=port) as server:
        until(counted(taker, delivered=2))
        assert taker.problem == ""
        taker.close()
    assert [one["type"] for one in server.events()] == ["start", "end"]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.2, "0 s"), (40.4, "40 s"), (59.7, "1 min"), (200, "3 min 20 s"), (7500, "2 h 5 min"), (3600, "1 h")],
)
def test_a_time_is_said_as_people_say_it(seconds: float, said: str) -> None:
    assert words.span(seconds) == said


def test_a_daemon_whose_webhook_hangs_detects_everything_and_stops_in_time(
    demo_model: Path, demo_clip: Path, tmp_path: Path
) -> None:
    with Server(0) as server:
        settings = {
            "EDGED_SOURCE": str(demo_clip),
            "EDGED_MODEL": str(demo_model),
            "EDGED_WEBHOOK_URL": server.url,
            "EDGED_STOP_TIMEOUT": "2",
            "EDGED_STATS_INTERVAL": "1",
        }
        with Daemon(tmp_path, settings) as daemon:
            assert daemon.wait() == 0
        assert len({content for *_, content in server.got}) == 1, (
            "the first, tried again where that takes long"
        )
    ledger = daemon.ledger()
    assert ledger["inferred"] == ledger["captured"] == 200
    account = daemon.told("webhook_account")[0]
    assert account["lost"] >= 2
    assert account["delivered"] == account["refused"] == 0
    assert "Hunter2" not in daemon.stderr
