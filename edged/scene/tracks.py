"""One id for one object over time, of objects of one label.

C-BIoU (Yang et al., "Hard To Track Objects with Irregular Motions and Similar Appearances? Make It Easier by
Buffering the Matching Space", WACV 2023) on a Kalman filter in seconds: boxes grow before their overlap is
taken, so that a fast or rarely seen object still meets its prediction.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from edged.records import Box
from edged.scene.assignment import assign
from edged.scene.kalman import BoxFilter

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Indices = npt.NDArray[np.intp]

_BUFFERS = (0.3, 0.5)
"""By how much of its size a box grows on every side: for sure detections, and for weak ones."""
_SURE, _WEAK, _YOUNG = 0.2, 0.4, 0.3
"""Least likeness of a pair (buffered IoU, for sure detections times the score), by stage."""
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
_NOWHERE = Box(0.0, 0.0, 0.0, 0.0)
_LAST = 8
"""Scores that are kept of an object; a missed frame is a score of 0."""


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
    scores: deque[float] = field(default_factory=lambda: deque(maxlen=_LAST))
    """The last scores, 0 for a missed frame."""
    trust: float = 0.0
    """Mean of the scores of late, of the frames in which it was seen."""
    sightings: int = 1
    confirmed: bool = False
    """Whether it counts: seen for long enough, and most of its last scores are good. It stays so."""
    double: bool = False
    """Whether it was only seen where another one is, too: a second box of that, or somebody behind it."""
    patience_s: float | None = None
    """Seconds out of sight after which it is gone, if not as the rules say: for one that stands still."""

    @property
    def known(self) -> bool:
        """Whether it was seen more than once; until then it has no name to be called by."""
        return self.sightings > 1


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
        self._filter = BoxFilter()
        self._now: float | None = None

    def update(self, now: float, boxes: Floats, scores: Floats) -> list[Track | None]:
        """Take in one frame.

        Args:
            now: its time in seconds.
            boxes: x1, y1, x2, y2 in pixels, shape (n, 4).
            scores: 0..1, shape (n,).

        Returns:
            The track of each detection; None for a weak one that belongs to none, and for one refused.
        """
        elapsed_s = max(0.0, now - self._now) if self._now is not None else 0.0
        self._now = now
        seen_s = [track.seen_s for track in self.tracks]
        missed = [row for row, then in enumerate(seen_s) if now - then > elapsed_s + 1e-6]
        resting = [row for row in missed if self.tracks[row].patience_s is not None]
        self._filter.predict(elapsed_s, missed, resting)
        surely = scores.tolist()
        found = self._match(boxes, surely, [now - then - elapsed_s > _WEAK_S for then in seen_s])
        self._filter.correct([*found.values()], boxes[[*found]] if found else boxes)
        placed = self._filter.boxes()
        self._part(found, boxes, placed)
        self._take(now, found, surely)
        began = self._begin(now, found, boxes, surely, placed)
        if len(placed) < len(self.tracks):
            placed = self._filter.boxes()
        for track, box in zip(self.tracks, placed.tolist(), strict=True):
            track.box = Box._make(box)
        self._forget(now)
        return [began.get(number) for number in range(len(surely))]

    def carry(self, now: float) -> None:
        """Take in a frame in which nothing moves: who was in sight still is, who was not is still missed.

        Nobody looked, so nothing is learned: no score, no place.
        """
        before, self._now = self._now, now
        for track in self.tracks:
            if track.seen_s == before:
                track.seen_s = now
        self._filter.rest()
        self._forget(now)

    def _match(self, boxes: Floats, scores: list[float], late: list[bool]) -> dict[int, int]:
        """Detection by detection the row of its track: ByteTrack's two stages, then the new-born."""
        found: dict[int, int] = {}
        if not self.tracks or not scores:
            return found
        predicted = self._filter.boxes()
        begins, continues = self._rules.begins, self._rules.continues
        sure = [column for column, score in enumerate(scores) if score >= begins]
        weak = [column for column, score in enumerate(scores) if continues <= score < begins]
        known = [row for row, track in enumerate(self.tracks) if track.known]
        free = set(range(len(self.tracks)))

        def stage(rows: list[int], columns: list[int], buffer: float, least: float, *, scored: bool) -> None:
            if not rows or not columns:
                return
            likeness = buffered_iou(predicted[rows], boxes[columns], buffer)
            if scored:
                likeness *= [scores[column] for column in columns]
            for row, column in assign(1.0 - likeness, 1.0 - least):
                found[columns[column]] = rows[row]
                free.discard(rows[row])

        stage(known, sure, _BUFFERS[0], _SURE, scored=True)
        left = [row for row in known if row in free and not late[row]]
        stage(left, weak, _BUFFERS[1], _WEAK, scored=False)
        if len(known) < len(self.tracks):
            young = sorted(free.difference(known))
            left = [column for column in sure if column not in found]
            stage(young, left, _BUFFERS[1], _YOUNG, scored=True)
        return found

    def _part(self, found: dict[int, int], boxes: Floats, placed: Floats) -> None:
        """Find out who was only seen with another one, and now stands beside it."""
        doubles = {column: row for column, row in found.items() if self.tracks[row].double}
        if not doubles:
            return
        others = [row for row in found.values() if not self.tracks[row].double]
        overlap = buffered_iou(placed[others], boxes[[*doubles]], 0.0).max(axis=0, initial=0.0)
        for row, most in zip(doubles.values(), overlap.tolist(), strict=True):
            self.tracks[row].double = most >= _SAME

    def _take(self, now: float, found: dict[int, int], scores: list[float]) -> None:
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
            if not track.confirmed and track.known and now - track.born_s >= confirmed_s:
                track.confirmed = _median(track.scores) >= begins

    def _begin(
        self, now: float, found: dict[int, int], boxes: Floats, scores: list[float], placed: Floats
    ) -> dict[int, Track]:
        """Begin tracks for sure detections that are nobody's; gives the track of every detection."""
        of = {column: self.tracks[row] for column, row in found.items()}
        begins = self._rules.begins
        new = [column for column, score in enumerate(scores) if score >= begins and column not in of]
        if not new:
            return of
        doubles = self._sorted_out(new, boxes, scores, [*found.values()], placed)
        room = max(0, self._rules.most - len(self.tracks))
        self.refused += len(doubles[room:])
        new = [column for column, _ in doubles[:room]]
        if not new:
            return of
        self._filter.add(boxes[new])
        for column, double in doubles[:room]:
            score = scores[column]
            track = Track(next(self._ids), now, now, score, Box._make(boxes[column].tolist()), _NOWHERE)
            track.scores.append(score)
            track.trust = score
            track.sightings, track.double = int(not double), double
            self.tracks.append(track)
            of[column] = track
        return of

    def _sorted_out(
        self, new: list[int], boxes: Floats, scores: list[float], rows: list[int], placed: Floats
    ) -> list[tuple[int, bool]]:
        """Those of ``new`` that begin something, and whether that stands where an object is already.

        The better ones come first. A place has one second box and no third.
        """
        if not rows and len(new) == 1:
            return [(new[0], False)]
        new = sorted(new, key=lambda column: -scores[column])
        fresh = boxes[new]
        there = np.concatenate((placed[rows], fresh))
        taken = [(number, self.tracks[row].double) for number, row in enumerate(rows)]
        begun = []
        for number, overlap in enumerate(buffered_iou(fresh, there, 0.0).tolist()):
            beside = [double for other, double in taken if overlap[other] >= _SAME]
            if not any(beside):
                taken.append((len(rows) + number, bool(beside)))
                begun.append((new[number], bool(beside)))
        return sorted(begun)

    def _forget(self, now: float) -> None:
        """Give up what was out of sight for too long."""
        rules = self._rules
        stays = [
            row
            for row, track in enumerate(self.tracks)
            if now - track.seen_s <= (track.patience_s or rules.lost_s if track.known else _YOUNG_S)
            and not (track.double and now - track.born_s > _BEHIND_S)
        ]
        if len(stays) == len(self.tracks):
            self.gone = []
            return
        kept = set(stays)
        self.gone = [track for row, track in enumerate(self.tracks) if row not in kept]
        self.tracks = [self.tracks[row] for row in stays]
        self._filter.keep(stays)


