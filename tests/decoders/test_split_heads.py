"""Scores and distances in outputs of their own: YOLO for accelerators and PicoDet."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tensors import (
    SIZE,
    WHOLE,
    Found,
    assert_same,
    cells_plainly,
    decoder,
    kept_plainly,
    model,
    side_plainly,
    spec,
    store,
)

from edged.decoders import decoder_class, mismatches
from edged.decoders.picodet import PicoDet
from edged.decoders.yolo import Yolo
from edged.decoders.yolo_split import YoloSplit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edged.records import Model, Tensor, TensorSpec

CLASSES = 5
YOLO, PICO = ((8, 16, 32), 16), ((8, 16, 32, 64), 8)


def heads(strides: Sequence[int], bins: int, classes: int = CLASSES) -> tuple[Tensor, Tensor]:
    """Logits of the classes and of the distances of all cells, with some things in the picture."""
    random = np.random.default_rng(7)
    cells = len(cells_plainly(strides))
    scores = random.normal(-7, 1, (cells, classes))
    for thing in random.choice(cells, 40, replace=False):
        scores[thing, random.integers(classes)] = random.uniform(-0.5, 3)
    return scores, random.normal(0, 2, (cells, 4 * bins))


def plainly(scores: Tensor, spread: Tensor, strides: Sequence[int], *, score: float) -> list[Found]:
    """What a loop over all cells keeps at an overlap of 0.5."""
    bins = spread.shape[1] // 4
    found: list[Found] = []
    for logits, sides, (column, row, stride) in zip(
        scores.tolist(), spread.tolist(), cells_plainly(strides), strict=True
    ):
        best = int(np.argmax(logits))
        probability = 1 / (1 + math.exp(-logits[best]))
        if probability >= score:
            reach = [side_plainly(sides[side * bins : (side + 1) * bins]) * stride for side in range(4)]
            x, y = (column + 0.5) * stride, (row + 0.5) * stride
            found.append((best, probability, (x - reach[0], y - reach[1], x + reach[2], y + reach[3])))
    return kept_plainly(found, 0.5)


def by_level(whole: Tensor, strides: Sequence[int]) -> list[Tensor]:
    return np.split(whole, np.cumsum([(SIZE // stride) ** 2 for stride in strides])[:-1])


def made(outputs: Sequence[Tensor]) -> tuple[Model, list[Tensor]]:
    tensors = [output[np.newaxis].astype(np.float32) for output in outputs]
    return model(*(spec(tensor.shape) for tensor in tensors), trial=tensors), tensors


@pytest.mark.parametrize("swapped", [False, True], ids=["scores first", "distances first"])
@pytest.mark.parametrize("shape", ["cells first", "channels first"])
@pytest.mark.parametrize("form", ["logits", "probabilities"])
def test_decodes_two_outputs_like_a_plain_loop(form: str, shape: str, *, swapped: bool) -> None:
    """YOLO's two outputs in either order and layout, with scores before or after the sigmoid."""
    strides, bins = YOLO
    scores, spread = heads(strides, bins)
    outputs = [scores if form == "logits" else 1 / (1 + np.exp(-scores)), spread]
    if shape == "channels first":
        outputs = [output.T for output in outputs]
    of, tensors = made(outputs[::-1] if swapped else outputs)
    assert decoder_class(of) is YoloSplit
    expected = plainly(scores, spread, strides, score=0.4)
    assert len(expected) > 20
    assert_same(decoder(of, score=0.4, iou=0.5).decode(tensors, WHOLE), expected)


@pytest.mark.parametrize("grids", [False, True], ids=["rows", "grids"])
@pytest.mark.parametrize(("family", "head"), [(YoloSplit, YOLO), (PicoDet, PICO)], ids=["yolo", "picodet"])
def test_decodes_a_pair_for_every_level(
    family: type, head: tuple[tuple[int, ...], int], *, grids: bool
) -> None:
    """Levels in any order, as rows or as grids."""
    strides, bins = head
    scores, spread = heads(strides, bins)
    outputs = [*by_level(scores, strides)[::-1], *by_level(spread, strides)]
    if grids:
        outputs = [part.reshape(math.isqrt(len(part)), -1, part.shape[1]) for part in outputs]
    of, tensors = made(outputs)
    assert [name for name, reason in mismatches(of).items() if reason is None] == [
        "picodet" if family is PicoDet else "yolo-split"
    ]
    assert decoder_class(of) is family
    found = decoder(of, score=0.4, iou=0.5).decode(tensors, WHOLE)
    assert_same(found, plainly(scores, spread, strides, score=0.4))
    assert decoder(of, score=0.999).decode(tensors, WHOLE) == []


