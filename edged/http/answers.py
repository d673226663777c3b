"""What every answer to a visitor has in common."""

from __future__ import annotations

import asyncio
import json
import math
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import structlog
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, RequestHandler

from edged.http.access import CHALLENGE

if TYPE_CHECKING:
    from types import TracebackType

    from edged.http.views import Hall, View

_POLICY = (
    "default-src 'none'; img-src 'self'; media-src 'self'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

log = structlog.get_logger()


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

    def number(self, name: str, default: float | None = None) -> float:
        """A number in the query of the URL; 400 without one, unless there is a default."""
        try:
            number = float(self.get_query_argument(name, "" if default is None else str(default)))
        except ValueError:
            raise HTTPError(400) from None
        if not math.isfinite(number):
            raise HTTPError(400)
        return number

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
