"""What the model's outputs say of a frame, and what is told of a frame that it was not shown."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from edged.imaging.picture import Picture
from edged.pipeline.looks import timings
from edged.pipeline.seams import merged
from edged.records import Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edged.imaging.geometry import Region
    from edged.model.detector import Detector
    from edged.pipeline.follow import Follower
    from edged.pipeline.looks import FrameJob
    from edged.records import Box, Detection
    from edged.scene import SceneView


class Findings:
    """Makes results of jobs, in the order of the frames. Used from one thread, but for ``unsettle``.

    Args:
        detector: its decoder reads the outputs.
        follower: makes tracks and events of detections; None: they stay what they are.
        waits: whether every frame counts.
        gated: whether frames may be told that the model was not shown.
        complete: whether the looks at a frame show every part of it.
    """

    def __init__(
        self,
        detector: Detector,
        follower: Follower | None,
        *,
        waits: bool,
        gated: bool,
        complete: bool = True,
    ) -> None:
        self._detector = detector
        self._follower = follower
        self._waits = waits
        self._gated = gated
        self._complete = complete
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

    @property
    def places(self) -> tuple[Box, ...]:
        """Where the objects that are known should be in the next frame."""
        return self._follower.places if self._follower is not None else ()

    def read(self, job: FrameJob) -> Result:
        """What the model has found in a frame.

        Raises:
            OutputError: the outputs are not to be believed.
        """
        started = time.monotonic()
        found = tuple(self._found(job))
        follower, finer = self._follower, self._detector.finer
        view = follower.look(job.frame, found, finer) if follower is not None else None
        found = self._last = view.detections if view is not None else found
        return self._made(job, found, view, started)

    def _found(self, job: FrameJob) -> Sequence[Detection]:
        """What all looks at a frame have found together."""
        decoder, keep = self._detector.decoder, self._detector.keep
        looks: list[tuple[Region, Sequence[Detection]]] = []
        for look in job.looks:
            assert look.outputs is not None  # noqa: S101  # it is complete
            detections: Sequence[Detection] = decoder.decode(look.outputs, look.geometry)
            if keep:
                detections = [detection for detection in detections if detection.label in keep]
            if len(job.parts) == 1 and job.parts[0] is None:  # at all of it
                return detections
            looks.append((look.geometry.region, detections))
        base = self._detector.preprocess.geometry(job.frame.width, job.frame.height).region
        if len(looks) == 1 and looks[0][0] == base:
            return looks[0][1]
        known = None if self._complete else self.places
        return merged(looks, base, exact=decoder.task == "obb", known=known)

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
            timings(job, started, time.monotonic(), gated=self._gated),
            Picture(job.frame.pixels, found),
            waits=self._waits,
            events=view.events if view is not None else (),
            presence=view.presence if view is not None else None,
            inferred=bool(job.parts),
        )
