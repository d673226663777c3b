"""News of an object for a webhook: the same in three forms, since every server takes another one."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from email.header import Header
from typing import TYPE_CHECKING

from edged.contract import payloads, words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edged.contract.event_messages import Telling


@dataclass(frozen=True, slots=True)
class Notice:
    """One piece of news with the best picture so far."""

    telling: Telling
    jpeg: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Body:
    """What is sent."""

    content: bytes = field(repr=False)
    headers: Mapping[str, str]


def as_json(notice: Notice) -> Body:
    """The event as over MQTT, with ``title`` and ``message`` for people and ``picture``, JPEG in base64."""
    event = notice.telling.message
    more = {
        "title": words.title(event),
        "message": words.sentence(event),
        "picture": base64.b64encode(notice.jpeg).decode() if notice.jpeg else None,
    }
    content = payloads.joined(notice.telling.json, payloads.encode(more))
    return Body(content, {"Content-Type": "application/json"})


def as_form(notice: Notice) -> Body:
    """A form (RFC 7578): ``event`` as JSON, ``title``, ``message``, ``caption`` and the file ``photo``."""
    event = notice.telling.message
    title, message = words.title(event), words.sentence(event)
    texts = {"title": title, "message": message, "caption": f"{title}: {message}"}
    parts = [(f'name="{name}"', "text/plain; charset=utf-8", text.encode()) for name, text in texts.items()]
    parts.append(('name="event"', "application/json", notice.telling.json))
    if notice.jpeg:
        parts.append(('name="photo"; filename="photo.jpg"', "image/jpeg", notice.jpeg))
    # It must not occur in any part; no other event has this one's id, and a JPEG has it by no chance.
    boundary = f"edged-{event['event_id']}-{len(notice.jpeg)}"
    content = b"".join(
        f"--{boundary}\r\nContent-Disposition: form-data; {name}\r\nContent-Type: {kind}\r\n\r\n".encode()
        + value
        + b"\r\n"
        for name, kind, value in parts
    )
    return Body(
        content + f"--{boundary}--\r\n".encode(),
        {"Content-Type": f"multipart/form-data; boundary={boundary}"},
    )


def as_picture(notice: Notice) -> Body:
    """The picture itself, with ``Title``, ``Message`` and ``Filename`` in the head; the words without one."""
    event = notice.telling.message
    title, message = words.title(event), words.sentence(event)
    if not notice.jpeg:
        return Body(message.encode(), {"Title": _header(title), "Content-Type": "text/plain; charset=utf-8"})
    headers = {"Title": _header(title), "Message": _header(message), "Filename": "photo.jpg"}
    return Body(notice.jpeg, {**headers, "Content-Type": "image/jpeg"})


BODIES: Mapping[str, Callable[[Notice], Body]] = {"json": as_json, "form": as_form, "picture": as_picture}
"""By the value of EDGED_WEBHOOK_BODY."""


def _header(text: str) -> str:
    """A text in the head of a message, where only ASCII may stand as it is (RFC 2047)."""
    plain = " ".join(text.split())
    return plain if plain.isascii() else Header(plain, "utf-8", maxlinelen=10_000).encode()
