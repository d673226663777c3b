"""The daemon as the broker sees it: one connection, one will, one spool and one account for all cameras."""

from __future__ import annotations

import dataclasses
import hashlib
import threading
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Protocol

import structlog

from edged import bridge
from edged.contract import payloads, states
from edged.contract.topics import Topics
from edged.mqtt import handover
from edged.mqtt.commands import CAMERA_COMMANDS, Commands
from edged.mqtt.delivery.outbox import Outbox
from edged.mqtt.delivery.spooler import Spooler
from edged.mqtt.home.birth import Birth
from edged.mqtt.home.discovery import Announced
from edged.mqtt.home.node_device import NodeDevice
from edged.mqtt.link.connection import Connection
from edged.mqtt.link.session import Listener
from edged.mqtt.link.waker import Waker
from edged.mqtt.retained.cleanup import Cleanup
from edged.mqtt.retained.names import Names
from edged.mqtt.update_check import VersionWatch
from edged.records import State

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from edged.contract.topics import NodeTopics
    from edged.metrics import Delivery
    from edged.mqtt.delivery.message import Message
    from edged.mqtt.delivery.spooler import SpoolFile
    from edged.mqtt.link.client import BrokerAccess
    from edged.mqtt.link.session import Session
    from edged.mqtt.retained.names import Memory

log = structlog.get_logger()


class Member(Listener, Protocol):
    """A camera of the node. Its methods must not block, and may be called from any thread.

    Acknowledged are only its own messages.
    """

    topics: Topics

    @property
    def last_state(self) -> State | None:
        """What it was last told to be; None before that."""
        ...

    def repeat(self) -> None:
        """Publish again everything that is retained: another one has published there."""
        ...

    def act(self, command: str, value: str) -> str:
        """Obey one of the cameras' commands, or set a switch to a value; says what was done.

        Raises:
            EdgedError: it was refused, and why.
        """
        ...


@dataclass(frozen=True, slots=True)
class NodeOptions:
    """How a node is to be."""

    limit: int = 1000
    """Detections kept in memory while they cannot be sent."""
    announced: Announced = field(default_factory=Announced)
    """What Home Assistant is told."""
    stop_timeout_s: float = 10.0
    """What :meth:`MqttNode.close` may take."""
    update_url: str = ""
    """Who is asked for a newer version; empty: nobody."""


