"""The unit of systemd that runs edged, and how to do something else as it would be done there."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_LIFE = re.compile(
    r"(Type|NotifyAccess|Exec\w+|Timeout\w+|Watchdog\w+|Restart\w*|KillMode|OOMPolicy|Standard\w+|Syslog\w+|"
    r"\w*ExitStatus|RemainAfterExit|Sockets|FileDescriptor\w+|Success\w+|GuessMainPID|PIDFile|BusName|"
    r"StartLimit\w+|PermissionsStartOnly)$"
)
"""Properties about how a service lives; all others are about what it may do."""
_PREFIXES = "@-:+!|"
"""What may stand before the program of ``ExecStart=``, see systemd.service(5)."""
_USER = re.compile(r"(User|Group|SupplementaryGroups|DynamicUser)$")
_OF_ALL = re.compile(
    r"(IPAddress|IPIngress|IPEgress|Device|Memory|Tasks|CPU|IO|Limit|WorkingDirectory|LoadCredential|"
    r"SetCredential|ImportCredential|StateDirectory|Environment|PassEnvironment|UnsetEnvironment)"
)
"""Properties that hold for a program with a ``+`` before it, too."""

_BOOTED = Path("/run/systemd/system")
_PATIENCE_S = 10.0


@dataclass(frozen=True, slots=True)
class Unit:
    """A service that runs edged with an env file."""

    name: str
    program: tuple[str, ...]
    """The edged of its ``ExecStart=``, as ``python3 -m edged``."""
    properties: tuple[str, ...]
    """What it may do, ``NAME=VALUE`` in the order of its files."""

    def without(self, unknown: str) -> Unit:
        """The same but for a property that this systemd does not know, and passes over in a unit."""
        left = tuple(one for one in self.properties if one.partition("=")[0] != unknown)
        return Unit(self.name, self.program, left)

    def command(self, arguments: list[str], values: Mapping[str, str | None]) -> list[str]:
        """A command line that runs this edged with ``arguments`` as the unit would.

        Args:
            arguments: of edged.
            values: what its env file says, by name: credentials of the unit lie in a folder of its name.
        """
        alias = f"edged-check-{os.getpid()}.service"
        command = ["systemd-run", "--quiet", "--wait", "--pipe", "--collect", f"--unit={alias}"]
        command += [f"--property={one}" for one in self.properties]
        own = f"/run/credentials/{self.name}/"
        command += [
            f"--setenv={name}=/run/credentials/{alias}/{value.removeprefix(own)}"
            for name, value in values.items()
            if value and value.startswith(own)
        ]
        return [*command, "--", *self.program, *arguments]


def unit_of(env_file: Path) -> Unit | None:
    """The installed unit that runs with ``env_file``; None without systemd, or if there is none."""
    if not _BOOTED.is_dir():
        return None
    for name in ("edged.service", f"edged@{env_file.stem}.service"):
        # Comments, continued lines and drop-ins are in it as they are on the disk.
        try:
            shown = subprocess.run(  # noqa: S603  # the name is ours, or that of the env file
                ["systemctl", "cat", "--no-pager", "--", name],  # noqa: S607  # from the administrator's PATH
                capture_output=True,
                text=True,
                check=False,
                timeout=_PATIENCE_S,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None  # a container that sees the machine's /run has no systemctl, or one that nobody hears
        if shown.returncode == 0 and (unit := parse(name, shown.stdout, env_file)) is not None:
            return unit
    return None


def parse(name: str, text: str, env_file: Path) -> Unit | None:
    """The unit of that name and text; None if it does not run edged with ``env_file``."""
    lines = _service_lines(name, text)
    started = [words for key, value in lines if key == "ExecStart" and (words := _words(value))]
    if not started or _env_file(started[-1]) != env_file.resolve():
        return None
    program, prefix = _program(started[-1])
    properties: list[str] = []
    for key, value in lines:
        if _LIFE.match(key) or _spared(key, prefix):
            continue
        # systemd-run knows names such as localhost only where they stand alone.
        values = value.split() if key.startswith("IPAddress") and value else [value]
        properties += [f"{key}={one}" for one in values]
    return Unit(name, program, tuple(properties))


def _words(command: str) -> list[str]:
    """The words of a command line; none if its quotes do not close, which systemd leaves out as well."""
    try:
        return shlex.split(command)
    except ValueError:
        return []


def _program(words: list[str]) -> tuple[tuple[str, ...], str]:
    """The words of a command line that begin edged, and what stands before the first."""
    first = words[0].lstrip(_PREFIXES)
    prefix = words[0].removesuffix(first)
    rest = words[2:] if "@" in prefix else words[1:]  # with it the second is how the process is called
    return (first, *rest[: rest.index("run") if "run" in rest else 0]), prefix


def _env_file(words: list[str]) -> Path | None:
    """What ``--env-file`` of a command line names."""
    for word, following in zip(words, [*words[1:], ""], strict=True):
        option, given, value = word.partition("=")
        if option == "--env-file" and (value if given else following):
            return Path(value if given else following).resolve()
    return None


def _spared(key: str, prefix: str) -> bool:
    """Whether a property does not hold for a program with such a prefix."""
    if "+" in prefix:
        return _OF_ALL.match(key) is None
    return prefix.count("!") == 1 and _USER.match(key) is not None


def _service_lines(name: str, text: str) -> list[tuple[str, str]]:
    """What ``[Service]`` of all its files says, with the specifiers of systemd.unit(5) filled in."""
    stem = name.removesuffix(".service")
    prefix, _, instance = stem.partition("@")
    meant = {"i": instance, "I": instance, "n": name, "N": stem, "p": prefix, "P": prefix, "%": "%",
             "S": "/var/lib", "t": "/run", "E": "/etc", "C": "/var/cache", "L": "/var/log"}  # fmt: skip
    whole = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith(("#", ";")))
    section, found = "", []
    for line in re.sub(r"\\\n", " ", whole).splitlines():
        key, given, value = line.partition("=")
        if line.startswith("["):
            section = line.strip()
        elif given and section == "[Service]":
            filled = re.sub(r"%(.)", lambda letter: meant.get(letter[1], letter[0]), value.strip())
            found.append((key.strip(), filled))
    return found
