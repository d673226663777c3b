"""A scene, and what detections make of it."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from edged.records import Box, Detection, Frame
from edged.scene import Scene, SceneRules

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edged.records import Event, Presence


WIDTH, HEIGHT, RATE = 640, 480, 10
IMAGE = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
LEFT_HALF = {"left": "0,0 0.5,0 0.5,1 0,1"}
MIDDLE = {"gate": "0.5,0 0.5,1"}


def scene(**rules: Any) -> Scene:
    return Scene(SceneRules(**rules), new_id=map(str, itertools.count(1)).__next__)


def frame(number: int, rate: float = RATE) -> Frame:
    return Frame(number, IMAGE, 1e9 + number / rate, 5 + number / rate, number / rate)


def person(x: float, y: float = 300, score: float = 0.8, label: str = "person") -> Detection:
    """Who stands at (x, y) in pixels."""
    return Detection(0, label, score, Box(x - 20, y - 100, x + 20, y))


def play(watched: Scene, shots: Iterable[list[Detection]]) -> tuple[list[Event], list[Presence]]:
    events: list[Event] = []
    there: list[Presence] = []
    for number, found in enumerate(shots):
        view = watched.update(frame(number), found)
        events += view.events
        there.append(view.presence)
    return events, there


def changes(events: Iterable[Event]) -> list[str]:
    return [change for event in events for change in event.changes if change not in {"picture", "alive"}]


def crossings(events: Iterable[Event]) -> Counter[str]:
    return Counter(one for one in changes(events) if one.startswith("line_crossed"))
