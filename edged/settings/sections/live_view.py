"""The settings of the live view."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  # pydantic reads the annotations

from pydantic import BaseModel, field_validator

from edged.errors import ConfigError
from edged.settings.field import setting


class LiveViewSettings(BaseModel):
    """Where the live view listens, and who may look."""

    http: str | None = setting(
        None, "host:port of the live view, /healthz and /metrics; 127.0.0.1:8080 is for this machine only"
    )
    http_token_file: Path | None = setting(
        None,
        "file with the token, 16 characters or more, that the live view asks for; it must have one unless "
        "only this machine can reach it",
        needs="http",
    )

    @field_validator("http")
    @classmethod
    def _is_listener(cls, value: str | None) -> str | None:
        if value is not None:
            from edged.settings.listener import parse  # noqa: PLC0415  # a daemon without HTTP need not know it

            try:
                parse(value)
            except ConfigError as error:
                raise ValueError(str(error)) from error
        return value
