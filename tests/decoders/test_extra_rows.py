"""Models whose files say nothing: what stands behind the class scores shows in what they give."""

from __future__ import annotations

from math import pi
from typing import TYPE_CHECKING

import numpy as np
import pytest
from constant_model import write
from tensors import SIZE, WHOLE, cells_plainly, decoder, model, spec

from edged.cli import main
from edged.decoders import mismatches

if TYPE_CHECKING:
    from pathlib import Path

    from edged.records import Model, Tensor

CELLS = cells_plainly((8, 16, 32))
COUNT = len(CELLS)
CENTRES = np.array([((column + 0.5) * side, (row + 0.5) * side) for column, row, side in CELLS]).T
"""x and y of every cell, pixels."""


def boxes(unit: float) -> Tensor:
    random = np.random.default_rng(1)
    return np.concatenate((CENTRES + random.normal(0, 9, (2, COUNT)), np.full((2, COUNT), 30.0))) * unit


def quiet_scores(classes: int) -> Tensor:
    return np.random.default_rng(2).uniform(0, 0.02, (classes, COUNT))


def pose(count: int, numbers: int, unit: float) -> Tensor:
    """Points some way off their cells, as an empty picture gives them."""
    random = np.random.default_rng(3)
    made = np.empty((count, numbers, COUNT))
    made[:, :2] = (CENTRES + random.normal(0, 25, (count, 2, COUNT))) * unit
    made[:, 2:] = random.uniform(0, 1, (count, numbers - 2, COUNT))
    return made.reshape(-1, COUNT)


def bare(*parts: Tensor, transposed: bool = False, labels: tuple[str, ...] = ()) -> tuple[Model, Tensor]:
    """A model of one output that says nothing of itself, and what it gives for an empty picture."""
    rows = np.concatenate(parts).astype(np.float32)
    tensor = (rows.T if transposed else rows)[np.newaxis]
    return model(spec(tensor.shape), labels=labels, trial=[tensor]), tensor


def families(of: Model) -> list[str]:
    return [family for family, reason in mismatches(of).items() if reason is None]


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("unit", [1.0, 1 / SIZE], ids=["pixels", "normalised"])
@pytest.mark.parametrize(("classes", "count", "numbers"), [(1, 17, 3), (1, 5, 3), (2, 21, 3), (3, 4, 2)])
def test_points_of_any_number_show(
    classes: int, count: int, numbers: int, *, unit: float, transposed: bool
) -> None:
    """However many classes and points there are, of two numbers or three."""
    of, tensor = bare(boxes(unit), quiet_scores(classes), pose(count, numbers, unit), transposed=transposed)
    assert families(of) == ["yolo-pose"]
    rows = tensor[0].T if transposed else tensor[0]
    rows[4, 100], rows[:4, 100] = 0.9, np.array((300, 200, 80, 60)) * unit
    (found,) = decoder(of).decode([tensor], WHOLE)
    assert found.box == pytest.approx((260, 170, 340, 230), abs=0.1)
    assert len(found.keypoints) == count
    assert found.keypoints[-1][:2] == pytest.approx(rows[-numbers : 2 - numbers or None, 100] / unit, abs=0.1)


def test_points_in_an_output_of_their_own_show() -> None:
    """Boxes, scores and points each with a scale of their own."""
    parts = [pose(7, 3, 1.0), quiet_scores(2), boxes(1.0)]
    tensors = [part[np.newaxis].astype(np.float32) for part in parts]
    of = model(*(spec(tensor.shape) for tensor in tensors), trial=tensors)
    assert families(of) == ["yolo-pose"]


def test_finished_rows_have_points_in_threes() -> None:
    """Scores and whole class numbers where they must be: then the rest are points."""
    rows = np.zeros((1, 300, 6 + 3 * 5), np.float32)
    rows[0, :, 4] = np.linspace(0.2, 0, 300)
    of = model(spec(rows.shape), trial=[rows])
    assert families(of) == ["yolo-pose"]
    rows[0, 7, 5] = 0.5
    assert families(model(spec(rows.shape), trial=[rows])) == []


def test_angles_show() -> None:
    """They leave the range of scores; where they do not, labels leave one row over."""
    angles = np.random.default_rng(4).uniform(-pi / 4, 3 * pi / 4, (1, COUNT))
    of, _ = bare(boxes(1.0), quiet_scores(15), angles)
    assert families(of) == ["yolo-obb"]
    flat = np.full((1, COUNT), pi / 4)
    of, _ = bare(boxes(1.0), quiet_scores(2), flat, labels=("ship", "plane"))
    assert families(of) == ["yolo-obb"]


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("unit", [1.0, 1 / SIZE], ids=["pixels", "normalised"])
def test_scores_are_neither_points_nor_angles(*, unit: float, transposed: bool) -> None:
    """A detector stays one, even with as many rows as a pose has."""
    for classes in (80, 52):
        labels = tuple(map(str, range(classes)))
        of, tensor = bare(boxes(unit), quiet_scores(classes), transposed=transposed, labels=labels)
        assert families(of) == ["yolo"]
        rows = tensor[0].T if transposed else tensor[0]
        rows[4 + 40, 100], rows[:4, 100] = 0.9, np.array((300, 200, 80, 60)) * unit
        (found,) = decoder(of).decode([tensor], WHOLE)
        assert (found.class_id, found.label) == (40, "40")
        assert found.box == pytest.approx((260, 170, 340, 230), abs=0.1)


def test_a_row_more_with_an_objectness_is_another_family() -> None:
    """YOLOX with the grid applied has one column more than a detector whose axes are swapped."""
    of, _ = bare(boxes(1.0), quiet_scores(81), transposed=True)
    assert families(of) == ["yolox"]


def test_inspect_tells_of_a_file_that_says_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Task and family come of the run, with why it is none of the others."""
    _, tensor = bare(boxes(1 / SIZE), quiet_scores(1), pose(21, 3, 1 / SIZE))
    path = write(tmp_path / "hands.tflite", [tensor], shape=(1, SIZE, SIZE, 3))
    assert main(["models", "inspect", str(path)]) == 0
    said = capsys.readouterr().out
    assert "task                   pose" in said
    assert "family                 yolo-pose" in said
    assert "the 21 points of a pose" in said
