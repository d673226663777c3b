"""One id for one object over time, of objects of one label.

C-BIoU (Yang et al., "Hard To Track Objects with Irregular Motions and Similar Appearances? Make It Easier by
Buffering the Matching Space", WACV 2023) on a Kalman filter in seconds: boxes grow before their overlap is
taken, so that a fast or rarely seen object still meets its prediction. Who stands farther away is smaller and
higher up, so boxes must agree from top to bottom, too, as in Hybrid-SORT (Yang et al., AAAI 2024).
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edged.records import Box
from edged.scene.assignment import assign
from edged.scene.kalman import Course
from edged.scene.overlap import overlaps
from edged.scene.tremble import Tremble

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_WEAK_S = 0.5
"""Seconds out of sight after which a weak detection no longer brings an object back."""
_YOUNG_S = 0.3
"""Seconds out of sight after which an object that was seen once is forgotten."""
_SAME = 0.4
"""A detection that overlaps so much with an object in sight is a second box of it until they part."""
_BEHIND_S = 10.0
"""Seconds after which a second box is begun anew: whoever parts so late was not there all the while."""
_TRUSTED = 20
"""Sightings over which the mean of the scores is taken."""
_LAST = 8
"""Scores that are kept of an object; a missed frame is a score of 0."""


_ROUNDING = 1e-6
"""By how much less than needed an overlap must be to be left out before it is known how good it is."""


@dataclass(frozen=True, slots=True)
class _Stage:
    """How objects and detections are paired."""

    buffer: float
    """By how much of its size a box grows on every side."""
    least: float
    """Least likeness of a pair: the overlap of the grown boxes, times what follows."""
    scored: bool
    """Whether the score counts."""
    level: bool
    """Whether it counts how much two boxes are on one level."""


_SURE = _Stage(buffer=0.3, least=0.17, scored=True, level=True)
_WEAK = _Stage(buffer=0.5, least=0.35, scored=False, level=True)
_YOUNG = _Stage(buffer=0.5, least=0.3, scored=True, level=False)
"""Nobody knows yet where it goes, and it may well be up or down."""


@dataclass(frozen=True, slots=True)
class TrackRules:
    """What begins a track and what ends it."""

    begins: float = 0.4
    """Score with which an object comes into being, 0..1."""
    continues: float = 0.1
    """Score with which one that is known is still believed, 0..1."""
    confirmed_s: float = 0.3
    """Seconds for which an object must have been seen before it counts."""
    lost_s: float = 2.0
    """Seconds out of sight after which it is gone."""
    most: int = 300
    """Objects that are followed at once; further ones are refused and counted."""


@dataclass(slots=True)
class Track:
    """One object. Belongs to its :class:`Tracker`, which changes it at every frame."""

    id: int
    born_s: float
    """When it was first seen, in seconds of the frames' clock."""
    seen_s: float
    """When it was last seen."""
    score: float
    """The newest detection's, 0..1."""
    first_box: Box
    """x1, y1, x2, y2 in pixels: where it was first seen."""
    box: Box
    """The same of now: smoothed while it is seen, else predicted."""
    course: Course
    """Where it goes."""
    scores: deque[float] = field(default_factory=lambda: deque(maxlen=_LAST))
    """The last scores, 0 for a missed frame."""
    tremble: Tremble = field(default_factory=Tremble)
    """How much its boxes do."""
    trust: float = 0.0
    """Mean of the scores of late, of the frames in which it was seen."""
    sightings: int = 1
    """How often it was seen; until that is more than once it has no name to be called by."""
    confirmed: bool = False
    """Whether it counts: seen for long enough, and most of its last scores are good. It stays so."""
    double: bool = False
    """Whether it was only seen where another one is, too: a second box of that, or somebody behind it."""
    patience_s: float | None = None
    """Seconds out of sight after which it is gone, if not as the rules say: for one that stands still."""


