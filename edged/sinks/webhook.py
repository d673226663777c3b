"""A webhook: events by HTTP to a server of the user's choice, with the best picture of the object."""

from __future__ import annotations

import contextlib
import http.client
import json
import math
import ssl
import threading
import time
from collections import Counter, OrderedDict, deque
from functools import partial
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

import structlog

import edged
from edged import bridge
from edged.backoff import Backoff
from edged.contract import happenings, payloads
from edged.contract.notices import BODIES, Notice
from edged.errors import SinkError
from edged.imaging.jpeg import encoded
from edged.mqtt.camera.ledger import EventLedger
from edged.settings.http_url import basic_login
from edged.settings.secrets import server_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from edged.contract.happenings import EventMessage
    from edged.contract.notices import Body
    from edged.records import Event, Report, Result, State
    from edged.settings.declared import Settings
    from edged.sinks import Context

_QUALITY = 85
_QUEUE = 200
"""Notices that wait for a server that is away; then updates give way first."""
_PICTURES = 300
"""Objects of which a picture is kept: as many as are followed at once."""
_ANSWER_S = 10.0
"""How long a server may be silent."""
_RECENT_S = 60.0
"""How long notices that were left out count as a trouble of now."""
_NICE = 10
"""As the sinks': news can wait for the model, which has a core to itself more often then."""
_BUSY = frozenset({408, 425, 429})
"""Answers of a server that wants to be asked again; so does every answer from 500 on."""

log = structlog.get_logger()


class WebhookError(SinkError):
    """The server has not taken a notice."""

    def __init__(self, problem: str, *, final: bool = False, wait_s: float = 0.0) -> None:
        super().__init__(problem)
        self.final = final
        """Whether it will not take it next time either."""
        self.wait_s = wait_s
        """How long it asks us to wait."""


