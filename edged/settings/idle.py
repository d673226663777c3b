"""What is set and has no effect, because another setting is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edged.settings.declared import Settings
from edged.settings.field import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator


def notes(settings: Settings) -> Iterator[str]:
    """A sentence for all that waits for one setting."""
    missed: dict[str, list[str]] = {}
    for name, field in sorted(Settings.model_fields.items()):
        extra = field.json_schema_extra
        needs = str(extra.get("needs", "")) if isinstance(extra, dict) else ""
        changed = name in settings.model_fields_set and getattr(settings, name) != field.default
        if needs and changed and getattr(settings, needs) in {None, False, "off"}:
            missed.setdefault(needs, []).append(_named(name))
    for needs, names in sorted(missed.items()):
        value = getattr(settings, needs)
        state = "not set" if value is None else str(value).lower()
        verb = "does" if len(names) == 1 else "do"
        yield f"{', '.join(names)} {verb} nothing while {_named(needs)} is {state}"


def _named(name: str) -> str:
    return PREFIX + name.upper()
