"""What every answer to a visitor has in common."""

from __future__ import annotations

import asyncio
import json
import math
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import unquote

import structlog
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, RequestHandler

from edged.http.access import CHALLENGE, KEPT_S, offers

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from types import TracebackType

    from edged.http.views import Display, View

T = TypeVar("T")

_POLICY = (  # blob: is for video that the page's own script puts together
    "default-src 'none'; img-src 'self'; media-src 'self' blob:; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_UNAUTHORIZED, _TOO_MANY = 401, 429

log = structlog.get_logger()


class Page(RequestHandler):
    """Asks for the token, and tells browsers to trust nothing but us."""

    def initialize(self, display: Display) -> None:
        """Take what is shown."""
        self.display = display
        self._wait_s = 0
        """Seconds after which the token may be tried again."""
        self._awaited: asyncio.Task[Any] | None = None

    def set_default_headers(self) -> None:
        """Headers of every answer."""
        self.clear_header("Server")
        self.set_header("Cache-Control", "no-store")
        self.set_header("Content-Security-Policy", _POLICY)
        self.set_header("Cross-Origin-Resource-Policy", "same-origin")
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("X-Content-Type-Options", "nosniff")

    async def prepare(self) -> None:
        """Turn away who may not look."""
        await self._let_in()
        self.camera = unquote(str(self.path_kwargs.pop("camera", "")))
        if self.camera and self.camera not in self.display.views:
            raise HTTPError(404)

    async def _let_in(self) -> None:
        """Ask for the token, or for what this browser was given for it."""
        guard, headers = self.display.access, self.request.headers
        left = guard.left(self.get_cookie(guard.cookie, "") or "")
        if left > KEPT_S / 2:
            return
        authorization = headers.get("Authorization", "")
        if left or not offers(authorization):
            problem = 0 if left else guard.problem(host=headers.get("Host", ""), authorization="")
        else:
            problem = await self.unless_gone(self._try(authorization), _UNAUTHORIZED)
        if problem:
            raise HTTPError(problem)
        if left or authorization[:5].lower() == "basic":  # a browser
            self._keep()

    async def _try(self, authorization: str) -> int:
        guard, guesses, address = self.display.access, self.display.guesses, self.request.remote_ip or ""
        async with guesses.turn(address):
            problem = guard.problem(host=self.request.headers.get("Host", ""), authorization=authorization)
            if problem == _UNAUTHORIZED and (wait_s := guesses.wrong(address)):
                self._wait_s = wait_s
                return _TOO_MANY
        return problem

    async def unless_gone(self, coming: Coroutine[Any, Any, T], gone: T) -> T:
        """What is waited for; ``gone`` if this visitor hangs up first."""
        self._awaited = asyncio.create_task(coming, name="visitor")
        try:
            return cast("T", await self._awaited)
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if current is not None and current.cancelling():
                raise
            return gone

    def on_connection_close(self) -> None:
        """Wait no longer."""
        if self._awaited is not None:
            self._awaited.cancel()

    def _keep(self) -> None:
        """Let this browser in again without the token, for a while."""
        guard = self.display.access
        self.set_cookie(
            guard.cookie,
            guard.pass_until(int(time.time() + KEPT_S)),
            max_age=KEPT_S,
            httponly=True,
            samesite="Lax",  # nothing here changes anything, and a link from Home Assistant should work
        )

    @property
    def view(self) -> View:
        """The camera that is asked for."""
        view = self.display.views.get(self.camera)
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
        if status_code == _UNAUTHORIZED:
            self.set_header("WWW-Authenticate", CHALLENGE)
        if status_code == _TOO_MANY:
            self.set_header("Retry-After", str(self._wait_s))
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


class JsonPage(Page):
    """Something as JSON."""

    def initialize(self, display: Display, tell: Callable[[Page], dict[str, Any]] | None = None) -> None:
        """Take what is shown, and what makes the JSON of a visit."""
        super().initialize(display)
        self._tell = tell

    def get(self) -> None:
        """How it is now."""
        assert self._tell is not None  # noqa: S101  # every route has it
        self.send_json(self._tell(self))

    head = get


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


class Seated(Page):
    """A page that only so many may have at a time, for as long as each takes what is sent."""

    patience_s = 10.0
    """How long a visitor may take for one piece; one who takes longer is gone."""

    def initialize(self, display: Display, seats: Seats | None = None) -> None:
        """Take what is shown, and the seats."""
        super().initialize(display)
        self.seats = seats or Seats(0)

    async def send(self, *pieces: bytes) -> None:
        """Have the visitor take them.

        Raises:
            TimeoutError: nothing was taken for too long; to be raised through ``patience``.
        """
        for piece in pieces:
            self.write(piece)
        await asyncio.wait_for(self.flush(), self.patience_s)

    @contextmanager
    def patience(self) -> Iterator[None]:
        """Ends with the visitor who leaves, or is stuck."""
        try:
            yield
        except StreamClosedError:
            pass
        except TimeoutError:
            log.debug("viewer_stuck", after_s=self.patience_s)
            self.detach().close()
