"""What happens to every object, from its coming to its going: one start, updates, one end."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from edged.records import Box, Event
from edged.scene.zones import Whereabouts, place

if TYPE_CHECKING:
    from collections.abc import Callable

    from edged.records import Frame
    from edged.scene.tracks import Track
    from edged.scene.zones import Ground

_ALIVE_S = 60.0
"""An event without news is told again after so many seconds."""
_STRAYED, _GONE = 0.6, 0.2
"""Overlap with where it stood below which an object moves: if it stays so, and at once."""
_STRAYED_S = 0.5
_STEP = 0.02
"""A path goes on when the object is farther away than this part of the frame."""
_LONGEST_PATH = 64
_MOST_CROSSINGS = 200
"""So many are told of one object, the last ones: who works at a line crosses it thousands of times a day."""
_EDGE = 0.02
"""So near to the edge of the frame, as a part of it, a box may be cut."""
_NEAR, _PACE = 0.5, 1.0
"""Who is lost may come up again so far away, in heights, and so much farther a second, as people walk."""
_SOUGHT_S = 2.0
"""Who comes up again later is somebody else."""
_SIZES = 1.5
"""One that comes up again may be so many times as tall."""
_CLEAR = 2.0
"""Who is farther from a line than so many times what its boxes tremble is on that side of it for good."""
_BETTER_SCORE, _BETTER_AREA = 0.05, 1.1
"""What a better picture needs: so much more of the score, or so many times the area."""


@dataclass(slots=True)
class Story:
    """All that is known of one confirmed object."""

    event_id: str
    track: Track
    label: str
    start_ts: float
    seen_ts: float
    seen_box: Box
    """Where it was last seen."""
    anchor: Box
    """Where it stood when it last was found to move."""
    still_since_s: float
    best_box: Box
    best_score: float
    best_cut: bool
    top_score: float
    told_s: float
    strayed_s: float | None = None
    stationary: bool = False
    stands: tuple[float, float] = (0.0, 0.0)
    """Its place for zones and lines: where it came to rest, as long as it does, however its boxes tremble."""
    counts: bool = True
    """Whether it counts now: it is still good enough."""
    where: Whereabouts = field(default_factory=Whereabouts)
    path: tuple[tuple[float, float], ...] = ()


class Chronicle:
    """The open events of one camera.

    Args:
        ground: its zones and lines.
        stationary_s: seconds without moving after which an object is stationary; 0: never.
        new_id: makes ids of events.
    """

    def __init__(self, ground: Ground, stationary_s: float, new_id: Callable[[], str]) -> None:
        self.open: dict[int, Story] = {}
        """By id of the track."""
        self.started = 0
        self.ended = 0
        self._ground = ground
        self._stationary_s = stationary_s
        self._new_id = new_id

    def follow(self, now: float, frame: Frame, label: str, track: Track, first_ts: float) -> list[Event]:
        """Take in an object that is confirmed and was seen in this frame; gives what there is to tell."""
        box = track.box
        height, width = frame.pixels.shape[:2]
        story = self.open.get(track.id)
        fresh = story is None
        changes: list[str] = []
        if story is None:
            story, changes = self._begin(now, frame, label, track, first_ts)
        story.seen_ts, story.seen_box = frame.ts_capture, box
        if track.score > story.top_score:  # noqa: PLR1730  # quicker than a call of max
            story.top_score = track.score
        where = place(box, width, height)
        clear = partial(_clear, track, box, width, height)
        rest = self._rest(now, story, box)
        if not story.stationary:
            story.stands = where
        changes += self._ground.follow(now, label, story.stands, clear, story.where)
        changes += rest
        if _is_better(story, track.score, box, width, height):
            changes.append("picture")
        _walk(story, where)
        if not fresh and not changes:
            if now - story.told_s < _ALIVE_S:
                return []
            changes = ["alive"]
        story.told_s = now
        return [_event(now, frame, story, "start" if fresh else "update", changes)]

    def _begin(
        self, now: float, frame: Frame, label: str, track: Track, first_ts: float
    ) -> tuple[Story, list[str]]:
        """A new story, and the lines that were crossed before it counted."""
        box, first = track.box, track.first_box
        width, height = frame.width, frame.height
        story = Story(
            self._new_id(), track, label, first_ts, first_ts, box, box, now, box, track.score,
            is_cut(box, width, height), max(track.scores), now,
        )  # fmt: skip
        before = self._lost_beside(label, track)
        if before is not None:
            before.where.hand_on(story.where)
        clear = partial(_clear, track, first, width, height, smoothed=False)
        crossed = self._ground.begin(label, place(first, width, height), clear, story.where)
        self.open[track.id] = story
        self.started += 1
        return story, crossed

    def _lost_beside(self, label: str, track: Track) -> Story | None:
        """Who was lost where this one came into sight, and not seen since: likely the same."""
        first = track.first_box
        nearest, found = 1.0, None
        for story in self.open.values():
            hidden_s = track.born_s - story.track.seen_s
            if not 0.0 < hidden_s <= _SOUGHT_S or story.label != label:
                continue
            way = _way(story.seen_box, first) / (_NEAR + _PACE * hidden_s)
            if way < nearest:
                nearest, found = way, story
        return found

    def end(self, now: float, frame: Frame, track: Track, ended_by: str) -> list[Event]:
        """The object is gone; gives its end, or nothing if it had no beginning."""
        story = self.open.pop(track.id, None)
        if story is None:
            return []
        self.ended += 1
        return [_event(now, frame, story, "end", [], ended_by=ended_by)]

    def _rest(self, now: float, story: Story, box: Box) -> list[str]:
        """Whether it has begun to stand still, or to move."""
        overlap = _overlap(story.anchor, box)
        if overlap >= _STRAYED:
            story.strayed_s = None
        elif story.strayed_s is None:
            story.strayed_s = now
        strayed = story.strayed_s is not None and now - story.strayed_s >= _STRAYED_S
        if strayed or overlap < _GONE:
            story.anchor, story.still_since_s, story.strayed_s = box, now, None
            if story.stationary:
                story.stationary = False
                return ["moving"]
        elif self._stationary_s and not story.stationary and now - story.still_since_s >= self._stationary_s:
            story.stationary = True
            return ["stationary"]
        return []


def _is_better(story: Story, score: float, box: Box, width: int, height: int) -> bool:
    """Whether this is a better picture than the one so far, which it replaces then."""
    x1, y1, x2, y2 = story.best_box
    least = _BETTER_AREA * ((x2 - x1) * (y2 - y1))
    x1, y1, x2, y2 = box
    better = (x2 - x1) * (y2 - y1) >= least or score >= story.best_score + _BETTER_SCORE
    if not better and not story.best_cut:
        return False
    cut = is_cut(box, width, height)
    if cut and (not story.best_cut or not better):
        return False
    story.best_box, story.best_score, story.best_cut = box, score, cut
    return True


def _way(first: Box, second: Box) -> float:
    """How far one has to go from where one box stands to where the other does, in heights."""
    heights = first.y2 - first.y1, second.y2 - second.y1
    if max(heights) > _SIZES * min(heights):
        return math.inf
    x = (second.x1 + second.x2 - first.x1 - first.x2) / 2
    return math.hypot(x, second.y2 - first.y2) / max(heights)


def _clear(track: Track, box: Box, width: int, height: int, *, smoothed: bool = True) -> tuple[float, float]:
    """How far it must be from a line to be clear of it, as fractions of the frame's width and height."""
    pixels = _CLEAR * track.tremble.heights * (box[3] - box[1])
    if smoothed:  # such a box of who stops or turns at once goes on for a moment
        pixels = max(pixels, track.tremble.distance(box))
    return pixels / width, pixels / height


