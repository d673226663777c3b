"""Events by HTTP: a real server that takes them, refuses them, hangs, is away and comes back."""

from __future__ import annotations

import base64
import dataclasses
import email.policy
import json
import shutil
import threading
import time
from email.header import decode_header, make_header
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pytest
from daemon import Daemon, edged, until
from door import Door

from edged.contract import words
from edged.durable.ledger import EventLedger
from edged.errors import ConfigError
from edged.metrics import FrameCounts
from edged.pipeline.outlet import Outlet
from edged.records import Box, Event, Report
from edged.settings import loading
from edged.sinks import Accountant, EventTaker, Reporter
from edged.sinks.webhook import WebhookSink
from edged.webhook.server import HttpServer, WebhookError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

SECRET = "bot123:Hunter2"  # noqa: S105  # what no message may repeat


class Server:
    """Answers by POST, as it is told: numbers in their order, the last one for ever.

    Args:
        answers: status codes; 0 says nothing until the server is closed.
        port: 0 for any.
        keeps: whether a connection may be used again (HTTP/1.1).
        rude: whether it hangs up all the same, without having said so.
    """

    def __init__(
        self, *answers: int, port: int = 0, retry_after: str = "", keeps: bool = False, rude: bool = False
    ) -> None:
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        """Target, headers and body of every request, answered or not."""
        self.begun = self.over = 0
        """Connections."""
        self.open = threading.Event()
        outer, codes = self, list(answers)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1" if keeps else "HTTP/1.0"

            def handle(self) -> None:
                outer.begun += 1
                super().handle()

            def finish(self) -> None:
                super().finish()
                self.connection.close()
                outer.over += 1

            def do_POST(self) -> None:  # the name is the library's
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.got.append((self.path, dict(self.headers), body))
                code = codes.pop(0) if len(codes) > 1 else codes[0]
                if not code:
                    outer.open.wait(30)
                    return
                self.send_response(code)
                if retry_after:
                    self.send_header("Retry-After", retry_after)
                self.send_header("Content-Length", "0")
                self.end_headers()
                if rude:
                    self.close_connection = True

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/{SECRET}/send?chat_id=7"

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, _, body in self.got]

    def ended(self, times: int) -> Callable[[], bool]:
        return lambda: self.over == times

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.open.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def event(number: int, kind: str, *, label: str = "person", grey: int | None = None) -> Event:
    crop = None if grey is None else np.full((40, 20, 3), grey, np.uint8)
    return Event(
        kind, f"event{number}", ("zone_entered:porch",), "left" if kind == "end" else "", number, label, 0.8,
        0.9, Box(10, 10, 30, 50), Box(10, 10, 30, 50), 640, 480, 1e9 + number, 1e9,
        1e9 + 40 if kind == "end" else None, 40.0, False, ("porch",), ("porch",), {"porch": 3.0},
        (("gate", "in"),), ((0.1, 0.2),), crop,
    )  # fmt: skip


def sink(
    url: str,
    *,
    body: str = "json",
    kinds: tuple[str, ...] = ("start", "update", "end"),
    boot_id: str = "0" * 32,
    stop_timeout_s: float = 4.0,
    ledger: EventLedger | None = None,
) -> WebhookSink:
    made = WebhookSink(
        HttpServer(url),
        body=body,
        kinds=kinds,
        camera="front",
        boot_id=boot_id,
        stop_timeout_s=stop_timeout_s,
        ledger=ledger,
    )
    made.open()
    return made


def tell(taker: WebhookSink, events: Iterable[Event]) -> None:
    for one in events:
        taker.tell([one])


def counted(taker: WebhookSink, **counts: int) -> Callable[[], bool]:
    return lambda: (
        taker.account()
        == {f"events_{fate}": 0 for fate in ("delivered", "refused", "lost")}
        | {f"events_{fate}": n for fate, n in counts.items()}
    )


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


def test_a_stop_brings_what_waits_and_does_not_wait_for_a_server_that_is_away() -> None:
    with Server(200) as server:
        pass
    taker = sink(server.url, stop_timeout_s=100.0)
    tell(taker, [event(1, "start")])
    until(lambda: taker.problem)
    started = time.monotonic()
    taker.close()
    assert time.monotonic() - started < 30.0
    assert counted(taker, lost=1)()


def test_after_a_kill_the_next_run_brings_what_is_owed_and_ends_what_was_open(tmp_path: Path) -> None:
    kept, left = tmp_path / "kept.json", tmp_path / "left.json"
    with Server(200, 500) as server:
        book = EventLedger(kept)
        killed = sink(server.url, ledger=book, stop_timeout_s=0.2)
        tell(killed, [event(1, "start")])
        until(counted(killed, delivered=1))
        tell(killed, [event(1, "update"), event(2, "start"), event(2, "end"), event(3, "start")])
        book.settle(30)
        shutil.copy(kept, left)  # as a kill leaves it
        killed.close()
    with Server(200) as server:
        book = EventLedger(left)
        again = sink(server.url, ledger=book, boot_id="1" * 32, kinds=("start", "end"))
        until(counted(again, delivered=5))
        again.close()
        book.settle(30)
        told = [(one["event_id"], one["type"], one["ended_by"]) for one in server.events()]
    assert told == [
        ("event2", "start", ""),
        ("event2", "end", "left"),
        ("event3", "start", ""),
        ("event1", "end", "stop"),
        ("event3", "end", "stop"),
    ]
    with Server(200) as server:
        sink(server.url, ledger=EventLedger(left), boot_id="2" * 32).close()
        assert server.got == []


