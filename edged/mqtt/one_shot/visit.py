"""A short visit at a broker, without a session: subscribe, listen, perhaps publish, go."""

from __future__ import annotations

import select
import time
from typing import TYPE_CHECKING, Any

from edged.errors import SourceError
from edged.mqtt.link import faults
from edged.mqtt.link.client import build, connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from paho.mqtt.client import Client, MQTTMessage
    from paho.mqtt.reasoncodes import ReasonCode

    from edged.mqtt.link.client import BrokerAccess

_CONNECT_S = 5.0
"""How long the broker may take to answer."""
_POLL_S = 0.2


def visit(
    access: BrokerAccess,
    filters: Iterable[str],
    take: Callable[[MQTTMessage], None],
    enough: Callable[[Client], bool],
    *,
    connect_s: float = _CONNECT_S,
) -> None:
    """Hand messages to ``take`` until there are ``enough``, which is asked several times a second.

    Args:
        access: to the broker.
        filters: topics to subscribe to.
        take: given each message.
        enough: whether to go; asked from the moment in which the broker takes us.
        connect_s: seconds that the broker may take to answer.

    Raises:
        SourceError: the broker cannot be reached, refuses us or is lost.
    """
    answers: list[ReasonCode] = []
    wanted = [(topic, 1) for topic in filters]
    client = build(access)
    client.connect_timeout = connect_s

    def on_connect(_: Any, __: Any, ___: Any, reason: ReasonCode, ____: Any) -> None:
        answers.append(reason)
        if wanted and not reason.is_failure:
            client.subscribe(wanted)

    client.on_connect = on_connect
    client.on_message = lambda _, __, message: take(message)
    done = False
    try:
        connect(client, access)
        answered_by = time.monotonic() + connect_s
        while _step(client) and not (answers and answers[0].is_failure):
            if answers and (done := enough(client)):
                break
            if not answers and time.monotonic() > answered_by:
                raise TimeoutError
        client.disconnect()
    except OSError as error:
        raise _error(faults.unreachable(access.broker, error)) from error
    finally:
        if (sock := client.socket()) is not None:
            sock.close()
    if not done:
        refused = bool(answers) and answers[0].is_failure
        fault = (
            faults.refused(access.broker, answers[0])
            if refused
            else faults.hung_up(access.broker, session=bool(answers))
        )
        raise _error(fault)


def _step(client: Client) -> bool:
    """Read and write what there is; false when the connection is gone."""
    sock = client.socket()
    if sock is None:
        return False
    pending = getattr(sock, "pending", int)()
    readable, writable, _ = select.select(
        [sock], [sock] if client.want_write() else [], [], 0 if pending else _POLL_S
    )
    if readable or pending:
        client.loop_read()
    if writable:
        client.loop_write()
    client.loop_misc()
    return client.socket() is not None


def _error(fault: faults.Fault) -> SourceError:
    return SourceError(fault.problem, hint=fault.hint)
