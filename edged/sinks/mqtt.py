"""MQTT: detections, counts, snapshots and the state of one camera, as the contract has them."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from edged.contract import payloads, states
from edged.contract.topics import Topics
from edged.mqtt import from_settings
from edged.mqtt.camera.ages import LabelAges
from edged.mqtt.camera.counts import Counts
from edged.mqtt.camera.events import CameraEvents
from edged.mqtt.camera.rate_limit import RateLimitedValues
from edged.mqtt.camera.snapshots import Snapshots
from edged.mqtt.commands import SWITCHES, Commands
from edged.mqtt.home.camera_device import CameraDevice

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edged.metrics import Delivery, Meter
    from edged.mqtt.camera.extent import Extent
    from edged.mqtt.delivery.message import Message
    from edged.mqtt.home.discovery import Announced
    from edged.mqtt.link.session import Session
    from edged.mqtt.node import MqttNode
    from edged.records import Event, Report, Result, State
    from edged.settings.declared import Settings
    from edged.sinks import Context, Control


class MqttSink:
    """Publishes results, reports and the state of a camera over the node's connection.

    Args:
        node: borrowed; given back by :meth:`close`.
        topics: where everything goes.
        meter: gets ``publish`` (send to PUBACK) and ``capture_to_ack``.
        control: obeys commands.
        give_back: lets the node go; whoever is last closes it.
        announced: what Home Assistant is told of the node.
        extent: how much of the camera is published.
        ages: says which labels were not seen for too long.
        starting: whether nobody has spoken for this camera yet in this run: what is known of it is wrong.
    """

    name = "mqtt"

    def __init__(
        self,
        node: MqttNode,
        topics: Topics,
        *,
        meter: Meter,
        control: Control,
        give_back: Callable[[], None],
        announced: Announced,
        extent: Extent,
        ages: LabelAges | None = None,
        starting: bool = False,
    ) -> None:
        self.topics = topics
        self.last_state: State | None = None
        self._node = node
        self._meter = meter
        self._control = control
        self._give_back = give_back
        self._empty = extent.empty
        self._outbox = node.outbox
        self._seq = node.handover.seqs[topics.camera]
        self._snapshots = Snapshots(extent.snapshot_interval_s)
        self._values = RateLimitedValues(node.outbox)
        self._counts = Counts(self._publish_count, extent.labels, starting=starting)
        self._events = CameraEvents(
            topics,
            node.outbox,
            ledger=node.ledger,
            boot_id=node.boot_id,
            extent=extent,
            values=self._values,
            starting=starting,
        )
        self._ages = ages or LabelAges(0.0)
        self._device = CameraDevice(
            topics,
            node.outbox,
            announced,
            extent,
            counts=self._counts,
            events=self._events,
            announce_node=node.announce,
        )
        self._starting = starting
        self._commands: Commands | None = None
        if node.several and node.obeys:
            self._commands = Commands(topics.camera_command, node.outbox, self.act)

    @classmethod
    def create(cls, settings: Settings, context: Context) -> MqttSink:
        """As the settings say.

        Raises:
            ConfigError: the password or a certificate cannot be read.
        """
        make = partial(
            from_settings.node,
            owner=context.lender.owner,
            boot_id=context.boot_id,
            reload=context.control.reload,
            named=context.lender.named,
        )
        node = context.lender.borrow("mqtt", settings, make)
        topics = Topics(settings.mqtt_prefix, settings.node, settings.camera)
        return cls(
            node,
            topics,
            meter=context.meter,
            control=context.control,
            give_back=partial(context.lender.give_back, node),
            announced=from_settings.announced(settings),
            extent=from_settings.extent(settings),
            ages=LabelAges(settings.label_days),
            starting=context.starting,
        )

    # The sink.

    def open(self) -> None:
        """Join the node, which connects with its first camera."""
        self._counts.start()
        self._events.start()
        if self._starting:
            self._outbox.post(self.topics.status, b"offline")
        self._node.join(self)

    def send(self, result: Result) -> None:
        """Publish one frame."""
        if result.detections or self._empty:
            message = payloads.detections(
                result,
                camera=self.topics.camera,
                boot_id=self._node.boot_id,
                seq=next(self._seq),
                now=time.time(),
            )
            self._outbox.put(
                self.topics.detections,
                payloads.encode(message),
                captured=result.frame.captured,
                waits=result.waits,
            )
        presence = result.presence
        self._values.limited = presence is not None
        if presence is not None:
            self._events.see(presence, result.frame.ts_capture)
            self._events.update(presence, self._counts.names)
        seen = Counter(found.label for found in result.detections) if presence is None else presence.counts
        self._ages.see(seen)
        if self._counts.update(seen):
            self._device.announce()
        self._values.flush()
        if (jpeg := self._snapshots.of(result)) is not None:
            self._outbox.post(self.topics.snapshot, jpeg, qos=0)

    def tell(self, events: Sequence[Event]) -> None:
        """Publish what has happened, at least once."""
        self._events.tell(events)

    def close(self) -> None:
        """Say that the camera has stopped, unless another sink goes on with it, and give the node back."""
        self._device.settle()  # there was no session, or hardly one
        self._values.flush(everything=True)
        if self.last_state is not None:
            self.last_state = dataclasses.replace(self.last_state, lifecycle="stopped")
            self._node.publish_state()
        if self._node.leave(self) and self._node.several:
            self._publish_state()
            self._outbox.post(self.topics.status, b"offline")
        self._give_back()

    # The reporter.

    def report(self, report: Report) -> None:
        """Publish the timings, and the state with a fresh account of the messages."""
        message = payloads.timings(
            report,
            camera=self.topics.camera,
            boot_id=self._node.boot_id,
            delivery=self.delivery(),
            now=time.time(),
        )
        self._outbox.post(self.topics.timings, payloads.encode(message), qos=0, retain=False)
        self._node.ledger.retry()
        self._node.publish_state()
        self._values.flush()
        if gone := self._counts.drop(self._ages.over(self._counts.names)):
            self._events.drop(gone)
            self._device.announce()
        self._device.equip(report.host)

    def state(self, state: State) -> None:
        """Publish what the daemon is doing."""
        # Whoever receives a message need not be told that there is no connection.
        absent = self._node.absent
        told = (reason.removeprefix(absent).strip() for reason in state.degraded)
        self.last_state = dataclasses.replace(state, degraded=tuple(filter(None, told)))
        self._device.know(self.last_state)
        self._publish_state()
        self._node.publish_state()
        self._device.announce()

    @property
    def problem(self) -> str:
        """Why there is no session, or what is wrong with the spool."""
        return self._node.problem

    @property
    def waiting(self) -> bool:
        """Whether :meth:`send` waits for the broker."""
        return self._outbox.waiting

    def delivery(self) -> Delivery:
        """The account of the node's messages now."""
        return self._node.delivery()

    # The member of the node.

    def connected(self, session: Session) -> None:
        """Ask for commands, and for what an earlier start has left."""
        session.subscribe(self.topics.count("+"), self._device.recall_count, own=True)
        if self._commands is not None:
            session.subscribe(self.topics.camera_command("+"), self._commands.handle)
        if self._ages.limited:
            session.subscribe(self.topics.last_seen("+"), self._ages.recall, own=True)
        for pattern in self._events.ask():
            session.subscribe(pattern, self._events.recall, own=True)
        self._device.ask(session)

    def acknowledged(self, message: Message) -> None:
        """Measure how long a frame took to the broker."""
        self._device.acknowledged(message)
        if message.captured is not None:
            now = time.monotonic()
            self._meter.observe("publish", 1e3 * (now - message.made))
            self._meter.observe("capture_to_ack", 1e3 * (now - message.captured))

    def repeat(self) -> None:
        """Publish everything retained again; the sink before this one has gone only now."""
        self._events.repeat()
        self._values.repeat()
        self._publish_state()
        self._node.publish_state()

    def act(self, command: str, value: str) -> str:
        """Obey ``snapshot``, ``pause`` or ``resume``, or set a switch."""
        if command in SWITCHES:
            return self._control.switch(command, value)
        if command == "snapshot":
            self._snapshots.ask()
            return f"a picture of the next frame goes to {self.topics.snapshot}"
        return self._control.pause() if command == "pause" else self._control.resume()

    def _publish_count(self, key: str, count: int | None) -> None:
        topic = self.topics.count(key)
        if count is None:
            self._values.clear(topic)
        else:
            self._values.put(topic, b"%d" % count)

    def _publish_state(self) -> None:
        state = self.last_state
        if state is None:
            return
        # While it is paused, counts say as little of now as while the camera is lost.
        seeing = state.camera_online and state.lifecycle != "paused"
        self._outbox.post(self.topics.status, b"online" if seeing else b"offline")
        if self._node.several:
            message = states.camera_state(
                state, camera=self.topics.camera, boot_id=self._node.boot_id, now=time.time()
            )
            self._outbox.post(self.topics.camera_state, payloads.encode(message))
