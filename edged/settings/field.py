"""How one setting is declared: a field with what the tables say of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pydantic import AfterValidator, Field

from edged.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic.fields import FieldInfo

PREFIX = "EDGED_"
MOST = 1e9
"""Seconds and gigabytes where nothing else is a limit: who waits for twice as long still can."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What the tables say of a setting, and :func:`setting` is told."""

    shown: str | None = None
    """Stands for a default that has no written form; None and () are "none"."""
    read: bool = False
    """Whether it names a file that is read, so that it has changed when the file has."""
    named: bool = False
    """Whether there may be any number of it, each with a name of its own."""
    needs: tuple[str, ...] = ()
    """The settings without which it has no effect: each of them, of ``a|b`` one."""


def setting(
    default: Any,
    help_text: str,
    *,
    shown: str | None = None,
    read: bool = False,
    named: bool = False,
    needs: str | tuple[str, ...] = (),
    **limits: Any,
) -> Any:
    """A field with what the tables say of it.

    Args:
        default: its value where it is not set, or what makes it.
        help_text: what it means.
        shown: as :attr:`Meaning.shown`.
        read: as :attr:`Meaning.read`.
        named: as :attr:`Meaning.named`.
        needs: as :attr:`Meaning.needs`; one setting, or several.
        limits: of its value, as pydantic has them.
    """
    if shown is None and default in {None, ()}:
        shown = "none"
    meaning = Meaning(shown, read, named, (needs,) if isinstance(needs, str) else needs)
    made = {"default_factory": default} if callable(default) else {"default": default}
    return Field(**made, description=help_text, json_schema_extra=asdict(meaning), **limits)


def meaning_of(field: FieldInfo) -> Meaning:
    """What the tables say of a setting."""
    assert isinstance(field.json_schema_extra, dict)  # noqa: S101  # every setting is made here
    told: dict[str, Any] = field.json_schema_extra
    return Meaning(**told)


def variable(name: str) -> str:
    """How the setting ``score_threshold`` is called in the env file."""
    return PREFIX + name.upper()


def parsed_by(parse: Callable[[str], object]) -> AfterValidator:
    """Keeps a text as it is, if ``parse`` takes it."""

    def check(text: str) -> str:
        try:
            parse(text)
        except ConfigError as error:
            # Only a ValueError is collected together with what else is wrong.
            raise ValueError(str(error)) from error
        return text

    return AfterValidator(check)