def _median(scores: deque[float]) -> float:
    """The lower one of two in the middle: half of the frames are not most of them."""
    return sorted(scores)[(len(scores) - 1) // 2]


def buffered_iou(first: Floats, second: Floats, buffer: float) -> Floats:
    """Overlap of all pairs of boxes, each grown by ``buffer`` of its size on every side.

    Args:
        first: x1, y1, x2, y2, shape (n, 4).
        second: the same, shape (m, 4).
        buffer: 0 gives the plain intersection over union.

    Returns:
        Shape (n, m), 0..1.
    """
    ours, theirs = _grown(first, buffer), _grown(second, buffer)
    sides = np.minimum(ours[2:, :, None], theirs[2:, None, :])
    sides -= np.maximum(ours[:2, :, None], theirs[:2, None, :])
    np.maximum(sides, 0.0, out=sides)
    both: Floats = sides[0] * sides[1]
    union = _area(ours)[:, None] + _area(theirs) - both
    both /= np.maximum(union, 1e-9, out=union)
    return both


def _grown(boxes: Floats, buffer: float) -> Floats:
    """A column a box."""
    corners = boxes.T
    if not buffer:
        return corners
    margin = (corners[2:] - corners[:2]) * buffer
    return np.concatenate((corners[:2] - margin, corners[2:] + margin))


def _area(corners: Floats) -> Floats:
    wide, high = corners[2:] - corners[:2]
    area: Floats = wide * high
    return area
