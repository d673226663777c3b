"""One thread that keeps a session with the broker, sends what the outbox gives and hands out what arrives.

paho speaks the protocol; the loop around it is ours, so that all of paho is called from one thread. Every
connection gets a client of its own: what was not acknowledged lies in our outbox and nowhere else, so there
is one bound, one order and one account of it.
"""

from __future__ import annotations

import random
import selectors
import socket
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import structlog
from paho.mqtt.client import topic_matches_sub
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from edged import bridge
from edged.mqtt import faults
from edged.mqtt.client import CONNECT_TIMEOUT_S, Limits, build, connect

if TYPE_CHECKING:
    from collections.abc import Callable

    from paho.mqtt import client as paho
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

    from edged.mqtt.bell import Bell
    from edged.mqtt.client import Access
    from edged.mqtt.message import Message
    from edged.mqtt.outbox import Outbox

log = structlog.get_logger()

WINDOW = 64
"""Messages sent and not yet acknowledged: enough for 200 a second over 300 ms of round trip."""
_BACKOFF_S = (0.5, 30.0)
_STABLE_S = 10.0
"""A session that ends sooner is no success: two clients with one id throw each other out for ever."""
_REFUSED_S = 60.0
"""A broker that said no needs somebody to mend it; asking more often only fills its log."""
_GOODBYE_S = 2.0
"""How much of the time to stop is kept for ``offline`` and its acknowledgement."""
_NOT_AUTHORIZED = "refused_not_authorized"
_OK = MQTTErrorCode.MQTT_ERR_SUCCESS


Handler: TypeAlias = "Callable[[str, bytes, bool], None]"
"""Takes topic, payload and whether it was published as retained; called from the connection's thread."""


class Listener(Protocol):
    """Who owns the connection. All methods are called from its thread and must not block."""

    def connected(self) -> None:
        """There is a session; nothing has been sent yet. The time to subscribe."""
        ...

    def acknowledged(self, message: Message) -> None:
        """The broker has taken a message."""
        ...


