"""Objects that stand in groups are paired group by group, and each once."""

from __future__ import annotations

import numpy as np

from edged.scene.assignment import assign


def test_groups_that_lie_between_each_other_are_each_paired_once_and_as_cheap_as_can_be() -> None:
    """Rows 0 and 3 share columns with nobody else, nor do rows 1 and 2."""
    cost = np.full((4, 4), 9.0)
    cost[np.ix_((0, 3), (0, 1))] = ((1.0, 2.0), (1.5, 4.0))  # 2.0 + 1.5 is less than 1.0 + 4.0
    cost[np.ix_((1, 2), (2, 3))] = ((3.0, 1.0), (2.0, 2.5))
    assert assign(cost, 9.0) == [(0, 1), (1, 3), (2, 2), (3, 0)]
    assert assign(cost.T, 9.0) == [(0, 3), (1, 0), (2, 2), (3, 1)]
    assert assign(np.empty((0, 3)), 9.0) == []
    for size in ((1, 1), (1, 3), (2, 2)):
        assert assign(np.full(size, 9.0), 9.0) == [], "what is not below the limit is impossible"
