"""Turned rectangles: four corners, an upright box around them, suppression by what they cover."""

from __future__ import annotations

from math import pi
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from tensors import SIZE, WHOLE, decoder, model, spec, store

from edged.decoders import decoder_class
from edged.decoders.boxes import MOST_DETECTIONS
from edged.decoders.heads import Candidates
from edged.decoders.yolo_obb import YoloObb, _kept, alike, turned
from edged.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edged.records import Detection, Tensor

ANCHORS = 8400
METADATA = {"task": "obb"}
LABELS = ("ship", "plane")
SHIPS = (
    # Score, centre x, centre y, width, height, angle.
    (0.9, 320.0, 200.0, 100.0, 20.0, pi / 6),
    (0.8, 322.0, 201.0, 100.0, 20.0, pi / 6),  # the same ship
    (0.7, 320.0, 200.0, 100.0, 20.0, 2 * pi / 3),  # another one, across it: upright boxes would not tell
)
COS, SIN = 0.8660254, 0.5


def parts(unit: float) -> list[Tensor]:
    """Boxes, scores and angles of every anchor."""
    spread = np.linspace(4, SIZE - 4, ANCHORS)
    boxes = np.stack([spread, spread, np.full(ANCHORS, 16.0), np.full(ANCHORS, 16.0)])
    scores, angles = np.zeros((2, ANCHORS)), np.zeros((1, ANCHORS))
    for anchor, (score, *box, angle) in enumerate(SHIPS, start=400):
        boxes[:, anchor], scores[0, anchor], angles[0, anchor] = box, score, angle
    return [(boxes * unit)[np.newaxis], scores[np.newaxis], angles[np.newaxis]]


def check(found: Sequence[Detection], *, pixels: float = 0.01) -> None:
    assert [one.label for one in found] == ["ship", "ship"]
    assert [one.score for one in found] == pytest.approx([0.9, 0.7], abs=0.01)
    x, y = 50 * COS - 10 * SIN, 50 * SIN + 10 * COS
    assert found[0].outline[2] == pytest.approx((320 + x, 200 + y), abs=pixels)
    assert found[0].outline[0] == pytest.approx((320 - x, 200 - y), abs=pixels)
    across, down = 50 * COS + 10 * SIN, 50 * SIN + 10 * COS
    assert found[0].box == pytest.approx((320 - across, 200 - down, 320 + across, 200 + down), abs=pixels)


@pytest.mark.parametrize("unit", [1 / SIZE, 1.0], ids=["normalised", "pixels"])
def test_one_output(unit: float) -> None:
    """The angle is the last row."""
    tensor = np.concatenate(parts(unit), axis=1).astype(np.float32)
    of = model(spec(tensor.shape), metadata=METADATA, labels=LABELS)
    assert decoder_class(of) is YoloObb
    check(decoder(of).decode([tensor], WHOLE))


def test_three_quantised_outputs() -> None:
    """A scale each, in an order of their own."""
    reals = list(reversed(parts(1 / SIZE)))
    scales = ((pi / 255, -50), (1 / 255, -128), (1 / 255, -128))
    specs = [
        spec(real.shape, "int8", scale=scale, zero_point=zero)
        for real, (scale, zero) in zip(reals, scales, strict=True)
    ]
    of = model(*specs, metadata=METADATA, labels=LABELS)
    tensors = [store(real, output) for real, output in zip(reals, specs, strict=True)]
    check(decoder(of).decode(tensors, WHOLE), pixels=5)


@pytest.mark.parametrize("metadata", [METADATA, {}], ids=["metadata", "none"])
def test_finished_rows(metadata: dict[str, str]) -> None:
    """Seven columns are centre, size, score, class and angle, and nothing is suppressed."""
    rows = np.zeros((1, 300, 7), np.float32)
    for row, (score, *box, angle) in enumerate((SHIPS[0], SHIPS[2])):
        rows[0, row] = (*(side / SIZE for side in box), score, 0, angle)
    of = model(spec(rows.shape), metadata=metadata, labels=LABELS)
    assert decoder_class(of) is YoloObb
    check(decoder(of).decode([rows], WHOLE))


