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
    pairs: list[tuple[int, int]] = []
    for rows, columns in _groups(cost < limit):
        if len(rows) == 1 and len(columns) == 1:
            pairs.append((rows[0], columns[0]))
            continue
        part = np.minimum(cost[rows][:, columns], limit)
        if len(rows) <= len(columns):
            chosen = list(enumerate(_shortest_paths(part)))
        else:
            chosen = [(row, column) for column, row in enumerate(_shortest_paths(part.T))]
        pairs += [(rows[row], columns[column]) for row, column in chosen if part[row, column] < limit]
    return sorted(pairs)


def _groups(possible: npt.NDArray[np.bool_]) -> list[tuple[list[int], list[int]]]:
    """Rows and columns that are joined by possible pairs."""
    by_row: dict[int, list[int]] = {}
    by_column: dict[int, list[int]] = {}
    for row, column in np.argwhere(possible).tolist():
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
