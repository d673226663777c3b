"""An MQTT broker inside Python, for the demo: amqtt, MQTT 3.1.1 only."""

from __future__ import annotations

import logging
import warnings
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from edged.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def load() -> Any:
    """The class ``Broker`` of amqtt.

    Raises:
        ConfigError: amqtt is not installed.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # amqtt's own use of what is deprecated concerns nobody here
        try:
            from amqtt.broker import Broker  # noqa: PLC0415  # an extra that only the demo needs
        except ImportError as error:
            raise ConfigError(
                f"the demo's broker cannot be imported: {error}", hint="Run: pip install 'edged[demo]'"
            ) from error
    return Broker


@asynccontextmanager
async def serve(host: str, port: int) -> AsyncIterator[None]:
    """Listen in this event loop; anybody may connect."""
    # It tells every connection and every packet it dislikes; what matters here is what arrives.
    for noisy in ("amqtt", "transitions"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL + 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        broker = load()(
            {
                "listeners": {"default": {"type": "tcp", "bind": f"{host}:{port}"}},
                "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
            }
        )
        await broker.start()
    try:
        yield
    finally:
        await broker.shutdown()
