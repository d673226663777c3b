"""How one setting is declared: a field with what the tables say of it."""

from __future__ import annotations

from typing import Any

from pydantic import Field

PREFIX = "EDGED_"


def setting(
    default: Any,
    section: str,
    help_text: str,
    *,
    shown: str | None = None,
    read: bool = False,
    named: bool = False,
    needs: str = "",
    **limits: Any,
) -> Any:
    """A field with what the tables say of it.

    Args:
        default: its value where it is not set.
        section: of the tables.
        help_text: what it means.
        shown: stands for a default that has no written form.
        read: whether it names a file that is read, so that it has changed when the file has.
        named: whether there may be any number of it, each with a name of its own.
        needs: the setting without which it has no effect.
        limits: of its value, as pydantic has them.
    """
    extra: dict[str, Any] = {"section": section, "shown": shown, "read": read, "named": named, "needs": needs}
    return Field(default, description=help_text, json_schema_extra=extra, **limits)
