"""One connection to the broker, from its beginning to its end.

paho speaks the protocol; the loop around it is ours, so that all of paho is called from one thread. Every
session gets a client of its own: what was not acknowledged lies in our outbox and nowhere else, so there is
one bound, one order and one account of it.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import time
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol

import structlog
from paho.mqtt.enums import MQTTErrorCode

from edged.mqtt.link import faults
from edged.mqtt.link.client import CONNACK, CONNECT_TIMEOUT_S, Limits, build, connect
from edged.mqtt.link.silence import Silence
from edged.mqtt.link.subscriptions import Subscriptions

if TYPE_CHECKING:
    from collections.abc import Callable

    from paho.mqtt import client as paho
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

    from edged.mqtt.delivery.message import Message
    from edged.mqtt.delivery.outbox import Outbox
    from edged.mqtt.link.client import BrokerAccess
    from edged.mqtt.link.experience import Ending, Experience
    from edged.mqtt.link.subscriptions import Handler
    from edged.mqtt.link.waker import Waker

log = structlog.get_logger()

WINDOW = 64
"""Messages sent and not yet acknowledged: enough for 200 a second over 300 ms of round trip."""
_REFUSED_S = 60.0
"""How long a topic that the broker refuses is left alone."""
_TRIES = 5
"""Sessions in a row that one message, sent alone, may cost before it is given up."""
_NOT_AUTHORIZED = "refused_not_authorized"
_OK = MQTTErrorCode.MQTT_ERR_SUCCESS


class Listener(Protocol):
    """Who owns the connection. All methods are called from its thread and must not block."""

    def connected(self, session: Session) -> None:
        """There is a session; nothing has been sent yet. The time to subscribe.

        What is posted while the broker tells what it remembers is sent before ``online``.
        """
        ...

    def acknowledged(self, message: Message) -> None:
        """The broker has taken a message."""
        ...


class Session:
    """Runs until the connection ends.

    Args:
        access: the broker, and who we are.
        outbox: where messages come from.
        waker: rung by the outbox, heard here.
        listener: told what happens.
        ending: when to say goodbye.
        experience: of the sessions before.
        availability: topic that says ``online`` once everything retained is true, and ``offline`` at the
            end, by us or as our last will.
    """

    def __init__(
        self,
        access: BrokerAccess,
        outbox: Outbox,
        waker: Waker,
        listener: Listener,
        *,
        ending: Ending,
        experience: Experience,
        availability: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._access = access
        self._outbox = outbox
        self._waker = waker
        self._listener = listener
        self._ending = ending
        self._experience = experience
        self._availability = availability
        self._limits = Limits(WINDOW)
        self._sent: dict[int, Message] = {}
        self._later: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._silence = Silence(access.broker, clock)
        self._acknowledged = 0
        self._established_at = float("inf")
        self.fault: faults.Fault | None = None
        """What ended it, if that is known."""
        client = self._client = build(access)
        self._subscriptions = Subscriptions(client, experience, five=access.version == "5", clock=clock)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.will_set(availability, "offline", qos=experience.will_qos, retain=experience.will_retain)

    @property
    def established(self) -> bool:
        """Whether the broker has accepted us."""
        return self._established_at < float("inf")

    @property
    def age_s(self) -> float:
        """For how many seconds it has been established."""
        return max(0.0, self._clock() - self._established_at)

    def subscribe(self, topic: str, handler: Handler, *, own: bool = False) -> None:
        """Ask for a topic, which may end in ``+``; to be called by the listener.

        With ``own`` it is one of ours, and asked for is only what an earlier start has left there, retained.
        """
        self._subscriptions.ask(topic, handler, own=own)

    def later(self, do: Callable[[], None]) -> None:
        """Have something done in the thread of the session, once there is one. Safe from any thread."""
        self._later.put(do)
        self._waker.ring()

    def run(self) -> None:
        """Connect, and exchange messages until one side has had enough; :attr:`fault` says why."""
        try:
            connect(self._client, self._access)
            self._serve(self._client)
        except OSError as error:
            self.fault = faults.unreachable(self._access.broker, error)
        else:
            self._judge()
        finally:
            # paho leaves that to the garbage collector; the broker must know at once, it has our will.
            if (sock := self._client.socket()) is not None:
                sock.close()

    def _judge(self) -> None:
        """Find out why a session has ended without a word: another protocol, or one message."""
        first = self._client.first_byte
        if not self.established and first is not None and first != CONNACK and self.fault is None:
            self.fault = faults.malformed(self._access.broker, f"its answer begins with 0x{first:02x}")
        if self.fault is None and self._experience.suspects and len(self._sent) == 1 and self._acknowledged:
            # Others got through in this very session, so it is not the link; this one was never acknowledged.
            (suspect,) = self._sent.values()
            self._experience.alone[suspect.order] += 1
            if self._experience.alone[suspect.order] >= _TRIES:
                self._settle(suspect, "ends_session")

    def _serve(self, client: paho.Client) -> None:
        connack_due = min(self._clock() + CONNECT_TIMEOUT_S, self._ending.end_at)
        goodbye = False
        sock: Any = client.socket()
        # Each message goes out at once; Nagle would let it wait for the acknowledgement of the one before.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        buffered = getattr(sock, "pending", lambda: 0)  # TLS may hold bytes that select() does not know of
        with selectors.DefaultSelector() as selector:
            selector.register(self._waker, selectors.EVENT_READ)
            selector.register(sock, selectors.EVENT_READ)
            while client.socket() is not None:
                selector.modify(sock, selectors.EVENT_READ | selectors.EVENT_WRITE * client.want_write())
                self._wait(selector, client, at_once=buffered() > 0)
                if client.loop_misc() != _OK:
                    return
                if not self.established:
                    if self._clock() > connack_due:
                        raise TimeoutError
                    continue
                while not self._later.empty():
                    self._later.get()()
                self._greet()
                if self._ending.asked.is_set():
                    goodbye = goodbye or self._say_goodbye()
                    if self._clock() >= self._ending.end_at:
                        return  # without a DISCONNECT, so that the broker publishes our will
                    if goodbye and self._outbox.idle(events=False):
                        client.disconnect()
                        return
                self._send(client, events=not goodbye)
                self._silence.watch(self._outbox.in_flight)

    def _wait(self, selector: selectors.BaseSelector, client: paho.Client, *, at_once: bool) -> None:
        """Let time pass until there is something to do, and let paho read and write."""
        soon = self._ending.asked.is_set() or self._subscriptions.recalling
        nap = 0.0 if at_once else 0.05 if soon else 1.0
        ready = {key.fileobj: events for key, events in selector.select(nap)}
        self._waker.silence()
        ready.pop(self._waker, None)
        events = next(iter(ready.values()), 0)
        if at_once or events & selectors.EVENT_READ:
            if client.loop_read() == MQTTErrorCode.MQTT_ERR_PROTOCOL and self.fault is None:
                self.fault = faults.malformed(self._access.broker, self._client.said)
            _acknowledge_at_once(client)
        if events & selectors.EVENT_WRITE:
            client.loop_write()

    def _greet(self) -> None:
        """Let ``online`` out, behind all that puts right what an earlier start has left."""
        if self._subscriptions.recalled(hurried=self._ending.asked.is_set()):
            self._outbox.release()

    def _say_goodbye(self) -> bool:
        """Publish ``offline`` once everything else is out, or when it is high time; whether that is done."""
        if not self._outbox.idle() and self._clock() < self._ending.drain_until:
            return False
        self._outbox.post(self._availability, self._ending.farewell)
        return True

    def _send(self, client: paho.Client, *, events: bool) -> None:
        """Hand messages to paho while the window is open."""
        while client.socket() is not None:
            if self._outbox.in_flight >= (1 if self._experience.suspects else self._limits.window):
                return
            message = self._outbox.take(events=events)
            if message is None:
                return
            if cause := self._hopeless(message):
                self._settle(message, cause)
                continue
            qos, retain = min(message.qos, self._limits.qos), message.retain and self._limits.retain
            info = client.publish(message.topic, message.payload, qos, retain)
            if info.rc != _OK:
                return  # the connection has just broken; the message stays in flight until it is cleared away
            if qos == 0 and info.is_published():
                self._settle(message)
            else:
                self._sent[info.mid] = message

    def _hopeless(self, message: Message) -> str:
        """Why it would be of no use to send a message; empty if it may be sent."""
        if not self._limits.fits(message.topic, message.payload):
            return "too_large"
        if self._clock() < self._experience.refused_until.get(message.topic, 0.0):
            return _NOT_AUTHORIZED
        return ""

    @property
    def problem(self) -> str:
        """That the broker acknowledges nothing, though it is there; empty while it does."""
        return self._silence.problem

    def _settle(self, message: Message, cause: str = "") -> None:
        self._silence.end()
        self._outbox.settle(message, cause)
        self._acknowledged += not cause
        self._experience.suspects = max(0, self._experience.suspects - 1)
        if cause:
            self._experience.complain("mqtt_message_refused", message.topic, cause)
        else:
            self._listener.acknowledged(message)

    # paho's callbacks.

    def _on_connect(
        self, client: paho.Client, _: Any, __: Any, reason: ReasonCode, properties: Properties | None
    ) -> None:
        del client
        if reason.is_failure:
            self.fault = faults.refused(self._access.broker, reason)
            if self._experience.lower_will(reason.getName()):
                self.fault = faults.will_refused(self._access.broker, reason)
            return
        log.info("mqtt_connected", broker=str(self._access.broker), client_id=self._access.client_id)
        self._limits = Limits.of(properties, WINDOW)
        self._established_at = self._clock()
        self._subscriptions.begin()
        self._listener.connected(self)
        self._outbox.attach(last=self._availability)

    def _on_disconnect(
        self, client: paho.Client, _: Any, flags: Any, reason: ReasonCode, properties: Properties | None
    ) -> None:
        del client, properties
        if not reason.is_failure:
            return
        if flags.is_disconnect_packet_from_server:
            self.fault = faults.refused(self._access.broker, reason)
        elif reason.getName() == "Keep alive timeout":  # paho's own finding
            self.fault = faults.unreachable(self._access.broker, TimeoutError())

    def _on_publish(
        self, client: paho.Client, _: Any, mid: int, reason: ReasonCode, properties: Properties | None
    ) -> None:
        del client, properties
        message = self._sent.pop(mid, None)
        if message is None:  # QoS 0, written before publish() has returned: _send() sees it
            return
        cause = ""
        if reason.is_failure:
            cause = "refused_" + self._client.refusal(mid, reason).lower().replace(" ", "_")
        if cause == _NOT_AUTHORIZED:
            # The topic is left alone for a while, since every try may cost the session.
            self._experience.refused_until[message.topic] = self._clock() + _REFUSED_S
        self._settle(message, cause)


def _acknowledge_at_once(client: paho.Client) -> None:
    """Keep the kernel from delaying TCP acknowledgements; it wants to be asked again after every read.

    The broker holds a second small packet, such as another PUBACK, until its first one is acknowledged:
    without this every second message seems to take 25 to 40 ms.
    """
    sock: Any = client.socket()
    if sock is not None and hasattr(socket, "TCP_QUICKACK"):
        with contextlib.suppress(OSError):  # the connection has ended, which paho will find out
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
