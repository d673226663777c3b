"""How zones, lines and masks are written: corners as fractions of the frame, for some labels or all."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from edged.settings.syntax import parts

if TYPE_CHECKING:
    from collections.abc import Sequence

Point: TypeAlias = tuple[float, float]
"""x and y as fractions of the width and the height of the frame, 0..1 from its upper left."""

_CORNERS = 3
_MOST_CORNERS = 64
_FLAT = 1e-9
"""Part of the frame; a polygon that covers no more has nothing inside."""


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
    """All of a kind.

    Raises:
        ValueError: some are wrong; a line for each.
    """
    if not isinstance(value, dict):
        return value
    found, problems = [], []
    for name, text in sorted(value.items()):
        try:
            found.append(_area(str(name), str(text), lines=lines, dwells=dwells))
        except ValueError as error:
            problems.append(f"EDGED_{kind}_{name.upper()}={text!r}: {error}")
    if problems:
        raise ValueError("\n".join(problems))
    return tuple(found)


def _area(name: str, text: str, *, lines: bool, dwells: bool) -> Area:
    labels, _, rest = text.rpartition("@")
    words = rest.split()
    dwell_s = 0.0
    if dwells and words and words[-1].startswith("dwell="):
        try:
            dwell_s = float(words.pop().removeprefix("dwell="))
        except ValueError:
            dwell_s = math.nan
        if not 0 <= dwell_s <= 86400:  # noqa: PLR2004  # seconds of a day
            raise ValueError("dwell is not seconds from 0 to 86400")
    points = tuple(_point(word, dwells=dwells) for word in words)
    if lines and (len(points) != 2 or points[0] == points[1]):  # noqa: PLR2004  # a line's ends
        raise ValueError("a line has two points that differ, as in 0.1,0.5 0.9,0.5")
    if not lines and not _CORNERS <= len(points) <= _MOST_CORNERS:
        raise ValueError(f"a polygon has 3 to {_MOST_CORNERS} corners, as in 0,0 1,0 1,0.5")
    if not lines and not _spreads(points):
        raise ValueError("all of its corners lie on one line: there is nothing inside")
    kept = frozenset(parts(labels))
    return Area(name.lower(), points, kept, dwell_s)


def _point(word: str, *, dwells: bool) -> Point:
    match = re.fullmatch(r"([0-9.]+),([0-9.]+)", word)
    try:
        return _fraction(match[1]), _fraction(match[2])  # type: ignore[index]  # caught below
    except (TypeError, ValueError):
        may = " (dwell=3 may stand behind the last one)" if dwells and "=" in word else ""
        raise ValueError(
            f"{word!r} is not x,y as fractions of the frame, 0 to 1, as in 0.25,0.5{may}"
        ) from None


def _spreads(points: Sequence[Point]) -> bool:
    """Whether three corners do not lie on one line."""
    (x, y), *others = points
    reach = [(other_x - x, other_y - y) for other_x, other_y in others]
    far = max(reach, key=lambda way: math.hypot(*way))
    return any(abs(far[0] * way[1] - far[1] * way[0]) > _FLAT for way in reach)
