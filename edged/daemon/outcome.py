"""What a run of a camera, or of several, came to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from edged.metrics import FrameCounts


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to."""

    frames: FrameCounts
    sinks: dict[str, dict[str, int]]
    """By sink: results taken, and lost by cause."""
    duration_s: float
    """From the first frame asked for to the last one drained."""


def together(outcomes: dict[str, Outcome]) -> Outcome:
    """What the runs of several cameras came to in sum; their sinks are told apart by the camera's name."""
    if len(outcomes) == 1:
        return next(iter(outcomes.values()))
    every = [outcome.frames for outcome in outcomes.values()]
    dropped: Counter[str] = Counter()
    for frames in every:
        dropped.update(frames.dropped)
    return Outcome(
        FrameCounts(
            captured=sum(frames.captured for frames in every),
            inferred=sum(frames.inferred for frames in every),
            dropped=dict(dropped),
            in_flight=sum(frames.in_flight for frames in every),
            still=sum(frames.still for frames in every),
        ),
        {f"{name}/{sink}": counts for name, one in outcomes.items() for sink, counts in one.sinks.items()},
        max((outcome.duration_s for outcome in outcomes.values()), default=0.0),
    )
