"""``edged events``: what has happened, a line each, as a person reads it."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from edged.cli import add_env_file
from edged.contract import event_lines, words
from edged.errors import ConfigError, SourceError
from edged.settings import loading

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping, Sequence

    from edged.contract.event_messages import EventMessage
    from edged.settings.declared import Settings

_POLL_S = 0.5
_RETRY_S = 2.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "file",
        nargs="*",
        type=Path,
        metavar="FILE",
        help="lines of events; without it those of EDGED_EVENTS_JSONL, or else what the broker tells",
    )
    add_env_file(parser)
    parser.add_argument("--follow", action="store_true", help="go on with what comes, until Ctrl-C")


def run(options: argparse.Namespace) -> int:
    """Print them, the oldest first."""
    cameras = () if options.file else loading.load_all(options.env_file)
    written = {one.events_jsonl: Path(one.events_jsonl).expanduser() for one in cameras if one.events_jsonl}
    written.pop("-", None)
    paths: Sequence[Path] = options.file or list(written.values())
    if paths:
        _read(paths, follow=options.follow)
    elif not cameras[0].mqtt_url:
        raise ConfigError(
            "events are written nowhere, and there is no broker",
            hint="Set EDGED_EVENTS_JSONL or EDGED_MQTT_URL, or name a file of events",
        )
    elif not options.follow:
        raise ConfigError(
            "a broker only tells what happens from now on",
            hint="Give --follow, or set EDGED_EVENTS_JSONL to a file that keeps events",
        )
    else:
        _hear(cameras[0])
    return 0


def _read(paths: Sequence[Path], *, follow: bool) -> None:
    with contextlib.ExitStack() as opened:
        tails = {path: opened.enter_context(contextlib.closing(event_lines.Tail(path))) for path in paths}
        while True:
            events = _news(tails, follow=follow)
            _print(sorted(events, key=lambda event: event["ts"]))
            if not follow:
                break
            time.sleep(_POLL_S)
    if not events and (others := [str(path) for path in paths if path.stat().st_size]):
        raise SourceError(f"{others[0]!r} has no events in it", hint="Name a file of EDGED_EVENTS_JSONL")


def _news(tails: Mapping[Path, event_lines.Tail], *, follow: bool) -> list[EventMessage]:
    """What is new in all files, file by file.

    Raises:
        SourceError: one cannot be read, or is not there although only those that are there were asked for.
    """
    events: list[EventMessage] = []
    for path, tail in tails.items():
        if not follow and not path.exists():
            raise SourceError(f"{str(path)!r} is not there", hint="Nothing may have happened yet: --follow")
        try:
            events += tail.read()
        except OSError as error:
            raise SourceError(
                f"{str(path)!r} cannot be read: {error.strerror}", hint="Name a file of events"
            ) from error
    return events


def _hear(settings: Settings) -> None:
    """Until somebody interrupts; a lost broker is told and sought again."""
    from edged.mqtt.link import credentials  # noqa: PLC0415
    from edged.mqtt.one_shot.visit import visit  # noqa: PLC0415  # a bad setting is told before this is imported

    # The broker chooses the id: the daemon has its own.
    access = dataclasses.replace(credentials.access_for(settings), client_id="")
    topic = f"{settings.mqtt_prefix}/{settings.node}/+/events"

    while True:
        try:
            visit(access, [topic], lambda message: _take(bytes(message.payload)), lambda _: False)
        except SourceError as error:
            print(f"edged: {error}", file=sys.stderr)
            time.sleep(_RETRY_S)


def _take(payload: bytes) -> None:
    if (event := event_lines.parsed(payload)) is not None:
        _print([event])


def _print(events: Iterable[EventMessage]) -> None:
    for event in events:
        if words.is_news(event):
            print(words.line(event), flush=True)
