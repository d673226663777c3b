"""Whether the broker takes us, for ``edged check``."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from edged.errors import SinkError, SourceError
from edged.mqtt.one_shot.visit import visit

if TYPE_CHECKING:
    from edged.mqtt.link.client import BrokerAccess


def check(target: BrokerAccess, *, timeout_s: float = 5.0) -> str:
    """Connect as the daemon would, under another client id, so that a running one is left alone; a sentence.

    A broker that takes the user name for the client id (``use_username_as_clientid``) ends the session of
    the running one all the same: it comes back within a second or two, and nothing of its is lost.

    Raises:
        SinkError: the broker cannot be reached, does not answer within ``timeout_s`` or refuses us; says
            which, and the hint.
    """
    target = dataclasses.replace(target, client_id=f"{target.client_id}-check")
    try:
        visit(target, (), take=lambda _: None, enough=lambda _: True, connect_s=timeout_s)
    except SourceError as error:  # to a daemon the broker is no source
        raise SinkError(error.problem, hint=error.hint) from error
    secured = " over TLS" if target.broker.tls else ""
    return f"the broker {target.broker} takes us{secured}, MQTT {target.version}"
