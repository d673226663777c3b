"""The pages of the live view."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import structlog
from tornado.iostream import StreamClosedError
from tornado.web import Application, HTTPError, RequestHandler

from edged.http.access import CHALLENGE
from edged.http.prometheus import page

if TYPE_CHECKING:
    from types import TracebackType

    from edged.http.views import Hall, View

_PAGE = Path(__file__).parent / "page"
_POLICY = (
    "default-src 'none'; img-src 'self'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGES = {"": "camera.html", "draw": "draw.html"}
"""The pages of one camera: file by URL."""
_BODY = b"<!-- page -->"
"""Where a page goes in the frame that is around all of them."""
_KINDS = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_PICTURE_S = 5.0
"""How long a snapshot waits for a frame."""
_PATIENCE_S = 10.0
"""How long a viewer may take for one picture; one that takes longer is gone."""
_BOUNDARY = b"\r\n--frame\r\n"

log = structlog.get_logger()


def application(hall: Hall) -> Application:
    """All pages."""
    seats = Seats(hall.most_viewers)
    # The only camera has its pages at the top, one of several below its name.
    below = "(?P<camera>[^/]+)/" if hall.several else ""
    return Application(
        [
            *_files(hall, "", {"": "grid.html"} if hall.several else _PAGES),
            *(_files(hall, below, _PAGES) if hall.several else ()),
            ("/cameras.json", Overview, {"hall": hall}),
            ("/healthz", Health, {"hall": hall}),
            ("/metrics", MetricsPage, {"hall": hall}),
            (f"/{below}live.json", Live, {"hall": hall}),
            (f"/{below}setup.json", Setup, {"hall": hall}),
            (f"/{below}snapshot.jpg", Snapshot, {"hall": hall}),
            (f"/{below}stream.mjpg", Stream, {"hall": hall, "seats": seats}),
        ],
        default_handler_class=Nothing,
        default_handler_args={"hall": hall},
        log_function=lambda _: None,  # who looks at what is nobody's business
    )


def _files(hall: Hall, below: str, pages: dict[str, str]) -> list[tuple[str, Any, dict[str, Any]]]:
    """The parts of the page, and the ``pages`` (file by URL) that are made of them."""
    frame = (_PAGE / "frame.html").read_bytes()
    contents = {
        url: (frame.replace(_BODY, (_PAGE / name).read_bytes()), _KINDS[".html"])
        for url, name in pages.items()
    }
    contents |= {
        part.name: (part.read_bytes(), _KINDS[part.suffix])
        for part in sorted(_PAGE.iterdir())
        if part.suffix in _KINDS and part.suffix != ".html"
    }
    return [
        (f"/{below}{re.escape(url)}", File, {"hall": hall, "content": content, "kind": kind})
        for url, (content, kind) in contents.items()
    ]


class Page(RequestHandler):
    """Asks for the token, and tells browsers to trust nothing but us."""

    def initialize(self, hall: Hall) -> None:
        """Take what is shown."""
        self.hall = hall

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
        problem = self.hall.access.problem(
            host=headers.get("Host", ""), authorization=headers.get("Authorization", "")
        )
        if problem:
            raise HTTPError(problem)
        self.camera = unquote(str(self.path_kwargs.pop("camera", "")))
        if self.camera and self.camera not in self.hall.views:
            raise HTTPError(404)

    @property
    def view(self) -> View:
        """The camera that is asked for."""
        view = self.hall.views.get(self.camera)
        if view is None:
            raise HTTPError(404 if self.camera else 503)
        return view

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

    def initialize(self, hall: Hall, content: bytes = b"", kind: str = "") -> None:
        """Take what is shown."""
        super().initialize(hall)
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
        self.send_json({"title": self.view.title, **self.view.kept.figures.live()})

    head = get


class Setup(Page):
    """Where is looked, as the settings have it."""

    def get(self) -> None:
        """What can be drawn."""
        self.send_json({"title": self.view.title, **self.view.setup})

    head = get


class Overview(Page):
    """All cameras in short."""

    def get(self) -> None:
        """Name, health and rate of each."""
        views = list(self.hall.views.items())
        cameras = [
            {"name": name, "health": view.kept.figures.health(), "fps": view.kept.figures.live()["fps"]}
            for name, view in views
        ]
        self.send_json({"title": self.hall.title, "cameras": cameras})

    head = get


def _health(hall: Hall) -> dict[str, Any]:
    """The health of the only camera, or of all: failed if all have, degraded if any is not well."""
    each = {name: view.kept.figures.health() for name, view in list(hall.views.items())}
    if not hall.several and each:
        return next(iter(each.values()))
    states = {health["status"] for health in each.values()}
    failed = not states or states == {"failed"}
    return {
        "status": "failed" if failed else "ok" if states == {"ok"} else "degraded",
        "problems": [f"{name}: {problem}" for name, health in each.items() for problem in health["problems"]],
        "cameras": each,
    }


class Health(Page):
    """For who watches over the daemon: 200 while detection goes on, 503 when it does not."""

    def get(self) -> None:
        """The health now."""
        health = _health(self.hall)
        if health["status"] == "failed":
            self.set_status(503)
        self.send_json(health)

    head = get


class MetricsPage(Page):
    """For Prometheus."""

    def get(self) -> None:
        """The metrics now."""
        metrics = {name: view.kept.metrics for name, view in list(self.hall.views.items())}
        body, content_type = page(metrics, self.request.headers.get("Accept", ""))
        self.set_header("Content-Type", content_type)
        self.finish(body)


class Looking(Page):
    """A page that waits for pictures; a visitor who leaves ends the waiting."""

    def initialize(self, hall: Hall) -> None:
        """Nobody waits yet."""
        super().initialize(hall)
        self._waiting: asyncio.Task[bytes | None] | None = None

    async def picture(self) -> bytes | None:
        """The next picture; None when there will be none, for us or for this visitor."""
        self._waiting = asyncio.create_task(self.view.kept.board.next(), name="viewer")
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

    def initialize(self, hall: Hall, seats: Seats | None = None) -> None:
        """Take what is shown, and the seats."""
        super().initialize(hall)
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
