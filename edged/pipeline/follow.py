"""The scene on the way of a frame: called after decoding, in the order of the frames."""

from __future__ import annotations

import threading
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from edged.errors import OutputError
from edged.pixels import part
from edged.scene.naming import FinerNames

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edged.model.finer import Finer
    from edged.records import Box, Detection, Event, Frame, Image
    from edged.scene import Scene, SceneView

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
        self._lock = threading.Lock()

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
            view = self._named(self._scene.update(frame, detections), frame, finer)
        return _with_crops(view, frame)

    def carry(self, frame: Frame, detections: Sequence[Detection]) -> SceneView:
        """What the scene makes of a frame in which nothing moves; ``detections`` are those of the last."""
        with self._lock:
            view = self._named(self._scene.carry(frame, detections), frame, {})
        return _with_crops(view, frame)

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
            return events

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
        named = replace(view, detections=names.detections(view.detections), events=names.events(view.events))
        names.part(view.events)
        return named


def _name(finer: Finer, crop: Image | None) -> tuple[str, float] | None:
    """What the crop shows; an output that is not to be believed says nothing, and costs no event."""
    try:
        return finer.look(crop) if crop is not None else None
    except OutputError:
        return None


def _with_crops(view: SceneView, frame: Frame) -> SceneView:
    if not view.events:
        return view
    return replace(view, events=tuple(_with_crop(event, frame) for event in view.events))


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
