"""Settings from the env file and the environment, which wins. The only reader of the environment.

What settings there are is declared in :mod:`edged.settings`. All bad ones are reported together.
"""

from __future__ import annotations

import difflib
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dotenv.parser import parse_stream
from pydantic import ValidationError

from edged.errors import ConfigError
from edged.notation import shown
from edged.settings import PREFIX, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dotenv.parser import Binding
    from pydantic_core import ErrorDetails


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


def load(env_file: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from ``env_file`` and the environment, which wins.

    Raises:
        ConfigError: names every unknown or malformed setting at once, each with its value and the mend.
    """
    values: dict[str, str] = {}
    problems: list[str] = []
    if env_file is not None:
        values, problems = _read(env_file)
    environ = os.environ if environ is None else environ  # noqa: TID251  # this is the one place
    values |= {name: value for name, value in environ.items() if name.upper().startswith(PREFIX)}

    names = {declaration.name for declaration in declarations()}
    for name in sorted(values.keys() - names):
        begun = sorted(known for known in names if known.startswith(name.upper()))
        close = begun or [
            PREFIX + found
            for found in difflib.get_close_matches(
                name.upper().removeprefix(PREFIX), [known.removeprefix(PREFIX) for known in names], n=1
            )
        ]
        problems.append(
            f"{name}={shown(values.pop(name), name)}: there is no such setting"
            + (f"; did you mean {close[0]}?" if close else "; 'edged env' lists all of them")
        )
    fields = {name.removeprefix(PREFIX).lower(): value for name, value in values.items() if value != ""}
    try:
        settings = Settings(**fields)  # type: ignore[arg-type]  # strings, for pydantic to parse
    except ValidationError as error:
        problems += [_sentence(detail) for detail in error.errors(include_url=False)]
    problems += _contradictions(fields)
    if problems:
        count = f"{len(problems)} settings are" if len(problems) > 1 else "a setting is"
        where = f" (env file {env_file})" if env_file else ""
        raise ConfigError(f"{count} wrong{where}:" + "".join(f"\n  {problem}" for problem in problems))
    return settings


def _contradictions(fields: Mapping[str, str]) -> Iterator[str]:
    """What no setting can see alone: those that need each other."""
    if ("mqtt_cert" in fields) != ("mqtt_key" in fields):
        yield "EDGED_MQTT_CERT and EDGED_MQTT_KEY belong together: set both or none"
    if "http" in fields and "http_token_file" not in fields:
        from edged.http.address import parse  # noqa: PLC0415  # as above

        with suppress(ConfigError):  # what is malformed has been told
            if not parse(fields["http"]).loopback:
                yield (
                    f"EDGED_HTTP={fields['http']!r} can be reached from other machines: set "
                    "EDGED_HTTP_TOKEN_FILE, or listen on 127.0.0.1"
                )


@dataclass(frozen=True, slots=True)
class ServiceManager:
    """What systemd tells a service of itself."""

    socket: str | None
    watchdog_s: float | None
    journal: bool = False
    """Whether standard error goes to journald."""


def service_manager(environ: Mapping[str, str] | None = None) -> ServiceManager:
    """NOTIFY_SOCKET, WATCHDOG_USEC and JOURNAL_STREAM: no settings of ours, but they come the same way."""
    environ = os.environ if environ is None else environ  # noqa: TID251  # as in load()
    microseconds = environ.get("WATCHDOG_USEC", "")
    return ServiceManager(
        socket=environ.get("NOTIFY_SOCKET") or None,
        watchdog_s=int(microseconds) / 1e6 or None if microseconds.isdecimal() else None,
        journal=_is_standard_error(environ.get("JOURNAL_STREAM", "")),
    )


def _is_standard_error(stream: str) -> bool:
    """Whether ``device:inode`` is ours (systemd.exec(5)): a terminal may have inherited the variable."""
    try:
        state = os.fstat(2)
    except OSError:
        return False
    return stream == f"{state.st_dev}:{state.st_ino}"


class Reading:
    """Settings that remember what was read of them.

    A part that is built from such settings can be kept across a reload if all that it has read still
    holds, without anybody having to list what that is. Of files that are read, what is in them counts.
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
        state = path.expanduser().stat()
    except OSError as error:
        return error.errno
    return state.st_ino, state.st_size, state.st_mtime_ns


def _meaning(name: str, value: object) -> object:
    field = Settings.model_fields.get(name)
    extra = field.json_schema_extra if field else None
    if isinstance(value, Path) and isinstance(extra, dict) and extra["read"]:
        return value, _edition(value)
    return value


def _read(env_file: Path) -> tuple[dict[str, str], list[str]]:
    """The EDGED_* names of an env file, and what is wrong with its lines."""
    try:
        with env_file.open(encoding="utf-8") as stream:
            bindings = list(parse_stream(stream))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(
            f"the env file {str(env_file)!r} cannot be read: {reason}",
            mend="Give a readable file to --env-file; 'edged env' prints one to start from",
        ) from error
    problems = [
        f"line {_line(binding)}: {_first_word(binding)!r} is not NAME=value"
        for binding in bindings
        if binding.error or (binding.value is None and (binding.key or "").upper().startswith(PREFIX))
    ]
    values = {
        binding.key: binding.value or ""
        for binding in bindings
        if binding.key and binding.value is not None and binding.key.upper().startswith(PREFIX)
    }
    return values, problems


def _line(binding: Binding) -> int:
    """Where a binding stands; the parser counts from the empty lines before it."""
    text = binding.original.string
    return binding.original.line + text[: len(text) - len(text.lstrip())].count("\n")


def _first_word(binding: Binding) -> str:
    """How a line begins: the rest of it may be a password."""
    text = binding.original.string.strip()
    begins = text[: re.match(r"\W*\w*", text).end()]  # type: ignore[union-attr]  # it matches anything
    return begins if begins == text else f"{begins}..."


def _sentence(detail: ErrorDetails) -> str:
    """One of pydantic's complaints in the names and values that the user knows."""
    if not detail["loc"]:
        return str(detail["msg"]).removeprefix("Value error, ")
    field_name = str(detail["loc"][0])
    name = PREFIX + field_name.upper()
    meaning = Settings.model_fields[field_name].description
    if detail["type"] == "missing":
        return f"{name} is not set: {meaning}"
    message = str(detail["msg"]).removeprefix("Value error, ")
    if message.startswith(f"{name}="):  # it says all of it, and what is not to be said it leaves out
        return message
    return f"{name}={shown(detail['input'])}: {message[0].lower()}{message[1:]} ({meaning})"


__all__ = [
    "PREFIX",
    "Declaration",
    "Reading",
    "ServiceManager",
    "Settings",
    "declarations",
    "load",
    "service_manager",
]
