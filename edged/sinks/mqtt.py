"""MQTT: detections, counts, snapshots and the state of the daemon, as the contract has them."""

from __future__ import annotations

import dataclasses
import random
import threading
import time
from typing import TYPE_CHECKING

import structlog

from edged import bridge
from edged.contract import payloads
from edged.contract.topics import Topics, slug
from edged.mqtt.commands import Commands
from edged.mqtt.counts import Counts
from edged.mqtt.delivery import succession
from edged.mqtt.delivery.outbox import Outbox
from edged.mqtt.delivery.spooler import Spooler, SpoolFile
from edged.mqtt.discovery import Discovery, Entities
from edged.mqtt.link import credentials
from edged.mqtt.link.connection import Connection
from edged.mqtt.link.probe import check
from edged.mqtt.link.waker import Waker
from edged.mqtt.snapshots import Snapshots

if TYPE_CHECKING:
    from edged.metrics import Delivery, Meter
    from edged.mqtt.delivery.message import Message
    from edged.mqtt.link.client import BrokerAccess
    from edged.mqtt.link.session import Session
    from edged.records import Report, Result, State
    from edged.settings.declared import Settings
    from edged.sinks import Context, Control

log = structlog.get_logger()

_BIRTH_S = 5.0
"""Home Assistant asks for a random delay after its birth message, so that not all devices answer at once."""


