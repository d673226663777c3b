"""What a run of a camera, or of several, came to."""

from __future__ import annotations

from dataclasses import dataclass

from edged.metrics import FrameCounts


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to."""

    frames: FrameCounts
    sinks: dict[str, dict[str, int]]
    """By sink: results taken, and lost by cause."""
    seconds: float
    """From the first frame asked for to the last one drained."""


def together(outcomes: dict[str, Outcome]) -> Outcome:
    """What the runs of several cameras came to in sum; their sinks are told apart by the camera's name."""
    if len(outcomes) == 1:
        return next(iter(outcomes.values()))
    total = Outcome(FrameCounts(0, 0, {}, 0), {}, 0.0)
    for name, outcome in outcomes.items():
        frames, sum_so_far = outcome.frames, total.frames
        dropped = {
            cause: sum_so_far.dropped.get(cause, 0) + frames.dropped.get(cause, 0)
            for cause in sum_so_far.dropped.keys() | frames.dropped.keys()
        }
        total = Outcome(
            FrameCounts(
                sum_so_far.captured + frames.captured,
                sum_so_far.inferred + frames.inferred,
                dropped,
                sum_so_far.in_flight + frames.in_flight,
                sum_so_far.still + frames.still,
            ),
            {**total.sinks, **{f"{name}/{sink}": counts for sink, counts in outcome.sinks.items()}},
            max(total.seconds, outcome.seconds),
        )
    return total
