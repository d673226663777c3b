"""What a camera knows beyond one frame: tracks, zones and lines, events. Pure: no threads, no I/O.

Called after decoding, frame by frame in their order, for one camera.
"""

from __future__ import annotations

import itertools
import secrets
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from edged.records import Presence
from edged.scene.events import Chronicle, is_cut
from edged.scene.tracks import Tracker, TrackRules
from edged.scene.zones import Field, Ground, place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from edged.records import Box, Detection, Event, Frame
    from edged.scene.tracks import Track
    from edged.settings.areas import Area

_RESTS_S = 30.0
"""How long an object that stands still may be hidden: others pass in front of it."""
_DOUBTED, _BELIEVED = 0.95, 1.1
"""Parts of the score that begins an object: whose mean falls below the first counts no more until it is back
above the second."""
_YOUNG_S = 2.0
"""Seconds in which an object may become certain, and in which one that was lost is looked for."""
_SETTLED_S = 2.0
"""Seconds without moving after which an object need not be looked at because of what it does."""
_PRESENT_S = 0.5
"""How long an object counts after it was last seen; one that stands still as long as it is known."""
_SCORE = attrgetter("score")


@dataclass(frozen=True, slots=True)
class SceneRules:
    """What a scene looks for."""

    begins: float = 0.4
    """Score with which an object comes into being, 0..1."""
    continues: float = 0.1
    """Score with which a known one is still believed, 0..1."""
    scores: tuple[tuple[str, float], ...] = ()
    """Labels with a ``begins`` of their own."""
    areas: tuple[tuple[str, float, float], ...] = ()
    """Labels with the least and the greatest part of the frame that a box may cover."""
    stationary_s: float = 10.0
    """Seconds without moving after which an object is stationary; 0: never."""
    zones: tuple[Area, ...] = ()
    lines: tuple[Area, ...] = ()
    masks: tuple[Area, ...] = ()


class SceneView(NamedTuple):
    """What the scene makes of one frame."""

    detections: tuple[Detection, ...]
    """Those that begin or continue an object, or are good by themselves; with their tracks."""
    events: tuple[Event, ...]
    presence: Presence


