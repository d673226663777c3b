"""Why there is no session with the broker, in words that say what to do."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from paho.mqtt.reasoncodes import ReasonCode

    from edged.settings.broker import Broker

_BAD_LOGIN = {"Bad user name or password", "Not authorized", "Bad authentication method", "Banned"}
_BAD_VERSION = {"Unsupported protocol version", "Protocol error", "Malformed packet"}
_NOT_YET_VALID, _EXPIRED = 9, 10
_OTHER_HOST = {62, 64}
"""Host name, address."""
_TAKEN_OVER = "Session taken over"
_PASSING = {
    "Server unavailable",
    "Server busy",
    "Server shutting down",
    "Keep alive timeout",
    "Message rate too high",
    "Connection rate exceeded",
    "Maximum connect time",
}
"""The broker says no for now; it need not be mended."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One cause and its hint."""

    problem: str
    hint: str
    refused: bool = False
    """The broker answered and said no: asking again soon will not help."""
    twin: bool = False
    """Another client has come with our id."""

    def __str__(self) -> str:
        return f"{self.problem}. {self.hint}."


def unreachable(broker: Broker, error: OSError) -> Fault:
    """What the network or TLS said when the broker was sought."""
    if isinstance(error, ssl.SSLError):
        return _insecure(broker, error)
    if isinstance(error, socket.gaierror):
        return Fault(
            f"the host {broker.host!r} of the broker is unknown: {error.strerror}",
            "Check the host name in EDGED_MQTT_URL and the name service of this machine",
        )
    if isinstance(error, ConnectionRefusedError):
        return Fault(
            f"nothing listens at {broker}: connection refused",
            "Start the broker, or correct host and port in EDGED_MQTT_URL; "
            "mosquitto needs a 'listener' line to be reached from other machines",
        )
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return hung_up(broker, session=False)
    if isinstance(error, TimeoutError):
        return Fault(
            f"the broker {broker} does not answer in time",
            "Check that it runs, the firewall between (a service reaches private networks only, by "
            "IPAddressAllow=, see systemd/examples/internet.conf), and that it speaks EDGED_MQTT_VERSION "
            "(5 or 3.1.1)",
        )
    return Fault(
        f"the broker {broker} cannot be reached: {error.strerror or error}",
        "Check the network and EDGED_MQTT_URL",
    )


def _insecure(broker: Broker, error: ssl.SSLError) -> Fault:
    """What TLS said."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return Fault(
            f"the certificate of the broker {broker} is not trusted: {error.verify_message}",
            _mend_certificate(broker, error.verify_code),
        )
    return Fault(
        f"TLS with the broker {broker} failed: {error.reason or error}",
        "Check that this port speaks TLS (usually 8883), and EDGED_MQTT_CA, _CERT and _KEY",
    )


def _mend_certificate(broker: Broker, code: int) -> str:
    """By OpenSSL's code (x509_vfy.h)."""
    clock = f"the clock of this machine, which says {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    if code == _NOT_YET_VALID:
        return f"Set {clock}: the certificate is from later; 'timedatectl' shows whether it is synchronised"
    if code == _EXPIRED:
        return f"Renew the certificate of the broker or its CA, whichever is too old; or set {clock}"
    if code in _OTHER_HOST:
        return (
            f"Write a name in EDGED_MQTT_URL that the certificate has, or make it for {broker.host!r} as well"
        )
    return "Set EDGED_MQTT_CA to the certificate of the CA that signed it"


def refused(broker: Broker, reason: ReasonCode) -> Fault:
    """What the broker said to our CONNECT, or when it ended the session."""
    name = reason.getName()
    if name in _PASSING:
        return Fault(f"the broker {broker} ended the session: {name.lower()}", "It is tried again")
    if name == _TAKEN_OVER:
        return Fault(
            f"the broker {broker} ended the session: another client came with our id",
            "It is tried again; if this goes on, give every daemon an EDGED_NODE of its own",
            twin=True,
        )
    if name in _BAD_LOGIN:
        user = f"the user {broker.username!r}" if broker.username else "a client without a user name"
        hint = "Check the user in EDGED_MQTT_URL, EDGED_MQTT_PASSWORD_FILE and the broker's list of users"
    else:
        user, hint = "us", "The broker's log says more"
    if name in _BAD_VERSION:
        hint = "Set EDGED_MQTT_VERSION to 3.1.1 if the broker does not speak MQTT 5"
    return Fault(f"the broker {broker} refused {user}: {name.lower()}", hint, refused=True)


def will_refused(broker: Broker, reason: ReasonCode) -> Fault:
    """The broker takes no last will like ours; it gets a lesser one with the next attempt."""
    return Fault(
        f"the broker {broker} refused our last will: {reason.getName().lower()}",
        "It is tried again with what the broker takes; whoever subscribes later may miss 'offline'",
    )


def malformed(broker: Broker, words: str) -> Fault:
    """What came is not MQTT, by the library's own words."""
    return Fault(
        f"what listens at {broker} sent something that is not MQTT: {words or 'a broken packet'}",
        "Check host and port in EDGED_MQTT_URL; if they are right, EDGED_MQTT_VERSION",
    )


def hung_up(broker: Broker, *, session: bool, maybe_taken: str = "") -> Fault:
    """The connection ended without a word; ``maybe_taken`` is our client id if it had only just begun."""
    if session:
        twins = f"; if this goes on, another client has our id {maybe_taken!r}: " if maybe_taken else ""
        hint = "give every daemon an EDGED_NODE of its own" if maybe_taken else ""
        return Fault(f"the connection to the broker {broker} was lost", f"It is tried again{twins}{hint}")
    tls = "if the port speaks TLS, write mqtts:// in EDGED_MQTT_URL"
    if broker.tls:
        tls = (
            "check that the port speaks TLS, and set EDGED_MQTT_CERT if the broker wants a client certificate"
        )
    return Fault(
        f"the broker {broker} hung up without an answer",
        f"Check EDGED_MQTT_URL and EDGED_MQTT_VERSION (5 or 3.1.1); {tls}",
    )
