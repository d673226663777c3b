"""Words as a person says them, news of an object above all, and puts them in order."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edged.contract.event_messages import EventMessage

_ENDS = {"left": "has left", "lost": "is out of sight"}
_CHANGES = {
    "zone_entered": "enters {}",
    "zone_left": "leaves {}",
    "line_crossed": "crosses {}",
    "stationary": "stands still",
    "moving": "moves again",
    "picture": "seen better",
}
_CROSSINGS = 8
"""Crossings that a sentence names, the last ones: a caption for Telegram has 1024 characters at the most."""
_SILENT = frozenset({"picture", "alive"})
"""Changes that are no news to a person."""


def natural(text: str) -> list[tuple[int, str]]:
    """A key to sort by: 2 comes before 10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", text)]


def counted(count: int, one: str, more: str = "") -> str:
    """A number of things: ``1 label``, ``2 labels``; ``more`` where that is not the same with an s."""
    return f"{count} {one if count == 1 else more or f'{one}s'}"


def title(event: EventMessage) -> str:
    """What it is about: ``person at front``, ``bird (robin) at front``."""
    return f"{_what(event)} at {event['camera']}"


def sentence(event: EventMessage) -> str:
    """What has happened: ``has left after 40 s; was in gate, porch; crossed gate in``."""
    after = f" after {span(event['duration_s'])}"
    if event["type"] == "start":
        said = ["has come"]
        if event["current_zones"]:
            said.append(f"in {', '.join(event['current_zones'])}")
        # By the time it counts it may have crossed a line.
        said += [_change(change) for change in event["changes"] if change.startswith("line_crossed")]
        return ", ".join(said)
    if event["type"] == "update":
        news = [change for change in event["changes"] if change not in _SILENT]
        # A better picture is worth a word only where there is nothing else to say.
        news = news or [change for change in event["changes"] if change != "alive"]
        return ", ".join(map(_change, news)) or f"there{after}"
    said = [_ENDS.get(event["ended_by"], "is no longer watched") + after]
    if event["entered_zones"]:
        said.append(f"was in {', '.join(event['entered_zones'])}")
    if event["lines"]:
        crossed = [f"{one['line']} {one['direction']}" for one in event["lines"]]
        said.append("crossed " + ", ".join(["..."] * (len(crossed) > _CROSSINGS) + crossed[-_CROSSINGS:]))
    return "; ".join(said)


def is_news(event: EventMessage) -> bool:
    """Whether a person wants to read it: not that something is still there, or seen better."""
    return event["type"] != "update" or not _SILENT.issuperset(event["changes"])


def span(length_s: float) -> str:
    """A time as people say it: ``40 s``, ``3 min 20 s``, ``2 h 5 min``."""
    minutes, rest_s = divmod(round(length_s), 60)
    hours, rest_min = divmod(minutes, 60)
    parts = ((hours, "h"), (rest_min, "min"), (0 if hours else rest_s, "s"))
    return " ".join(f"{number} {unit}" for number, unit in parts if number) or "0 s"


def line(event: EventMessage) -> str:
    """One line of a list: when, by the clock of this machine, which camera, what, and what has happened."""
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(event["ts"]))
    return printable(f"{when}  {event['camera']}  {_what(event)}  {sentence(event)}")


def printable(text: str) -> str:
    """A text as a terminal may show it: what others have sent must not drive it."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _what(event: EventMessage) -> str:
    finer = event.get("sub_label")
    return f"{event['label']} ({finer})" if finer else event["label"]


def _change(change: str) -> str:
    kind, _, what = change.partition(":")
    known = _CHANGES.get(kind)
    return kind if known is None else known.format(what.replace(":", " "))
