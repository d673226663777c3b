"""The pages of the live view."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from tornado.iostream import StreamClosedError
from tornado.web import Application, HTTPError, RequestHandler

from edged.http.access import CHALLENGE

if TYPE_CHECKING:
    from types import TracebackType

    from edged.http.access import Guard
    from edged.http.live import Figures
    from edged.http.newest import Board
    from edged.http.prometheus import Metrics

_PAGE = Path(__file__).parent / "page"
_POLICY = (
    "default-src 'none'; img-src 'self'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PICTURE_S = 5.0
"""How long a snapshot waits for a frame."""
_PATIENCE_S = 10.0
"""How long a viewer may take for one picture; one that takes longer is gone."""
_BOUNDARY = b"\r\n--frame\r\n"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class View:
    """What there is to show."""

    title: str
    access: Guard
    board: Board
    figures: Figures
    metrics: Metrics
    most_viewers: int


def application(view: View) -> Application:
    """All pages."""
    files = {
        "": ("index.html", "text/html; charset=utf-8"),
        "icon.svg": ("icon.svg", "image/svg+xml"),
        "view.css": ("view.css", "text/css; charset=utf-8"),
        "view.js": ("view.js", "text/javascript; charset=utf-8"),
    }
    seats = Seats(view.most_viewers)
    return Application(
        [
            *(
                (f"/{url}", File, {"view": view, "content": (_PAGE / name).read_bytes(), "kind": kind})
                for url, (name, kind) in files.items()
            ),
            ("/live.json", Live, {"view": view}),
            ("/healthz", Health, {"view": view}),
            ("/metrics", MetricsPage, {"view": view}),
            ("/snapshot.jpg", Snapshot, {"view": view}),
            ("/stream.mjpg", Stream, {"view": view, "seats": seats}),
        ],
        default_handler_class=Nothing,
        default_handler_args={"view": view},
        log_function=lambda _: None,  # who looks at what is nobody's business
    )


class Page(RequestHandler):
    """Asks for the token, and tells browsers to trust nothing but us."""

    def initialize(self, view: View) -> None:
        """Take what is shown."""
        self.view = view

    def set_default_headers(self) -> None:
        """Headers of every answer."""
        self.clear_header("Server")
        self.set_header("Cache-Control", "no-store")
        self.set_header("Content-Security-Policy", _POLICY)
        self.set_header("Cross-Origin-Resource-Policy", "same-origin")
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("X-Content-Type-Options", "nosniff")

    def prepare(self) -> None:
        """Turn away who may not look."""
        headers = self.request.headers
        problem = self.view.access.problem(
            host=headers.get("Host", ""), authorization=headers.get("Authorization", "")
        )
        if problem:
            raise HTTPError(problem)

    def write_error(self, status_code: int, **_: Any) -> None:
        """One line of text."""
        if status_code == 401:  # noqa: PLR2004  # HTTP's own number
            self.set_header("WWW-Authenticate", CHALLENGE)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"{status_code} {self._reason}\n")

    def log_exception(
        self,
        typ: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Tell of our own faults; those of visitors are theirs."""
        if not isinstance(value, HTTPError | StreamClosedError | asyncio.CancelledError):
            log.error("http_failed", path=self.request.path, exc_info=(typ, value, tb))

    def send_json(self, content: dict[str, Any]) -> None:
        """Answer with JSON."""
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps(content, separators=(",", ":"), ensure_ascii=False))


class Nothing(Page):
    """Every path that is no page."""

    def prepare(self) -> None:
        """Turn everybody away, who may look and who may not."""
        super().prepare()
        raise HTTPError(404)


class File(Page):
    """A part of the page."""

    def initialize(self, view: View, content: bytes = b"", kind: str = "") -> None:
        """Take what is shown."""
        super().initialize(view)
        self._content = content
        self._kind = kind

    def get(self) -> None:
        """The file."""
        self.set_header("Content-Type", self._kind)
        self.finish(self._content)

    head = get


class Live(Page):
    """The figures as JSON."""

    def get(self) -> None:
        """The figures now."""
        self.send_json({"title": self.view.title, **self.view.figures.live()})

    head = get


class Health(Page):
    """For who watches over the daemon: 200 while detection goes on, 503 when it does not."""

    def get(self) -> None:
        """The health now."""
        health = self.view.figures.health()
        if health["status"] == "failed":
            self.set_status(503)
        self.send_json(health)

    head = get


class MetricsPage(Page):
    """For Prometheus."""

    def get(self) -> None:
        """The metrics now."""
        body, content_type = self.view.metrics.page(self.request.headers.get("Accept", ""))
        self.set_header("Content-Type", content_type)
        self.finish(body)


class Looking(Page):
    """A page that waits for pictures; a visitor who leaves ends the waiting."""

    def initialize(self, view: View) -> None:
        """Nobody waits yet."""
        super().initialize(view)
        self._waiting: asyncio.Task[bytes | None] | None = None

    async def picture(self) -> bytes | None:
        """The next picture; None when there will be none, for us or for this visitor."""
        self._waiting = asyncio.create_task(self.view.board.next(), name="viewer")
        try:
            return await self._waiting
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if current is not None and current.cancelling():
                raise
            return None

    def on_connection_close(self) -> None:
        """Stop waiting."""
        if self._waiting is not None:
            self._waiting.cancel()


class Snapshot(Looking):
    """One annotated picture."""

    async def get(self) -> None:
        """The next picture."""
        try:
            picture = await asyncio.wait_for(self.picture(), _PICTURE_S)
        except TimeoutError:
            picture = None
        if picture is None:
            raise HTTPError(503)
        self.set_header("Content-Type", "image/jpeg")
        self.finish(picture)


class Seats:
    """How many may watch at a time."""

    def __init__(self, most: int) -> None:
        self.free = most

    def __enter__(self) -> None:
        if not self.free:
            raise HTTPError(503)
        self.free -= 1

    def __exit__(self, *_: object) -> None:
        self.free += 1


class Stream(Looking):
    """The annotated pictures as multipart JPEG, at the pace of the visitor."""

    def initialize(self, view: View, seats: Seats | None = None) -> None:
        """Take what is shown, and the seats."""
        super().initialize(view)
        self._seats = seats or Seats(0)

    async def get(self) -> None:
        """Pictures until the visitor or the daemon leaves."""
        with self._seats:
            self.set_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.write(_BOUNDARY)
            try:
                while (picture := await self.picture()) is not None:
                    # The boundary right behind the picture: browsers show a part when they see its end.
                    self.write(b"Content-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(picture))
                    self.write(picture + _BOUNDARY)
                    await asyncio.wait_for(self.flush(), _PATIENCE_S)
            except StreamClosedError:
                return
            except TimeoutError:
                log.debug("viewer_stuck", after_s=_PATIENCE_S)
                self.detach().close()
                return