def test_what_a_stop_leaves_is_lost_without_a_file_and_brought_by_the_next_start_with_one(
    tmp_path: Path,
) -> None:
    kept = tmp_path / "kept.json"
    with Server(500) as server:
        book = EventLedger(kept)
        stopped = sink(server.url, ledger=book, stop_timeout_s=0.2)
        tell(stopped, [event(1, "start"), event(1, "end")])
        stopped.close()
        book.close()
        assert counted(stopped)(), "nothing is lost"
        with_none = sink(server.url, stop_timeout_s=0.2)
        tell(with_none, [event(2, "start")])
        with_none.close()
        assert counted(with_none, lost=1)()
    with Server(200) as server:
        again = sink(server.url, ledger=EventLedger(kept), boot_id="1" * 32)
        until(counted(again, delivered=2))
        again.close()
        assert [(one["event_id"], one["type"]) for one in server.events()] == [
            ("event1", "start"),
            ("event1", "end"),
        ]


def test_what_waits_at_a_reload_is_brought_by_the_sink_after_it(tmp_path: Path) -> None:
    """Both have one ledger, and the new one is open before the old one closes."""
    book = EventLedger(tmp_path / "kept.json")
    with Server(500) as away, Server(200) as server:
        before = sink(away.url, ledger=book, stop_timeout_s=0.2)
        tell(before, [event(1, "start"), event(1, "end")])
        after = sink(server.url, ledger=book)
        before.close()
        after.report(Report(10.0, 0.0, {}, FrameCounts(0, 0, {}, 0), 0, {}, {}))
        until(counted(after, delivered=2))
        assert [one["type"] for one in server.events()] == ["start", "end"]
        after.close()


def test_what_was_brought_last_is_not_brought_again_after_a_kill(tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    with Server(200) as server:
        book = EventLedger(kept)
        killed = sink(server.url, ledger=book)
        tell(killed, [event(1, "start"), event(1, "end")])
        until(counted(killed, delivered=2))
        until(lambda: json.loads(kept.read_text())["unsafe"] == [])
        shutil.copy(kept, tmp_path / "left.json")  # as a kill leaves it
        killed.close()
        sink(server.url, ledger=EventLedger(tmp_path / "left.json"), boot_id="1" * 32).close()
    assert [one["type"] for one in server.events()] == ["start", "end"]


def test_a_ledger_that_cannot_be_written_is_a_trouble(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    with Server(200) as server:
        book = EventLedger(tmp_path / "file" / "webhook.json")
        taker = sink(server.url, ledger=book)
        tell(taker, [event(1, "start")])
        until(counted(taker, delivered=1))
        until(lambda: "webhook.json' cannot be written: " in taker.problem)
        taker.close()
        book.close()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"htps://api.telegram.org/{SECRET}/send", "EDGED_WEBHOOK_URL='htps://api.telegram.org/***'"),
        (f"https:/api.telegram.org/{SECRET}", "EDGED_WEBHOOK_URL='***'"),
        (f"https://{SECRET}/send", "EDGED_WEBHOOK_URL='***'"),
        (f"{SECRET}?send", "EDGED_WEBHOOK_URL='***'"),
        (SECRET, "EDGED_WEBHOOK_URL='***'"),
        (f"https://host/{SECRET} x", "EDGED_WEBHOOK_URL='https://host/***'"),
    ],
)
def test_an_address_that_is_none_is_told_without_what_is_secret_in_it(url: str, shown: str) -> None:
    common = {"EDGED_SOURCE": "synthetic:", "EDGED_MODEL": "m.tflite"}
    with pytest.raises(ConfigError) as refused:
        loading.load(None, environ=common | {"EDGED_WEBHOOK_URL": url})
    assert shown in str(refused.value)
    assert "Hunter" not in str(refused.value)


@pytest.mark.parametrize(("scheme", "port"), [("http", 80), ("https", 443)])
def test_an_ipv6_address_needs_no_port(scheme: str, port: int) -> None:
    connection = HttpServer(f"{scheme}://[fe80::1]/{SECRET}")._connection(1.0)  # noqa: SLF001  # sends nothing
    assert (connection.host, connection.port) == ("fe80::1", port)


@pytest.mark.parametrize("host", ["hooks..example", "a" * 70 + ".example"])
def test_a_host_whose_name_is_malformed_is_told(host: str) -> None:
    with pytest.raises(WebhookError, match="cannot be reached: its name is malformed") as refused:
        HttpServer(f"http://{host}/{SECRET}").reach(1.0)
    assert "Hunter" not in str(refused.value)


def test_check_says_whether_the_server_is_there_and_sends_nothing(demo_model: Path) -> None:
    settings = {"EDGED_SOURCE": "synthetic:?count=1&live=false", "EDGED_MODEL": str(demo_model)}
    with Server(200) as server:
        done = edged("check", settings=settings | {"EDGED_WEBHOOK_URL": server.url})
    assert f"ok    webhook: http://127.0.0.1:{server.port}/*** answers" in done.stdout
    assert done.returncode == 0
    assert server.got == []
    done = edged("check", settings=settings | {"EDGED_WEBHOOK_URL": server.url})
    assert f"WRONG webhook: http://127.0.0.1:{server.port}/*** cannot be reached" in done.stdout
    assert done.returncode == 69
    assert "Hunter" not in done.stdout + done.stderr


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
