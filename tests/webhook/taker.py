"""A real server that takes events by HTTP, as tests tell it, and a sink that brings them."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from edged.records import Box, Event
from edged.sinks.webhook import WebhookSink
from edged.webhook.server import HttpServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from edged.durable.ledger import EventLedger


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
    stop_timeout_s: float = 60.0,
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
