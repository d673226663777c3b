"""MoveNet: the points of one person, and nobody where there is none."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tensors import decoder, model, spec, store
from test_reference import Detector, photo

from edged.decoders import decoder_class, mismatches
from edged.decoders.movenet import MoveNet
from edged.imaging.geometry import Geometry

if TYPE_CHECKING:
    from pathlib import Path

    from edged.records import Model, Tensor

FRAME = Geometry(0.3, 0.3, 0, 24, 640, 480)
"""A frame of 640x480 in an input of 192x192."""


def movenet(dtype: str = "float32", *, scale: float = 0.0) -> Model:
    return model(spec((1, 1, 17, 3), dtype, scale=scale), shape=(1, 192, 192, 3))


def person(seen: int, score: float = 0.8) -> Tensor:
    """So many points are seen, in a slanting row from the upper left; the others lie in the lower right."""
    points = np.full((1, 1, 17, 3), 0.8, np.float32)
    points[..., 2] = 0.05
    for number in range(seen):
        points[0, 0, number] = (0.25 + number / 64, 0.25 + number / 128, score)
    return points


@pytest.mark.parametrize(("dtype", "scale"), [("float32", 0.0), ("uint8", 1 / 255)])
def test_the_seen_points_span_the_box(dtype: str, scale: float) -> None:
    """Points come out in pixels of the frame, all of them; box and score are of the seen ones."""
    of = movenet(dtype, scale=scale)
    assert decoder_class(of) is MoveNet
    (found,) = decoder(of).decode([store(person(9), of.outputs[0])], FRAME)
    off = 192 / 255 / 0.3 if scale else 0.01
    assert found.label == "person"
    assert found.score == pytest.approx(0.8, abs=0.01)
    assert found.box == pytest.approx((160, 80, 200, 160), abs=off)
    assert len(found.keypoints) == 17
    assert found.keypoints[4] == pytest.approx((180, 120, 0.8), abs=off)
    assert found.keypoints[16] == pytest.approx((512, 432, 0.05), abs=off)


def test_a_knee_or_two_are_nobody() -> None:
    """Few points, or weak ones, are no person."""
    of = movenet()
    assert decoder(of).decode([person(3)], FRAME) == []
    assert decoder(of, score=0.5).decode([person(12, score=0.4)], FRAME) == []
    assert decoder(of).decode([person(0)], FRAME) == []


def test_other_points_are_no_movenet() -> None:
    """A model of another number of points is told apart, and so is one that says it does something else."""
    of = movenet()
    assert MoveNet.mismatch(of) is None
    assert "17" in str(MoveNet.mismatch(replace(of, outputs=(spec((1, 1, 21, 3)),))))
    other = mismatches(replace(of, metadata={"task": "detect"}))
    assert other["movenet"] == "its metadata calls it a 'detect' model"


def test_finds_the_person_that_stands_out(shared: Path) -> None:
    """On a real photo the points lie where YOLO's pose model has them; photos without a person have none."""
    detect = Detector(shared / "models" / "movenet_lightning_192_uint8.tflite", score=0.45, iou_threshold=0.5)
    expected = json.loads((shared / "expected" / "yolov8n_pose_256_u8in_f32out_nometa.json").read_text())
    name = "000000000036.jpg"
    (found,) = detect(photo(shared / "images" / name))
    (other,) = expected["images"][name]
    compared = 0
    for point, (x, y, visibility) in zip(found.keypoints, other["keypoints"], strict=True):
        if min(point.visibility, visibility) >= 0.5:
            compared += 1
            assert point[:2] == pytest.approx((x, y), abs=25)
    assert compared >= 7
    for file in ("000000000009.jpg", "000000000025.jpg", "000000000042.jpg", "000000000078.jpg"):
        assert detect(photo(shared / "images" / file)) == []
