"""NanoDet and NanoDet-Plus, against a plain implementation and on a real model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from tensors import (
    SIZE,
    WHOLE,
    Found,
    assert_same,
    cells_plainly,
    decoder,
    iou,
    kept_plainly,
    model,
    side_plainly,
    spec,
    store,
)

from edged.decoders import decoder_class, mismatches
from edged.decoders.nanodet import NanoDet
from edged.engines.cpu import CpuEngine
from edged.imaging.tensors import Preprocessor
from edged.model import file as modelfile
from edged.model.description import describe

if TYPE_CHECKING:
    from pathlib import Path

    from edged.records import Tensor

CLASSES = 6
PLAIN, PLUS = (8, 16, 32), (8, 16, 32, 64)


def rows(cells: int, bins: int, seed: int = 0) -> Tensor:
    """Rows of a picture with some things: probabilities, then logits, ``[1, cells, classes + 4 * bins]``."""
    random = np.random.default_rng(seed)
    scores = random.uniform(0, 0.04, (cells, CLASSES))
    for thing in random.choice(cells, 40, replace=False):
        scores[thing, random.integers(CLASSES)] = random.uniform(0.3, 1)
    return np.concatenate((scores, random.normal(0, 2, (cells, 4 * bins))), axis=1)[np.newaxis]


def plainly(
    found_in: Tensor, strides: tuple[int, ...], size: int, *, score: float, overlap: float
) -> list[Found]:
    """What a loop over all rows keeps: from the middle of cells of three strides, the corner of four."""
    bins = (found_in.shape[1] - CLASSES) // 4 if found_in.shape[1] < 80 else 8
    classes = found_in.shape[1] - 4 * bins
    middle = 0.5 if len(strides) == 3 else 0.0
    found: list[Found] = []
    for row, (column, line, stride) in zip(found_in.tolist(), cells_plainly(strides, size), strict=True):
        best = int(np.argmax(row[:classes]))
        if row[best] >= score:
            reach = [
                side_plainly(row[classes + side * bins : classes + (side + 1) * bins]) * stride
                for side in range(4)
            ]
            x, y = (column + middle) * stride, (line + middle) * stride
            found.append((best, row[best], (x - reach[0], y - reach[1], x + reach[2], y + reach[3])))
    return kept_plainly(found, overlap)


@pytest.mark.parametrize("bins", [8, 11])
@pytest.mark.parametrize("strides", [PLAIN, PLUS], ids=["NanoDet", "Plus"])
def test_decodes_both_generations_like_a_plain_loop(strides: tuple[int, ...], bins: int) -> None:
    """The number of cells tells the generation, a trial run how many of the columns are scores."""
    tensor = rows(len(cells_plainly(strides)), bins)
    of = model(spec(tensor.shape), trial=[tensor])
    assert decoder_class(of) is NanoDet
    ours = decoder(of, score=0.25, iou=0.5)
    assert len(ours.labels) == CLASSES
    assert ours.encoding.fit == ("letterbox" if strides == PLAIN else "stretch")
    expected = plainly(tensor[0], strides, SIZE, score=0.25, overlap=0.5)
    assert len(expected) > 20
    assert_same(ours.decode([tensor], WHOLE), expected)


def test_decodes_quantised_rows() -> None:
    """Where all columns share a scale, what comes out is what the stored values say."""
    output = spec((1, 8400, CLASSES + 32), "int8", scale=0.05, zero_point=3)
    stored = store(rows(8400, 8), output)
    real = (stored[0].astype(np.float64) - 3) * 0.05
    expected = plainly(real, PLAIN, SIZE, score=0.26, overlap=0.5)
    found = decoder(model(output, trial=[stored]), score=0.26, iou=0.5).decode([stored], WHOLE)
    # Coarse scores are often equal, and of equal ones any may come first.
    assert sorted((one.class_id, round(one.score, 3), round(one.box.x1, 1)) for one in found) == sorted(
        (class_id, round(score, 3), round(max(box[0], 0), 1)) for class_id, score, box in expected
    )


def test_knows_itself_by_what_the_values_are() -> None:
    """Without a run the labels decide, or 80 classes; other rows are refused."""
    tensor = rows(8400, 8)
    output = spec(tensor.shape)
    assert mismatches(model(output, labels=["x"] * CLASSES))["nanodet"] is None
    assert mismatches(model(spec((1, 8400, 112))))["nanodet"] is None
    for of in (
        model(output),
        model(output, labels=["x"] * 7),
        model(output, trial=[np.abs(tensor) % 1]),
        model(output, trial=[tensor[..., ::-1]]),
    ):
        assert "columns are not scores and 8 or 11 logits a side" in str(mismatches(of)["nanodet"])


def test_a_real_model_gives_what_a_plain_way_gives(shared: Path) -> None:
    """Letterbox, mean and deviation, rows and suppression, each done as NanoDet's own demo does."""
    path = shared / "models" / "nanodet_m_320_float_nchw.tflite"
    engine = CpuEngine(path, threads=2)
    labels = shared / "models" / "coco_labels80.txt"
    of = describe(modelfile.read(path, labels=labels), engine.inputs, engine.outputs, engine.invoke)
    assert [family for family, reason in mismatches(of).items() if reason is None] == ["nanodet"]
    ours = decoder(of, score=0.4, iou=0.6)
    preprocess = Preprocessor(of.inputs[0], ours.encoding)
    tensor = preprocess.new_input()
    compared, seen = 0, set()
    for file in ("000000000009.jpg", "000000000034.jpg", "000000000036.jpg", "000000000081.jpg"):
        image = cv2.imread(str(shared / "images" / file))
        assert image is not None
        height, width = image.shape[:2]
        scale = 320 / max(width, height)
        small = cv2.resize(image, (round(width * scale), round(height * scale)))
        top, left = (320 - small.shape[0]) // 2, (320 - small.shape[1]) // 2
        padded = np.zeros((320, 320, 3))
        padded[top : top + small.shape[0], left : left + small.shape[1]] = small
        padded = (padded - (103.53, 116.28, 123.675)) / (57.375, 57.12, 58.395)
        (output,) = engine.invoke(padded.transpose(2, 0, 1)[np.newaxis].astype(np.float32))
        expected = plainly(output[0], PLAIN, 320, score=0.4, overlap=0.6)
        preprocess(image.astype(np.uint8, copy=False), tensor)
        found = ours.decode(engine.invoke(tensor), preprocess.geometry(width, height))
        assert [one.class_id for one in found] == [class_id for class_id, *_ in expected]
        for one, (_, score, box) in zip(found, expected, strict=True):
            assert one.score == pytest.approx(score, abs=1e-4)
            back = [(corner - pad) / scale for corner, pad in zip(box, (left, top) * 2, strict=True)]
            assert iou(one.box, np.clip(back, 0, (width, height) * 2).tolist()) > 0.98
            compared += 1
            seen.add(one.label)
    assert compared >= 8
    assert {"zebra", "person", "umbrella", "airplane"} <= seen
