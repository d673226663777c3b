"""Where an object is: in which zones and for how long, and which lines it has crossed.

The place of an object is the middle of the lower edge of its box: where it stands.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edged.settings.areas import Area, Point

    Clear = Callable[[], Point]
    Edge = tuple[float, float, float]

_SETTLE_S = 0.3
"""How long an object must have been across the edge of a zone before it has entered or left it."""
_NOWHERE = (math.inf, math.inf, -math.inf, -math.inf)
_ROUNDING = 1e-9
"""So near to an edge nobody knows on which side a place is."""


def place(box: Sequence[float], width: int, height: int) -> Point:
    """Where a box (x1, y1, x2, y2 in pixels) stands, as fractions of a frame of this size, within it."""
    x1, _, x2, y2 = box
    x, y = (x1 + x2) / 2 / width, y2 / height
    if 0.0 <= x <= 1.0 and 0.0 <= y <= 1.0:  # as nearly always, which saves four calls
        return x, y
    return min(max(x, 0.0), 1.0), min(max(y, 0.0), 1.0)


def inside(point: Point, polygon: Sequence[Point]) -> bool:
    """Whether a point lies in a polygon: a ray to the right meets its edges an odd number of times."""
    x, y = point
    within = False
    x1, y1 = polygon[-1]
    for x2, y2 in polygon:
        if (y1 > y) != (y2 > y) and x < x1 + (y - y1) / (y2 - y1) * (x2 - x1):
            within = not within
        x1, y1 = x2, y2
    return within


class Field:
    """A polygon that is asked about every object in every frame.

    Args:
        points: its corners.
    """

    __slots__ = ("_bounds", "_points")

    def __init__(self, points: Sequence[Point]) -> None:
        self._points = points
        across, down = [x for x, _ in points], [y for _, y in points]
        self._bounds = min(across), min(down), max(across), max(down)

    def has(self, point: Point) -> bool:
        """Whether a point lies in it; most do not, which is known without a look at its edges."""
        x, y = point
        x1, y1, x2, y2 = self._bounds
        return x1 <= x <= x2 and y1 <= y <= y2 and inside(point, self._points)


def side(point: Point, line: Sequence[Point]) -> float:
    """On which side of a line a point lies, seen from its first end to its second: above 0 on the right.

    The amount is the distance from the line, times the line's length.
    """
    (x1, y1), (x2, y2) = line
    return (x2 - x1) * (point[1] - y1) - (y2 - y1) * (point[0] - x1)


def passes_between(first: Point, second: Point, line: Sequence[Point]) -> bool:
    """Whether the way from one point to another, which are on both sides of a line, goes through it."""
    way = (first, second)
    return side(line[0], way) * side(line[1], way) <= 0


@dataclass(slots=True)
class _Stay:
    """An object and a zone."""

    changed_s: float | None = None
    """Since when it seems to be otherwise."""
    since_s: float | None = None
    """Since when it is believed to be inside."""
    spent_s: float = 0.0
    """In earlier stays."""


@dataclass(slots=True)
class _Passage:
    """An object and a line; sides are as :func:`side` has them."""

    ends: Sequence[Point]
    """The line's."""
    where: Point
    """Where it last was to one side of it."""
    now: float
    """To which."""
    home: float
    """The side on which it is believed to be, and as deep as it was there before that was sure."""
    sure: bool
    """Whether it was clear of the line there."""
    met: bool = False
    """Whether it went through the line an odd number of times since."""


@dataclass(slots=True)
class Whereabouts:
    """What zones and lines know of one object."""

    stays: dict[str, _Stay] = field(default_factory=dict)
    zones: tuple[str, ...] = ()
    """Where it is now, made anew when that changes."""
    entered: list[str] = field(default_factory=list)
    """Zones in the order in which it first entered them."""
    passages: dict[str, _Passage] = field(default_factory=dict)
    """By line."""
    seen: bool = False
    """Whether it was anywhere before."""
    crossed: list[tuple[str, str]] = field(default_factory=list)
    """Lines and directions, in the order of crossing."""
    calm: tuple[float, float, float, float] = _NOWHERE
    """x1, y1, x2, y2: as long as it is between these there is no news of zones and lines, and only where it
    is is noted."""
    where: Point = (0.0, 0.0)
    """Where it last was between them."""

    def catch_up(self) -> None:
        """Note what was not while it was calm."""
        if self.calm is not _NOWHERE:
            self.calm = _NOWHERE
            for one in self.passages.values():
                one.where, one.now = self.where, side(self.where, one.ends)

    def hand_on(self, to: Whereabouts) -> None:
        """What is known of the sides of lines goes to who is taken for the same object.

        This one has to be on both sides of a line again before it has crossed it, should it come back.
        """
        self.catch_up()
        to.passages, self.passages = self.passages, {}

    def dwell_s(self, now: float) -> dict[str, float]:
        """Seconds in each zone that it has entered."""
        return {
            name: stay.spent_s + (now - stay.since_s if stay.since_s is not None else 0.0)
            for name, stay in self.stays.items()
            if name in self.entered
        }


