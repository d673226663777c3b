"""The cheapest way to pair rows with columns, each at most once, where some pairs are impossible.

SciPy solves the same for 113 MB on disk and half a second of import; a few dozen boxes do not need it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_ALONE = -1
"""The column of who has none: there is room for everybody."""


def assign(price: Mapping[tuple[int, int], float], limit: float) -> list[tuple[int, int]]:
    """Pairs (row, column), as many of them below ``limit`` as make the sum of ``cost - limit`` least.

    Successive shortest augmenting paths, after Jonker and Volgenant, "A shortest augmenting path algorithm
    for dense and sparse linear assignment problems", Computing 38 (1987). Only pairs that are possible are
    looked at: objects stand in small groups, so nearly all paths end after a step or two.

    Args:
        price: cost by (row, column) of the pairs that are possible, each below ``limit``.
        limit: the price of leaving a row and a column alone.
    """
    alone = len(price) == 1  # as of a label with one object, which most are
    if alone or len(price) == len({row for row, _ in price}) == len({column for _, column in price}):
        return sorted(price)  # nobody has a choice
    costs: dict[int, dict[int, float]] = {}
    for (row, column), cost in price.items():
        costs.setdefault(row, {_ALONE: limit})[column] = cost
    owners: dict[int, int] = {}
    tolls: defaultdict[int, float] = defaultdict(float)
    for row, offers in costs.items():
        best = min(offers, key=offers.__getitem__)
        if best in owners:
            _settle(row, costs, owners, tolls)
        else:
            owners[best] = row
    return sorted((row, column) for column, row in owners.items())


def _settle(
    newcomer: int,
    costs: Mapping[int, Mapping[int, float]],
    owners: dict[int, int],
    tolls: defaultdict[int, float],
) -> None:
    """Give a row the column that is best for all: whoever has that goes to another one, and so on.

    Args:
        newcomer: the row.
        costs: what each row pays for its columns.
        owners: the row by column, which changes.
        tolls: what a column costs beyond that, since others want it; grows.
    """
    here, spent = _ALONE, 0.0
    before: dict[int, int] = {}
    ahead: dict[int, float] = {}
    passed: dict[int, float] = {}
    while True:
        for column, cost in costs[owners.get(here, newcomer)].items():
            through = spent + cost + tolls[column]
            if column not in passed and through < ahead.get(column, math.inf):
                ahead[column], before[column] = through, here
        here = min(ahead, key=ahead.__getitem__)
        least = ahead.pop(here)
        if here not in owners:
            break
        passed[here] = least
        spent = least - costs[owners[here]][here] - tolls[here]
    for column, after in passed.items():
        tolls[column] += least - after
    if here == _ALONE:
        here = before[here]  # who had that column has none now
    while here != _ALONE:
        owners[here] = owners.get(before[here], newcomer)
        here = before[here]
