"""How zones, lines and masks are written: corners as fractions of the frame, for some labels or all."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

Point: TypeAlias = tuple[float, float]
"""x and y as fractions of the width and the height of the frame, 0..1 from its upper left."""

_CORNERS = 3
_MOST_CORNERS = 64


@dataclass(frozen=True, slots=True)
class Area:
    """What EDGED_ZONE_<NAME>, EDGED_LINE_<NAME> or EDGED_MASK_<NAME> says."""

    name: str
    """The end of the setting's name, in lower case."""
    points: tuple[Point, ...]
    """Corners of a polygon, or the two ends of a line."""
    labels: frozenset[str] = frozenset()
    """The only labels it is for; empty: all."""
    dwell_s: float = 0.0
    """Seconds that an object must have been in a zone before it counts there."""

    def concerns(self, label: str) -> bool:
        """Whether it is for objects of this label."""
        return not self.labels or label in self.labels


def zones(value: object) -> object:
    """``{"porch": "person,car@0.1,0.5 0.6,0.5 0.6,1 dwell=3"}``."""
    return _areas(value, "ZONE", lines=False, dwells=True)


def lines(value: object) -> object:
    """``{"gate": "0.1,0.5 0.9,0.5"}``: seen from the first point to the second, ``in`` is to the right."""
    return _areas(value, "LINE", lines=True, dwells=False)


def masks(value: object) -> object:
    """``{"street": "car@0,0 1,0 1,0.3 0,0.3"}``."""
    return _areas(value, "MASK", lines=False, dwells=False)


def scores(value: object) -> object:
    """``person:0.6,car:0.5``."""
    if not isinstance(value, str):
        return value
    return tuple((label, _fraction(number)) for label, number in _by_label(value, "person:0.6,car:0.5"))


def sizes(value: object) -> object:
    """``person:0.002-0.5``: least and greatest part of the frame that a box may cover."""
    if not isinstance(value, str):
        return value
    found = []
    for label, text in _by_label(value, "person:0.002-0.5"):
        low, dash, high = text.partition("-")
        least, most = _fraction(low), _fraction(high if dash else "1")
        if least >= most:
            raise ValueError(f"{text!r} of {label!r} is no range from less to more")
        found.append((label, least, most))
    return tuple(found)


def models(value: object) -> object:
    """``bird:/path/birds.tflite``: models by label."""
    if not isinstance(value, str):
        return value
    return tuple((label, Path(path)) for label, path in _by_label(value, "bird:/path/birds.tflite"))


def _by_label(value: str, example: str) -> list[tuple[str, str]]:
    pairs = []
    for part in value.split(","):
        label, colon, text = part.strip().rpartition(":")
        if not colon or not label.strip():
            raise ValueError(f"{part.strip()!r} is not label:value as in {example}")
        pairs.append((label.strip(), text.strip()))
    if len({label for label, _ in pairs}) < len(pairs):
        raise ValueError("a label is given twice")
    return pairs


def _fraction(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number <= 1:
        raise ValueError(f"{text!r} is not a number from 0 to 1")
    return number


def _areas(value: object, kind: str, *, lines: bool, dwells: bool) -> object:
    if not isinstance(value, dict):
        return value
    return tuple(
        _area(str(name), str(text), kind, lines=lines, dwells=dwells) for name, text in sorted(value.items())
    )


def _area(name: str, text: str, kind: str, *, lines: bool, dwells: bool) -> Area:
    said = f"EDGED_{kind}_{name.upper()}={text!r}"
    labels, _, rest = text.rpartition("@")
    words = rest.split()
    dwell_s = 0.0
    if dwells and words and words[-1].startswith("dwell="):
        try:
            dwell_s = float(words.pop().removeprefix("dwell="))
        except ValueError:
            dwell_s = math.nan
        if not 0 <= dwell_s <= 86400:  # noqa: PLR2004  # seconds of a day
            raise ValueError(f"{said}: dwell is not seconds from 0 to 86400")
    points = []
    for word in words:
        match = re.fullmatch(r"([0-9.]+),([0-9.]+)", word)
        try:
            points.append((_fraction(match[1]), _fraction(match[2])))  # type: ignore[index]  # caught below
        except (TypeError, ValueError):
            raise ValueError(
                f"{said}: {word!r} is not x,y as fractions of the frame, 0 to 1, as in 0.25,0.5"
            ) from None
    if lines and (len(points) != 2 or points[0] == points[1]):  # noqa: PLR2004  # a line's ends
        raise ValueError(f"{said}: a line has two points that differ, as in 0.1,0.5 0.9,0.5")
    if not lines and not _CORNERS <= len(points) <= _MOST_CORNERS:
        raise ValueError(f"{said}: a polygon has 3 to {_MOST_CORNERS} corners, as in 0,0 1,0 1,0.5")
    kept = frozenset(part.strip() for part in labels.split(",") if part.strip())
    return Area(name.lower(), tuple(points), kept, dwell_s)