def test_picodet_may_have_all_cells_in_one_pair() -> None:
    """Its four levels and 8 logits a side tell it from YOLO's three and 16."""
    strides, bins = PICO
    scores, spread = heads(strides, bins)
    of, tensors = made([spread, scores])
    assert decoder_class(of) is PicoDet
    assert_same(
        decoder(of, score=0.4, iou=0.5).decode(tensors, WHOLE), plainly(scores, spread, strides, score=0.4)
    )


@pytest.mark.parametrize("ran", [False, True], ids=["cannot run", "ran"])
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_decodes_quantised_outputs_of_a_scale_each(dtype: str, *, ran: bool) -> None:
    """What the stored values say comes out, and the scale alone tells logits from probabilities."""
    strides, bins = YOLO
    scores, spread = heads(strides, bins)
    low = -128 if dtype == "int8" else 0
    for specs, real in (
        ((0.1, low + 150), scores),
        ((1 / 256, low), 1 / (1 + np.exp(-scores))),
    ):
        outputs: list[TensorSpec] = [
            spec((1, *real.shape), dtype, scale=specs[0], zero_point=specs[1]),
            spec((1, *spread.shape), dtype, scale=0.08, zero_point=low + 128),
        ]
        tensors = [store(one[np.newaxis], of) for one, of in zip((real, spread), outputs, strict=True)]
        of = model(*outputs, trial=tensors if ran else ())
        assert decoder_class(of) is YoloSplit
        stored = (tensors[0][0].astype(float) - specs[1]) * specs[0]
        if specs[0] < 0.01:
            stored = np.log(np.maximum(stored, 1e-9) / np.maximum(1 - stored, 1e-9))
        expected = plainly(stored, (tensors[1][0].astype(float) - low - 128) * 0.08, strides, score=0.405)
        found = decoder(of, score=0.405, iou=0.5).decode(tensors, WHOLE)
        # Coarse scores are often equal, and of equal ones any may come first.
        assert sorted((one.class_id, round(one.score, 3), round(one.box.y2, 1)) for one in found) == sorted(
            (class_id, round(score, 3), round(min(max(box[3], 0), SIZE), 1))
            for class_id, score, box in expected
        )


def test_as_many_classes_as_logits_are_told_by_what_they_are() -> None:
    """With 64 classes both outputs are 64 wide: those of an empty picture that are lower are the scores."""
    strides, bins = YOLO
    scores, spread = heads(strides, bins, classes=64)
    for outputs in ([scores, spread], [spread, scores]):
        of, tensors = made(outputs)
        assert decoder_class(of) is YoloSplit
        assert_same(
            decoder(of, score=0.4, iou=0.5).decode(tensors, WHOLE),
            plainly(scores, spread, strides, score=0.4),
        )
    assert mismatches(model(spec((1, 8400, 64)), spec((1, 8400, 64))))["yolo-split"]


def test_four_classes_are_no_box() -> None:
    """4 and 64 channels are a box and 64 classes, or four classes and distances: values or labels tell."""
    strides, bins = YOLO
    scores, spread = heads(strides, bins, classes=4)
    four, _ = made([scores, spread])
    assert decoder_class(four) is YoloSplit
    boxes, _ = made([np.full((8400, 4), 0.5), np.full((8400, 64), 0.01)])
    assert decoder_class(boxes) is Yolo
    shapes = [spec((1, 8400, 4)), spec((1, 8400, 64))]
    assert decoder_class(model(*shapes, labels=["x"] * 4)) is YoloSplit
    assert decoder_class(model(*shapes, labels=["x"] * 64)) is Yolo
    reasons = mismatches(model(*shapes))
    assert "may be boxes and 64 classes" in str(reasons["yolo-split"])
    assert "may be four classes" in str(reasons["yolo"])


def test_other_pairs_are_refused() -> None:
    """Levels that the input has not, an output too many, and models of another task."""
    for shapes in (
        [(1, 8401, 80), (1, 8401, 64)],
        [(1, 8400, 80), (1, 8400, 64), (1, 8400, 32)],
        [(1, 6400, 80), (1, 6400, 64), (1, 2000, 80), (1, 2000, 64)],
    ):
        reasons = mismatches(model(*map(spec, shapes)))
        assert reasons["yolo-split"] == "it has no pairs of outputs [1, cells, classes] and [1, cells, 64]"
    pose = model(spec((1, 8400, 80)), spec((1, 8400, 64)), metadata={"task": "pose"})
    assert mismatches(pose)["yolo-split"] == "its metadata calls it a 'pose' model"
