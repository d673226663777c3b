"""Whether the broker takes us, for ``edged check``."""

from __future__ import annotations

import dataclasses
import select
import time
from typing import TYPE_CHECKING, Any

from edged.errors import SinkError
from edged.mqtt.link import credentials, faults
from edged.mqtt.link.client import build, connect

if TYPE_CHECKING:
    from paho.mqtt.reasoncodes import ReasonCode

    from edged.mqtt.link.client import BrokerAccess
    from edged.settings.declared import Settings


def check(settings: Settings, *, timeout_s: float = 5.0) -> str:
    """Connect as the daemon would, under another client id, so that a running one is left alone.

    A broker that takes the user name for the client id (``use_username_as_clientid``) ends the session of
    the running one all the same: it comes back within a second or two, and nothing of its is lost.

    Args:
        settings: with a broker.
        timeout_s: seconds to wait for its answer.

    Returns:
        A sentence.

    Raises:
        SinkError: the broker cannot be reached, does not answer or refuses us; says which, and the hint.
        ConfigError: the password or a certificate cannot be read.
    """
    return probe(credentials.access_for(settings), timeout_s=timeout_s)


def probe(target: BrokerAccess, *, timeout_s: float) -> str:
    """As :func:`check`."""
    target = dataclasses.replace(target, client_id=f"{target.client_id}-check")
    answers: list[ReasonCode] = []
    client = build(target)
    client.connect_timeout = timeout_s

    def on_connect(_: Any, __: Any, ___: Any, reason: ReasonCode, ____: Any) -> None:
        answers.append(reason)

    client.on_connect = on_connect
    broker = target.broker
    try:
        connect(client, target)
        _wait(client, answers, timeout_s)
        client.disconnect()
    except OSError as error:
        raise _error(faults.unreachable(broker, error)) from error
    finally:
        if (sock := client.socket()) is not None:
            sock.close()
    if not answers:
        raise _error(faults.hung_up(broker, session=False))
    if answers[0].is_failure:
        raise _error(faults.refused(broker, answers[0]))
    secured = " over TLS" if broker.tls else ""
    return f"the broker {broker} takes us{secured}, MQTT {target.version}"


def _wait(client: Any, answers: list[ReasonCode], timeout_s: float) -> None:
    """Until there is an answer or the broker has hung up."""
    end = time.monotonic() + timeout_s
    while not answers and (sock := client.socket()) is not None:
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        if select.select([sock], [], [], min(left, 0.1))[0] or getattr(sock, "pending", int)():
            client.loop_read()


def _error(fault: faults.Fault) -> SinkError:
    return SinkError(fault.problem, hint=fault.hint)
