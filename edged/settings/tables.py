"""The settings as tables show them: name, section, default and help, from their declarations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edged.settings.declared import PREFIX, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator


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


def declarations() -> Iterator[Declaration]:
    """All settings in the order of their declaration."""
    for field_name, field in Settings.model_fields.items():
        extra = field.json_schema_extra
        assert isinstance(extra, dict)  # noqa: S101  # every field says its section
        described = extra.get("shown")
        yield Declaration(
            name=PREFIX + field_name.upper(),
            section=str(extra["section"]),
            default=str(described) if described else _as_written(field.default),
            described=bool(described) and described != "auto",
            required=field.is_required(),
            help=field.description or "",
        )


def _as_written(default: object) -> str:
    """A default as it would stand in the env file."""
    if isinstance(default, bool):
        return str(default).lower()
    return format(default, "g") if isinstance(default, float) else str(default)
