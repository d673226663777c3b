"""How much boxes tremble: what a detector adds, and nothing of what an object does."""

from __future__ import annotations

from random import Random

import pytest

from edged.scene.tremble import USUAL, Tremble

HEIGHT = 100.0


def boxed(x: float, y: float) -> tuple[float, float, float, float]:
    """Who stands at (x, y) in pixels."""
    return x - 20, y - HEIGHT, x + 20, y


def taken(places: list[tuple[float, float, float]]) -> Tremble:
    tremble = Tremble()
    for now, x, y in places:
        tremble.take(now, boxed(x, y))
    return tremble


def test_it_is_the_usual_until_three_places_are_known() -> None:
    assert taken([(0.0, 10, 200), (0.1, 90, 200)]).heights == USUAL


def test_what_is_found_first_counts_as_much_as_what_is_usual() -> None:
    assert taken([(n / 10, 10, 200) for n in range(3)]).heights == pytest.approx(USUAL / 2)


def test_frames_of_one_moment_teach_nothing() -> None:
    assert taken([(1.0, 10, 200), (1.0, 90, 200), (1.0, 10, 200)]).heights == USUAL


def test_a_box_two_pixels_high_trembles_in_its_own_heights_and_none_in_less_than_a_pixel() -> None:
    def of(height: float) -> float:
        tremble = Tremble()
        for now, x in ((0.0, 10.0), (0.1, 11.0), (0.2, 10.0)):
            tremble.take(now, (x, 20 - height, x + 2, 20.0))
        return tremble.heights - USUAL / 2

    assert of(1.0) == pytest.approx(2 * of(2.0))
    assert of(0.5) == pytest.approx(of(1.0))


@pytest.mark.parametrize("speed", [0.0, 3.0, 80.0])
def test_who_goes_straight_on_does_not_tremble_however_fast_and_however_seldom_seen(speed: float) -> None:
    chance = Random(1)  # noqa: S311  # a repeatable course
    now, places = 0.0, []
    for _ in range(40):
        now += chance.choice((0.05, 0.1, 0.3))
        places.append((now, 100 + speed * now, 200 - speed * now / 2))
    # The mean of twenty has forgotten what was usual but for some hundredths.
    assert taken(places).heights == pytest.approx(0.0, abs=USUAL / 20)


@pytest.mark.parametrize("by", [0.01, 0.04])
@pytest.mark.parametrize("steps", [(0.1,), (0.05, 0.1, 0.3)])
def test_it_is_the_standard_deviation_of_the_place_in_heights(by: float, steps: tuple[float, ...]) -> None:
    chance = Random(2)  # noqa: S311  # a repeatable course
    tremble, now, found = Tremble(), 0.0, []
    for _ in range(3000):
        now += chance.choice(steps)
        at = chance.gauss(50 * now, by * HEIGHT), chance.gauss(300, by * HEIGHT)
        tremble.take(now, boxed(*at))
        found.append(tremble.heights)
    assert sum(found[50:]) / len(found[50:]) == pytest.approx(by, rel=0.05)


def test_of_three_places_over_a_second_apart_nothing_is_learned() -> None:
    assert taken([(0.0, 10, 200), (0.6, 90, 200), (1.2, 10, 200)]).heights == USUAL
    assert taken([(0.0, 10, 200), (0.5, 90, 200), (1.0, 10, 200)]).heights > USUAL


def test_one_jump_counts_a_twentieth() -> None:
    steady = [(n / 10, 100.0, 200.0) for n in range(60)]
    jumps = [*steady, (6.0, 160.0, 200.0)]
    # Sixty pixels across of a height of a hundred: the middle one is thirty off, and down there is nothing:
    # 0.6267 * 0.3 / sqrt(1.5) = 0.1535.
    before = taken(steady).heights
    assert taken(jumps).heights - before == pytest.approx((0.1535 - before) / 20, rel=1e-3)


def test_how_far_a_box_stands_from_the_last_one_that_was_detected() -> None:
    assert Tremble().distance(boxed(10, 20)) == 0.0
    assert taken([(0.0, 0, 0), (0.1, 100, 200)]).distance(boxed(103, 196)) == 5.0
