"""Poses: points of each box, in every layout and unit that they are exported with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from tensors import SIZE, WHOLE, decoder, model, spec, store

from edged.decoders import decoder_class
from edged.decoders.yolo_pose import YoloPose
from edged.imaging.geometry import Geometry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edged.records import Detection, Tensor

ANCHORS, POINTS = 8400, 5
METADATA = {"task": "pose", "kpt_shape": [POINTS, 3]}
LABELS = ("dog", "cat")
BOX = (320.0, 200.0, 100.0, 50.0)
POSE = [(280.0 + 20 * number, 190.0 + 5 * number, 0.9 - 0.1 * number) for number in range(POINTS)]
"""Points of the cat."""


def parts(*, unit: float = 1.0, of_points: float | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes, scores and points of every anchor: a cat, found twice."""
    spread = np.linspace(4, SIZE - 4, ANCHORS)
    boxes = np.stack([spread, spread, np.full(ANCHORS, 16.0), np.full(ANCHORS, 16.0)])
    scores = np.zeros((len(LABELS), ANCHORS))
    points = np.tile(np.stack([spread, spread, np.zeros(ANCHORS)]), (POINTS, 1, 1)).reshape(-1, ANCHORS)
    for anchor, score in ((5000, 0.9), (5001, 0.8)):
        boxes[:, anchor], scores[1, anchor] = BOX, score
        points[:, anchor] = np.ravel(POSE)
    scale = np.tile((of_points or unit, of_points or unit, 1.0), POINTS)[:, np.newaxis]
    return (boxes * unit)[np.newaxis], scores[np.newaxis], (points * scale)[np.newaxis]


def check(found: Sequence[Detection], *, pixels: float = 0.01) -> None:
    (cat,) = found
    assert cat.label == "cat"
    assert cat.box == pytest.approx((270, 175, 370, 225), abs=pixels)
    assert len(cat.keypoints) == POINTS
    for point, (x, y, visibility) in zip(cat.keypoints, POSE, strict=True):
        assert point[:2] == pytest.approx((x, y), abs=pixels)
        assert point.visibility == pytest.approx(visibility, abs=0.01)


@pytest.mark.parametrize("unit", [1 / SIZE, 1.0], ids=["normalised", "pixels"])
@pytest.mark.parametrize("of_points", [1 / SIZE, 1.0], ids=["points-normalised", "points-in-pixels"])
def test_points_and_boxes_each_have_their_unit(unit: float, of_points: float) -> None:
    """One output, boxes and points normalised or not, each by itself."""
    tensor = np.concatenate(parts(unit=unit, of_points=of_points), axis=1)
    of = model(spec(tensor.shape), metadata=METADATA, labels=LABELS)
    assert decoder_class(of) is YoloPose
    check(decoder(of).decode([tensor.astype(np.float32)], WHOLE))


@pytest.mark.parametrize("transposed", [False, True])
def test_three_outputs_with_a_scale_each(*, transposed: bool) -> None:
    """Points, scores and boxes apart, in an order of their own, quantised."""
    reals = list(reversed(parts(unit=1 / SIZE)))
    if transposed:
        reals = [real.transpose(0, 2, 1) for real in reals]
    scales = ((1.2 / 255, -100), (1 / 255, -128), (1 / 255, -128))
    specs = [
        spec(real.shape, "int8", scale=scale, zero_point=zero)
        for real, (scale, zero) in zip(reals, scales, strict=True)
    ]
    of = model(*specs, metadata=METADATA, labels=LABELS)
    tensors = [store(real, output) for real, output in zip(reals, specs, strict=True)]
    check(decoder(of).decode(tensors, WHOLE), pixels=4)


@pytest.mark.parametrize("unit", [1 / SIZE, 1.0], ids=["normalised", "pixels"])
def test_finished_rows_have_points_behind_the_class(unit: float) -> None:
    """YOLO26 and exports with suppression inside: box, score, class, points."""
    tensor = np.zeros((1, 300, 6 + 3 * POINTS), np.float32)
    tensor[0, 0, :6] = (270 * unit, 175 * unit, 370 * unit, 225 * unit, 0.9, 1)
    tensor[0, 0, 6:] = np.ravel([(x * unit, y * unit, visibility) for x, y, visibility in POSE])
    of = model(spec(tensor.shape), metadata=METADATA, labels=LABELS)
    assert decoder_class(of) is YoloPose
    check(decoder(of).decode([tensor], WHOLE))


def test_points_without_visibility_are_visible() -> None:
    """A model that was trained on x and y only gives every point with visibility 1."""
    boxes, scores, points = parts(unit=1 / SIZE)
    flat = points.reshape(1, POINTS, 3, ANCHORS)[:, :, :2].reshape(1, -1, ANCHORS)
    tensor = np.concatenate((boxes, scores, flat), axis=1).astype(np.float32)
    of = model(spec(tensor.shape), metadata=METADATA | {"kpt_shape": [POINTS, 2]}, labels=LABELS)
    (cat,) = decoder(of).decode([tensor], WHOLE)
    assert [point.visibility for point in cat.keypoints] == [1.0] * POINTS
    assert cat.keypoints[3][:2] == pytest.approx(POSE[3][:2], abs=0.01)


def test_points_go_the_way_back_of_the_box_but_are_not_clipped() -> None:
    """Letterbox and region are undone for points, too; one below the frame is told where it is."""
    tensor = np.concatenate(parts(unit=1 / SIZE), axis=1).astype(np.float32)
    of = model(spec(tensor.shape), metadata=METADATA, labels=LABELS)
    part = Geometry(0.5, 0.5, 0, 140, 1280, 100, left=100, top=50)
    (cat,) = decoder(of).decode([tensor], part)
    assert cat.box == pytest.approx((640, 120, 840, 150), abs=0.1)
    assert cat.keypoints[0][:2] == pytest.approx((280 * 2 + 100, (190 - 140) * 2 + 50), abs=0.05)
    assert cat.keypoints[4].y > 150


def test_a_person_needs_no_label() -> None:
    """17 points without metadata or labels are a person, raw or finished, and its limbs are known."""
    for shape in ((1, 56, ANCHORS), (1, 300, 57)):
        of = model(spec(shape))
        assert decoder_class(of) is YoloPose
        assert decoder(of).labels == ("person",)
