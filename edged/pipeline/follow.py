"""The scene on the way of a frame: called after decoding, in the order of the frames."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edged.records import Detection, Event, Frame
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
        self._lock = threading.Lock()

    def look(self, frame: Frame, detections: Sequence[Detection]) -> SceneView:
        """What the scene makes of a frame; news that call for a picture bring one."""
        with self._lock:
            view = self._scene.update(frame, detections)
        return _with_crops(view, frame)

    def carry(self, frame: Frame, detections: Sequence[Detection]) -> SceneView:
        """What the scene makes of a frame in which nothing moves; ``detections`` are those of the last."""
        with self._lock:
            view = self._scene.carry(frame, detections)
        return _with_crops(view, frame)

    @property
    def restless(self) -> bool:
        """Whether the next frame has to be looked at, whatever it shows."""
        with self._lock:
            return self._scene.restless

    def account(self) -> dict[str, int]:
        """Events ``started``, ``ended`` and ``open``, and objects ``refused``, of this scene."""
        with self._lock:
            return self._scene.account()

    def end(self, ended_by: str) -> tuple[Event, ...]:
        """End all events: nothing more comes of this scene, or not for a while."""
        with self._lock:
            return self._scene.end(ended_by)


def _with_crops(view: SceneView, frame: Frame) -> SceneView:
    if not view.events:
        return view
    return replace(view, events=tuple(_with_crop(event, frame) for event in view.events))


def _with_crop(event: Event, frame: Frame) -> Event:
    """The event with a copy of its pixels: the frame's own are about to be drawn into."""
    if event.kind != "start" and "picture" not in event.changes:
        return event
    x1, y1, x2, y2 = event.best_box
    beside, above = _MARGIN * (x2 - x1), _MARGIN * (y2 - y1)
    left, right = max(0, int(x1 - beside)), min(frame.width, int(x2 + beside) + 1)
    top, bottom = max(0, int(y1 - above)), min(frame.height, int(y2 + above) + 1)
    if right - left < 1 or bottom - top < 1:
        return event
    return replace(event, crop=frame.image[top:bottom, left:right].copy())
