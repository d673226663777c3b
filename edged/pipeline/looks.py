"""One frame on its way through the model: the looks that it takes, and what they cost."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edged.imaging.geometry import Geometry, Region
    from edged.records import Frame, Tensor


@dataclass(slots=True)
class Look:
    """One region of a frame in an input tensor; a worker adds the outputs."""

    tensor: Tensor
    geometry: Geometry
    started: float = 0.0
    """When the model began with it."""
    ended: float = 0.0
    outputs: Sequence[Tensor] | None = None


@dataclass(slots=True)
class FrameJob:
    """A frame and its looks; ``done`` is set when all of them have come to their end, well or not.

    All times are monotonic, in seconds.
    """

    frame: Frame
    parts: Sequence[Region | None]
    """What is looked at, None being all of it; empty: nothing moves, the model does not get it."""
    begun: float
    admitted: float
    """When it was decided what the model looks at."""
    preprocessed: float = 0.0
    """When the first look was ready."""
    looks: list[Look] = field(default_factory=list)
    left: int = 0
    """Looks that have not come to their end."""
    cause: str = ""
    """Why there will be no result."""
    claimed: threading.Event = field(default_factory=threading.Event)
    """Set once an engine has begun with it, or none ever will: a newer frame may take its place before."""
    done: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        """All looks are still to come."""
        self.left = len(self.parts)

    @property
    def complete(self) -> bool:
        """Whether every look has its outputs."""
        return len(self.looks) == len(self.parts) and all(look.outputs is not None for look in self.looks)


def timings(job: FrameJob, started: float, ended: float, *, gated: bool) -> dict[str, float]:
    """Milliseconds in each stage, ``motion`` only where a gate looks; ``queue`` is what is left.

    Where a frame is looked at several times, ``preprocess`` is that of the first look; ``predict`` goes from
    the begin of the first to the end of the last, whatever was made ready meanwhile.
    """
    motion = job.admitted - job.begun if gated else 0.0
    preprocess = job.preprocessed - job.begun - motion
    predict = 0.0
    if job.looks:
        predict = max(look.ended for look in job.looks) - min(look.started for look in job.looks)
    postprocess = ended - started
    frame = job.frame
    total = ended - frame.captured
    capture = frame.capture_ms / 1e3 if frame.decoded is not None else 0.0  # of a file it came before
    seconds = {"queue": total - capture - motion - preprocess - predict - postprocess}
    if gated:
        seconds["motion"] = motion
    if job.parts:
        seconds |= {"preprocess": preprocess, "predict": predict}
    seconds |= {"postprocess": postprocess, "total": total}
    return {
        "capture": round(frame.capture_ms, 3),
        **{stage: round(1e3 * taken, 3) for stage, taken in seconds.items()},
    }
