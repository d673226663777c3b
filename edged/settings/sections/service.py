"""The settings of the service itself."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from edged.settings.field import MOST, setting


class ServiceSettings(BaseModel):
    """How the daemon tells of itself, and how long it may take to stop."""

    stats_interval: float = setting(10.0, "seconds between timings messages", gt=0, le=MOST)
    stop_timeout: float = setting(10.0, "seconds that a stop may take before it is forced", gt=0, le=MOST)
    log_format: Literal["auto", "console", "json"] = setting(
        "auto", "console or json; auto: console on a terminal, json otherwise"
    )
    log_level: Literal["debug", "info", "warning", "error"] = setting("info", "debug, info, warning or error")