class Connection:
    """Keeps the session until it is closed.

    Args:
        access: the broker, and who we are.
        outbox: where messages come from.
        bell: rung by the outbox, heard here.
        listener: told what happens.
        availability: topic that says ``offline`` at the end, by us or as our last will.
    """

    def __init__(
        self, access: Access, outbox: Outbox, bell: Bell, listener: Listener, *, availability: str
    ) -> None:
        self._access = access
        self._outbox = outbox
        self._bell = bell
        self._listener = listener
        self._availability = availability
        self._thread: threading.Thread | None = None  # noqa: TID251  # the bridge made it
        self._closing = threading.Event()
        self._drain_until = self._end_at = float("inf")
        # Of the current connection.
        self._client: paho.Client | None = None
        self._session = False
        self._limits = Limits(WINDOW)
        self._sent: dict[int, Message] = {}
        self._handlers: dict[str, tuple[Handler, bool]] = {}
        self._asked: dict[int | None, str] = {}
        # Over all connections.
        self._tried = False
        self._fault: faults.Fault | None = None
        self._told: str = ""
        self._refused_until: dict[str, float] = {}
        self._complaints: set[tuple[str, str]] = set()

    # For other threads.

    def open(self) -> None:
        """Start to connect, and never stop trying."""
        self._thread = bridge.start("mqtt", self._run)

    def close(self, timeout: float) -> None:
        """Send what waits, say ``offline`` and go, all within ``timeout`` seconds."""
        now = time.monotonic()
        self._end_at = now + timeout
        self._drain_until = now + max(timeout - _GOODBYE_S, timeout / 2)
        self._closing.set()
        self._bell.ring()
        if self._thread is None:
            return
        # Without a session and without hope for one there is nothing to wait for.
        self._thread.join(timeout + 0.5 if self._session or not self._tried else 0.5)

    @property
    def problem(self) -> str:
        """Why there is no session; empty if there is one, or if the first attempt has not ended yet."""
        return "" if self._session or self._fault is None else str(self._fault)

    # For the listener, in the connection's own thread.

    def subscribe(self, topic: str, handler: Handler, *, own: bool = False) -> None:
        """Ask for a topic, which may end in ``+``.

        With ``own`` it is one of ours, and asked for is only what an earlier start has left there, retained.
        """
        if self._client is None:
            return
        self._handlers[topic] = (handler, own)
        if self._access.version == "5":
            # Of commands even a fresh one must show that it was published as retained. What we publish
            # ourselves does not come back.
            options = SubscribeOptions(qos=1, noLocal=True, retainAsPublished=not own)
            _, mid = self._client.subscribe(topic, options=options)
        else:
            _, mid = self._client.subscribe(topic, qos=1)
        self._asked[mid] = topic

    # The thread.

    def _run(self) -> None:
        delay = _BACKOFF_S[0]
        while not (self._closing.is_set() and self._tried):
            started = time.monotonic()
            self._attempt()
            if time.monotonic() - started > _STABLE_S:
                delay = _BACKOFF_S[0]
            pause = _REFUSED_S if self._fault is not None and self._fault.refused else delay
            # Half fixed, half random: a fleet must not come back in one moment.
            self._closing.wait(random.uniform(pause / 2, pause))  # noqa: S311  # no secret
            delay = min(delay * 2, _BACKOFF_S[1])

    def _attempt(self) -> None:
        """One connection from its beginning to its end."""
        started = time.monotonic()
        client = self._client = build(self._access)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        client.on_subscribe = self._on_subscribe
        client.will_set(self._availability, "offline", qos=1, retain=True)
        self._fault = None
        try:
            connect(client, self._access)
            self._serve(client)
        except OSError as error:
            self._fault = faults.unreachable(self._access.broker, error)
        except Exception:
            # A broker must not be able to end the thread by what it sends; the next attempt starts afresh.
            log.exception("mqtt_connection_failed")
        had_session, self._session = self._session, False
        brief = time.monotonic() - started < _STABLE_S
        self._client = None
        self._sent.clear()
        self._handlers.clear()
        self._asked.clear()
        self._outbox.detach()
        self._tell(had_session=had_session, brief=brief)
        self._tried = True

    def _tell(self, *, had_session: bool, brief: bool) -> None:
        """Say why the connection has ended: once, not at every attempt."""
        if self._closing.is_set() and had_session:
            return
        if self._fault is None:
            taken = self._access.client_id if brief else ""
            self._fault = faults.hung_up(self._access.broker, session=had_session, maybe_taken=taken)
        text = str(self._fault)
        if had_session or text != self._told:
            log.warning("mqtt_disconnected" if had_session else "mqtt_not_connected", reason=text)
        else:
            log.debug("mqtt_not_connected", reason=text)
        self._told = text

    def _serve(self, client: paho.Client) -> None:
        """Run the protocol until the connection ends."""
        connack_due = time.monotonic() + CONNECT_TIMEOUT_S
        goodbye = False
        sock: Any = client.socket()
        # Each message goes out at once; Nagle would let it wait for the acknowledgement of the one before.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        buffered = getattr(sock, "pending", lambda: 0)  # TLS may hold bytes that select() does not know of
        with selectors.DefaultSelector() as selector:
            selector.register(self._bell, selectors.EVENT_READ)
            selector.register(sock, selectors.EVENT_READ)
            while client.socket() is not None:
                selector.modify(sock, selectors.EVENT_READ | selectors.EVENT_WRITE * client.want_write())
                self._wait(selector, client, at_once=buffered() > 0)
                if client.loop_misc() != _OK:
                    return
                if not self._session:
                    if time.monotonic() > min(connack_due, self._end_at):
                        raise TimeoutError("no answer to CONNECT")
                    continue
                if self._closing.is_set():
                    goodbye = goodbye or self._say_goodbye()
                    if time.monotonic() >= self._end_at:
                        return  # without a DISCONNECT, so that the broker publishes our will
                    if goodbye and self._outbox.quiet:
                        client.disconnect()
                        return
                self._send(client, events=not goodbye)

    def _wait(self, selector: selectors.BaseSelector, client: paho.Client, *, at_once: bool) -> None:
        """Let time pass until there is something to do, and let paho read and write."""
        nap = 0.0 if at_once else 0.05 if self._closing.is_set() else 1.0
        ready = {key.fileobj: events for key, events in selector.select(nap)}
        self._bell.silence()
        ready.pop(self._bell, None)
        events = next(iter(ready.values()), 0)
        if at_once or events & selectors.EVENT_READ:
            client.loop_read()
            # Brokers hold an acknowledgement back until TCP has confirmed the one before (Nagle), and our
            # kernel confirms late unless told to be quick: together up to 40 ms on every message.
            sock: Any = client.socket()
            if sock is not None:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)  # Linux forgets it again
        if events & selectors.EVENT_WRITE:
            client.loop_write()

    def _say_goodbye(self) -> bool:
        """Publish ``offline`` once everything else is out, or when it is high time; whether that is done."""
        if not self._outbox.drained and time.monotonic() < self._drain_until:
            return False
        self._outbox.post(self._availability, b"offline")
        return True

    def _send(self, client: paho.Client, *, events: bool) -> None:
        """Hand messages to paho while the window is open."""
        limits = self._limits
        while self._outbox.in_flight < limits.window and client.socket() is not None:
            message = self._outbox.take(events=events)
            if message is None:
                return
            if cause := self._hopeless(message):
                self._settle(message, cause)
                continue
            qos = min(message.qos, limits.qos)
            info = client.publish(message.topic, message.payload, qos, message.retain and limits.retain)
            if info.rc != _OK:
                return  # the connection has just broken; the message stays in flight until it is cleared away
            if qos == 0 and info.is_published():
                self._settle(message)
            else:
                self._sent[info.mid] = message

    def _hopeless(self, message: Message) -> str:
        """Why it is no use to send a message; empty if it is some."""
        if not self._limits.fits(message.topic, message.payload):
            return "too_large"
        if time.monotonic() < self._refused_until.get(message.topic, 0.0):
            return _NOT_AUTHORIZED
        return ""

    def _settle(self, message: Message, cause: str = "") -> None:
        self._outbox.settle(message, cause)
        if not cause:
            self._listener.acknowledged(message)
        elif (cause, message.topic) not in self._complaints:
            self._complaints.add((cause, message.topic))
            log.error("mqtt_message_refused", topic=message.topic, cause=cause, size=len(message.payload))

    # paho's callbacks.

    def _on_connect(
        self, client: paho.Client, _: Any, __: Any, reason: ReasonCode, properties: Properties | None
    ) -> None:
        del client
        if reason.is_failure:
            self._fault = faults.refused(self._access.broker, reason)
            return
        log.info("mqtt_connected", broker=str(self._access.broker), client_id=self._access.client_id)
        self._told = ""
        self._limits = Limits.of(properties, WINDOW)
        self._session = True
        self._listener.connected()
        self._outbox.attach()

    def _on_disconnect(
        self, client: paho.Client, _: Any, flags: Any, reason: ReasonCode, properties: Properties | None
    ) -> None:
        del client, properties
        if not reason.is_failure:
            return
        if flags.is_disconnect_packet_from_server:
            self._fault = faults.refused(self._access.broker, reason)
        elif reason.getName() == "Keep alive timeout":  # paho's own finding
            self._fault = faults.unreachable(self._access.broker, TimeoutError())

    def _on_publish(
        self, client: paho.Client, _: Any, mid: int, reason: ReasonCode, properties: Properties | None
    ) -> None:
        del client, properties
        message = self._sent.pop(mid, None)
        # QoS 0 may be written before publish() returns: then _send() sees it.
        if message is not None:
            cause = "refused_" + reason.getName().lower().replace(" ", "_") if reason.is_failure else ""
            if cause == _NOT_AUTHORIZED:
                # The topic is left alone for a while: mosquitto ends the session as well (its issue 2579).
                self._refused_until[message.topic] = time.monotonic() + _REFUSED_S
            self._settle(message, cause)

    def _on_subscribe(
        self, client: paho.Client, _: Any, mid: int, reasons: list[ReasonCode], properties: Properties | None
    ) -> None:
        del client, properties
        topic = self._asked.pop(mid, "")
        for reason in reasons:
            if reason.is_failure and ("subscription", topic) not in self._complaints:
                self._complaints.add(("subscription", topic))
                log.error("mqtt_subscription_refused", topic=topic, reason=reason.getName().lower())

    def _on_message(self, client: paho.Client, _: Any, message: paho.MQTTMessage) -> None:
        del client
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return
        for wanted, (handler, own) in self._handlers.items():
            if not topic_matches_sub(wanted, topic):
                continue
            if not own:
                handler(topic, bytes(message.payload), message.retain)
            elif message.retain and message.payload:
                handler(topic, bytes(message.payload), True)
            elif self._access.version != "5" and self._client is not None:
                # Our own word comes back, MQTT 3.1.1 cannot leave it out: what was retained has all come.
                self._client.unsubscribe(wanted)
