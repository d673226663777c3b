"""Heads that give scores and distributions of distances in outputs of their own, as accelerators like them.

Each pair of outputs is ``[1, cells, classes]`` and ``[1, cells, 4 * bins]``, or the same with the axes
swapped, or ``[1, rows, columns, n]``: one pair for all cells, or one for every level. The pairs come in any
order, and so do the two of a pair. Distances count from the middle of the cell, see ``dfl``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

from edged.decoders import anchors, boxes, dfl, trial_run
from edged.decoders.labels import class_names
from edged.decoders.logits import logit, sigmoid
from edged.decoders.quantised import best_classes, least_stored, real, require_finite

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edged.imaging.geometry import Geometry
    from edged.records import Detection, Model, Tensor

_RANK, _GRID_RANK = 3, 4
_PAIR = 2


class _Pair(NamedTuple):
    """Indices of two outputs that belong together."""

    scores: int
    distances: int


@dataclass(frozen=True, slots=True)
class SplitLayout:
    """Which outputs are what."""

    pairs: tuple[_Pair, ...]
    """Fine levels first."""
    channels_first: bool
    cells: int
    """All levels'."""
    classes: int


def split_layout(model: Model, bins: int) -> SplitLayout | None:
    """Where scores and distances lie; None where the outputs are something else."""
    for channels_first in (False, True):
        levels: dict[int, list[tuple[int, int]]] = {}
        for index, output in enumerate(model.outputs):
            cells, channels = _cells_and_channels(output.shape, channels_first=channels_first)
            levels.setdefault(cells, []).append((index, channels))
        total = sum(levels)
        fine_first = sorted(levels, reverse=True)
        if total not in anchors.anchors(model) or (
            len(levels) > 1 and tuple(fine_first) != anchors.level_sizes(model, total)
        ):
            continue
        pairs = [_pair(model, levels[cells], dfl.SIDES * bins) for cells in fine_first]
        classes = {channels for _, channels in pairs}
        if None not in [pair for pair, _ in pairs] and len(classes) == 1:
            found = tuple(pair for pair, _ in pairs if pair is not None)
            return SplitLayout(found, channels_first, total, classes.pop())
    return None


def _cells_and_channels(shape: tuple[int, ...], *, channels_first: bool) -> tuple[int, int]:
    if len(shape) not in {_RANK, _GRID_RANK} or shape[0] != 1:
        return 0, 0
    if channels_first:
        return int(np.prod(shape[2:])), shape[1]
    return int(np.prod(shape[1:-1])), shape[-1]


def _pair(model: Model, outputs: list[tuple[int, int]], width: int) -> tuple[_Pair | None, int]:
    """The two outputs of a level, and how many classes they have."""
    widths = [channels for _, channels in outputs]
    if len(outputs) != _PAIR or width not in widths:
        return None, 0
    reach = widths.index(width)
    if widths == [width, width]:
        # An empty picture makes no class likely, while some distance always is: the scores are lower.
        seen = [trial_run.values(model, index) for index, _ in outputs]
        if seen[0] is None or seen[1] is None:
            return None, 0
        reach = int(seen[0].mean() < seen[1].mean())
    return _Pair(outputs[1 - reach][0], outputs[reach][0]), widths[1 - reach]


class SplitDecoder:
    """What is the same for every family with such a head, once it has been found to be one.

    Scores are logits unless a trial run, or what the output can store, shows that they are probabilities.
    """

    bins: ClassVar[int]
    """Numbers of a distance's distribution."""

    def __init__(self, model: Model, *, score_threshold: float, iou_threshold: float) -> None:
        layout = split_layout(model, self.bins)
        assert layout is not None  # noqa: S101  # mismatch() was asked before
        self._layout = layout
        self._specs = model.outputs
        self._sigmoid = not all(trial_run.is_probability(model, pair.scores) for pair in layout.pairs)
        least = logit(score_threshold) if self._sigmoid else score_threshold
        self._least = [least_stored(least, model.outputs[pair.scores]) for pair in layout.pairs]
        corners, self._sides = anchors.cells(model, layout.cells)
        self._centres = corners + self._sides / 2
        self._iou_threshold = iou_threshold
        self.labels = class_names(model, layout.classes)

    def decode(self, outputs: Sequence[Tensor], geometry: Geometry) -> list[Detection]:
        """Detections of one frame in source pixels, clipped to the frame, best score first."""
        require_finite(*outputs)
        levels, first = [], 0
        for pair, least in zip(self._layout.pairs, self._least, strict=True):
            stored = self._rows(outputs[pair.scores])
            rows, class_ids, scores = best_classes(stored, self._specs[pair.scores], least)
            cells = rows + first
            first += len(stored)
            if rows.size:
                spread = real(self._rows(outputs[pair.distances])[rows], self._specs[pair.distances])
                corners = dfl.corners(spread, self._centres[cells], self._sides[cells])
                levels.append((corners, scores, class_ids))
        if not levels:
            return []
        found, sure, ids = (np.concatenate(parts) for parts in zip(*levels, strict=True))
        if self._sigmoid:
            sure = sigmoid(sure)
        kept = boxes.suppress(found, sure, ids, self._iou_threshold)
        return boxes.detections(found[kept], sure[kept], ids[kept], self.labels, geometry)

    def _rows(self, output: Tensor) -> Tensor:
        """One row a cell, ``[cells, channels]``."""
        if self._layout.channels_first:
            return output.reshape(output.shape[1], -1).T
        return output.reshape(-1, output.shape[-1])
