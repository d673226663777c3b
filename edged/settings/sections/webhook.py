"""The settings of the webhook."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator

from edged.settings import syntax
from edged.settings.field import setting
from edged.settings.http_url import checked

Kind = Literal["start", "update", "end"]


class WebhookSettings(BaseModel):
    """What of one camera's settings the webhook reads."""

    webhook_url: Annotated[str, AfterValidator(checked)] | None = setting(
        None,
        "http:// or https:// address to which every event is sent by POST, with the best picture",
        needs="track",
    )
    webhook_body: Literal["json", "form", "picture"] = setting(
        "json",
        "json: the event with title, message and picture (base64); form: the same as multipart form "
        "(Telegram, Gotify); picture: a JPEG with title and message as headers (ntfy)",
        needs="webhook_url",
    )
    webhook_events: Annotated[tuple[Kind, ...], BeforeValidator(syntax.comma_separated)] = setting(
        ("start", "update", "end"),
        "which news of an object are sent, comma separated: start, update, end",
        shown="start,update,end",
        needs="webhook_url",
    )
