"""The settings of what Home Assistant is told beyond what is seen."""

from __future__ import annotations

from pydantic import BaseModel, field_validator

from edged.settings.field import setting
from edged.settings.webhook import problem_of


class HomeSettings(BaseModel):
    """What decides how long a label has entities, and who is asked for a newer version."""

    label_days: float = setting(
        30.0,
        "MQTT",
        "days after which a label that was not seen again has no topics and entities any more, unless "
        "EDGED_CLASSES names it; 0: they stay",
        ge=0,
        le=36500,
        allow_inf_nan=False,
    )
    update_url: str | None = setting(
        None,
        "MQTT",
        "http:// or https:// address of a JSON object with the newest version of edged (version, and url "
        "of its notes), asked once a day; Home Assistant then has an update entity",
        shown="none: nobody is asked",
    )

    @field_validator("update_url")
    @classmethod
    def _is_update_address(cls, value: str | None) -> str | None:
        if value is not None and (problem := problem_of(value)):
            raise ValueError(problem)
        return value
