"""Reading a file that a setting names and that holds a secret: a token, a password, a key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edged.errors import ConfigError
from edged.settings import sandbox

if TYPE_CHECKING:
    from pathlib import Path


def read(path: Path, name: str) -> bytes:
    """The content of the file that the setting ``name`` names.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        # What looks like no path may be the secret itself.
        told = f"={str(path)!r}" if "/" in str(path) else ", a file in the folder where edged runs,"
        raise ConfigError(
            f"{name}{told} cannot be read: {error.strerror}",
            hint=sandbox.explained(path, "Correct the path, or give the user of edged the right to read it"),
        ) from error


def text_of(content: bytes, path: Path, name: str, *, what: str) -> str:
    """The same as text; ``what`` it is, for the hint.

    Raises:
        ConfigError: it is no UTF-8.
    """
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{name}={str(path)!r} is not UTF-8 text", hint=f"Write the {what} into it"
        ) from error
