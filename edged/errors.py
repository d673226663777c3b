"""The exception tree. Every error that a user can cause ends here, each kind with its exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable


class EdgedError(Exception):
    """Base of all errors that edged raises on purpose.

    The message is built here, always in one shape: what went wrong with which thing, then how to mend it.
    ``exit_code`` follows sysexits.h where it has a fitting number.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, problem: str, *, hint: str = "") -> None:
        self.problem = problem
        self.hint = hint
        super().__init__(" ".join(_sentence(part) for part in (problem, hint) if part))


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?", "!")) else f"{text}."


def nearest(name: str, known: Iterable[str]) -> str:
    """Which of those that there are may have been meant, whatever its case; empty if none is like it."""
    import difflib  # noqa: PLC0415  # seldom needed

    alike = {one.lower(): one for one in known}
    close = difflib.get_close_matches(name.lower(), alike)
    return alike[close[0]] if close else ""


class ConfigError(EdgedError):
    """A setting is unknown, malformed or contradicts another (EX_CONFIG)."""

    exit_code = 78


class ModelError(EdgedError):
    """A model file cannot be read, loaded or understood (EX_CONFIG: it will not mend itself)."""

    exit_code = 78


class OutputError(ModelError):
    """The model's output for a frame is none: not a number, or no score where scores should be."""


class DeviceError(EdgedError):
    """The accelerator or the runtime for it does not answer (EX_UNAVAILABLE)."""

    exit_code = 69


class SourceError(EdgedError):
    """The camera, stream or file gives no frames (EX_UNAVAILABLE)."""

    exit_code = 69


class SinkError(EdgedError):
    """An output cannot be opened or written (EX_CANTCREAT)."""

    exit_code = 73
