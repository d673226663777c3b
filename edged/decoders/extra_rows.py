"""What a box has behind its class scores where no metadata tell: the points of a pose, an angle, or nothing.

A trial run shows it, whatever the model was trained on. Points lie near the cell that tells of them, so their
x and y follow the grid, one after the other to the last row, as no score does. Angles leave the range of
scores.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edged.decoders import anchors, trial_run

if TYPE_CHECKING:
    import numpy.typing as npt

    from edged.decoders.quantised import Floats
    from edged.records import Model

_BOX = 4
_COCO_POINTS = 17
_XY, _XYV = 2, 3
_RANK = 3
_EMPTY = 0.1
"""More than the mean score of a class where nothing is to be seen."""


class Points(NamedTuple):
    """Those of each box."""

    points: int
    numbers: int
    """How many each has: x, y, and mostly a visibility."""


def points(model: Model) -> Points | None:
    """The points of a pose that come with every box, where no ``kpt_shape`` says it; None: there are none."""
    if model.metadata.get("task", "pose") != "pose" or not _is_raw(model):
        return None
    return _seen_points(model) or _usual_points(model)


def is_angle(model: Model) -> bool:
    """Whether the last row of a raw output without metadata is the angle of a turned box and no score."""
    if "task" in model.metadata or len(model.outputs) != 1 or not _is_raw(model):
        return False
    rows = _rows(model, 0)
    if rows is None:
        return False
    # The other way round, rows of YOLOX are as long: there only values count.
    named = trial_run.columns_are_anchors(model, 0) and len(model.labels) == len(rows) - _BOX - 1 > 0
    probable = trial_run.are_probabilities(rows[_BOX:].T)
    # An empty picture has no scores worth a word, but angles like any other.
    angle = not probable[-1] or (named and rows[-1].mean() > _EMPTY)
    return bool(len(probable) > 1 and probable[:-1].all() and angle)


def no_detector(model: Model) -> str | None:
    """Why a raw model has more than class scores behind its boxes; None where it has not."""
    if found := points(model):
        return f"its boxes have the {found.points} points of a pose behind their classes"
    return "its last row holds angles" if is_angle(model) else None


def _is_raw(model: Model) -> bool:
    """Whether all outputs have numbers of every anchor."""
    shapes = [output.shape for output in model.outputs]
    if not all(len(shape) == _RANK and shape[0] == 1 for shape in shapes):
        return False
    columns = all(trial_run.columns_are_anchors(model, index) for index in range(len(shapes)))
    return columns or {shape[1] for shape in shapes} <= anchors.anchors(model)


def _rows(model: Model, output: int) -> Floats | None:
    """Values of an output in the trial run, ``[numbers, anchors]``."""
    seen = trial_run.values(model, output)
    if seen is None:
        return None
    return seen if trial_run.columns_are_anchors(model, output) else seen.T


def _seen_points(model: Model) -> Points | None:
    """Points that show in a trial run."""
    for index, output in enumerate(model.outputs):
        rows = _rows(model, index)
        if rows is None:
            return None
        alone = len(model.outputs) == 1
        if not alone and _BOX in output.shape[1:]:
            continue
        corners, _ = anchors.cells(model, rows.shape[1])
        first = _BOX + 1 if alone else 0
        on_x, on_y = (
            np.array([trial_run.follow_the_grid(row, cells) for row in rows[first:]]) for cells in corners.T
        )
        if found := _period(on_x, on_y):
            return found
    return None


def _period(on_x: npt.NDArray[np.bool_], on_y: npt.NDArray[np.bool_]) -> Points | None:
    """Points, from the first row that follows x to the end; rows before are scores."""
    if not on_x.any():
        return None
    begins = int(on_x.argmax())
    on_x, on_y = on_x[begins:], on_y[begins:]
    for numbers in (_XYV, _XY):
        count, rest = divmod(len(on_x), numbers)
        places = np.arange(len(on_x)) % numbers
        if not rest and on_x[places == 0].all() and on_y[places == 1].all() and not on_x[places > 0].any():
            return Points(count, numbers)
    return None


def _usual_points(model: Model) -> Points | None:
    """Points where a trial run shows none, or there is no run.

    Rows of a pose are box, classes, and x, y, visibility a point. 4 + 1 + 17 * 3 are those of a person in
    COCO, which every pose model begins with; a detector of 52 classes whose classes nobody can name is by far
    the rarer thing. Other counts only labels can tell: the classes that they name are not enough rows.
    """
    if len(model.outputs) != 1 or not trial_run.columns_are_anchors(model, 0) or _has_scores_only(model):
        return None
    classes = len(model.labels) or 1
    count, rest = divmod(model.outputs[0].shape[1] - _BOX - classes, _XYV)
    if rest or count <= 0:
        return None
    return Points(count, _XYV) if count == _COCO_POINTS or len(model.labels) == 1 else None


def _has_scores_only(model: Model) -> bool:
    """Whether a trial run gives nothing but probabilities behind the box, and so no points in pixels."""
    rows = _rows(model, 0)
    return rows is not None and bool(trial_run.are_probabilities(rows[_BOX:].T).all())
