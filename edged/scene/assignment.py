"""The cheapest way to pair rows with columns, each at most once, where some pairs are impossible.

SciPy solves the same for 113 MB on disk and half a second of import; a few dozen boxes do not need it.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def assign(price: Mapping[tuple[int, int], float], limit: float) -> list[tuple[int, int]]:
    """Pairs (row, column), as many of them below ``limit`` as make the sum of ``cost - limit`` least.

    Rows and columns that share no possible pair are solved apart from each other: objects stand in small
    groups, so the cubic cost of the method falls on small squares only.

    Args:
        price: cost by (row, column) of the pairs that are possible, each below ``limit``.
        limit: the price of leaving a row and a column alone.
    """
    if len(price) == len({row for row, _ in price}) == len({column for _, column in price}):
        return sorted(price)  # nobody has a choice
    pairs: list[tuple[int, int]] = []
    for rows, columns in _groups(price):
        if len(rows) == 1 or len(columns) == 1:
            pairs.append(min(itertools.product(rows, columns), key=price.__getitem__))
            continue
        part = [[price.get((row, column), limit) for column in columns] for row in rows]
        if len(rows) <= len(columns):
            chosen = list(enumerate(_shortest_paths(part)))
        else:
            turned = [list(column) for column in zip(*part, strict=True)]
            chosen = [(row, column) for column, row in enumerate(_shortest_paths(turned))]
        pairs += [(rows[row], columns[column]) for row, column in chosen if part[row][column] < limit]
    return sorted(pairs)


def _groups(pairs: Iterable[tuple[int, int]]) -> list[tuple[list[int], list[int]]]:
    """Rows and columns that are joined by pairs."""
    by_row: dict[int, list[int]] = {}
    by_column: dict[int, list[int]] = {}
    for row, column in pairs:
        by_row.setdefault(row, []).append(column)
        by_column.setdefault(column, []).append(row)
    seen: set[int] = set()
    groups = []
    for start, columns in by_row.items():
        if start in seen:
            continue
        if len(columns) == 1 and len(by_column[columns[0]]) == 1:
            groups.append(([start], columns))
            continue
        rows, reached, waiting = {start}, set(columns), list(columns)
        while waiting:
            for row in by_column[waiting.pop()]:
                if row not in rows:
                    rows.add(row)
                    new = [column for column in by_row[row] if column not in reached]
                    reached.update(new)
                    waiting += new
        seen |= rows
        groups.append((sorted(rows), sorted(reached)))
    return groups


def _shortest_paths(cost: list[list[float]]) -> list[int]:
    """The column of each row, with no more rows than columns: successive shortest augmenting paths.

    After Jonker and Volgenant, "A shortest augmenting path algorithm for dense and sparse linear assignment
    problems", Computing 38 (1987), as Crouse describes it for rectangles (IEEE TAES 52, 2016). Plain lists:
    nearly all squares have two or three rows, for which NumPy takes longer to begin than this to end.
    """
    rows, columns = len(cost), len(cost[0])
    prices = [0.0] * rows, [0.0] * columns
    column_of, row_of = [-1] * rows, [-1] * columns
    for start in range(rows):
        before, sink = _cheapest_path(cost, start, prices, column_of, row_of)
        row = -1
        while row != start:
            row = before[sink]
            row_of[sink] = row
            sink, column_of[row] = column_of[row], sink
    return column_of


def _cheapest_path(
    cost: list[list[float]],
    start: int,
    prices: tuple[list[float], list[float]],
    column_of: list[int],
    row_of: list[int],
) -> tuple[list[int], int]:
    """From a row to a column that is free: the row before each column, and that column. Adapts the prices."""
    of_row, of_column = prices
    shortest, before = [math.inf] * len(of_column), [-1] * len(of_column)
    left = list(range(len(of_column)))
    visited: list[int] = []
    row, least, sink = start, 0.0, -1
    while sink < 0:
        visited.append(row)
        costs, reduced = cost[row], least - of_row[row]
        nearest, least = -1, math.inf
        for column in left:
            through = reduced + costs[column] - of_column[column]
            if through < shortest[column]:
                shortest[column], before[column] = through, row
            if shortest[column] < least:
                nearest, least = column, shortest[column]
        left.remove(nearest)
        if row_of[nearest] < 0:
            sink = nearest
        else:
            row = row_of[nearest]
    of_row[start] += least
    for other in visited[1:]:
        of_row[other] += least - shortest[column_of[other]]
    for column in set(range(len(of_column))).difference(left):
        of_column[column] -= least - shortest[column]
    return before, sink
