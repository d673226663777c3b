"""The settings of the live view."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  # pydantic reads the annotations
from typing import Annotated

from pydantic import BaseModel

from edged.settings.field import parsed_by, setting
from edged.settings.listener import parse


class LiveViewSettings(BaseModel):
    """Where the live view listens, and who may look."""

    http: Annotated[str, parsed_by(parse)] | None = setting(
        None, "host:port of the live view, /healthz and /metrics; 127.0.0.1:8080 is for this machine only"
    )
    http_token_file: Path | None = setting(
        None,
        "file with the token, 16 characters or more, that the live view asks for; it must have one unless "
        "only this machine can reach it",
        needs="http",
    )
