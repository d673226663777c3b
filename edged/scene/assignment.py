"""The cheapest way to pair rows with columns, each at most once, where some pairs are impossible.

SciPy solves the same for 113 MB on disk and half a second of import; a few dozen boxes do not need it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float64]


def assign(cost: Matrix, limit: float) -> list[tuple[int, int]]:
    """Pairs (row, column), as many of them below ``limit`` as make the sum of ``cost - limit`` least.

    Rows and columns that share no possible pair are solved apart from each other: objects stand in small
    groups, so the cubic cost of the method falls on small squares only.

    Args:
        cost: shape (rows, columns); what is not below ``limit`` is impossible.
        limit: the price of leaving a row and a column alone.
    """
    possible = cost < limit
    pairs: list[tuple[int, int]] = []
    for rows, columns in _groups(possible):
        if len(rows) == 1 or len(columns) == 1:
            part = cost[np.ix_(rows, columns)]
            best = int(np.argmin(part))
            pairs.append((rows[best // len(columns)], columns[best % len(columns)]))
            continue
        part = np.minimum(cost[np.ix_(rows, columns)], limit)
        turned = len(rows) > len(columns)
        chosen = _shortest_paths(part.T if turned else part)
        for first, second in enumerate(chosen):
            row, column = (rows[second], columns[first]) if turned else (rows[first], columns[second])
            if possible[row, column]:
                pairs.append((row, column))
    return sorted(pairs)


def _groups(possible: npt.NDArray[np.bool_]) -> list[tuple[list[int], list[int]]]:
    """Rows and columns that are joined by possible pairs."""
    by_row = [np.flatnonzero(row).tolist() for row in possible]
    by_column = [np.flatnonzero(column).tolist() for column in possible.T]
    seen: set[int] = set()
    groups = []
    for start, columns in enumerate(by_row):
        if not columns or start in seen:
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


def _shortest_paths(cost: Matrix) -> list[int]:
    """The column of each row, with no more rows than columns: successive shortest augmenting paths.

    After Jonker and Volgenant, "A shortest augmenting path algorithm for dense and sparse linear assignment
    problems", Computing 38 (1987), as Crouse describes it for rectangles (IEEE TAES 52, 2016).
    """
    rows, columns = cost.shape
    of_row = np.zeros(rows)
    of_column = np.zeros(columns)
    column_of = np.full(rows, -1)
    row_of = np.full(columns, -1)
    for start in range(rows):
        shortest = np.full(columns, np.inf)
        before = np.full(columns, -1)
        done = np.zeros(columns, dtype=bool)
        visited: list[int] = []
        row, least, sink = start, 0.0, -1
        while sink < 0:
            visited.append(row)
            through = least + cost[row] - of_row[row] - of_column
            better = ~done & (through < shortest)
            before[better] = row
            shortest[better] = through[better]
            nearest = int(np.argmin(np.where(done, np.inf, shortest)))
            least = float(shortest[nearest])
            done[nearest] = True
            if row_of[nearest] < 0:
                sink = nearest
            else:
                row = int(row_of[nearest])
        of_row[start] += least
        for other in visited[1:]:
            of_row[other] += least - shortest[column_of[other]]
        of_column[done] -= least - shortest[done]
        while True:
            row = int(before[sink])
            row_of[sink] = row
            sink, column_of[row] = int(column_of[row]), sink
            if row == start:
                break
    return [int(column) for column in column_of]
