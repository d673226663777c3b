"""FOMO's grids, against a plain flood fill."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from tensors import decoder, model, spec, store

from edged.decoders import decoder_class, mismatches
from edged.decoders.fomo import Fomo
from edged.errors import ModelError
from edged.imaging.geometry import Geometry

if TYPE_CHECKING:
    from edged.records import Tensor

FRAME = Geometry(0.5, 0.25, 0, 0, 192, 384)
"""96x96 pixels of the input are 192x384 of the frame."""


def grid(seed: int) -> Tensor:
    """Softmax of a background and three classes in 12x12 cells, with things of all shapes."""
    random = np.random.default_rng(seed)
    logits = random.normal((4, 0, 0, 0), 1, (1, 12, 12, 4))
    for _ in range(12):
        row, column, class_id = random.integers((0, 0, 1), (12, 12, 4)).tolist()
        logits[0, row : row + random.integers(1, 4), column : column + random.integers(1, 3), class_id] += 7
    weights = np.exp(logits)
    made: Tensor = weights / weights.sum(axis=3, keepdims=True)
    return made


def plainly(cells: Tensor, threshold: float) -> list[tuple[int, float, tuple[int, ...]]]:
    """Class, score and corners in pixels of the frame of what a flood fill finds."""
    found = []
    for class_id in range(cells.shape[2] - 1):
        left_over = {(int(y), int(x)) for y, x in np.argwhere(cells[:, :, class_id + 1] >= threshold)}
        while left_over:
            object_, edge = set(), [left_over.pop()]
            while edge:
                y, x = edge.pop()
                object_.add((y, x))
                near = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left_over
                left_over -= near
                edge += near
            rows, columns = [y for y, _ in object_], [x for _, x in object_]
            box = (min(columns) * 16, min(rows) * 32, (max(columns) + 1) * 16, (max(rows) + 1) * 32)
            found.append((class_id, max(cells[y, x, class_id + 1] for y, x in object_), box))
    return sorted(found)


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8"])
@pytest.mark.parametrize("channels", [1, 3], ids=["grey", "colour"])
def test_joins_cells_like_a_plain_flood_fill(dtype: str, channels: int) -> None:
    """Neighbours of one class are one object, whatever their shape, in pixels of the frame."""
    scale = 0.0 if dtype == "float32" else 1 / 256
    output = spec((1, 12, 12, 4), dtype, scale=scale, zero_point=-128 if dtype == "int8" else 0)
    compared = 0
    for seed in range(5):
        tensor = store(grid(seed), output)
        real = (tensor[0].astype(np.float64) - output.zero_point) * (scale or 1)
        of = model(output, shape=(1, 96, 96, channels), labels=("a", "b", "c"), trial=[tensor])
        assert decoder_class(of) is Fomo
        found = decoder(of, score=0.5).decode([tensor], FRAME)
        assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
        ours = sorted((one.class_id, one.score, tuple(one.box)) for one in found)
        expected = plainly(real, 0.5)
        assert [(class_id, box) for class_id, _, box in ours] == [
            (class_id, box) for class_id, _, box in expected
        ]
        assert [score for _, score, _ in ours] == pytest.approx([score for _, score, _ in expected], abs=1e-6)
        assert {one.label for one in found} <= {"a", "b", "c"}
        compared += len(found)
    assert compared > 20


def test_an_empty_grid_is_an_empty_list() -> None:
    """Where only the background is likely nothing is found."""
    tensor = np.zeros((1, 12, 12, 3), np.float32)
    tensor[..., 0] = 1
    of = model(spec(tensor.shape), shape=(1, 96, 96, 3), trial=[tensor])
    assert decoder(of, score=0.5).decode([tensor], FRAME) == []


def test_knows_itself_by_cells_that_sum_up_to_one() -> None:
    """Without a run the labels must be as many as the classes; the background may be one of them."""
    cells = grid(0)
    shape = (1, 96, 96, 3)
    for labels in (("a", "b", "c"), ("background", "a", "b", "c")):
        for trial in ([cells], []):
            of = model(spec(cells.shape), shape=shape, labels=labels, trial=trial)
            assert decoder_class(of) is Fomo
            assert decoder(of).labels == ("a", "b", "c")
    reasons = {
        "without a run": model(spec(cells.shape), shape=shape),
        "sum up to 1": model(spec(cells.shape), shape=shape, trial=[cells * 0.8]),
        "no single grid": model(spec((1, 13, 12, 4)), shape=shape, trial=[cells]),
        "calls it a 'segment' model": model(
            spec(cells.shape), shape=shape, trial=[cells], metadata={"task": "segment"}
        ),
    }
    for reason, of in reasons.items():
        assert reason in str(mismatches(of)["fomo"])
        with pytest.raises(ModelError, match="no supported family"):
            decoder_class(of)