class MqttNode:
    """Lends the connection to the cameras' sinks. A broker that is away costs messages at most, all counted.

    Args:
        access: the broker.
        topics: the node's.
        options: how it is to be.
        boot_id: identity of this run.
        spool: keeps on disk what cannot be sent; None: nothing is kept.
        reload: reads the settings again; None: no command is obeyed.
        named: cameras that there are by the settings; none: that is not known.
        memory: what the daemon was called before.
    """

    def __init__(
        self,
        access: BrokerAccess,
        topics: NodeTopics,
        options: NodeOptions = NodeOptions(),  # it is frozen
        *,
        boot_id: str,
        spool: SpoolFile | None = None,
        reload: Callable[[], str] | None = None,
        named: Callable[[], Collection[str]] = frozenset,
        memory: Memory | None = None,
    ) -> None:
        self.boot_id = boot_id
        self.several = options.announced.several
        self.obeys = reload is not None
        """Whether commands are obeyed."""
        self._topics = topics
        self._stop_timeout_s = options.stop_timeout_s
        self.handover = handover.of(boot_id)
        self._opening = threading.Lock()
        self._begun = False
        self._opened = False
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._members: dict[str, Member] = {}
        self._session: Session | None = None

        self._waker = Waker()
        self.outbox = Outbox(limit=options.limit, wake=self._waker.ring, orders=self.handover.orders)
        """Takes the messages of all cameras."""
        self._versions = VersionWatch(options.update_url, self.publish_state)
        told = options.announced
        self._birth = Birth(told.prefix, self.outbox.renew) if told.wanted else None
        self._device = NodeDevice(topics, self.outbox, told) if told.wanted and told.several else None
        self._spooler = Spooler(self.outbox.disk, spool, stored=self._stored) if spool is not None else None
        self.ledger = self.handover.ledger(spool.events if spool else None)
        """Knows which events are open, with a spool even after a kill."""
        called = Names(topics.prefix, topics.node, told.prefix if told.wanted else "")
        self._cleanup = Cleanup(called, self.outbox, self.handover, named=named, memory=memory)
        self._connection = Connection(
            access, self.outbox, self._waker, self, availability=topics.availability
        )
        self.commands: Commands | None = None
        if reload is not None:
            names = (*CAMERA_COMMANDS, "reload")
            self.commands = Commands(topics.command, self.outbox, partial(self._obey, reload), names=names)

    # For the cameras.

    def join(self, member: Member) -> None:
        """Take a camera in; the first one begins to connect. One of the same name makes way for it.

        A broker that is away is no error: it is sought for as long as we run. Where this node replaces
        another one in a reload, it starts when that has said goodbye.
        """
        self._cleanup.joined(member.topics.camera)
        with self._lock:
            self._members[member.topics.camera] = member
            session, begun = self._session, self._begun
            self._begun = True
        if session is not None:
            session.later(partial(member.connected, session))
        if not begun:
            self._open()

    def leave(self, member: Member) -> bool:
        """Let a camera go; whether its topics must say so, since nobody of its name is left to keep them."""
        with self._lock:
            successor = self._members.get(member.topics.camera)
            if successor is member:
                del self._members[member.topics.camera]
                successor = None
        if successor is not None:
            successor.repeat()
            return False
        return not self._cleanup.left(member.topics.camera)

    def publish_state(self) -> None:
        """Tell what the daemon is doing, with a fresh account of the messages."""
        with self._lock:
            told = {name: member.last_state for name, member in sorted(self._members.items())}
        known = {name: state for name, state in told.items() if state is not None}
        if not known:
            return
        message = states.state(
            _joint(known) if self.several else list(known.values())[-1],
            cameras=list(told),
            boot_id=self.boot_id,
            delivery=self.delivery(),
            commands=self.commands.counts() if self.commands else {"accepted": 0, "refused": {}},
            started=self.handover.started,
            now=time.time(),
            newest=self._versions.newest,
        )
        self.outbox.post(self._topics.state, payloads.encode(message))

    @property
    def absent(self) -> str:
        """Why there is no session; empty while there is one."""
        return self._connection.absent

    @property
    def problem(self) -> str:
        """Why there is no session, or what is wrong with the broker, the queue or the spool."""
        spool = self._spooler.problem if self._spooler is not None else ""
        problems = self._connection.problem, self.outbox.problem, spool, self.ledger.problem
        return " ".join(filter(None, problems))

    def announce(self, host: frozenset[str], *, version: str) -> None:
        """Tell Home Assistant of the device that several cameras lie below, if what it is told has changed.

        Args:
            host: sensors that the machine has.
            version: of edged.
        """
        with self._lock:
            first = next(iter(self._members.values()), None)
        if self._device is not None and first is not None:
            self._device.announce(host, version=version, timings=first.topics.timings)

    def delivery(self) -> Delivery:
        """The account of the messages now."""
        return self.outbox.delivery()

    def close(self) -> None:
        """Send what waits, say ``offline``, wait for the acknowledgements, go; log the account."""
        with self._opening:
            self._closing.set()
            opened = self._opened
        self._versions.close()
        if self._birth is not None:
            self._birth.close()
        farewell = self._cleanup.end()
        self.ledger.settle(0.1 * self._stop_timeout_s)
        self.outbox.close()
        try:
            if opened:
                self._connection.close(0.6 * self._stop_timeout_s, farewell=farewell)
                self.outbox.detach()
                if self._spooler is not None:
                    self._spooler.close(0.15 * self._stop_timeout_s)
        finally:
            if opened:
                self.handover.turn.release()
        self.outbox.abandon()
        self.ledger.settle(0.05 * self._stop_timeout_s)
        self._waker.close()
        account = self.delivery()
        tell = log.error if not account.closes else log.warning if account.lost else log.info
        tell("mqtt_delivery", **dataclasses.asdict(account), closes=account.closes)

    # The connection's listener.

    def connected(self, session: Session) -> None:
        """Ask for commands, for what an earlier start has left, and for news of Home Assistant."""
        with self._lock:
            self._session = session
            members = list(self._members.values())
        for member in members:
            member.connected(session)
        self._cleanup.connected(session)
        if self.commands is not None:
            session.subscribe(self._topics.command("+"), self.commands.handle)
        if self._birth is not None:
            self._birth.ask(session)
        if self._device is not None:
            self._device.ask(session)

    def acknowledged(self, message: Message) -> None:
        """Let the camera that a message is of measure how long it took."""
        self._cleanup.acknowledged(message)
        if self._device is not None:
            self._device.acknowledged(message)
        self._stored([message])
        camera = message.topic.removeprefix(self._topics.base).split("/")[1]
        with self._lock:
            member = self._members.get(camera)
        if member is not None:
            member.acknowledged(message)

    def _stored(self, messages: Sequence[Message]) -> None:
        """These will not get lost: the broker has them, or the disk."""
        for message in messages:
            if message.topic.endswith("/events"):
                self.ledger.safe(message.payload)

    def _open(self) -> None:
        for camera, payload in self.ledger.leftovers(self.boot_id):
            self.outbox.put(Topics(self._topics.prefix, self._topics.node, camera).events, payload)
        self.outbox.post(self._topics.availability, b"online")
        self._cleanup.begin()
        self._versions.open()
        if self.handover.turn.acquire(blocking=False):
            self._start()
        else:
            bridge.start("mqtt-turn", self._start_later)

    def _start(self) -> None:
        with self._opening:
            if self._closing.is_set():
                self.handover.turn.release()
                return
            self._opened = True
            if self._spooler is not None:
                self._spooler.open()
            self._connection.open()

    def _start_later(self) -> None:
        while not self._closing.is_set():
            if self.handover.turn.acquire(timeout=0.2):
                self._start()
                return

    def _obey(self, reload: Callable[[], str], command: str, value: str) -> str:
        if command == "reload":
            return reload()
        with self._lock:
            members = list(self._members.values())
        return "; ".join(dict.fromkeys(member.act(command, value) for member in members))


def _joint(states: dict[str, State]) -> State:
    """The cameras' states as one: what differs is told of each, what holds only of all is true if it does."""
    every = list(states.values())
    lifecycles = [state.lifecycle for state in every]
    return State(
        lifecycle="running" if "running" in lifecycles else lifecycles[0],
        device=", ".join(dict.fromkeys(state.device for state in every if state.device)),
        runtime=", ".join(dict.fromkeys(state.runtime for state in every if state.runtime)),
        model=", ".join(dict.fromkeys(state.model for state in every)),
        version=every[0].version,
        config_hash=hashlib.sha256("".join(state.config_hash for state in every).encode()).hexdigest()[:12],
        camera_online=all(state.camera_online for state in every),
        degraded=tuple(f"{name}: {reason}" for name, state in states.items() for reason in state.degraded),
    )
