"""One frame on its way through the model: the looks that it takes, and what they cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading
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
    """A frame and its looks; ``done`` gets something when all of them have come to their end, well or not.

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
    claimed: threading.Event | None = None
    """Set once an engine has begun with it, or none ever will: a newer frame may take its place before.
    None where none may."""
    done: SimpleQueue[None] = field(default_factory=SimpleQueue)
    """For one who waits: an event takes twenty times as long, and there is one for every frame."""

    def __post_init__(self) -> None:
        """All looks are still to come."""
        self.left = len(self.parts)

    @property
    def complete(self) -> bool:
        """Whether every look has its outputs."""
        if len(self.looks) != len(self.parts):
            return False
        for look in self.looks:  # noqa: SIM110  # all() takes twice as long, and this is done to every frame
            if look.outputs is None:
                return False
        return True


def timings(job: FrameJob, started: float, ended: float, *, gated: bool) -> dict[str, float]:
    """Milliseconds in each stage, ``motion`` only where a gate looks; ``queue`` is what is left.

    Where a frame is looked at several times, ``preprocess`` is that of the first look; ``predict`` goes from
    the begin of the first to the end of the last, whatever was made ready meanwhile.
    """
    motion = job.admitted - job.begun if gated else 0.0
    preprocess = job.preprocessed - job.begun - motion
    looks, predict = job.looks, 0.0
    if len(looks) == 1:
        predict = looks[0].ended - looks[0].started
    elif looks:
        predict = max(look.ended for look in looks) - min(look.started for look in looks)
    postprocess = ended - started
    frame = job.frame
    total = ended - frame.captured
    capture = frame.capture_ms / 1e3 if frame.decoded is not None else 0.0  # of a file it came before
    queue = total - capture - motion - preprocess - predict - postprocess
    told = {"capture": round(frame.capture_ms, 3), "queue": round(1e3 * queue, 3)}
    if gated:
        told["motion"] = round(1e3 * motion, 3)
    if job.parts:
        told["preprocess"] = round(1e3 * preprocess, 3)
        told["predict"] = round(1e3 * predict, 3)
    told["postprocess"] = round(1e3 * postprocess, 3)
    told["total"] = round(1e3 * total, 3)
    return told
