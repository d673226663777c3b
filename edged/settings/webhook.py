"""The settings of the webhook."""

from __future__ import annotations

import base64
from typing import Annotated, Literal
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, BeforeValidator, field_validator

from edged.settings import written
from edged.settings.field import setting

Kind = Literal["start", "update", "end"]


class WebhookSettings(BaseModel):
    """What of one camera's settings the webhook reads."""

    webhook_url: str | None = setting(
        None,
        "Webhook",
        "http:// or https:// address to which every event is sent by POST, with the best picture",
        shown="none",
    )
    webhook_body: Literal["json", "form", "picture"] = setting(
        "json",
        "Webhook",
        "json: the event with title, message and picture (base64); form: the same as multipart form "
        "(Telegram, Gotify); picture: a JPEG with title and message as headers (ntfy)",
    )
    webhook_events: Annotated[tuple[Kind, ...], BeforeValidator(written.comma_separated)] = setting(
        ("start", "update", "end"),
        "Webhook",
        "which news of an object are sent, comma separated: start, update, end",
        shown="start,update,end",
    )

    @field_validator("webhook_url")
    @classmethod
    def _is_webhook_address(cls, value: str | None) -> str | None:
        if value is not None and (problem := problem_of(value)):
            raise ValueError(problem)
        return value


def problem_of(url: str) -> str:
    """Why nothing can be sent to this URL; empty if it can."""
    if not url.isascii() or not url.isprintable() or " " in url:
        return "it holds blanks, control characters or letters that must be percent-encoded"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "host or port are malformed"
    if parts.scheme not in {"http", "https"}:
        return "it does not begin with http:// or https://"
    return "" if parts.hostname and port != 0 else "it names no host that can be reached"


def basic_login(user: str, password: str) -> str:
    """``Authorization`` (RFC 7617) for user and password as they stand in a URL, percent-encoded."""
    pair = f"{unquote(user)}:{unquote(password)}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"
