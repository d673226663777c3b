"""Settings that remember what was read of them: a reload keeps the parts for which nothing has changed."""

from __future__ import annotations

from pathlib import Path

from edged.settings.declared import Settings
from edged.settings.field import meaning_of


class Reading:
    """Settings that remember what was read of them.

    A part that is built from such settings can be kept across a reload if all that it has read still
    holds, without anybody having to list what that is. For files that are read, their content counts.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._read: dict[str, object] = {}

    def __getattr__(self, name: str) -> object:
        value = getattr(self._settings, name)
        if name not in self._read:
            self._read[name] = _meaning(name, value)
        return value

    def holds_for(self, settings: Settings) -> bool:
        """Whether ``settings`` say the same in everything that was read."""
        return all(_meaning(name, getattr(settings, name)) == meant for name, meant in self._read.items())


def _edition(path: Path) -> object:
    """Something that is another when the file is."""
    try:
        state = path.stat()
    except OSError as error:
        return error.errno
    return state.st_ino, state.st_size, state.st_mtime_ns


def _meaning(name: str, value: object) -> object:
    field = Settings.model_fields.get(name)
    if isinstance(value, Path) and field is not None and meaning_of(field).read:
        return value, _edition(value)
    return value