class Ground:
    """The zones and lines of one camera.

    Args:
        zones: polygons.
        lines: two points each.
    """

    def __init__(self, zones: Sequence[Area], lines: Sequence[Area]) -> None:
        self._zones = [(zone, Field(zone.points)) for zone in zones]
        self._lines = lines
        self._of_label: dict[str, tuple[list[tuple[Area, Field]], list[Area], list[Edge]]] = {}

    def begin(self, label: str, where: Point, clear: Clear, known: Whereabouts) -> list[str]:
        """Take in where an object was first seen: by the time it counts it may have crossed a line.

        Returns:
            As :meth:`follow`: the lines it crossed while it was hidden, if it is known from before.
        """
        crossed = (self._cross(line, where, clear, known) for line in self._concerned(label)[1])
        return [told for told in crossed if told]

    def follow(self, now: float, label: str, where: Point, clear: Clear, known: Whereabouts) -> list[str]:
        """Take in where an object is.

        Args:
            now: seconds of the frames' clock.
            label: of the object.
            where: its place.
            clear: says how far from a line it must be to be on one side of it for good, as fractions of
                the frame's width and height; asked only near a line.
            known: what is known of it; gets what is new.

        Returns:
            What happened: ``zone_entered:porch``, ``zone_left:porch``, ``line_crossed:gate:in``.
        """
        x, y = where
        x1, y1, x2, y2 = known.calm
        if x1 < x < x2 and y1 < y < y2:  # as mostly
            known.where = where
            return []
        known.catch_up()
        zones, lines, edges = self._concerned(label)
        news = []
        for zone, there in zones:
            if told := self._visit(now, zone, known, within=there.has(where)):
                news.append(told)
        for line in lines:
            if told := self._cross(line, where, clear, known):
                news.append(told)  # noqa: PERF401  # as the loop before it, and no list of nothing
        known.seen = True
        if _is_calm(known, lines):
            known.where, known.calm = where, _around(where, edges)
        return news

    def _concerned(self, label: str) -> tuple[list[tuple[Area, Field]], list[Area], list[Edge]]:
        if label not in self._of_label:
            zones = [(zone, there) for zone, there in self._zones if zone.concerns(label)]
            lines = [line for line in self._lines if line.concerns(label)]
            edges = [edge for one in (*(zone for zone, _ in zones), *lines) for edge in _edges(one.points)]
            self._of_label[label] = zones, lines, edges
        return self._of_label[label]

    @staticmethod
    def _visit(now: float, zone: Area, known: Whereabouts, *, within: bool) -> str:
        stay = known.stays.get(zone.name)
        if stay is None:
            stay = known.stays[zone.name] = _Stay()
        if within == (stay.since_s is not None):
            stay.changed_s = None
            return ""
        if stay.changed_s is None:
            # Who appears in a zone has come from nowhere: there is no edge to tremble at.
            stay.changed_s = now if known.seen else now - _SETTLE_S
        if now - stay.changed_s < max(_SETTLE_S, zone.dwell_s if within else 0.0):
            return ""
        if stay.since_s is None:
            stay.since_s = stay.changed_s
            if zone.name not in known.entered:
                known.entered.append(zone.name)
        else:
            stay.spent_s += stay.changed_s - stay.since_s
            stay.since_s = None
        stay.changed_s = None
        known.zones = tuple([name for name, one in known.stays.items() if one.since_s is not None])
        return f"zone_{'entered' if within else 'left'}:{zone.name}"

    @staticmethod
    def _cross(line: Area, where: Point, clear: Clear, known: Whereabouts) -> str:
        name, ends = line.name, line.points
        now = side(where, ends)
        if not now:
            return ""  # on the line itself it is on neither side: what counts is where it goes from there
        one = known.passages.get(name)
        if one is None:
            known.passages[name] = _Passage(ends, where, now, now, abs(now) >= _depth(clear(), ends))
            return ""
        if one.now * now < 0 and passes_between(one.where, where, ends):
            one.met = not one.met
        one.where, one.now = where, now
        here = one.home * now > 0
        if here and one.sure and not one.met:
            return ""
        depth = _depth(clear(), ends)
        if here and abs(now) < depth:
            one.home = max(one.home, now, key=abs)
        if abs(now) < depth:
            return ""
        # How little its boxes tremble may be known only by now: then it was clear of the line before.
        crossed = not here and one.met and (one.sure or abs(one.home) >= depth)
        one.home, one.sure, one.met = now, True, False
        if not crossed:
            return ""
        direction = "in" if now > 0 else "out"
        known.crossed.append((name, direction))
        return f"line_crossed:{name}:{direction}"


def _depth(clear: Point, line: Sequence[Point]) -> float:
    """``clear`` as :func:`side` has it: the same number of pixels for lines of every direction."""
    (x1, y1), (x2, y2) = line
    return math.hypot((x2 - x1) * clear[1], (y2 - y1) * clear[0])


def _edges(points: Sequence[Point]) -> list[Edge]:
    """The straight lines through the edges of a polygon, or through two points: a, b and c of each.

    ``abs(a * x + b * y + c)`` is how far a place may go across and down without meeting it.
    """
    edges = []
    x1, y1 = points[-1]
    for x2, y2 in points:
        if reach := abs(x2 - x1) + abs(y2 - y1):
            a, b = (y1 - y2) / reach, (x2 - x1) / reach
            edges.append((a, b, -a * x1 - b * y1))
        x1, y1 = x2, y2
    return edges


def _is_calm(known: Whereabouts, lines: Sequence[Area]) -> bool:
    """Whether nothing about an object is undecided: there is no news before it crosses an edge."""
    for stay in known.stays.values():
        if stay.changed_s is not None:
            return False
    for line in lines:
        one = known.passages.get(line.name)
        if one is None or one.met or not one.sure or one.home * one.now <= 0:
            return False
    return True


def _around(where: Point, edges: Sequence[Edge]) -> tuple[float, float, float, float]:
    """How far an object may go to all sides before it can have crossed an edge: x1, y1, x2, y2."""
    x, y = where
    room = math.inf
    for a, b, c in edges:
        away = abs(a * x + b * y + c)
        if away < room:  # noqa: PLR1730  # quicker than a call of min
            room = away
    room -= _ROUNDING
    return (x - room, y - room, x + room, y + room) if room > 0 else _NOWHERE
