"""YOLOX in both of its forms, against a plain implementation and on a real model."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from tensors import WHOLE, Found, assert_same, cells_plainly, decoder, kept_plainly, model, spec, store

from edged.decoders import decoder_class, mismatches
from edged.decoders.yolox import Yolox
from edged.engines.cpu import CpuEngine
from edged.errors import ModelError
from edged.imaging.tensors import Preprocessor
from edged.model import file as modelfile
from edged.model.description import describe

if TYPE_CHECKING:
    from pathlib import Path

    from edged.records import Tensor

CELLS = 80 * 80 + 40 * 40 + 20 * 20
CLASSES = 7


def rows(seed: int = 0) -> Tensor:
    """Raw rows of a picture with a few things: offsets, logs, objectness and classes ``[cells, 12]``."""
    random = np.random.default_rng(seed)
    made = np.concatenate(
        (
            random.normal(0, 0.7, (CELLS, 2)),
            random.normal(0.3, 0.5, (CELLS, 2)),
            random.uniform(0, 0.05, (CELLS, 1)),
            random.uniform(0, 1, (CELLS, CLASSES)),
        ),
        axis=1,
    )
    things = random.choice(CELLS, 40, replace=False)
    made[things, 4] = random.uniform(0.3, 1, 40)
    return made


def on_the_grid(raw: Tensor) -> Tensor:
    """Centre and size in input pixels of raw rows, cell by cell as the paper has it."""
    made = raw.copy()
    for row, (column, line, stride) in zip(made, cells_plainly((8, 16, 32)), strict=True):
        x, y, width, height = row[:4]
        row[:2] = (x + column) * stride, (y + line) * stride
        row[2:4] = math.exp(width) * stride, math.exp(height) * stride
    return made


def plainly(decoded: Tensor, *, score: float, overlap: float) -> list[Found]:
    """What a loop over all rows keeps."""
    found: list[Found] = []
    for x, y, width, height, objectness, *classes in decoded.tolist():
        best = int(np.argmax(classes))
        if objectness * classes[best] >= score:
            box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
            found.append((best, objectness * classes[best], box))
    return kept_plainly(found, overlap)


@pytest.mark.parametrize("form", ["raw", "on the grid", "normalised"])
def test_decodes_both_forms_like_a_plain_loop(form: str) -> None:
    """Offsets in cells, places in pixels and places in 0..1 give the same boxes: a trial run tells which."""
    raw = rows()
    real = raw if form == "raw" else on_the_grid(raw)
    if form == "normalised":
        real[:, :4] /= 640
    tensor = real[np.newaxis].astype(np.float32)
    labels = [f"thing {number}" for number in range(CLASSES)]
    of = model(spec(tensor.shape), labels=labels, trial=[tensor])
    assert decoder_class(of) is Yolox
    found = decoder(of, score=0.25, iou=0.5).decode([tensor], WHOLE)
    expected = plainly(on_the_grid(raw), score=0.25, overlap=0.5)
    assert len(expected) > 20
    assert_same(found, expected)
    assert found[0].label == labels[found[0].class_id]


def test_decodes_quantised_rows() -> None:
    """One scale for all columns is coarse, and what it leaves comes out within a step."""
    output = spec((1, CELLS, 5 + CLASSES), "int8", scale=4 / 255, zero_point=-60)
    real = np.zeros(output.shape)
    real[..., :4] = -0.25
    cell = 80 * 80 + 40 * 3 + 5  # stride 16, row 3, column 5
    real[0, cell] = (0.5, 0.25, 1.5, 1.0, 0.9, 0, 0, 0.95, 0, 0, 0, 0)
    tensor = store(real, output)
    (found,) = decoder(model(output, trial=[tensor])).decode([tensor], WHOLE)
    assert found.class_id == 2
    assert found.score == pytest.approx(0.9 * 0.95, abs=0.03)
    half = math.exp(1.5) * 8, math.exp(1.0) * 8
    assert found.box == pytest.approx((88 - half[0], 52 - half[1], 88 + half[0], 52 + half[1]), abs=1)


def test_knows_itself_by_what_the_values_are() -> None:
    """Probabilities from the objectness on; without a run, or with rows on the grid, labels that fit, too."""
    raw = rows()[np.newaxis]
    output = spec(raw.shape)
    assert mismatches(model(output, trial=[raw]))["yolox"] is None
    placed = on_the_grid(raw[0])[np.newaxis]
    assert mismatches(model(output, labels=["x"] * CLASSES, trial=[placed]))["yolox"] is None
    assert mismatches(model(output, labels=["x"] * CLASSES))["yolox"] is None
    others = {
        "12 columns are not 5 and 80 classes": model(output),
        "12 columns are not 5 and 9 classes": model(output, labels=["x"] * 9, trial=[placed]),
        "more than probabilities": model(output, trial=[raw * 3]),
        "objectness is 1 throughout": model(output, trial=[np.where(np.arange(12) == 4, 1.0, placed)]),
        "calls it a 'pose' model": model(output, trial=[raw], metadata={"task": "pose"}),
    }
    for reason, of in others.items():
        assert reason in str(mismatches(of)["yolox"])
        with pytest.raises(ModelError, match=f"yolox: .*{reason}"):
            decoder_class(of)


def test_a_real_model_gives_what_a_plain_way_gives(shared: Path) -> None:
    """Whatever this processor's kernels make of it, the way there and back is that of YOLOX's own demo."""
    path = shared / "models" / "yolox_nano_416_dynamic_nchw.tflite"
    engine = CpuEngine(path, threads=2)
    of = describe(modelfile.read(path), engine.inputs, engine.outputs, engine.invoke)
    ours = decoder(of, score=0.3, iou=0.7)
    preprocess = Preprocessor(of.inputs[0], ours.encoding)
    tensor = preprocess.new_input()
    compared = 0
    for file in ("000000000009.jpg", "000000000049.jpg", "000000000071.jpg"):
        image = cv2.imread(str(shared / "images" / file))
        assert image is not None
        height, width = image.shape[:2]
        ratio = min(416 / width, 416 / height)
        padded = np.full((416, 416, 3), 114, np.uint8)
        small = cv2.resize(image, (int(width * ratio), int(height * ratio)))
        padded[: small.shape[0], : small.shape[1]] = small
        (output,) = engine.invoke(padded.transpose(2, 0, 1)[np.newaxis].astype(np.float32))
        found = output[0].copy()
        grid = np.concatenate(
            [np.stack(np.meshgrid(*[np.arange(416 // s)] * 2), 2).reshape(-1, 2) for s in (8, 16, 32)]
        )
        stride = np.repeat((8, 16, 32), [(416 // s) ** 2 for s in (8, 16, 32)])[:, np.newaxis]
        found[:, :2] = (found[:, :2] + grid) * stride / ratio
        found[:, 2:4] = np.exp(found[:, 2:4]) * stride / ratio
        expected = plainly(found, score=0.3, overlap=0.7)
        geometry = preprocess(image.astype(np.uint8, copy=False), tensor)
        detections = ours.decode(engine.invoke(tensor), geometry)
        assert [one.class_id for one in detections] == [class_id for class_id, *_ in expected]
        for one, (_, score, box) in zip(detections, expected, strict=True):
            assert one.score == pytest.approx(score, abs=1e-4)
            assert one.box == pytest.approx(np.clip(box, 0, (width, height) * 2), abs=0.05)
            compared += 1
    assert compared >= 10