class Tracker:
    """Follows the objects of one label. Not thread-safe; times must not go back.

    Args:
        rules: what begins and ends a track.
        ids: where new ids come from.
    """

    def __init__(self, rules: TrackRules, ids: Iterator[int]) -> None:
        self.tracks: list[Track] = []
        """All objects that are not gone, in or out of sight."""
        self.gone: list[Track] = []
        """Those that the last update gave up."""
        self.refused = 0
        """Objects that were not followed, for there were too many."""
        self._rules = rules
        self._ids = ids
        self._now: float | None = None

    def update(self, now: float, boxes: Sequence[Box], scores: Sequence[float]) -> list[Track | None]:
        """Take in one frame.

        Args:
            now: its time in seconds.
            boxes: x1, y1, x2, y2 in pixels.
            scores: of each, 0..1.

        Returns:
            The track of each detection; None for a weak one that belongs to none, and for one refused.
        """
        elapsed_s = max(0.0, now - self._now) if self._now is not None else 0.0
        self._now = now
        for track in self.tracks:
            missed = now - track.seen_s > elapsed_s + 1e-6
            track.course.predict(elapsed_s, missed=missed, rests=missed and track.patience_s is not None)
        found = self._match(now, elapsed_s, boxes, scores)
        tracks = self.tracks
        of: list[Track | None] = [None] * len(boxes)
        for column, row in found.items():
            of[column] = track = tracks[row]
            track.course.correct(boxes[column], scores[column])
            track.tremble.take(now, boxes[column])
        for track in tracks:
            track.box = tuple.__new__(Box, track.course.corners)  # a call less than by its own constructor
        self._part(found, boxes)
        self._take(now, found, scores)
        self._begin(now, of, boxes, scores)
        self._forget(now)
        return of

    def carry(self, now: float) -> None:
        """Take in a frame in which nothing moves: who was in sight still is, who was not is still missed.

        Nobody looked, so nothing is learned: no score, no place.
        """
        before, self._now = self._now, now
        for track in self.tracks:
            if track.seen_s == before:
                track.seen_s = now
            track.course.rest()
        self._forget(now)

    def _match(
        self, now: float, elapsed_s: float, boxes: Sequence[Box], scores: Sequence[float]
    ) -> dict[int, int]:
        """Detection by detection the row of its track: ByteTrack's two stages, then the new-born."""
        found: dict[int, int] = {}
        tracks = self.tracks
        if not tracks or not boxes:
            return found
        begins, continues = self._rules.begins, self._rules.continues
        sure = [column for column, score in enumerate(scores) if score >= begins]
        known = [row for row, track in enumerate(tracks) if track.sightings > 1]

        def stage(how: _Stage, rows: list[int], columns: list[int]) -> None:
            if rows and columns:
                found.update(self._pairs(how, rows, columns, boxes, scores))

        stage(_SURE, known, sure)
        if len(sure) < len(boxes):
            weak = [column for column, score in enumerate(scores) if continues <= score < begins]
            taken = {*found.values()}
            left = [row for row in known if row not in taken]
            stage(_WEAK, [row for row in left if now - tracks[row].seen_s - elapsed_s <= _WEAK_S], weak)
        if len(known) < len(tracks):
            young = [row for row, track in enumerate(tracks) if track.sightings <= 1]
            stage(_YOUNG, young, [column for column in sure if column not in found])
        return found

    def _pairs(
        self,
        how: _Stage,
        rows: list[int],
        columns: list[int],
        boxes: Sequence[Box],
        scores: Sequence[float],
    ) -> list[tuple[int, int]]:
        """The best pairs of these detections and tracks, by their numbers."""
        expected, seen = [self.tracks[row].course.corners for row in rows], [boxes[one] for one in columns]
        limit, price = 1.0 - how.least, {}
        # Neither level nor score is above 1: what overlaps too little is no pair, whatever they are.
        for row, column, overlap in overlaps(expected, seen, how.buffer, how.least - _ROUNDING):
            likeness = overlap * _level(expected[row], seen[column]) if how.level else overlap
            cost = 1.0 - (likeness * scores[columns[column]] if how.scored else likeness)
            if cost < limit:
                price[row, column] = cost
        return [(columns[column], rows[row]) for row, column in assign(price, limit)]

    def _part(self, found: dict[int, int], boxes: Sequence[Box]) -> None:
        """Find out who was only seen with another one, and now stands beside it."""
        doubles = {column: self.tracks[row] for column, row in found.items() if self.tracks[row].double}
        if not doubles:
            return
        others = [self.tracks[row].box for row in found.values() if not self.tracks[row].double]
        seen = [*doubles]
        for track in doubles.values():
            track.double = False
        for _, column, overlap in overlaps(others, [boxes[column] for column in seen]):
            if overlap >= _SAME:
                doubles[seen[column]].double = True

    def _take(self, now: float, found: dict[int, int], scores: Sequence[float]) -> None:
        """Give every track what was seen of it, or that it was not."""
        begins, confirmed_s = self._rules.begins, self._rules.confirmed_s
        of_row = {row: scores[column] for column, row in found.items()}
        for row, track in enumerate(self.tracks):
            score = of_row.get(row)
            track.scores.append(score or 0.0)
            if score is None:
                continue
            track.score = score
            track.trust += (score - track.trust) / _TRUSTED
            track.seen_s = now
            if track.double:
                continue
            track.sightings += 1
            if not track.confirmed and track.sightings > 1 and now - track.born_s >= confirmed_s:
                track.confirmed = _median(track.scores) >= begins

    def _begin(
        self, now: float, of: list[Track | None], boxes: Sequence[Box], scores: Sequence[float]
    ) -> None:
        """Begin tracks for sure detections that are nobody's.

        Args:
            now: seconds of the frames' clock.
            of: the track of every detection, which gets what is new.
            boxes: of the detections.
            scores: likewise.
        """
        begins = self._rules.begins
        new = [column for column, track in enumerate(of) if track is None and scores[column] >= begins]
        if not new:
            return
        doubles = self._sorted_out(new, boxes, scores, [track for track in of if track is not None])
        room = max(0, self._rules.most - len(self.tracks))
        self.refused += len(doubles[room:])
        for column, double in doubles[:room]:
            score, course = scores[column], Course(boxes[column])
            first = Box._make(boxes[column])
            track = Track(next(self._ids), now, now, score, first, course.box, course)
            track.scores.append(score)
            track.tremble.take(now, first)
            track.trust = score
            track.sightings, track.double = int(not double), double
            self.tracks.append(track)
            of[column] = track

    @staticmethod
    def _sorted_out(
        new: list[int], boxes: Sequence[Box], scores: Sequence[float], seen: list[Track]
    ) -> list[tuple[int, bool]]:
        """Those of ``new`` that begin something, and whether that stands where an object is already.

        The better ones come first. A place has one second box and no third.
        """
        if not seen and len(new) == 1:
            return [(new[0], False)]
        new = sorted(new, key=lambda column: -scores[column])
        fresh = [boxes[column] for column in new]
        beside: list[list[int]] = [[] for _ in new]
        for number, other, overlap in overlaps(fresh, [*(track.box for track in seen), *fresh]):
            if overlap >= _SAME:
                beside[number].append(other)
        taken = {number: track.double for number, track in enumerate(seen)}
        begun = []
        for number, column in enumerate(new):
            doubles = [taken[other] for other in beside[number] if other in taken]
            if not any(doubles):
                taken[len(seen) + number] = bool(doubles)
                begun.append((column, bool(doubles)))
        return sorted(begun)

    def _forget(self, now: float) -> None:
        """Give up what was out of sight for too long."""
        rules = self._rules
        stays = [
            track
            for track in self.tracks
            if now - track.seen_s <= (track.patience_s or rules.lost_s if track.sightings > 1 else _YOUNG_S)
            and not (track.double and now - track.born_s > _BEHIND_S)
        ]
        self.gone = []
        if len(stays) < len(self.tracks):
            kept = {track.id for track in stays}
            self.gone = [track for track in self.tracks if track.id not in kept]
            self.tracks = stays


def _level(first: Sequence[float], second: Sequence[float]) -> float:
    """How much of their heights two boxes share, 0..1, by its root, since one box is not sure of its height.

    Two people who stand behind each other share less: who is farther away is higher up, and smaller.
    """
    _, top, _, foot = first
    _, above, _, below = second
    shared = (foot if foot < below else below) - (top if top > above else above)  # noqa: FURB136  # quicker
    if shared <= 0.0:
        return 0.0
    return math.sqrt(shared / (foot - top + below - above - shared))


def _median(scores: deque[float]) -> float:
    """The lower one of two in the middle: half of the frames are not most of them."""
    return sorted(scores)[(len(scores) - 1) // 2]
