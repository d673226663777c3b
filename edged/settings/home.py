"""The settings of what Home Assistant is told beyond what is seen."""

from __future__ import annotations

from pydantic import BaseModel

from edged.settings.field import setting


class HomeSettings(BaseModel):
    """What decides how long a label has entities."""

    label_days: float = setting(
        30.0,
        "MQTT",
        "days after which a label that was not seen again has no topics and entities any more, unless "
        "EDGED_CLASSES names it; 0: they stay",
        ge=0,
        le=36500,
        allow_inf_nan=False,
    )
