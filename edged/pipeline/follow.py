"""The scene on the way of a frame: called after decoding, in the order of the frames."""

from __future__ import annotations

import math
import threading
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from edged.errors import OutputError
from edged.pixels import part
from edged.records import Box
from edged.scene import SceneView
from edged.scene.naming import FinerNames
from edged.scene.pictures import Pictures

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edged.model.finer import Finer
    from edged.records import Detection, Event, Frame, Image
    from edged.scene import Scene

_MARGIN = 0.05
"""How much of a box a crop shows around it."""


class Follower:
    """Lends a scene to the threads of a pipeline. Thread-safe.

    Args:
        scene: belongs to one camera.
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._names = FinerNames()
        self._pictures = Pictures()
        self._lock = threading.Lock()
        self._full: tuple[int, int] | None = None
        """As of the last frame."""

    def look(
        self, frame: Frame, detections: Sequence[Detection], finer: Mapping[str, Finer] = MappingProxyType({})
    ) -> SceneView:
        """What the scene makes of a frame; news that call for a picture bring one.

        Args:
            frame: the frame, still without drawings.
            detections: what was found in it.
            finer: by label, what knows more exactly what an object is.
        """
        with self._lock:
            self._full = frame.full
            return self._told(self._named(self._scene.update(frame, detections), frame, finer), frame)

    def carry(self, frame: Frame, detections: Sequence[Detection]) -> SceneView:
        """What the scene makes of a frame in which nothing moves; ``detections`` are those of the last."""
        with self._lock:
            return self._told(self._named(self._scene.carry(frame, detections), frame, {}), frame)

    @property
    def restless(self) -> bool:
        """Whether the next frame has to be looked at, whatever it shows."""
        with self._lock:
            return self._scene.restless

    @property
    def places(self) -> tuple[Box, ...]:
        """Where the objects that are known should be, those included that were just lost."""
        with self._lock:
            return self._scene.places

    def account(self) -> dict[str, int]:
        """Events ``started``, ``ended`` and ``open``, and objects ``refused``, of this scene."""
        with self._lock:
            return self._scene.account()

    def end(self, ended_by: str) -> tuple[Event, ...]:
        """End all events: nothing more comes of this scene, or not for a while."""
        with self._lock:
            events = self._names.events(self._scene.end(ended_by))
            self._names.part(events)
            return self._pictures.pace((_in_full(event, self._full) for event in events), math.inf)

    @property
    def looks(self) -> int:
        """How often objects were looked at for a finer label, since the start."""
        return self._names.looks

    def _named(self, view: SceneView, frame: Frame, finer: Mapping[str, Finer]) -> SceneView:
        """The view with finer labels, after one more look at most."""
        names = self._names
        names.meet(view.events)
        due = names.due(view.detections, finer, frame.pts) if finer else None
        if due is not None and due.track is not None:
            crop = _crop(frame, due.box)
            names.learn(due.track, _name(finer[due.label], crop), frame.pts)
        if names.looks:
            view = view._replace(
                detections=names.detections(view.detections), events=names.events(view.events)
            )
        names.part(view.events)
        return view

    def _told(self, view: SceneView, frame: Frame) -> SceneView:
        """The view with the events that are told now, and their pictures."""
        cropped = [_in_full(_with_crop(event, frame), frame.full) for event in view.events]
        told = self._pictures.pace(cropped, frame.pts)
        return SceneView(view.detections, told, view.presence) if told or cropped else view


def _name(finer: Finer, crop: Image | None) -> tuple[str, float] | None:
    """What the crop shows; an output that is not to be believed says nothing, and costs no event."""
    try:
        return finer.look(crop) if crop is not None else None
    except OutputError:
        return None


def _in_full(event: Event, full: tuple[int, int] | None) -> Event:
    """The event in the pixels of a larger stream, if there is one."""
    if full is None or full == (event.width, event.height):
        return event
    x, y = full[0] / event.width, full[1] / event.height
    box, best = (Box(one.x1 * x, one.y1 * y, one.x2 * x, one.y2 * y) for one in (event.box, event.best_box))
    return replace(event, box=box, best_box=best, width=full[0], height=full[1])


def _with_crop(event: Event, frame: Frame) -> Event:
    """The event with a copy of its pixels: the frame's own are about to be drawn into."""
    if event.kind != "start" and "picture" not in event.changes:
        return event
    crop = _crop(frame, event.best_box)
    return event if crop is None else replace(event, crop=crop.copy())


def _crop(frame: Frame, box: Box) -> Image | None:
    """The pixels of a box and a little around it; None where it has none."""
    x1, y1, x2, y2 = box
    beside, above = _MARGIN * (x2 - x1), _MARGIN * (y2 - y1)
    left, right = max(0, int(x1 - beside)), min(frame.width, int(x2 + beside) + 1)
    top, bottom = max(0, int(y1 - above)), min(frame.height, int(y2 + above) + 1)
    if right - left < 1 or bottom - top < 1:
        return None
    return part(frame.pixels, left, top, right, bottom)