def _walk(story: Story, where: tuple[float, float]) -> None:
    path = story.path
    if path:
        x, y = path[-1]
        if -_STEP < where[0] - x < _STEP and -_STEP < where[1] - y < _STEP:
            return
    path = (*path, (round(where[0], 4), round(where[1], 4)))
    if len(path) > _LONGEST_PATH:  # the older half gets coarser
        path = path[: _LONGEST_PATH // 2 : 2] + path[_LONGEST_PATH // 2 :]
    story.path = path


def _event(
    now: float, frame: Frame, story: Story, kind: str, changes: list[str], *, ended_by: str = ""
) -> Event:
    track = story.track
    return Event(
        kind=kind,
        event_id=story.event_id,
        changes=tuple(changes),
        ended_by=ended_by,
        track=track.id,
        label=story.label,
        score=track.score,
        top_score=story.top_score,
        box=_within(track.box, frame),
        best_box=_within(story.best_box, frame),
        width=frame.width,
        height=frame.height,
        ts=frame.ts_capture,
        start_ts=story.start_ts,
        end_ts=story.seen_ts if kind == "end" else None,
        duration_s=(track.seen_s if kind == "end" else now) - track.born_s,
        stationary=story.stationary,
        zones=story.where.zones,
        entered_zones=tuple(story.where.entered),
        dwell_s=story.where.dwell_s(track.seen_s if kind == "end" else now),
        lines=tuple(story.where.crossed[-_MOST_CROSSINGS:]),
        path=story.path,
    )


def _within(box: Box, frame: Frame) -> Box:
    x1, y1, x2, y2 = box
    width, height = float(frame.width), float(frame.height)
    return Box(
        min(max(x1, 0.0), width),
        min(max(y1, 0.0), height),
        min(max(x2, 0.0), width),
        min(max(y2, 0.0), height),
    )


def is_cut(box: Box, width: int, height: int) -> bool:
    """Whether a box may be cut by the edge of a frame of this size."""
    x1, y1, x2, y2 = box
    beside, above = _EDGE * width, _EDGE * height
    return x1 < beside or y1 < above or x2 > width - beside or y2 > height - above


def _overlap(first: Box, second: Box) -> float:
    """Intersection over union; it is taken of every object in every frame."""
    ax1, ay1, ax2, ay2 = first
    bx1, by1, bx2, by2 = second
    width = (ax2 if ax2 < bx2 else bx2) - (ax1 if ax1 > bx1 else bx1)  # noqa: FURB136  # quicker
    height = (ay2 if ay2 < by2 else by2) - (ay1 if ay1 > by1 else by1)  # noqa: FURB136  # as above
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / ((ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1) - both)
