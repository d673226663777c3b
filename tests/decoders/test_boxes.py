"""What decoders share: suppression, mapping back, quantised thresholds."""

from __future__ import annotations

import time
from typing import TypeAlias

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensors import WHOLE, iou, spec

from edged.decoders.boxes import MOST_DETECTIONS, corners, detections, suppress
from edged.decoders.quantised import least_stored, real

THRESHOLD = 0.45
Scene: TypeAlias = tuple[list[tuple[int, int, int, int]], list[float], list[int]]
"""Corners, scores and class ids of the same boxes."""


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    count = draw(st.integers(0, 25))
    near = st.integers(0, 60)
    boxes = []
    for _ in range(count):
        x, y, width, height = (draw(near) for _ in range(4))
        boxes.append((x, y, x + width + 1, y + height + 1))
    # Distinct scores: which of two equals wins is nobody's promise.
    scores = draw(st.lists(st.integers(1, 1000), min_size=count, max_size=count, unique=True))
    classes = [draw(st.integers(0, 2)) for _ in range(count)]
    return boxes, [score / 1000 for score in scores], classes


@given(scenes())
def test_suppression_keeps_the_best_of_every_heap(
    scene: Scene,
) -> None:
    """A box goes exactly if a better one of its class that stays overlaps it by more than the threshold."""
    boxes, scores, classes = scene
    expected: list[int] = []
    for index in sorted(range(len(scores)), key=lambda index: -scores[index]):
        if all(
            classes[index] != classes[better] or iou(boxes[index], boxes[better]) <= THRESHOLD
            for better in expected
        ):
            expected.append(index)
    array = np.array(boxes, np.float32).reshape(-1, 4)
    kept = suppress(array, np.array(scores, np.float32), np.array(classes, np.intp), THRESHOLD)
    assert kept.tolist() == expected


def test_suppression_stays_fast_when_everything_is_a_candidate() -> None:
    """A threshold of nearly zero costs milliseconds, not seconds, and gives a bounded list."""
    generator = np.random.default_rng(0)
    centres = generator.uniform(0, 640, (25200, 2))
    boxes = np.concatenate((centres, centres + 5), axis=1)
    scores = generator.uniform(0, 1, 25200)
    started = time.perf_counter()
    kept = suppress(boxes, scores, np.zeros(25200, np.intp), THRESHOLD)
    assert time.perf_counter() - started < 0.5
    assert len(kept) == MOST_DETECTIONS
    assert scores[kept[0]] == scores.max()
    assert (np.diff(scores[kept]) <= 0).all()


def test_corners_lie_around_the_centre() -> None:
    """Centre and size become the two corners."""
    assert corners(np.array([[10.0, 20.0, 4.0, 6.0]])).tolist() == [[8, 17, 12, 23]]


def test_records_hold_plain_numbers() -> None:
    """Detections carry Python's own numbers, which every encoder of JSON can write."""
    (found,) = detections(
        np.array([[1, 2, 3, 4]]), np.array([0.5], np.float32), np.array([0]), ["thing"], WHOLE
    )
    assert [type(value) for value in (found.score, found.class_id, *found.box)] == [float, int, *[float] * 4]


@given(
    dtype=st.sampled_from(["int8", "uint8", "int16"]),
    scale=st.floats(1e-4, 10),
    offset=st.floats(0, 1),
    threshold=st.floats(-2, 2),
)
def test_the_stored_threshold_divides_like_the_real_one(
    dtype: str, scale: float, offset: float, threshold: float
) -> None:
    """Comparing stored values picks exactly those whose real value reaches the threshold."""
    limits = np.iinfo(dtype)
    output = spec((1,), dtype, scale=scale, zero_point=round(limits.min + offset * (limits.max - limits.min)))
    every = np.arange(limits.min, limits.max + 1).astype(dtype)
    least = least_stored(threshold, output)
    np.testing.assert_array_equal(every >= least, real(every, output) >= np.float32(threshold))


@pytest.mark.parametrize("threshold", [-1.0, 0.0, 0.4])
def test_floats_are_compared_as_they_are(threshold: float) -> None:
    """Without a scale, stored and real values are the same."""
    assert least_stored(threshold, spec((1,))) == threshold
