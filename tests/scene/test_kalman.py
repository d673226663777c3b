"""Where boxes go is what the textbook's filter says; what is out of sight keeps its size."""

from __future__ import annotations

import numpy as np
import pytest

from edged.scene.kalman import DOUBT, MEASURED, SIZED, SPEED, TURNS, WANDERS, Course, centred

Corners = tuple[float, float, float, float]

FIRST: list[Corners] = [(10.0, 20.0, 50.0, 120.0), (200.0, 100.0, 260.0, 140.0), (300.0, 0.0, 370.0, 300.0)]


def sized(course: Course) -> Corners:
    """Centre and size."""
    return centred(course.box)


def size(course: Course) -> tuple[float, float]:
    """As it is, though it be less than a pixel."""
    x1, y1, x2, y2 = course.corners
    return x2 - x1, y2 - y1


def shifted(box: Corners, *by: float) -> Corners:
    x1, y1, x2, y2 = (corner + more for corner, more in zip(box, by, strict=True))
    return x1, y1, x2, y2


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

    def correct(self, measured: float, unit: float, score: float, believed: float) -> None:
        total = self.spread[0, 0] + (MEASURED * unit) ** 2 * (1 + DOUBT * (0.5 - score))
        gain = self.spread[:, 0] / total
        self.state = self.state + gain * believed * (measured - self.state[0])
        self.spread = self.spread - np.outer(gain, self.spread[0])


@pytest.mark.parametrize("box", FIRST)
def test_a_box_goes_where_the_textbook_says(box: Corners) -> None:
    """Times are uneven, and it is not measured every time."""
    random = np.random.default_rng(5)
    course = Course(box)
    expected = [Textbook(value, centred(box)[3]) for value in centred(box)]
    for turn in range(12):
        elapsed_s = float(random.choice([0.04, 0.2, 0.7]))
        course.predict(elapsed_s)
        for one in expected:
            one.move(elapsed_s)
        for one in expected:
            one.disturb(elapsed_s, expected[3].state[0])
        if turn % 3:
            measured = shifted(box, *(9.0 * turn + random.normal(0, 3, 4)).tolist())
            score = float(random.uniform(0.1, 1.0))
            course.correct(measured, score)
            unit = expected[3].state[0]
            for one, value, believed in zip(expected, centred(measured), (1, 1, SIZED, SIZED), strict=True):
                one.correct(value, unit, score, believed)
        assert sized(course) == pytest.approx([one.state[0] for one in expected])


def moving(box: Corners) -> Course:
    """One that goes right and grows."""
    course = Course(box)
    for turn in range(1, 11):
        course.predict(0.1)
        course.correct(shifted(box, 2.0 * turn, 0.0, 4.0 * turn, 2.0 * turn), 0.5)
    return course


@pytest.mark.parametrize("box", FIRST)
def test_what_is_out_of_sight_goes_on_and_keeps_its_size_and_what_rests_keeps_its_place(box: Corners) -> None:
    seen, missed, rests = (moving(box) for _ in range(3))
    x, y, wide, high = sized(seen)
    seen.predict(0.5)
    missed.predict(0.5, missed=True)
    rests.predict(0.5, missed=True, rests=True)
    assert sized(seen)[0] > x + 10
    assert sized(seen)[3] > high + 2
    assert sized(missed)[0] > x + 10
    assert sized(missed)[2:] == pytest.approx((wide, high))
    assert sized(rests) == pytest.approx((x, y, wide, high))
    rests.predict(0.5)
    assert sized(rests) == pytest.approx((x, y, wide, high)), "its speed is forgotten"


def test_where_nothing_moves_no_box_does() -> None:
    course = moving(FIRST[0])
    before = course.box
    course.rest()
    course.predict(1.0)
    assert course.box == pytest.approx(before)


def test_no_box_is_smaller_than_a_pixel() -> None:
    assert centred((5.0, 7.0, 5.25, 7.0)) == (5.125, 7.0, 1.0, 1.0)
    assert centred((5.0, 7.0, 5.25, 9.0)) == (5.125, 8.0, 1.0, 2.0)
    assert centred((5.0, 7.0, 8.0, 7.5)) == (6.5, 7.25, 3.0, 1.0)
    course = Course((0.0, 0.0, 40.0, 40.0))
    for edge in (20.0, 8.0, 2.0, 2.0):
        course.predict(0.1)
        course.correct((0.0, 0.0, edge, edge), 0.5)
    for _ in range(20):
        course.predict(0.1)
    assert size(course) == (1.0, 1.0)


def test_one_measurement_cannot_make_a_box_smaller_than_a_pixel() -> None:
    course = Course((0.0, 0.0, 400.0, 2.0))
    course.predict(5.0)
    course.correct((0.0, 0.0, 0.0, 0.0), 0.5)
    assert min(size(course)) >= 1.0
    course = Course((0.0, 0.0, 1.5, 1.5))
    for _ in range(2):
        course.correct((0.0, 0.0, 1.5, 1.5), 1.0)
        course.predict(0.1)
    assert size(course) == (1.5, 1.5), "nor is one that small made larger"


def test_a_doubtful_box_moves_less_than_a_good_one_and_a_change_of_size_less_than_one_of_place() -> None:
    def moved(score: float) -> list[float]:
        course = Course((0.0, 0.0, 40.0, 100.0))
        for _ in range(10):
            course.predict(0.1)
            course.correct((0.0, 0.0, 40.0, 100.0), 0.8)
        course.correct((8.0, 8.0, 56.0, 116.0), score)
        return [now - before for now, before in zip(sized(course), (20.0, 50.0, 40.0, 100.0), strict=True)]

    good, doubtful = moved(0.9), moved(0.1)
    assert all(0.0 < little < much for little, much in zip(doubtful, good, strict=True))
    assert good[3] / 8 == pytest.approx(SIZED * good[1] / 12)