class Scene:
    """One camera's objects over time. Not thread-safe.

    Args:
        rules: what to look for.
        new_id: makes ids of events.
    """

    def __init__(
        self, rules: SceneRules, *, new_id: Callable[[], str] = lambda: secrets.token_hex(8)
    ) -> None:
        self._rules = rules
        self._scores = dict(rules.scores)
        self._areas = {label: (least, most) for label, least, most in rules.areas}
        self._masks: dict[str, list[Field]] = {}
        """Those that concern a label."""
        self._ids = itertools.count(1)
        self._trackers: dict[str, Tracker] = {}
        self._refused = 0
        """By trackers that are gone."""
        self._born: dict[int, float] = {}
        self._ground = Ground(rules.zones, rules.lines)
        self._chronicle = Chronicle(self._ground, rules.stationary_s, new_id)
        self._crossings: dict[str, dict[tuple[str, str], int]] = {line.name: {} for line in rules.lines}
        """Totals by line; what was given away is never changed."""
        self._now = 0.0
        self._ahead_s = 0.0
        """What is added to the frames' clock, which begins anew when a file is replayed."""
        self._frame: Frame | None = None

    @property
    def started(self) -> int:
        """Events that have begun: ``started = ended + open``."""
        return self._chronicle.started

    @property
    def ended(self) -> int:
        """Events that have ended."""
        return self._chronicle.ended

    @property
    def open(self) -> int:
        """Events that go on."""
        return len(self._chronicle.open)

    def account(self) -> dict[str, int]:
        """How many events there were, and how many objects were too many to be followed."""
        refused = self._refused + sum(tracker.refused for tracker in self._trackers.values())
        return {"started": self.started, "ended": self.ended, "open": self.open, "refused": refused}

    def update(self, frame: Frame, detections: Iterable[Detection]) -> SceneView:
        """Take in one frame."""
        events = self._leave(frame)
        now = self._clock(frame)
        by_label: dict[str, list[Detection]] = {label: [] for label in self._trackers}
        picks = bool(self._areas or self._rules.masks)
        height, width = frame.pixels.shape[:2]
        for found in detections:
            if not picks or self._concerns(found, width, height):
                by_label.setdefault(found.label, []).append(found)
        kept: list[Detection] = []
        for label, group in by_label.items():
            # Weak boxes of some twenty labels come with every frame, and mean nothing by themselves.
            if self._follows(label) or any(found.score >= self._begins(label) for found in group):
                kept += self._track(now, frame, label, group)
                events += self._tell(now, frame, label)
        kept.sort(key=_SCORE, reverse=True)
        return SceneView(tuple(kept), tuple(events), self._presence(now))

    def carry(self, frame: Frame, detections: Iterable[Detection]) -> SceneView:
        """Take in a frame in which nothing moves, and that nobody looked at.

        Args:
            frame: the next one.
            detections: what the last view gave.
        """
        events = self._leave(frame)
        now = self._clock(frame)
        for label, tracker in self._trackers.items():
            tracker.carry(now)
            events += self._tell(now, frame, label)
        return SceneView(tuple(detections), tuple(events), self._presence(now))

    @property
    def restless(self) -> bool:
        """Whether the next frame has to be looked at: an object moves, is new, or was just lost."""
        return any(self._is_restless(track) for one in self._trackers.values() for track in one.tracks)

    @property
    def places(self) -> tuple[Box, ...]:
        """Where objects that are known were last seen, or should be by now if that was a moment ago."""
        return tuple(
            track.box
            for tracker in self._trackers.values()
            for track in tracker.tracks
            if self._now - track.seen_s < _YOUNG_S
        )

    def _is_restless(self, track: Track) -> bool:
        if not track.confirmed:  # a second box tells of nothing new, however often it comes and goes
            return not track.double and self._now - track.born_s < _YOUNG_S
        if track.seen_s != self._now:
            return self._now - track.seen_s < _YOUNG_S
        story = self._chronicle.open.get(track.id)
        if story is None or story.strayed_s is not None:
            return True
        return self._now - story.still_since_s < _SETTLED_S

    def end(self, ended_by: str) -> tuple[Event, ...]:
        """Nothing more comes: end all events, by ``lost``, ``reload`` or ``stop``, and forget the objects."""
        if self._frame is None:
            return ()
        events = [
            event
            for story in list(self._chronicle.open.values())
            for event in self._chronicle.end(self._now, self._frame, story.track, ended_by)
        ]
        self._refused += sum(tracker.refused for tracker in self._trackers.values())
        self._trackers.clear()
        self._born.clear()
        return tuple(events)

    def _leave(self, frame: Frame) -> list[Event]:
        """End what was followed in frames of another size: in this one's pixels it is nowhere."""
        if self._frame is None or self._frame.pixels.shape[:2] == frame.pixels.shape[:2]:
            return []
        return [*self.end("lost")]

    def _clock(self, frame: Frame) -> float:
        if self._frame is not None and frame.pts + self._ahead_s <= self._now:
            wall_s = frame.captured - self._frame.captured
            self._ahead_s = self._now + max(wall_s, 1e-3) - frame.pts
        self._frame = frame
        self._now = frame.pts + self._ahead_s
        return self._now

    def _concerns(self, found: Detection, width: int, height: int) -> bool:
        """Whether a detection is looked at: large and small enough, and in no mask."""
        if found.label in self._areas:
            least, most = self._areas[found.label]
            x1, y1, x2, y2 = found.box
            if not least <= (x2 - x1) * (y2 - y1) / (width * height) <= most:
                return False
        masks = self._masks.get(found.label)
        if masks is None:
            masks = [Field(one.points) for one in self._rules.masks if one.concerns(found.label)]
            self._masks[found.label] = masks
        if not masks:
            return True
        where = place(found.box, width, height)
        for mask in masks:  # noqa: SIM110  # no generator for each box
            if mask.has(where):
                return False
        return True

    def _follows(self, label: str) -> bool:
        """Whether there is an object of a label, in or out of sight."""
        return label in self._trackers and bool(self._trackers[label].tracks)

    def _begins(self, label: str) -> float:
        """Score with which an object of a label comes into being."""
        return self._scores.get(label, self._rules.begins)

    def _track(self, now: float, frame: Frame, label: str, group: Sequence[Detection]) -> Iterator[Detection]:
        """Give the detections of one label their tracks."""
        begins = self._begins(label)
        tracker = self._trackers.get(label)
        if tracker is None:
            rules = TrackRules(begins=begins, continues=min(self._rules.continues, begins))
            tracker = self._trackers[label] = Tracker(rules, self._ids)
        boxes, scores = [found.box for found in group], [found.score for found in group]
        for found, track in zip(group, tracker.update(now, boxes, scores), strict=True):
            if track is not None and track.sightings > 1:  # it is known
                story = self._chronicle.open.get(track.id)
                yield found.followed(track.id, story.path if story is not None else ())
                continue
            if track is not None:
                self._born.setdefault(track.id, frame.ts_capture)
            if found.score >= begins:
                yield found

    def _tell(self, now: float, frame: Frame, label: str) -> Iterator[Event]:
        """What there is to tell of the objects of one label."""
        tracker, chronicle = self._trackers[label], self._chronicle
        open_, born = chronicle.open, self._born
        for track in tracker.tracks:
            if not track.confirmed or track.seen_s != now:
                continue
            number = track.id
            story = open_.get(number)
            before = len(story.where.crossed) if story is not None else 0
            yield from chronicle.follow(now, frame, label, track, born[number])
            story = open_[number]
            track.patience_s = _RESTS_S if story.stationary else None
            crossed = story.where.crossed
            if len(crossed) > before:
                self._count(label, crossed[before:])
        for track in tracker.gone:
            self._born.pop(track.id, None)
            # At the edge, where it was last seen or expected, it has left the frame.
            ended_by = "left" if is_cut(track.box, frame.width, frame.height) else "lost"
            yield from self._chronicle.end(now, frame, track, ended_by)

    def _count(self, label: str, crossed: Sequence[tuple[str, str]]) -> None:
        """Add what an object has crossed to the totals."""
        for name, direction in crossed:
            total = self._crossings[name]
            crossing = direction, label
            told = total | {crossing: total.get(crossing, 0) + 1}
            self._crossings = self._crossings | {name: told}

    def _presence(self, now: float) -> Presence:
        counts: dict[str, int] = {}
        begins, scores = self._rules.begins, self._scores
        zones: dict[str, dict[str, int]] = {zone.name: {} for zone in self._rules.zones}
        for story in self._chronicle.open.values():
            if now - story.track.seen_s > _PRESENT_S and not story.stationary:
                continue
            label = story.label
            # It has to be good enough still: a post is taken for a person now and then.
            least = (_DOUBTED if story.counts else _BELIEVED) * scores.get(label, begins)
            story.counts = story.track.trust >= least
            if not story.counts:
                continue
            counts[label] = counts.get(label, 0) + 1
            for name in story.where.zones:
                zones[name][label] = zones[name].get(label, 0) + 1
        return Presence(counts, zones, self._crossings)
