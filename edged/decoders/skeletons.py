"""Which points of a pose are joined, for who draws them."""

from __future__ import annotations

Skeleton = tuple[tuple[int, int], ...]

_PERSON: Skeleton = (
    # COCO: nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles; left ones are odd.
    *((0, 1), (0, 2), (1, 3), (2, 4)),
    *((5, 6), (5, 7), (7, 9), (6, 8), (8, 10)),
    *((5, 11), (6, 12), (11, 12)),
    *((11, 13), (13, 15), (12, 14), (14, 16)),
)
_HAND: Skeleton = (
    # MediaPipe: the wrist, then four points each of thumb, index, middle, ring finger and little finger.
    *((0, 1), (0, 5), (0, 9), (0, 13), (0, 17)),
    *((root + joint, root + joint + 1) for root in (1, 5, 9, 13, 17) for joint in range(3)),
)
_KNOWN = {17: _PERSON, 21: _HAND}


def skeleton(points: int) -> Skeleton:
    """Pairs of joined points of a pose of so many; empty where their order is not known."""
    return _KNOWN.get(points, ())
