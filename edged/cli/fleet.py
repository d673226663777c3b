"""``edged fleet``: how all nodes of a broker are, in one table."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from edged.cli import above_zero, level
from edged.contract.words import printable
from edged.errors import ConfigError, EdgedError, SourceError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from edged.mqtt.link.client import BrokerAccess
    from edged.mqtt.one_shot.fleet import CameraView, FleetStates

_HEADER = ("node", "camera", "is", "rate", "model", "device", "version", "heard", "degraded")
_OPTIONS = {
    "EDGED_MQTT_URL": "BROKER",
    "EDGED_MQTT_PASSWORD_FILE": "--password-file",
    "EDGED_MQTT_VERSION": "--mqtt-version",
    "EDGED_MQTT_CA": "--ca",
    "EDGED_MQTT_CERT": "--cert",
    "EDGED_MQTT_KEY": "--key",
}
_RETRY_S = 2.0
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("broker", metavar="BROKER", help="as EDGED_MQTT_URL has it: mqtt[s]://user@host:port")
    parser.add_argument("--prefix", type=level, default="edged", help="first topic level (default: edged)")
    parser.add_argument("--password-file", type=Path, metavar="FILE", help="file that holds the password")
    parser.add_argument("--ca", type=Path, metavar="FILE", help="CA certificates (PEM) for mqtts")
    parser.add_argument("--cert", type=Path, metavar="FILE", help="client certificate (PEM) for mqtts")
    parser.add_argument("--key", type=Path, metavar="FILE", help="its key (PEM)")
    parser.add_argument("--mqtt-version", choices=("5", "3.1.1"), default="5", help="protocol (default: 5)")
    parser.add_argument(
        "--listen",
        type=above_zero(_DAY, "seconds"),
        default=25.0,
        metavar="SECONDS",
        help="who runs and says nothing for so long is silent; more than two of its EDGED_STATS_INTERVAL "
        "(default: 25)",
    )
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--watch", action="store_true", help="show it anew every second, until Ctrl-C")
    shape.add_argument("--json", action="store_true", help="print JSON, one object a camera in a list")


def run(options: argparse.Namespace) -> int:
    """Show it; 1 if a camera is degraded, silent or offline, or there is none at all."""
    try:
        return _show(options)
    except EdgedError as error:
        raise type(error)(_as_options(error.problem), hint=_as_options(error.hint)) from error


def _as_options(text: str) -> str:
    """A sentence about settings, of which this command has none, in the words of its options."""
    for setting, option in _OPTIONS.items():
        text = text.replace(setting, option)
    return text


def _show(options: argparse.Namespace) -> int:
    from edged.mqtt.one_shot.fleet import (  # noqa: PLC0415  # 'edged --help' must answer at once
        RETAINED_S,
        FleetStates,
        listen,
    )

    access = _access(options)
    states = FleetStates(options.prefix)
    if options.watch:
        _watch(access, states, options)
    until = time.monotonic() + options.listen
    first = time.monotonic() + min(RETAINED_S, options.listen)
    listen(
        access,
        states,
        lambda: time.monotonic() >= until or (time.monotonic() >= first and not states.waits()),
    )
    views = states.views(now=time.monotonic(), silent_s=options.listen + 1)
    if options.json:
        print(json.dumps([dataclasses.asdict(view) for view in views], indent=1))
    else:
        print(_table(views, time.time()) if views else f"nobody has said anything below {options.prefix}/")
    return 0 if views and all(view.condition == "ok" for view in views) else 1


def _access(options: argparse.Namespace) -> BrokerAccess:
    from edged.mqtt.link import credentials  # noqa: PLC0415  # as above
    from edged.mqtt.link.client import BrokerAccess  # noqa: PLC0415
    from edged.settings.broker import parse_url  # noqa: PLC0415

    broker = parse_url(options.broker)
    if options.password_file is not None:
        secret = credentials.password(options.password_file.expanduser())
        broker = dataclasses.replace(broker, password=secret)
    if (options.cert is None) != (options.key is None):
        raise ConfigError("--cert and --key belong together", hint="Give both or none")
    tls = credentials.tls_context(options.ca, options.cert, options.key) if broker.tls else None
    # The broker chooses the id: several people may look at once.
    return BrokerAccess(broker=broker, client_id="", version=options.mqtt_version, tls=tls)


def _watch(access: BrokerAccess, states: FleetStates, options: argparse.Namespace) -> None:
    """Until somebody interrupts; a lost broker is told and sought again."""
    from edged.mqtt.one_shot.fleet import listen  # noqa: PLC0415  # as above

    shown = 0.0

    def show() -> bool:
        nonlocal shown
        now = time.monotonic()
        if now - shown >= 1:
            shown = now
            views = states.views(now=now, silent_s=options.listen)
            clear = "\033[H\033[2J" if sys.stdout.isatty() else ""
            print(f"{clear}{_table(views, time.time())}\n", flush=True)
        return False

    while True:
        try:
            listen(access, states, show)
        except SourceError as error:
            print(f"edged: {_as_options(str(error))}", file=sys.stderr)
            time.sleep(_RETRY_S)


def _table(views: Iterable[CameraView], now: float) -> str:
    rows = [_HEADER]
    rows += [
        (
            view.node,
            view.camera or "-",
            view.condition if view.lifecycle in {"running", ""} else f"{view.condition}, {view.lifecycle}",
            "-" if view.fps is None else f"{view.fps:.1f}/s",
            view.model or "-",
            view.device or "-",
            view.version or "-",
            "-" if view.heard is None else _ago(now - view.heard),
            "; ".join(view.degraded),
        )
        for view in views
    ]
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in cells)
    return "\n".join(lines)


def _ago(past_s: float) -> str:
    """How long ago, in its largest unit."""
    for unit, length in (("d", _DAY), ("h", _HOUR), ("min", _MINUTE)):
        if past_s >= 2 * length:
            return f"{past_s / length:.0f} {unit} ago"
    return f"{max(past_s, 0):.0f} s ago"
