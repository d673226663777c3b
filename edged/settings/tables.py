"""The settings as tables show them: name, section, default and help, from their declarations."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from edged.settings.field import PREFIX, meaning_of, variable
from edged.settings.sections.device import DeviceSettings
from edged.settings.sections.input import InputSettings
from edged.settings.sections.live_view import LiveViewSettings
from edged.settings.sections.model import ModelSettings
from edged.settings.sections.mqtt import MqttSettings
from edged.settings.sections.output import OutputSettings
from edged.settings.sections.scene import NAMED, SceneSettings
from edged.settings.sections.service import ServiceSettings
from edged.settings.sections.webhook import WebhookSettings

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

_NAMED = re.compile(rf"{PREFIX}({'|'.join(NAMED).upper()})_[A-Z0-9][A-Z0-9_]{{0,31}}")

_SECTIONS: dict[str, type[BaseModel]] = {
    "Input": InputSettings,
    "Model": ModelSettings,
    "Scene": SceneSettings,
    "Device": DeviceSettings,
    "Output": OutputSettings,
    "Live view": LiveViewSettings,
    "MQTT": MqttSettings,
    "Webhook": WebhookSettings,
    "Service": ServiceSettings,
}
"""In the order of the tables."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """One setting as the tables show it."""

    name: str
    section: str
    default: str
    described: bool
    """Whether ``default`` is a description and not a value that could be written."""
    required: bool
    help: str


@cache
def declarations() -> tuple[Declaration, ...]:
    """All settings: by section, then in the order of their declaration."""
    return tuple(
        _declaration(section, name, field)
        for section, settings in _SECTIONS.items()
        for name, field in settings.model_fields.items()
    )


def _declaration(section: str, field_name: str, field: FieldInfo) -> Declaration:
    meaning = meaning_of(field)
    described = meaning.shown
    return Declaration(
        name=variable(field_name) + ("_NAME" if meaning.named else ""),
        section=section,
        default=described or _as_written(field.default),
        described=bool(described) and described != "auto",
        required=field.is_required(),
        help=field.description or "",
    )


def exists(name: str) -> bool:
    """Whether there is a setting of this name, ``EDGED_ZONE_PORCH`` as well as ``EDGED_FPS``."""
    return bool(_NAMED.fullmatch(name)) or any(name == setting.name for setting in declarations())


def _as_written(default: object) -> str:
    """A default as it would stand in the env file."""
    if isinstance(default, bool):
        return str(default).lower()
    return format(default, "g") if isinstance(default, float) else str(default)
