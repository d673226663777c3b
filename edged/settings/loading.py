"""Settings from the env file and the environment, which wins. The only reader of the environment.

What settings there are is declared in :mod:`edged.settings.declared`. All bad ones are reported together.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING

from dotenv.parser import parse_stream
from pydantic import ValidationError

from edged.errors import ConfigError
from edged.settings import cameras, sandbox
from edged.settings.declared import Settings
from edged.settings.field import PREFIX
from edged.settings.listener import parse
from edged.settings.secrets import shown
from edged.settings.tables import exists

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from dotenv.parser import Binding
    from pydantic_core import ErrorDetails


_MOST_TOLD = 500
"""Problems that are told one by one: the file is no env file."""


def load(env_file: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Settings of the only camera, or of the first one.

    Raises:
        ConfigError: as :func:`load_all`.
    """
    return load_all(env_file, environ)[0]


def load_all(env_file: Path | None = None, environ: Mapping[str, str] | None = None) -> tuple[Settings, ...]:
    """Settings of every camera, in their order, from ``env_file`` and the environment, which wins.

    Raises:
        ConfigError: names every unknown or malformed setting at once, each with its value and the hint.
    """
    values: dict[str, str] = {}
    problems: list[str] = []
    if env_file is not None:
        values, problems = _read(env_file)
    environ = os.environ if environ is None else environ  # noqa: TID251  # this is the one place
    values |= {name: value for name, value in environ.items() if name.upper().startswith(PREFIX)}
    if not values.get(cameras.CAMERAS):
        problems += _unknown(values)
    given = {name: value for name, value in values.items() if value != ""}
    if cameras.CAMERAS in given:
        several, wrong = cameras.split(given)
        problems += wrong
    else:
        several = [cameras.CameraValues("", given, {})]
    every: list[Settings] = []
    for one in several:
        fields = {name.removeprefix(PREFIX).lower(): value for name, value in one.values.items()}
        try:
            every.append(Settings(**fields))  # type: ignore[arg-type]  # strings, for pydantic to parse
        except ValidationError as error:
            problems += [line for detail in error.errors(include_url=False) for line in _lines(detail, one)]
        problems += _contradictions(fields)
    problems = list(dict.fromkeys(problems))  # what is everybody's is wrong for every camera
    if problems:
        count = f"{len(problems)} settings are" if len(problems) > 1 else "a setting is"
        if len(problems) > _MOST_TOLD:
            problems[_MOST_TOLD:] = [f"and {len(problems) - _MOST_TOLD} more"]
        where = f" (env file {env_file})" if env_file else ""
        raise ConfigError(f"{count} wrong{where}:" + "".join(f"\n  {problem}" for problem in problems))
    return tuple(every)


def values_of(env_file: Path) -> dict[str, str]:
    """What an env file says, right or wrong.

    Raises:
        ConfigError: it cannot be read.
    """
    return _read(env_file)[0]


def _unknown(values: dict[str, str]) -> Iterator[str]:
    """Take out the settings that there are not."""
    for number, name in enumerate(sorted(name for name in values if not exists(name))):
        meant = cameras.suggestion(name) if number < cameras.SUGGESTIONS else ""
        yield f"{name}={shown(values.pop(name), name)}: there is no such setting{meant}"


def _contradictions(fields: Mapping[str, str]) -> Iterator[str]:
    """What no setting can see alone: those that need each other."""
    if ("mqtt_cert" in fields) != ("mqtt_key" in fields):
        yield "EDGED_MQTT_CERT and EDGED_MQTT_KEY belong together: set both or none"
    if fields.get("motion") == "packets" and "output" in fields and fields.get("record") != "copy":
        yield (
            f"EDGED_MOTION='packets' decodes nothing while nothing moves, and the video in EDGED_OUTPUT="
            f"{fields['output']!r} would stand still: set EDGED_RECORD=copy, which needs no decoding, or "
            "EDGED_MOTION=pixels"
        )
    if "jsonl" in fields and fields["jsonl"] == fields.get("events_jsonl"):
        yield (
            f"EDGED_JSONL and EDGED_EVENTS_JSONL are both {fields['jsonl']!r}, where lines of frames and of "
            "events would be mixed: name two files"
        )
    if "http" in fields and "http_token_file" not in fields:
        with suppress(ConfigError):  # what is malformed has been told
            if not parse(fields["http"]).loopback:
                yield (
                    f"EDGED_HTTP={fields['http']!r} can be reached from other machines: set "
                    "EDGED_HTTP_TOKEN_FILE, or listen on 127.0.0.1"
                )