def test_as_many_finished_rows_as_anchors() -> None:
    """A small input has fewer than 300 anchors, and finished rows of all of them; metadata tell."""
    rows = np.zeros((1, 189, 7), np.float32)
    rows[0, 0] = (48, 40, 30, 10, 0.9, 1, pi / 2)
    metadata = METADATA | {"end2end": True}
    of = model(spec(rows.shape), shape=(1, 3, 96, 96), metadata=metadata, labels=LABELS)
    assert decoder_class(of) is YoloObb
    (found,) = decoder(of).decode([rows], WHOLE)
    assert found.label == "plane"
    assert found.box == pytest.approx((43, 25, 53, 55), abs=0.01)


def test_a_box_that_leaves_the_frame_keeps_its_shape() -> None:
    """Its outline leaves the frame, too, for moved corners are no rectangle; the box is clipped."""
    rows = np.zeros((1, 300, 7), np.float32)
    rows[0, 0] = (10 / SIZE, 630 / SIZE, 100 / SIZE, 20 / SIZE, 0.9, 0, pi / 6)
    (found,) = decoder(model(spec(rows.shape), labels=LABELS)).decode([rows], WHOLE)
    assert found.outline == pytest.approx(turned(np.array([(10, 630, 100, 20)]), np.array([pi / 6]))[0])
    one, two, three, _ = np.array(found.outline)
    assert np.linalg.norm(two - one) == pytest.approx(100, abs=0.01)
    assert np.linalg.norm(three - two) == pytest.approx(20, abs=0.01)
    assert found.box[:2] == pytest.approx((0, 630 - 50 * SIN - 10 * COS), abs=0.01)
    assert found.box[2:] == pytest.approx((10 + 50 * COS + 10 * SIN, SIZE), abs=0.01)


def test_sides_beyond_all_measure_stay_bounded() -> None:
    """What a broken model gives is published and drawn: numbers that everybody can read."""
    rows = np.zeros((1, 300, 7), np.float32)
    rows[0, 0] = (320, 320, 1e30, 20, 0.9, 0, 0.3)
    (found,) = decoder(model(spec(rows.shape), labels=LABELS)).decode([rows], WHOLE)
    assert found.box == pytest.approx((0, 0, SIZE, SIZE))
    assert np.abs(found.outline).max() < 3 * SIZE


def test_a_raw_output_without_metadata_is_no_obb() -> None:
    """It cannot be told from a detector, whose labels then do not fit."""
    of = model(spec((1, 4 + 2 + 1, ANCHORS)), labels=LABELS)
    with pytest.raises(ModelError, match="3 classes, but there are 2 labels"):
        decoder(of)


def test_likeness_grows_with_the_overlap() -> None:
    """1 with itself, 0 far away, in the order of what OpenCV's polygons have in common."""
    rectangles = np.array([(100, 100, 80, 30)] * 5 + [(400, 400, 80, 30)], np.float32)
    angles = np.array((0.3, 0.35, 0.5, 0.9, 1.5, 0.3), np.float32)
    likeness = alike(rectangles, angles, np.zeros(6, int), np.arange(6))
    first, *others = turned(rectangles, angles)
    common = [cv2.intersectConvexConvex(first, other)[0] for other in others]
    assert likeness[0] == pytest.approx(1, abs=0.01)
    assert list(np.argsort(-likeness[1:], kind="stable")) == list(
        np.argsort(-np.array(common), kind="stable")
    )
    assert likeness[-1] == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("count", [2, 64, 65, 300, 700])
@pytest.mark.parametrize("iou_threshold", [0.05, 0.45, 0.7])
def test_pairs_that_are_not_compared_would_not_have_counted(iou_threshold: float, count: int) -> None:
    """Every pair compared gives the same boxes: of long and short ones, in a crowd."""
    random = np.random.default_rng(5)
    centres, sizes = random.uniform(100, 500, (count, 2)), random.uniform(4, 150, (count, 2))
    found = Candidates(
        np.concatenate((centres, sizes), axis=1).astype(np.float32),
        np.sort(random.uniform(0.3, 0.9, count))[::-1].astype(np.float32),
        random.integers(0, 2, count),
        random.uniform(-2, 2, (count, 1)).astype(np.float32),
    )
    one, other = np.triu_indices(count, k=1)
    too_much = alike(found.boxes, found.extras[:, 0], one, other) >= iou_threshold
    gone = {*other[too_much & (found.class_ids[one] == found.class_ids[other])].tolist()}
    kept = [number for number in range(count) if number not in gone]
    assert gone or count < 300
    assert _kept(found, iou_threshold).tolist() == kept[:MOST_DETECTIONS]
