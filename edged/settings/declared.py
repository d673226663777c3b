"""All settings as one frozen value, from the sections that declare them: name, type, unit, default, help.

A setting ``score_threshold`` is ``EDGED_SCORE_THRESHOLD`` in the environment and in the env file.
"""

from __future__ import annotations

import hashlib
import json
from typing import ClassVar

from pydantic import field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from edged.settings import secrets, syntax
from edged.settings.field import PREFIX
from edged.settings.sections.device import DeviceSettings
from edged.settings.sections.input import InputSettings
from edged.settings.sections.live_view import LiveViewSettings
from edged.settings.sections.model import ModelSettings
from edged.settings.sections.mqtt import MqttSettings
from edged.settings.sections.output import OutputSettings
from edged.settings.sections.scene import SceneSettings
from edged.settings.sections.service import ServiceSettings
from edged.settings.sections.webhook import WebhookSettings


class Settings(
    InputSettings,
    ModelSettings,
    SceneSettings,
    DeviceSettings,
    OutputSettings,
    LiveViewSettings,
    MqttSettings,
    WebhookSettings,
    ServiceSettings,
    BaseSettings,
):
    """The configuration of one daemon. Frozen: a reload builds a new one."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", env_ignore_empty=True, allow_inf_nan=False
    )
    node_in_use: ClassVar[bool] = False
    """Whether another daemon that runs has this node. Nobody sets it: it is in the copy that parts are opened
    with, and so among what they have read."""

    @field_validator("*")
    @classmethod
    def _at_home(cls, value: object) -> object:
        return syntax.at_home(value)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # the signature is pydantic's
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take only what :func:`load` hands in: it has to know every name to find the unknown ones."""
        del settings_cls
        return (init_settings,)

    @property
    def several(self) -> bool:
        """Whether there may be other cameras beside this one."""
        return bool(self.cameras)

    @property
    def fingerprint(self) -> str:
        """Hash of all settings, to see from afar which configuration is in force.

        Without the passwords in URLs: it is published, and short ones could be found by trying.
        """
        values = {
            name: secrets.of_setting(value, name) if isinstance(value, str) else value
            for name, value in self.model_dump(mode="json").items()
        }
        text = json.dumps(values, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]