def _read(env_file: Path) -> tuple[dict[str, str], list[str]]:
    """The EDGED_* names of an env file, and what is wrong with its lines."""
    try:
        with env_file.open(encoding="utf-8") as stream:
            bindings = list(parse_stream(stream))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(
            f"the env file {str(env_file)!r} cannot be read: {reason}",
            hint=sandbox.explained(
                env_file, "Give a readable file to --env-file; 'edged env' prints one to start from"
            ),
        ) from error
    problems = [
        f"line {_line(binding)}: {_first_word(binding)!r} is not NAME=value"
        for binding in bindings
        if binding.error or (binding.value is None and (binding.key or "").upper().startswith(PREFIX))
    ]
    given = [
        (binding.key, binding.value, _line(binding))
        for binding in bindings
        if binding.key and binding.value is not None and binding.key.upper().startswith(PREFIX)
    ]
    problems += _surprises(given)
    return {name: value for name, value, _ in given}, problems


def _surprises(given: Iterable[tuple[str, str, int]]) -> Iterator[str]:
    """What a person would read otherwise than it is read here and by systemd, of names, values and lines."""
    first: dict[str, tuple[str, int]] = {}
    for name, value, line in given:
        before, earlier = first.setdefault(name, (value, line))
        if before != value:
            yield (
                f"line {line}: {name} is given a second time, after line {earlier}, "
                "with another value; keep one of them"
            )
        # In a URL it may be a part of a password.
        if "://" not in value and re.search(r"\$(\{\w+\}|[A-Z_]{2,})", value):
            yield (
                f"line {line}: {name}={shown(value, name)}: "
                "variables are not replaced in an env file; write what it stands for"
            )


def _line(binding: Binding) -> int:
    """Where a binding stands; the parser counts from the empty lines before it."""
    text = binding.original.string
    return binding.original.line + text[: len(text) - len(text.lstrip())].count("\n")


def _first_word(binding: Binding) -> str:
    """How a line begins: the rest of it may be a password."""
    text = binding.original.string.strip()
    begins = text[: re.match(r"\W*\w*", text).end()]  # type: ignore[union-attr]  # it matches anything
    return begins if begins == text else f"{begins}..."


def _lines(detail: ErrorDetails, one: cameras.CameraValues) -> list[str]:
    """One of pydantic's complaints in names and values that the user knows, without the last full stop."""
    return [line.removesuffix(".") for line in _sentences(detail, one).splitlines()]


def _sentences(detail: ErrorDetails, one: cameras.CameraValues) -> str:
    if not detail["loc"]:
        return str(detail["msg"]).removeprefix("Value error, ")
    field_name = str(detail["loc"][0])
    name = PREFIX + field_name.upper()
    meaning = Settings.model_fields[field_name].description
    if detail["type"] == "missing":
        own = cameras.of_camera(name, one.camera)
        return f"{f'neither {own} nor {name} is set' if one.camera else f'{name} is not set'}: {meaning}"
    message = str(detail["msg"]).removeprefix("Value error, ")
    if message.startswith(
        (f"{name}=", f"{name}_")
    ):  # it says all of it, and what is not to be said it leaves out
        return message
    written = one.written.get(name, name)
    return f"{written}={shown(detail['input'], name)}: {message[0].lower()}{message[1:]} ({meaning})"
