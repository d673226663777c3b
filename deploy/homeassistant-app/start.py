"""Starts edged as a Home Assistant app: the app's options become its env file.

Runs with nothing but Python's own library. The broker is the one that Home Assistant knows, unless the
options name another.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.request
from pathlib import Path
from typing import Any

OWN = {"mqtt_password", "more"}
"""Options that are no settings by themselves."""
DEFAULTS = {"EDGED_HA_DISCOVERY": "true", "EDGED_SPOOL": "/data/spool"}
"""What every app wants: the options, "more" above all, win."""
SUPERVISOR = "http://supervisor"


def main(data: Path, run: tuple[str, ...] = ("/usr/bin/edged", "run")) -> None:
    """Write the env file and become edged."""
    options = json.loads((data / "options.json").read_text(encoding="utf-8"))
    password_file = data / "mqtt_password"
    settings = DEFAULTS | settings_of(options)
    if "EDGED_MQTT_URL" not in settings and (broker := known_broker()):
        settings["EDGED_MQTT_URL"] = url_of(broker)
        options.setdefault("mqtt_password", broker.get("password"))
    if options.get("mqtt_password"):
        secret(password_file, options["mqtt_password"])
        settings["EDGED_MQTT_PASSWORD_FILE"] = str(password_file)
    env_file = data / "edged.env"
    secret(env_file, env_text(settings))
    for name in settings:  # what the image sets itself would win over the file
        os.environ.pop(name, None)  # noqa: TID251  # edged is not running yet
    os.execv(run[0], [*run, "--env-file", str(env_file)])  # noqa: S606  # it is edged itself


def settings_of(options: dict[str, Any]) -> dict[str, str]:
    """The settings that the options say, by name."""
    settings = {
        f"EDGED_{name.upper()}": written(value)
        for name, value in options.items()
        if name not in OWN and value not in {None, ""}
    }
    for line in options.get("more", ()):
        name, _, value = line.partition("=")
        settings[name] = value
    return settings


def written(value: object) -> str:
    """A value as an env file has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def known_broker() -> dict[str, Any]:
    """The broker that Home Assistant knows; empty where there is none, or nobody to ask."""
    token = os.environ.get("SUPERVISOR_TOKEN")  # noqa: TID251  # edged is not running yet
    if not token:
        return {}
    request = urllib.request.Request(  # noqa: S310  # a fixed address
        f"{SUPERVISOR}/services/mqtt", headers={"Authorization": f"Bearer {token}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            found: dict[str, Any] = json.load(answer).get("data") or {}
    except (OSError, ValueError) as error:
        print(f"edged: the Supervisor names no broker: {error}", file=sys.stderr)  # noqa: T201
        return {}
    return found


def url_of(broker: dict[str, Any]) -> str:
    """EDGED_MQTT_URL of a broker as the Supervisor describes it."""
    scheme = "mqtts" if broker.get("ssl") else "mqtt"
    user = f"{broker['username']}@" if broker.get("username") else ""
    return f"{scheme}://{user}{broker['host']}:{broker['port']}"


def env_text(settings: dict[str, str]) -> str:
    """An env file; values in quotes, so that nothing in them ends a value early."""
    lines = []
    for name, value in settings.items():
        if "\n" in value or "'" in value:
            raise SystemExit(f"edged: the value of {name} must have no quote and no line break in it")
        lines.append(f"{name}='{value}'\n")
    return "".join(lines)


def secret(file: Path, text: str) -> None:
    """Write a file that nobody else can read."""
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
        out.write(text)


if __name__ == "__main__":
    main(Path("/data"))
