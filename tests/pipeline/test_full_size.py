"""Where a small stream is looked at, what is published counts the pixels of the large one."""

from __future__ import annotations

import time
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from parts import Source

from edged.contract import payloads
from edged.metrics import Ledger
from edged.pipeline import Intake
from edged.pipeline.follow import Follower
from edged.records import Box, Detection, Frame, Keypoint, Result
from edged.scene import Scene, SceneRules

if TYPE_CHECKING:
    from collections.abc import Iterator

FOUND = Detection(
    0, "person", 0.9, Box(10, 20, 60, 90), keypoints=(Keypoint(12, 30, 1.0),), outline=((10, 20), (60, 90))
)


def frame(number: int, full: tuple[int, int] | None) -> Frame:
    now = time.time()
    return Frame(number, np.zeros((120, 160, 3), np.uint8), now, number / 5, number / 5, full=full)


@pytest.mark.parametrize(
    ("full", "size", "box"),
    [(None, (160, 120), [10, 20, 60, 90]), ((640, 360), (640, 360), [40, 60, 240, 270])],
)
def test_boxes_and_events_are_in_pixels_of_the_large_stream(
    full: tuple[int, int] | None, size: tuple[int, int], box: list[float]
) -> None:
    seen = frame(0, full)
    result = Result(seen, "a-model", (FOUND,), {}, lambda: seen.pixels, waits=False)
    told = payloads.detections(result, camera="front", boot_id="b" * 32, seq=0, now=0.0)
    assert told["image"] == {"w": size[0], "h": size[1]}
    assert told["detections"][0]["box"] == box
    x, y = size[0] / 160, size[1] / 120
    assert told["detections"][0]["keypoints"] == [[12 * x, 30 * y, 1.0]]
    assert told["detections"][0]["outline"] == [[10 * x, 20 * y], [60 * x, 90 * y]]

    rules = SceneRules(begins=0.5, continues=0.4)
    follower = Follower(Scene(rules))
    events = [event for n in range(12) for event in follower.look(frame(n, full), [FOUND]).events]
    events += follower.end("stop")
    assert {event.kind for event in events} >= {"start", "end"}
    for event in events:
        assert (event.width, event.height) == size
        assert event.box == pytest.approx(box)
        assert event.best_box == pytest.approx(box)
    assert events[0].crop is not None
    assert events[0].crop.shape[0] < 90, "the picture is of the small stream"


class Decoded(Source):
    """Says of its frames when they were decoded."""

    def __init__(self, after_s: float | None) -> None:
        super().__init__(1)
        self._after_s = after_s

    def frames(self) -> Iterator[Frame]:
        for one in super().frames():
            yield one if self._after_s is None else replace(one, decoded=one.captured + self._after_s)


@pytest.mark.parametrize("after_s", [None, 0.5], ids=["a file", "a camera"])
def test_beside_a_large_stream_a_frame_was_taken_when_it_came_and_a_files_was_decoded_before(
    after_s: float | None,
) -> None:
    intake = Intake(Decoded(after_s), waits=True, ledger=Ledger())
    intake.beside = SimpleNamespace(size=(640, 360))
    intake.run()
    seen = intake.frames.get()
    assert (seen.full, seen.taken) == ((640, 360), seen.captured)
    assert seen.decoded == (None if after_s is None else seen.captured)
