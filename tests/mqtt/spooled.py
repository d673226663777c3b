"""Messages for a disk, and what is between them and it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edged.mqtt.delivery.message import Message, Numbers
from edged.mqtt.delivery.outbox import Outbox
from edged.mqtt.delivery.spool import Spool

if TYPE_CHECKING:
    from pathlib import Path


def messages(count: int, first: int = 1, size: int = 500) -> list[Message]:
    return [Message(order, "a/b", b"%08d" % order + b"x" * size) for order in range(first, first + count)]


def open_spool(path: Path, *, max_bytes: int = 10_000_000, max_age_s: float = 1e6) -> Spool:
    return Spool(path, max_bytes=max_bytes, max_age_s=max_age_s)


def outbox(limit: int = 50) -> Outbox:
    return Outbox(limit=limit, wake=lambda: None, orders=Numbers(1))


def put(box: Outbox, count: int, size: int = 1000) -> None:
    for _ in range(count):
        box.put("t", b"x" * size)
