"""What the model's outputs say of a frame, and what is told of a frame that it was not shown."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edged.imaging.picture import Picture
from edged.records import Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edged.imaging.geometry import Geometry
    from edged.model.detector import Detector
    from edged.pipeline.follow import Follower
    from edged.records import Detection, Frame, Tensor
    from edged.scene import SceneView


@dataclass(slots=True)
class FrameJob:
    """A frame on its way through the model; its worker sets ``done`` when it has outputs or has failed.

    All times are monotonic, in seconds.
    """

    frame: Frame
    tensor: Tensor
    geometry: Geometry | None
    """None: nothing moves, the model does not get it."""
    begun: float
    admitted: float
    """When it was decided whether the model looks at it."""
    preprocessed: float
    predict_started: float = 0.0
    predicted: float = 0.0
    outputs: Sequence[Tensor] | None = None
    failed: bool = False
    done: threading.Event = field(default_factory=threading.Event)


class Findings:
    """Makes results of jobs, in the order of the frames. Used from one thread, but for ``unsettle``.

    Args:
        detector: its decoder reads the outputs.
        follower: makes tracks and events of detections; None: they stay what they are.
        waits: whether every frame counts.
        gated: whether frames may be told that the model was not shown.
    """

    def __init__(self, detector: Detector, follower: Follower | None, *, waits: bool, gated: bool) -> None:
        self._detector = detector
        self._follower = follower
        self._waits = waits
        self._gated = gated
        self._last: tuple[Detection, ...] | None = None
        """What is told on while nothing moves; None: the next frame is looked at, whatever it shows."""

    @property
    def settled(self) -> bool:
        """Whether what was seen last can be told on."""
        return self._last is not None

    @property
    def restless(self) -> bool:
        """Whether the model has to look at the next frame, whatever it shows."""
        return not self.settled or (self._follower is not None and self._follower.restless)

    def unsettle(self) -> None:
        """What was seen last is not to be relied on."""
        self._last = None

    def read(self, job: FrameJob, outputs: Sequence[Tensor], geometry: Geometry) -> Result:
        """What the model has found in a frame.

        Raises:
            OutputError: the outputs are not to be believed.
        """
        started = time.monotonic()
        detections = self._detector.decoder.decode(outputs, geometry)
        if keep := self._detector.keep:
            detections = [detection for detection in detections if detection.label in keep]
        found = tuple(detections)
        follower, finer = self._follower, self._detector.finer
        view = follower.look(job.frame, found, finer) if follower is not None else None
        found = self._last = view.detections if view is not None else found
        return self._made(job, found, view, started)

    def carry(self, job: FrameJob) -> Result:
        """Nothing moves: what was there still is."""
        started = time.monotonic()
        found = self._last or ()
        view = self._follower.carry(job.frame, found) if self._follower is not None else None
        return self._made(job, found, view, started)

    def _made(
        self, job: FrameJob, found: tuple[Detection, ...], view: SceneView | None, started: float
    ) -> Result:
        return Result(
            job.frame,
            self._detector.model.name,
            found,
            _timings(job, started, time.monotonic(), gated=self._gated),
            Picture(job.frame.pixels, found),
            waits=self._waits,
            events=view.events if view is not None else (),
            presence=view.presence if view is not None else None,
            inferred=job.geometry is not None,
        )


def _timings(job: FrameJob, started: float, ended: float, *, gated: bool) -> dict[str, float]:
    """Milliseconds in each stage, ``motion`` only where a gate looks; ``queue`` is what is left."""
    motion = job.admitted - job.begun if gated else 0.0
    preprocess = job.preprocessed - job.begun - motion
    predict = job.predicted - job.predict_started
    postprocess = ended - started
    total = ended - job.frame.captured
    seconds = {"queue": total - motion - preprocess - predict - postprocess}
    if gated:
        seconds["motion"] = motion
    if job.geometry is not None:
        seconds |= {"preprocess": preprocess, "predict": predict}
    seconds |= {"postprocess": postprocess, "total": total}
    return {
        "capture": round(job.frame.capture_ms, 3),
        **{stage: round(1e3 * taken, 3) for stage, taken in seconds.items()},
    }
