"""A webhook: events by HTTP to a server of the user's choice, with the best picture of the object."""

from __future__ import annotations

import json
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, Literal

from edged.contract import event_messages
from edged.contract.event_messages import Telling
from edged.contract.notices import Notice
from edged.durable.ledger import EventLedger
from edged.durable.spool_folder import spool_folder
from edged.imaging.jpeg import encoded
from edged.webhook.courier import Courier
from edged.webhook.server import HttpServer

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from edged.records import Event, Report, Result, State
    from edged.settings.declared import Settings
    from edged.sinks import Context

_QUALITY = 85
_PICTURES = 300
"""Objects of which a picture is kept: as many as are followed at once."""
_CHECK_S = 10.0
"""How long a server may take to be reached in a check."""


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
        lender = context.lender
        ledger = lender.borrow(f"webhook {settings.camera}", settings, partial(_ledger, context=context))
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
        self._courier = Courier(self._server, self._body, self._ledger.done)
        for _, payload in self._ledger.leftovers(self._boot_id):
            self._bring(Telling(json.loads(payload), payload), b"")

    def send(self, result: Result) -> None:
        """A frame is no news."""

    def tell(self, events: Sequence[Event]) -> None:
        """Hand on what has happened, with the best picture so far."""
        for event in events:
            # Who is told of starts only needs no better picture.
            if event.crop is not None and (event.kind == "start" or self._kinds != {"start"}):
                self._pictures[event.event_id] = encoded(event.crop, _QUALITY)
                if len(self._pictures) > _PICTURES:
                    self._pictures.popitem(last=False)
            jpeg = self._pictures.get(event.event_id, b"")
            if event.kind == "end":
                self._pictures.pop(event.event_id, None)
            told = event_messages.told(event, camera=self._camera, boot_id=self._boot_id)
            self._ledger.note(told, partial(self._bring, told, jpeg))

    def close(self) -> None:
        """Bring what waits, if disk and server take it soon; the rest is for who comes next, or lost."""
        if self._courier is not None:
            self._ledger.settle(0.1 * self._stop_timeout_s)
            left = self._courier.close(0.4 * self._stop_timeout_s, keep=self._ledger.lasting)
            self._ledger.pass_on(left)
        self._give_back()

    def _bring(self, told: Telling, jpeg: bytes) -> None:
        assert self._courier is not None  # noqa: S101  # open() comes first
        if told.message["type"] in self._kinds:
            self._courier.put(Notice(told, jpeg))
        else:
            self._ledger.done(told)

    @property
    def problem(self) -> str:
        """Why events are not taken, or would not outlive a kill."""
        courier = self._courier.problem if self._courier is not None else ""
        return "; ".join(filter(None, (courier, self._ledger.problem)))

    def account(self) -> Mapping[str, int]:
        """What became of the events that were to be sent."""
        return {f"events_{fate}": n for fate, n in self._courier.counts.items()} if self._courier else {}

    def report(self, report: Report) -> None:
        """Try again what the disk has not taken, and bring what the one before a reload has not."""
        del report
        self._ledger.retry()
        for told in self._ledger.passed_on():
            self._bring(told, b"")

    def state(self, state: State) -> None:
        """So does the state."""


def _ledger(settings: Settings, *, context: Context) -> EventLedger:
    """For one camera, beside the spool; without one nothing outlives the run."""
    folder = spool_folder(settings)
    origin = context.lender.owner.origin
    return EventLedger(folder.webhook(origin, settings.camera) if folder is not None else None)


def check(settings: Settings) -> str:
    """Whether the server is there; nothing is sent to it.

    Raises:
        WebhookError: it is not.
    """
    assert settings.webhook_url is not None  # noqa: S101  # the caller asks only if it is set
    server = HttpServer(settings.webhook_url)
    server.reach(_CHECK_S)
    return f"{server.name} answers"
