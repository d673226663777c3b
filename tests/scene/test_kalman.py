"""Where boxes go is what the textbook's filter says; what is out of sight keeps its size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edged.scene.kalman import MEASURED, SPEED, TURNS, WANDERS, BoxFilter, centred

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

FIRST: Floats = np.array([[10.0, 20, 50, 120], [200, 100, 260, 140], [300, 0, 370, 300]])


def sized(boxes: Floats) -> Floats:
    """Centre and size, a row a box."""
    return centred(boxes.T).T


class Textbook:
    """One number and its speed, by matrices."""

    def __init__(self, place: float, unit: float) -> None:
        self.state = np.array([place, 0.0])
        self.spread = np.diag([(2 * MEASURED * unit) ** 2, (SPEED * unit) ** 2])

    def move(self, elapsed_s: float) -> None:
        step = np.array([[1.0, elapsed_s], [0.0, 1.0]])
        self.state = step @ self.state
        self.spread = step @ self.spread @ step.T

    def disturb(self, elapsed_s: float, unit: float) -> None:
        self.spread += np.diag([elapsed_s * (WANDERS * unit) ** 2, elapsed_s * (TURNS * unit) ** 2])

    def correct(self, measured: float, unit: float) -> None:
        total = self.spread[0, 0] + (MEASURED * unit) ** 2
        gain = self.spread[:, 0] / total
        self.state = self.state + gain * (measured - self.state[0])
        self.spread = self.spread - np.outer(gain, self.spread[0])


def test_boxes_go_where_the_textbook_says() -> None:
    """Times are uneven, and one of the boxes is not measured every time."""
    random = np.random.default_rng(5)
    boxes = BoxFilter()
    boxes.add(FIRST[:2])
    boxes.add(FIRST[2:])
    expected = [[Textbook(value, box[3]) for value in box] for box in sized(FIRST).tolist()]
    for turn in range(12):
        elapsed_s = float(random.choice([0.04, 0.2, 0.7]))
        boxes.predict(elapsed_s, [], [])
        for box in expected:
            for one in box:
                one.move(elapsed_s)
            for one in box:
                one.disturb(elapsed_s, box[3].state[0])
        rows = [2, 0] if turn % 3 else [0, 1, 2]
        measured = FIRST[rows] + 9.0 * turn + random.normal(0, 3, (len(rows), 4))
        boxes.correct(rows, measured)
        for row, values in zip(rows, sized(measured).tolist(), strict=True):
            unit = expected[row][3].state[0]
            for one, value in zip(expected[row], values, strict=True):
                one.correct(value, unit)
        found = sized(boxes.boxes())
        assert found == pytest.approx(np.array([[one.state[0] for one in box] for box in expected]))


def moving() -> BoxFilter:
    """Three boxes that go right and grow."""
    boxes = BoxFilter()
    boxes.add(FIRST)
    for turn in range(1, 11):
        boxes.predict(0.1, [], [])
        boxes.correct([0, 1, 2], FIRST + turn * np.array([2.0, 0, 4, 2]))
    return boxes


def test_what_is_out_of_sight_goes_on_and_keeps_its_size_and_what_rests_keeps_its_place() -> None:
    boxes = moving()
    before = sized(boxes.boxes())
    boxes.predict(0.5, [1, 2], [1])
    after = sized(boxes.boxes())
    gone = after - before
    assert gone[0, 0] > 10
    assert gone[0, 3] > 5
    assert gone[1].tolist() == [0, 0, 0, 0]
    assert gone[2, 0] > 10
    assert gone[2, 2:].tolist() == [0, 0]
    boxes.predict(0.5, [], [])
    assert sized(boxes.boxes())[1].tolist() == after[1].tolist(), "its speed is forgotten"


def test_where_nothing_moves_no_box_does() -> None:
    boxes = moving()
    before = boxes.boxes()
    boxes.rest()
    boxes.predict(1.0, [], [])
    assert boxes.boxes() == pytest.approx(before)


def test_boxes_that_stay_keep_their_order() -> None:
    boxes = moving()
    before = boxes.boxes()
    boxes.keep([0, 2])
    assert boxes.boxes().tolist() == before[[0, 2]].tolist()


def test_no_box_is_smaller_than_a_pixel() -> None:
    assert sized(np.array([[5.0, 7.0, 5.25, 7.0]])).tolist() == [[5.125, 7.0, 1.0, 1.0]]
    boxes = BoxFilter()
    boxes.add(np.array([[0.0, 0, 40, 40]]))
    for size in (20.0, 8.0, 2.0, 2.0):
        boxes.predict(0.1, [], [])
        boxes.correct([0], np.array([[0.0, 0, size, size]]))
    for _ in range(20):
        boxes.predict(0.1, [], [])
    assert sized(boxes.boxes())[0, 2:].tolist() == [1.0, 1.0]


def test_one_measurement_cannot_make_a_box_smaller_than_a_pixel() -> None:
    boxes = BoxFilter()
    boxes.add(np.array([[0.0, 0, 400, 2]]))
    boxes.predict(5.0, [], [])
    boxes.correct([0], np.array([[0.0, 0, 0, 0]]))
    assert sized(boxes.boxes())[0, 2:].min() >= 1.0
