"""What decoders share: suppression, mapping back, quantised thresholds."""

from __future__ import annotations

import time
from typing import Any, TypeAlias

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensors import WHOLE, iou, spec

from edged.decoders.boxes import MOST_DETECTIONS, corners, detections, suppress
from edged.decoders.quantised import least_stored, real, require_finite
from edged.errors import OutputError

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
    started = time.thread_time()  # other work on the machine must not count
    kept = suppress(boxes, scores, np.zeros(25200, np.intp), THRESHOLD)
    assert time.thread_time() - started < 0.5
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


def greedy(boxes: list[list[int]], scores: list[float], threshold: float) -> list[int]:
    """Non-maximum suppression as it is written down in textbooks."""
    kept: list[int] = []
    for index in sorted(range(len(scores)), key=lambda index: -scores[index]):
        if all(iou(boxes[index], boxes[better]) <= threshold for better in kept):
            kept.append(index)
    return kept


@pytest.mark.parametrize(("things", "around"), [(90, 8), (290, 10), (400, 7)])
def test_a_crowd_loses_nobody(things: int, around: int) -> None:
    """However many candidates there are of each thing, all things come out, and of too many the best ones."""
    generator = np.random.default_rng(things)
    places = np.array([(x * 20, y * 20) for x in range(20) for y in range(20)])[:things]
    near = (places[:, None] + generator.integers(0, 3, (things, around, 2))).reshape(-1, 2)
    boxes = np.concatenate((near, near + 12), axis=1)
    scores = generator.permutation(len(boxes)) / len(boxes)
    kept = suppress(boxes.astype(np.float32), scores, np.zeros(len(boxes), np.intp), THRESHOLD)
    assert kept.tolist() == greedy(boxes.tolist(), scores.tolist(), THRESHOLD)[:MOST_DETECTIONS]
    assert len(kept) == min(things, MOST_DETECTIONS)


@pytest.mark.parametrize("score", [1.17, -0.4, 5.0])
def test_what_is_no_score_never_leaves(score: float) -> None:
    """A number outside 0..1 says that the output is laid out otherwise; no frame is made of it."""
    with pytest.raises(OutputError, match=r"0\.\.1"):
        detections(np.array([[1, 2, 3, 4]]), np.array([score]), np.array([0]), ["thing"], WHOLE)


def test_the_rounding_of_a_quantised_score_is_forgiven() -> None:
    """A score of 1 may be stored as 1.004; it is published as 1."""
    (found,) = detections(np.array([[1, 2, 3, 4]]), np.array([1.004]), np.array([0]), ["thing"], WHOLE)
    assert found.score == 1.0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_one_value_that_is_no_number_is_found_anywhere(bad: float, dtype: type[np.floating[Any]]) -> None:
    """A comparison with NaN is false, so without a look it would pass for 'nothing seen'."""
    output = np.zeros((1, 9, 8400), dtype)
    require_finite(output)
    output[0, 3, 8000] = bad
    with pytest.raises(OutputError, match="1 values of 75600"):
        require_finite(output)


def test_large_numbers_are_numbers() -> None:
    """A sum that overflows says nothing of the values."""
    require_finite(np.full((1, 9, 8400), np.finfo(np.float32).max))
