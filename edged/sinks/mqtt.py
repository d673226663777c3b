"""MQTT: detections, counts, snapshots and the state of the daemon, as the contract has them."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from typing import TYPE_CHECKING

import structlog

from edged.mqtt import credentials, payloads
from edged.mqtt.bell import Bell
from edged.mqtt.client import Access
from edged.mqtt.connection import Connection
from edged.mqtt.outbox import Outbox
from edged.mqtt.spooler import Spooler
from edged.mqtt.topics import Topics, slug
from edged.mqtt.url import parse_url

if TYPE_CHECKING:
    from pathlib import Path

    from edged.config import Settings
    from edged.metrics import Meter
    from edged.mqtt.message import Delivery, Message
    from edged.records import Report, Result, State
    from edged.sinks import Context

log = structlog.get_logger()


class MqttSink:
    """Publishes results, reports and the state; a broker that is away costs messages at most, all counted.

    Args:
        access: the broker.
        topics: where everything goes.
        boot_id: identity of this run.
        meter: gets ``publish`` (send to PUBACK) and ``capture_to_ack``.
        limit: detections kept in memory while they cannot be sent.
        waits: a full memory makes :meth:`send` wait while there is hope.
        empty: whether frames without detections are published.
        spool: file that keeps on disk what cannot be sent; None: nothing is kept.
        spool_max_bytes: what it may take.
        spool_max_age: seconds after which spooled messages are dropped.
        stop_timeout: seconds that :meth:`close` may take.
    """

    name = "mqtt"

    def __init__(
        self,
        access: Access,
        topics: Topics,
        *,
        meter: Meter,
        boot_id: str,
        limit: int = 1000,
        waits: bool = False,
        empty: bool = True,
        spool: Path | None = None,
        spool_max_bytes: int = 100_000_000,
        spool_max_age: float = 7 * 86400.0,
        stop_timeout: float = 10.0,
    ) -> None:
        self._topics = topics
        self._meter = meter
        self._empty = empty
        self._stop_timeout = stop_timeout
        self._boot_id = boot_id
        self._seq = 0
        self._counts: dict[str, int] = {}
        self._state: State | None = None
        self._bell = Bell()
        self._outbox = Outbox(limit=limit, waits=waits, wake=self._bell.ring)
        self._spooler: Spooler | None = None
        if spool is not None:
            self._spooler = Spooler(self._outbox, spool, max_bytes=spool_max_bytes, max_age=spool_max_age)
        self._connection = Connection(
            access, self._outbox, self._bell, self, availability=topics.availability
        )

    @classmethod
    def create(cls, settings: Settings, context: Context) -> MqttSink:
        """As the settings say.

        Raises:
            ConfigError: the password or a certificate cannot be read.
        """
        return cls(
            access(settings),
            Topics(settings.mqtt_prefix, settings.node, settings.camera),
            meter=context.meter,
            limit=settings.mqtt_queue,
            waits=context.waits,
            boot_id=context.boot_id,
            empty=settings.mqtt_empty,
            # The node in its name, so that several daemons may share a folder.
            spool=settings.spool and settings.spool.expanduser() / f"edged-{slug(settings.node)}.sqlite3",
            spool_max_bytes=settings.spool_max_mb * 1_000_000,
            spool_max_age=settings.spool_max_age,
            stop_timeout=settings.stop_timeout,
        )

    def open(self) -> None:
        """Start to connect. A broker that is away is no error: it is sought for as long as we run."""
        self._outbox.post(self._topics.availability, b"online")
        if self._spooler is not None:
            self._spooler.open()
        self._connection.open()

    def send(self, result: Result) -> None:
        """Publish one frame."""
        if result.detections or self._empty:
            payload = payloads.detections(result, boot_id=self._boot_id, seq=self._seq, now=time.time())
            self._seq += 1
            self._outbox.put(
                self._topics.detections, payloads.encode(payload), captured=result.frame.captured
            )
        self._count(result)

    def report(self, report: Report) -> None:
        """Publish the timings, and the state with a fresh account of the messages."""
        delivery = self._outbox.delivery()
        timings: payloads.Timings = {
            "schema": payloads.SCHEMA,
            "boot_id": self._boot_id,
            "ts": round(time.time(), 3),
            "interval_s": report.interval_s,
            "fps": report.fps,
            "stages": {name: payloads.stage(stats) for name, stats in report.stages.items()},
            "frames": payloads.frames(report.frames),
            "sinks": {name: dict(counts) for name, counts in report.sinks.items()},
            "host": dict(report.host),
            "messages": delivery.payload(),
        }
        self._outbox.post(self._topics.timings, payloads.encode(timings), qos=0, retain=False)
        self._publish_state()

    def state(self, state: State) -> None:
        """Publish what the daemon is doing."""
        self._state = state
        self._publish_state()
        self._outbox.post(self._topics.status, b"online" if state.camera_online else b"offline")

    def close(self) -> None:
        """Send what waits, say ``offline``, wait for the acknowledgements, go; log the account."""
        if self._state is not None:
            self._state = dataclasses.replace(self._state, lifecycle="stopped")
            self._publish_state()
        self._outbox.close()
        self._connection.close(0.7 * self._stop_timeout)
        self._outbox.detach()
        if self._spooler is not None:
            self._spooler.close(0.2 * self._stop_timeout)
        self._outbox.abandon()
        self._bell.close()
        account = self.delivery()
        tell = log.warning if account.lost else log.info
        tell("mqtt_delivery", **dataclasses.asdict(account), closes=account.closes)

    def delivery(self) -> Delivery:
        """The account of the messages now."""
        return self._outbox.delivery()

    # The connection's listener.

    def connected(self) -> None:
        """Nothing to subscribe to."""

    def received(self, topic: str, payload: bytes, *, retained: bool) -> None:
        """Nothing is subscribed to."""

    def acknowledged(self, message: Message) -> None:
        """Measure."""
        if message.captured is not None:
            now = time.monotonic()
            self._meter.observe("publish", 1e3 * (now - message.made))
            self._meter.observe("capture_to_ack", 1e3 * (now - message.captured))

    def _count(self, result: Result) -> None:
        """Publish the counts that have changed."""
        counts = Counter(slug(found.label) for found in result.detections)
        for label in self._counts.keys() | counts.keys():
            if counts[label] != self._counts.get(label):
                self._counts[label] = counts[label]
                self._outbox.post(self._topics.count(label), b"%d" % counts[label])

    def _problems(self) -> list[str]:
        """What degrades the delivery."""
        return [self._spooler.problem] if self._spooler is not None and self._spooler.problem else []

    def _publish_state(self) -> None:
        state = self._state
        if state is None:
            return
        message: payloads.StateMessage = {
            "schema": payloads.SCHEMA,
            "boot_id": self._boot_id,
            "ts": round(time.time(), 3),
            "lifecycle": state.lifecycle,  # type: ignore[typeddict-item]  # the record's own words
            "device": state.device,
            "runtime": state.runtime,
            "model": state.model,
            "version": state.version,
            "config_hash": state.config_hash,
            "camera_online": state.camera_online,
            "source": dict(state.source),
            "degraded": [*state.degraded, *self._problems()],
            "messages": self._outbox.delivery().payload(),
            "commands": {"accepted": 0, "refused": {}},
        }
        self._outbox.post(self._topics.state, payloads.encode(message))


def access(settings: Settings, *, suffix: str = "") -> Access:
    """The broker of the settings; ``suffix`` tells a second client of the same daemon apart.

    Raises:
        ConfigError: the URL is malformed, or the password or a certificate cannot be read.
    """
    assert settings.mqtt_url is not None  # noqa: S101  # without it nobody asks
    broker = parse_url(settings.mqtt_url)
    if settings.mqtt_password_file is not None:
        secret = credentials.password(settings.mqtt_password_file.expanduser())
        broker = dataclasses.replace(broker, password=secret)
    tls = None
    if broker.tls:
        tls = credentials.tls_context(settings.mqtt_ca, settings.mqtt_cert, settings.mqtt_key)
    return Access(
        broker=broker,
        # One id a node: a connection that hangs half dead in the broker is taken over, and its will comes
        # before our "online" and not after.
        client_id=f"edged-{settings.node}{suffix}",
        version=settings.mqtt_version,
        keepalive=settings.mqtt_keepalive,
        tls=tls,
    )