class HttpServer:
    """Takes bodies by POST, one connection each. What it is called in messages holds no secret.

    Args:
        url: http or https; user and password are sent as Basic authentication.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None  # noqa: S101  # the settings see to it
        self.name = server_of(url)
        self._tls = parts.scheme == "https"
        # Said even where it is the usual one: http.client looks for one in an IPv6 address else.
        self._host, self._port = parts.hostname, parts.port or (443 if self._tls else 80)
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._headers = {"User-Agent": f"edged/{edged.__version__}"}
        if parts.username is not None or parts.password is not None:
            self._headers["Authorization"] = basic_login(parts.username or "", parts.password or "")

    def reach(self, timeout_s: float) -> None:
        """Connect, and send nothing.

        Raises:
            WebhookError: nobody is there.
        """
        with self._translated(timeout_s), contextlib.closing(self._connection(timeout_s)) as connection:
            connection.connect()

    def post(self, body: Body, timeout_s: float) -> None:
        """Send one body.

        Raises:
            WebhookError: it was not taken.
        """
        with self._translated(timeout_s), contextlib.closing(self._connection(timeout_s)) as connection:
            connection.request("POST", self._target, body.content, {**self._headers, **body.headers})
            with connection.getresponse() as answer:
                status = answer.status
                wait = answer.headers.get("Retry-After", "")
        if 200 <= status < 300:  # noqa: PLR2004  # RFC 9110: successful
            return
        busy = status in _BUSY or status >= 500  # noqa: PLR2004  # RFC 9110: server error
        raise WebhookError(
            f"{self.name} answers {status} {http.client.responses.get(status, '')}".rstrip(),
            final=not busy,
            wait_s=min(float(wait), 300.0) if wait.isdecimal() else 0.0,
        )

    def _connection(self, timeout_s: float) -> http.client.HTTPConnection:
        if self._tls:
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(self._host, self._port, timeout=timeout_s, context=context)
        return http.client.HTTPConnection(self._host, self._port, timeout=timeout_s)

    @contextlib.contextmanager
    def _translated(self, timeout_s: float) -> Iterator[None]:
        """What the network raises as one kind of error, without the URL."""
        try:
            yield
        except TimeoutError as error:
            raise WebhookError(f"{self.name} does not answer within {timeout_s:.0f} s") from error
        except http.client.HTTPException as error:
            raise WebhookError(f"{self.name} does not speak HTTP ({type(error).__name__})") from error
        except UnicodeError as error:
            raise WebhookError(f"{self.name} cannot be reached: its name is malformed") from error
        except OSError as error:
            raise WebhookError(f"{self.name} cannot be reached: {error.strerror or error}") from error


class Courier:
    """Brings notices to a server in their order, from a thread of its own, for as long as it takes.

    Its account closes: ``made = delivered + refused + lost`` and what waits.

    Args:
        server: where they go.
        body: the form in which it wants them.
        done: hears of every event that needs to be brought no more, whatever became of it.
    """

    def __init__(self, server: HttpServer, body: str, done: Callable[[EventMessage], None]) -> None:
        self.counts: Counter[str] = Counter(delivered=0, refused=0, lost=0)
        self._server = server
        self._done = done
        self._body = BODIES[body]
        self._waiting: deque[Notice] = deque()
        self._due = threading.Condition()
        self._backoff = Backoff(1.0, 60.0)
        self._failure = ""
        self._overflowed = -math.inf
        self._until = math.inf
        """When the last attempt must be over."""
        self._thread = bridge.start("webhook", self._run, nice=_NICE)

    @property
    def problem(self) -> str:
        """Why notices are not taken, and whether some were left out; empty when all is well."""
        told = self._failure
        if time.monotonic() - self._overflowed < _RECENT_S:
            told += f" {self.counts['lost']} notices were left out: more are made than it takes."
        return f"the webhook is in trouble: {told.strip()}" if told else ""

    def put(self, notice: Notice) -> None:
        """Take one notice. Never blocks."""
        with self._due:
            self._waiting.append(notice)
            if len(self._waiting) > _QUEUE:
                kinds = [one.event["type"] for one in self._waiting][1:]  # the first is under way
                given_way = 1 + (kinds.index("update") if "update" in kinds else 0)
                self._done(self._waiting[given_way].event)
                del self._waiting[given_way]
                self.counts["lost"] += 1
                if time.monotonic() - self._overflowed > _RECENT_S:
                    log.warning("webhook_overflow", server=self._server.name, waiting=_QUEUE)
                self._overflowed = time.monotonic()
            self._due.notify()

    def close(self, within_s: float) -> None:
        """Bring what waits, as long as the server takes it; what it does not take is lost."""
        with self._due:
            self._until = time.monotonic() + within_s
            self._due.notify()
        self._thread.join(within_s)
        with self._due:
            self.counts["lost"] += len(self._waiting)
            for notice in self._waiting:
                self._done(notice.event)
            self._waiting.clear()
        tell = log.warning if self.counts["lost"] or self.counts["refused"] else log.info
        tell("webhook_account", server=self._server.name, **self.counts)

    def _run(self) -> None:
        while True:
            with self._due:
                while not self._waiting and self._until == math.inf:
                    self._due.wait()
                if not self._waiting or time.monotonic() >= self._until:
                    return
                notice = self._waiting[0]
            wait_s = self._attempt(notice)
            with self._due:
                if wait_s:
                    self._due.wait_for(lambda: self._until < math.inf, wait_s)
                    if self._until < math.inf:
                        return

    def _attempt(self, notice: Notice) -> float:
        """Try to bring one notice; how many seconds to wait before it is tried again, 0 when it is done."""
        timeout_s = max(0.1, min(_ANSWER_S, self._until - time.monotonic()))
        try:
            self._server.post(self._body(notice), timeout_s)
        except WebhookError as error:
            self._tell(str(error))
            if not error.final:
                return max(error.wait_s, self._backoff.after(0.0), 0.05)
            self._settle(notice, "refused")
        else:
            self._tell("")
            self._backoff.reset()
            self._settle(notice, "delivered")
        return 0.0

    def _settle(self, notice: Notice, fate: str) -> None:
        with self._due:
            # It may have had to give way meanwhile, and was counted then.
            if self._waiting and self._waiting[0] is notice:
                self._waiting.popleft()
                self.counts[fate] += 1
                self._done(notice.event)

    def _tell(self, failure: str) -> None:
        if failure and failure != self._failure:
            log.warning("webhook_fails", error=failure)
        elif self._failure and not failure:
            log.info("webhook_works_again", server=self._server.name)
        self._failure = failure


class WebhookSink:
    """Hands events to a courier; frames are none of its business.

    Args:
        server: where events go.
        body: ``json``, ``form`` or ``picture``.
        kinds: which news are sent.
        camera: its name, for the event.
        boot_id: identity of this run, for the same.
        stop_timeout_s: seconds of which :meth:`close` may take a half.
        ledger: knows over a kill what has begun and what is still to be brought; borrowed.
        give_back: lets it go.
    """

    name = "webhook"
    only_events: Literal[True] = True
    waiting = False
    """It never waits."""

    def __init__(
        self,
        server: HttpServer,
        *,
        body: str,
        kinds: Collection[str],
        camera: str,
        boot_id: str,
        stop_timeout_s: float = 10.0,
        ledger: EventLedger | None = None,
        give_back: Callable[[], None] = lambda: None,
    ) -> None:
        self._ledger = ledger or EventLedger(None)
        self._give_back = give_back
        self._server = server
        self._body = body
        self._kinds = frozenset(kinds)
        self._camera = camera
        self._boot_id = boot_id
        self._stop_timeout_s = stop_timeout_s
        self._courier: Courier | None = None
        self._pictures: OrderedDict[str, bytes] = OrderedDict()
        """JPEGs by event."""

    @classmethod
    def create(cls, settings: Settings, context: Context) -> WebhookSink:
        """As ``EDGED_WEBHOOK_URL`` and what belongs to it say."""
        assert settings.webhook_url is not None  # noqa: S101  # the registry asks only if it is set
        origin, lender = context.lender.origin, context.lender
        ledger = lender.borrow(f"webhook {settings.camera}", settings, partial(_ledger, origin=origin))
        return cls(
            HttpServer(settings.webhook_url),
            body=settings.webhook_body,
            kinds=settings.webhook_events,
            camera=settings.camera,
            boot_id=context.boot_id,
            stop_timeout_s=settings.stop_timeout,
            ledger=ledger,
            give_back=partial(lender.give_back, ledger),
        )

    def open(self) -> None:
        """Begin with what a killed run still owes; a server that is away is no error, it may come."""
        self._courier = Courier(self._server, self._body, self._brought)
        for _, payload in self._ledger.leftovers(self._boot_id):
            self._bring(json.loads(payload), b"")

    def send(self, result: Result) -> None:
        """A frame is no news."""

    def tell(self, events: Sequence[Event]) -> None:
        """Hand on what has happened, with the best picture so far."""
        for event in events:
            if event.crop is not None:
                self._pictures[event.event_id] = encoded(event.crop, _QUALITY)
                if len(self._pictures) > _PICTURES:
                    self._pictures.popitem(last=False)
            jpeg = self._pictures.get(event.event_id, b"")
            if event.kind == "end":
                self._pictures.pop(event.event_id, None)
            message = happenings.event(event, camera=self._camera, boot_id=self._boot_id)
            self._ledger.note(message, partial(self._bring, message, jpeg))

    def close(self) -> None:
        """Bring what waits, if the disk and the server take it soon."""
        if self._courier is not None:
            self._ledger.settle(0.1 * self._stop_timeout_s)
            self._courier.close(0.4 * self._stop_timeout_s)
        self._give_back()

    def _bring(self, message: EventMessage, jpeg: bytes) -> None:
        assert self._courier is not None  # noqa: S101  # open() comes first
        if message["type"] in self._kinds:
            self._courier.put(Notice(message, jpeg))
        else:
            self._brought(message)

    def _brought(self, message: EventMessage) -> None:
        self._ledger.safe(payloads.encode(message))
        self._ledger.keep()  # or a kill long after the last event would have it brought again

    @property
    def problem(self) -> str:
        """Why events are not taken, or would not outlive a kill."""
        courier = self._courier.problem if self._courier is not None else ""
        return "; ".join(filter(None, (courier, self._ledger.problem)))

    def account(self) -> Mapping[str, int]:
        """What became of the events that were to be sent."""
        return {f"events_{fate}": n for fate, n in self._courier.counts.items()} if self._courier else {}

    def report(self, report: Report) -> None:
        """Figures go elsewhere."""

    def state(self, state: State) -> None:
        """So does the state."""


def _ledger(settings: Settings, *, origin: str) -> EventLedger:
    """For one camera, beside the spool; without one nothing outlives the run."""
    if settings.spool is None:
        return EventLedger(None)
    return EventLedger(settings.spool.expanduser() / f"edged-{origin}-{settings.camera}.webhook.json")


def check(settings: Settings) -> str:
    """Whether the server is there; nothing is sent to it.

    Raises:
        WebhookError: it is not.
    """
    assert settings.webhook_url is not None  # noqa: S101  # the caller asks only if it is set
    server = HttpServer(settings.webhook_url)
    server.reach(_ANSWER_S)
    return f"{server.name} answers"


__all__ = ["WebhookSink", "check"]
