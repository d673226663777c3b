"""Which boxes overlap, and which of them are paired: against every pair and every pairing."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from edged.scene.assignment import assign
from edged.scene.overlap import overlaps


def test_plain_overlap_is_intersection_over_union() -> None:
    first = [(0.0, 0.0, 10.0, 10.0)]
    second = [(12.0, 0.0, 20.0, 10.0), (5.0, 0.0, 15.0, 10.0)]
    ((row, column, overlap),) = overlaps(first, second)
    assert (row, column) == (0, 1)
    assert overlap == pytest.approx(1 / 3)
    assert sorted(column for _, column, _ in overlaps(first, second, 0.5)) == [0, 1]
    assert list(overlaps(first, [])) == list(overlaps([], second)) == []


def test_boxes_that_only_touch_do_not_overlap_and_those_smaller_than_a_pixel_do() -> None:
    beside, below = (10.0, 0.0, 20.0, 10.0), (0.0, 10.0, 10.0, 20.0)
    assert list(overlaps([(0.0, 0.0, 10.0, 10.0)], [beside, below])) == []
    assert list(overlaps([beside], [(0.0, 0.0, 10.0, 10.0), (100.0, 0.0, 200.0, 10.0)])) == []
    beyond = (-50.0, 0.0, 10.0, 10.0)
    assert [pair[:2] for pair in overlaps([(0.0, 0.0, 5.0, 5.0)], [beyond])] == [(0, 0)]
    dot = (3.0, 3.0, 3.5, 3.5)
    assert list(overlaps([dot], [dot])) == [(0, 0, 1.0)]
    dust = (0.0, 0.0, 1e-5, 1e-5)
    ((_, _, overlap),) = overlaps([dust], [dust])
    assert 0.01 < overlap <= 1.0


@pytest.mark.parametrize("across", [-1000.0, 0.0, 1000.0])
@pytest.mark.parametrize("down", [-1000.0, 0.0, 1000.0])
def test_many_boxes_overlap_as_each_two_do_alone_wherever_they_are(across: float, down: float) -> None:
    """Many are looked for from left to right, as far as the widest reaches."""
    flat = (across, down, across + 100, down + 5)
    few = [(across + 10 * place, down, across + 10 * place + 5, down + 5) for place in range(10)]
    alone = {(row, 0) for row, box in enumerate(few) for _ in overlaps([box], [flat])}
    together = {pair[:2] for pair in overlaps(few, [flat, *few]) if pair[1] == 0}
    assert together == alone == {(row, 0) for row in range(10)}


def test_a_wide_and_flat_box_is_met_at_its_far_end_and_the_least_overlap_is_too_little() -> None:
    flat = (0.0, 0.0, 100.0, 1.0)
    assert [pair[:2] for pair in overlaps([(90.0, 0.0, 95.0, 1.0)], [flat])] == [(0, 0)]
    half = [(0.0, 0.0, 50.0, 1.0)]
    assert list(overlaps(half, [flat], 0.0, 0.5)) == []
    assert list(overlaps(half, [flat], 0.0, 0.49)) == [(0, 0, 0.5)]


@pytest.mark.parametrize("buffer", [0.0, 0.3])
def test_all_pairs_that_overlap_are_found_and_no_others(buffer: float) -> None:
    """Against every pair, by the textbook; sizes differ a lot, and some boxes touch or are alike."""
    random, met = np.random.default_rng(6), 0
    for _ in range(20):
        corners = random.integers(-60, 60, (2, 15, 2))
        sizes = random.integers(1, random.integers(2, 60), (2, 15, 2))
        first, second = np.concatenate((corners, corners + sizes), axis=2).astype(float)
        expected = {}
        for (row, ours), (column, theirs) in itertools.product(enumerate(first), enumerate(second)):
            (a1, a2), (b1, b2) = (
                (box[:2] - buffer * (box[2:] - box[:2]), box[2:] + buffer * (box[2:] - box[:2]))
                for box in (ours, theirs)
            )
            both = float(np.prod(np.maximum(np.minimum(a2, b2) - np.maximum(a1, b1), 0.0)))
            if both > 1e-9:
                expected[row, column] = both / float(np.prod(a2 - a1) + np.prod(b2 - b1) - both)
        found = {
            (row, column): overlap
            for row, column, overlap in overlaps(first.tolist(), second.tolist(), buffer)
            if overlap > 1e-9
        }
        assert found == pytest.approx(expected)
        every = [*overlaps(first.tolist(), second.tolist(), buffer)]
        more = [*overlaps(first.tolist(), second.tolist(), buffer, 0.2)]
        assert more == [one for one in every if one[2] > 0.2]
        met += len(expected)
    assert met > 100


def possible(cost: Any, limit: float) -> dict[tuple[int, int], float]:
    return {pair: value for pair, value in np.ndenumerate(cost) if value < limit}


def least_sum(price: dict[tuple[int, int], float], limit: float) -> float:
    """Row by row the least that any set of columns can be taken for."""
    by_taken = {frozenset[int](): 0.0}
    for row in {row for row, _ in price}:
        for taken, total in list(by_taken.items()):
            for (whose, column), cost in price.items():
                if whose == row and column not in taken:
                    more = taken | {column}
                    by_taken[more] = min(by_taken.get(more, 0.0), total + cost - limit)
    return min(by_taken.values())


def test_assignment_is_the_cheapest_one() -> None:
    """Against every possible pairing; where all want the same few, prices differ by little."""
    random = np.random.default_rng(7)
    for _ in range(300):
        rows, columns = random.integers(1, 7, 2)
        cost = np.round(random.random((rows, columns)), int(random.integers(1, 9)))
        limit = float(random.random())
        found = assign(possible(cost, limit), limit)
        assert len({row for row, _ in found}) == len({column for _, column in found}) == len(found)
        assert sum(cost[pair] - limit for pair in found) == pytest.approx(
            least_sum(possible(cost, limit), limit)
        )


def test_groups_that_share_no_pair_are_each_paired_at_their_best() -> None:
    """One has no choice; of every two others the first has to leave its best to the second."""
    price = {(4, 0): 0.5}
    for at in (0, 2, 5):
        price |= {(at, at + 1): 0.1, (at, at + 2): 0.2, (at + 1, at + 1): 0.3, (at + 1, at + 2): 0.9}
    crossed = [pair for at in (0, 2, 5) for pair in ((at, at + 2), (at + 1, at + 1))]
    assert assign(price, 1.0) == sorted([(4, 0), *crossed])
    for order in (reversed(price), sorted(price, key=lambda pair: pair[0] in {1, 3, 6})):
        assert assign({pair: price[pair] for pair in order}, 1.0) == sorted([(4, 0), *crossed])


def test_assignment_costs_what_scipys_costs() -> None:
    optimize = pytest.importorskip("scipy.optimize", reason="SciPy is not installed")
    random = np.random.default_rng(8)
    for size in (10, 40, 100):
        cost = random.random((size, size + 5))
        rows, columns = optimize.linear_sum_assignment(cost)
        assert sum(cost[pair] for pair in assign(possible(cost, 2.0), 2.0)) == pytest.approx(
            cost[rows, columns].sum()
        )