class MqttSink:
    """Publishes results, reports and the state; a broker that is away costs messages at most, all counted.

    Args:
        access: the broker.
        topics: where everything goes.
        meter: gets ``publish`` (send to PUBACK) and ``capture_to_ack``.
        control: obeys commands; None: there are none.
        boot_id: identity of this run.
        limit: detections kept in memory while they cannot be sent.
        empty: whether frames without detections are published.
        labels: labels that are counted from the start; empty: those that turn up.
        spool: keeps on disk what cannot be sent; None: nothing is kept.
        snapshot_interval: seconds between pictures; 0: only on command.
        discovery: whether Home Assistant is told.
        discovery_prefix: its discovery prefix.
        stats_interval: seconds between reports.
        stop_timeout: seconds that :meth:`close` may take.
    """

    name = "mqtt"

    def __init__(
        self,
        access: BrokerAccess,
        topics: Topics,
        *,
        meter: Meter,
        boot_id: str,
        control: Control | None = None,
        limit: int = 1000,
        empty: bool = True,
        labels: tuple[str, ...] = (),
        spool: SpoolFile | None = None,
        snapshot_interval: float = 0.0,
        discovery: bool = False,
        discovery_prefix: str = "homeassistant",
        stats_interval: float = 10.0,
        stop_timeout: float = 10.0,
    ) -> None:
        self._topics = topics
        self._meter = meter
        self._boot_id = boot_id
        self._empty = empty
        self._stop_timeout = stop_timeout
        self._lineage = succession.of(boot_id)
        self._opening = threading.Lock()
        self._opened = False
        self._closing = threading.Event()
        self._state: State | None = None
        self._host: frozenset[str] = frozenset()
        self._previous_model: str | None = None
        self._greeting = threading.Event()

        self._waker = Waker()
        outbox = Outbox(limit=limit, wake=self._waker.ring, orders=self._lineage.orders)
        self._outbox = outbox
        self._spooler = Spooler(outbox, spool) if spool is not None else None
        self._connection = Connection(access, outbox, self._waker, self, availability=topics.availability)
        self._snapshots = Snapshots(snapshot_interval)
        self._counts = Counts(self._publish_count, labels)
        self._commands: Commands | None = None
        if control is not None:
            actions = {
                "snapshot": self._ask_for_snapshot,
                "pause": control.pause,
                "resume": control.resume,
                "reload": control.reload,
            }
            self._commands = Commands(topics, outbox, actions)
        self._announcing = discovery
        self._discovery = Discovery(
            topics,
            outbox,
            prefix=discovery_prefix,
            expire_after=max(3 * stats_interval, 30.0),
            snapshots=snapshot_interval > 0 or control is not None,
            wanted=discovery,
        )

    @classmethod
    def create(cls, settings: Settings, context: Context) -> MqttSink:
        """As the settings say.

        Raises:
            ConfigError: the password or a certificate cannot be read.
        """
        spool = None
        if settings.spool is not None:
            spool = SpoolFile(
                # The node in its name, so that several daemons may share a folder.
                settings.spool.expanduser() / f"edged-{slug(settings.node)}.sqlite3",
                max_bytes=settings.spool_max_mb * 1_000_000,
                max_age=settings.spool_max_age,
            )
        return cls(
            credentials.access_for(settings),
            Topics(settings.mqtt_prefix, settings.node, settings.camera),
            meter=context.meter,
            boot_id=context.boot_id,
            control=context.control if settings.commands else None,
            limit=settings.mqtt_queue,
            empty=settings.mqtt_empty,
            labels=settings.classes,
            spool=spool,
            snapshot_interval=settings.snapshot_interval,
            discovery=settings.ha_discovery,
            discovery_prefix=settings.ha_prefix,
            stats_interval=settings.stats_interval,
            stop_timeout=settings.stop_timeout,
        )

    # The sink.

    def open(self) -> None:
        """Start to connect. A broker that is away is no error: it is sought for as long as we run.

        Where this sink replaces another one in a reload, it starts when that has said goodbye.
        """
        self._outbox.post(self._topics.availability, b"online")
        self._counts.start()
        if self._lineage.turn.acquire(blocking=False):
            self._start()
        else:
            bridge.start("mqtt-turn", self._start_later)

    def send(self, result: Result) -> None:
        """Publish one frame."""
        if result.detections or self._empty:
            seq = next(self._lineage.seq)
            message = payloads.detections(result, boot_id=self._boot_id, seq=seq, now=time.time())
            self._outbox.put(
                self._topics.detections,
                payloads.encode(message),
                captured=result.frame.captured,
                waits=result.waits,
            )
        if self._counts.update(result.detections):
            self._announce()
        if (jpeg := self._snapshots.of(result)) is not None:
            self._outbox.post(self._topics.snapshot, jpeg, qos=0)

    def close(self) -> None:
        """Send what waits, say ``offline``, wait for the acknowledgements, go; log the account."""
        with self._opening:
            self._closing.set()
            opened = self._opened
        if self._state is not None:
            self._state = dataclasses.replace(self._state, lifecycle="stopped")
            self._publish_state()
        self._outbox.close()
        try:
            if opened:
                self._connection.close(0.7 * self._stop_timeout)
                self._outbox.detach()
                if self._spooler is not None:
                    self._spooler.close(0.2 * self._stop_timeout)
        finally:
            if opened:
                self._lineage.turn.release()
        self._outbox.abandon()
        self._waker.close()
        account = self.delivery()
        tell = log.error if not account.closes else log.warning if account.lost else log.info
        tell("mqtt_delivery", **dataclasses.asdict(account), closes=account.closes)

    # The reporter.

    def report(self, report: Report) -> None:
        """Publish the timings, and the state with a fresh account of the messages."""
        message = payloads.timings(report, boot_id=self._boot_id, delivery=self.delivery(), now=time.time())
        self._outbox.post(self._topics.timings, payloads.encode(message), qos=0, retain=False)
        self._publish_state()
        if report.host.keys() - self._host:
            self._host |= report.host.keys()
            self._announce()

    def state(self, state: State) -> None:
        """Publish what the daemon is doing."""
        if self._state is not None and self._state.model != state.model:
            self._counts.forget(seen=True)
        # Whoever receives a message need not be told that there is no connection.
        absent = self._connection.problem
        told = (reason.removeprefix(absent).strip() for reason in state.degraded)
        self._state = dataclasses.replace(state, degraded=tuple(filter(None, told)))
        self._compare_models()
        self._publish_state()
        self._outbox.post(self._topics.status, b"online" if state.camera_online else b"offline")
        self._announce()

    @property
    def problem(self) -> str:
        """Why there is no session, or what is wrong with the spool."""
        spool = self._spooler.problem if self._spooler is not None else ""
        return f"{self._connection.problem} {spool}".strip()

    @property
    def waiting(self) -> bool:
        """Whether :meth:`send` waits for the broker."""
        return self._outbox.waiting

    def delivery(self) -> Delivery:
        """The account of the messages now."""
        return self._outbox.delivery()

    # The connection's listener.

    def connected(self, session: Session) -> None:
        """Ask for commands, for what an earlier start has left, and for news of Home Assistant."""
        session.subscribe(self._topics.count("+"), self._recall_count, own=True)
        if self._commands is not None:
            session.subscribe(self._topics.command("+"), self._commands.handle)
        session.subscribe(self._discovery.topic, self._recall_announcement, own=True)
        if self._announcing:
            session.subscribe(self._discovery.birth_topic, self._hear_birth)

    def acknowledged(self, message: Message) -> None:
        """Measure how long a frame took to the broker."""
        if message.captured is not None:
            now = time.monotonic()
            self._meter.observe("publish", 1e3 * (now - message.made))
            self._meter.observe("capture_to_ack", 1e3 * (now - message.captured))

    def _start(self) -> None:
        with self._opening:
            if self._closing.is_set():
                self._lineage.turn.release()
                return
            self._opened = True
            if self._spooler is not None:
                self._spooler.open()
            self._connection.open()

    def _start_later(self) -> None:
        while not self._closing.is_set():
            if self._lineage.turn.acquire(timeout=0.2):
                self._start()
                return

    def _recall_count(self, topic: str, _: bytes, __: bool) -> None:  # noqa: FBT001  # a handler
        if self._counts.adopt(topic.rpartition("/")[2]):
            self._announce()

    def _recall_announcement(self, _: str, payload: bytes, __: bool) -> None:  # noqa: FBT001
        self._previous_model = self._discovery.previous(payload)
        self._compare_models()

    def _hear_birth(self, _: str, payload: bytes, retained: bool) -> None:  # noqa: FBT001
        # A retained one only says that Home Assistant runs: it gets everything with this connection anyway.
        if payload == b"online" and not retained and not self._greeting.is_set():
            self._greeting.set()
            bridge.start("mqtt-birth", self._greet)

    def _greet(self) -> None:
        """Home Assistant has started: tell it everything again."""
        self._closing.wait(random.uniform(0.5, _BIRTH_S))  # noqa: S311  # no secret
        self._greeting.clear()
        self._outbox.renew()

    def _compare_models(self) -> None:
        """Another model has other labels: what an earlier one has left is cleared."""
        if self._state is None or self._previous_model is None:
            return
        if self._previous_model != self._state.model:
            self._counts.forget(seen=False)
            self._announce()
        self._previous_model = None

    def _announce(self) -> None:
        self._discovery.announce(state=self._state, entities=Entities(self._counts.names, self._host))

    def _publish_count(self, key: str, count: int | None) -> None:
        self._outbox.post(self._topics.count(key), b"" if count is None else b"%d" % count)

    def _publish_state(self) -> None:
        if self._state is None:
            return
        message = payloads.state(
            self._state,
            boot_id=self._boot_id,
            delivery=self.delivery(),
            commands=self._commands.counts() if self._commands else {"accepted": 0, "refused": {}},
            now=time.time(),
        )
        self._outbox.post(self._topics.state, payloads.encode(message))

    def _ask_for_snapshot(self) -> str:
        self._snapshots.ask()
        return f"a picture of the next frame goes to {self._topics.snapshot}"


__all__ = ["MqttSink", "check"]
