"""Outlines: polygons of each box, in every layout, against the reference implementation and by hand."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from tensors import SIZE, WHOLE, decoder, iou, model, spec, store
from test_reference import Detector, clipped, photo, rounds_like_the_reference

from edged.decoders import decoder_class
from edged.decoders.yolo_seg import YoloSeg

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from edged.records import Detection, Tensor

ANCHORS, PLANES, CELLS = 8400, 32, 160
METADATA = {"task": "segment"}
LABELS = ("dog", "cat")


def covered(
    outline: Sequence[Sequence[float]], shape: tuple[int, ...] = (SIZE, SIZE)
) -> npt.NDArray[np.bool_]:
    """The pixels inside of an outline."""
    mask = np.zeros(shape[:2], np.uint8)
    if outline:
        cv2.fillPoly(mask, [np.rint(outline).astype(np.int32)], (1,))
    return mask.astype(bool)


def overlap(one: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_]) -> float:
    return float((one & other).sum() / max(1, (one | other).sum()))


def prototypes() -> Tensor:
    """Plane 0 is a disc in the middle, plane 1 two bars at the left and right, the others noise."""
    y, x = np.mgrid[0:CELLS, 0:CELLS] + 0.5
    planes = np.random.default_rng(3).normal(size=(CELLS, CELLS, PLANES))
    planes[..., 0] = (40 - np.hypot(x - 80, y - 80)) / 40
    planes[..., 1] = (np.abs(x - 80) - 40) / 40
    return planes[np.newaxis]


def parts(box: tuple[float, ...], plane: int) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes, scores and weights of every anchor: one cat, whose mask is one of the planes."""
    spread = np.linspace(4, SIZE - 4, ANCHORS)
    boxes = np.stack([spread, spread, np.full(ANCHORS, 16.0), np.full(ANCHORS, 16.0)]) / SIZE
    scores, weights = np.zeros((2, ANCHORS)), np.zeros((PLANES, ANCHORS))
    boxes[:, 77], scores[1, 77], weights[plane, 77] = np.array(box) / SIZE, 0.9, 1.0
    return boxes[np.newaxis], scores[np.newaxis], weights[np.newaxis]


def only(found: list[Detection]) -> Detection:
    (detection,) = found
    assert detection.label == "cat"
    return detection


def disc() -> npt.NDArray[np.bool_]:
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    inside: npt.NDArray[np.bool_] = np.hypot(x - 319.5, y - 319.5) < 160
    return inside


@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("first", [False, True])
def test_one_output_and_prototypes(*, planar: bool, first: bool) -> None:
    """Prototypes before or after the boxes, with planes first or last, give a round outline of few points."""
    raw = np.concatenate(parts((320, 320, 330, 330), 0), axis=1).astype(np.float32)
    planes = prototypes().astype(np.float32)
    if planar:
        planes = planes.transpose(0, 3, 1, 2)
    tensors = [planes, raw] if first else [raw, planes]
    of = model(*(spec(tensor.shape) for tensor in tensors), metadata=METADATA, labels=LABELS)
    assert decoder_class(of) is YoloSeg
    outline = only(decoder(of).decode(tensors, WHOLE)).outline
    assert 8 <= len(outline) <= 40
    assert overlap(covered(outline), disc()) >= 0.97


@pytest.mark.parametrize("planar", [False, True])
def test_as_many_cells_as_planes(*, planar: bool) -> None:
    """At 128x128 no axis of the prototypes tells what it is; they lie as the picture does."""
    rows = np.zeros((1, 300, 6 + PLANES), np.float32)
    rows[0, 0, :7] = (1, 1, 127, 127, 0.9, 1, 1.0)
    planes = np.full((1, 32, 32, PLANES), -1, np.float32)
    planes[0, 8:24, 4:28, 0] = 1
    if planar:
        planes = planes.transpose(0, 3, 1, 2)
    tensors = [rows, np.ascontiguousarray(planes)]
    shape = (1, 3, 128, 128) if planar else (1, 128, 128, 3)
    of = model(*(spec(tensor.shape) for tensor in tensors), shape=shape, metadata=METADATA, labels=LABELS)
    (found,) = decoder(of).decode(tensors, WHOLE)
    x, y = np.array(found.outline).T
    assert (x.min(), y.min(), x.max(), y.max()) == pytest.approx((16, 32, 112, 96), abs=3)


def test_four_quantised_outputs() -> None:
    """Scores, prototypes, boxes and weights with a scale each, in the order of a real exporter."""
    boxes, scores, weights = parts((320, 320, 330, 330), 0)
    reals = (scores, prototypes(), boxes, weights)
    scales = ((1 / 255, -128), (0.03, -20), (1 / 255, -128), (0.02, 31))
    specs = [
        spec(real.shape, "int8", scale=scale, zero_point=zero)
        for real, (scale, zero) in zip(reals, scales, strict=True)
    ]
    of = model(*specs, labels=LABELS)
    assert decoder_class(of) is YoloSeg
    tensors = [store(real, output) for real, output in zip(reals, specs, strict=True)]
    assert overlap(covered(only(decoder(of).decode(tensors, WHOLE)).outline), disc()) >= 0.95


def test_finished_rows_have_weights_behind_the_class() -> None:
    """YOLO26 and exports with suppression inside: box, score, class, weights."""
    rows = np.zeros((1, 300, 6 + PLANES), np.float32)
    rows[0, 0, :7] = (155, 155, 485, 485, 0.9, 1, 1.0)
    planes = prototypes().astype(np.float32)
    of = model(spec(rows.shape), spec(planes.shape), metadata=METADATA, labels=LABELS)
    assert decoder_class(of) is YoloSeg
    found = only(decoder(of).decode([rows, planes], WHOLE))
    assert overlap(covered(found.outline), disc()) >= 0.97


def test_a_mask_ends_with_its_box_and_has_one_outline() -> None:
    """Nothing beyond the box is covered, and two parts become one polygon."""
    raw = np.concatenate(parts((320, 320, 400, 200), 1), axis=1).astype(np.float32)
    planes = prototypes().astype(np.float32)
    of = model(spec(raw.shape), spec(planes.shape), metadata=METADATA, labels=LABELS)
    outline = only(decoder(of).decode([raw, planes], WHOLE)).outline
    bars = np.zeros((SIZE, SIZE), bool)
    bars[220:420, 120:160] = bars[220:420, 480:520] = True
    assert overlap(covered(outline), bars) >= 0.93
    assert min(x for x, _ in outline) >= 119
    assert len(outline) <= 12


def test_an_empty_mask_leaves_the_box() -> None:
    """A box whose mask is nowhere above 0 has no outline, and is a detection all the same."""
    raw = np.concatenate(parts((320, 320, 60, 60), 1), axis=1).astype(np.float32)
    planes = prototypes().astype(np.float32)
    of = model(spec(raw.shape), spec(planes.shape), metadata=METADATA, labels=LABELS)
    found = only(decoder(of).decode([raw, planes], WHOLE))
    assert found.outline == ()
    assert found.box == pytest.approx((290, 290, 350, 350), abs=0.01)


def test_outlines_are_those_of_the_reference(shared: Path) -> None:
    """Every object of the reference has an outline here that covers the same pixels, IoU 0.95 or more."""
    name = "yolov8n_seg_320_full_integer_quant"
    expected: dict[str, Any] = json.loads((shared / "expected" / f"{name}.json").read_text())
    detect = Detector(shared / "models" / f"{name}.tflite", score=0.25, iou_threshold=0.7)
    exact = rounds_like_the_reference(detect.engine.runtime, name)
    compared, points = 0, 0
    for file, references in list(expected["images"].items())[: None if exact else 6]:
        image = photo(shared / "images" / file)
        found = detect(image)
        for reference in (one for one in references if exact or one["score"] > 0.7):
            box = clipped(reference["box"], image)
            twin = max(
                (one for one in found if one.class_id == reference["class_id"]),
                key=lambda one: iou(one.box, box),
            )
            compared += 1
            points += len(twin.outline)
            alike = overlap(covered(twin.outline, image.shape), covered(reference["outline"], image.shape))
            assert alike >= (0.95 if exact else 0.8), (file, reference["label"])
    assert compared >= (40 if exact else 3)
    assert points / compared <= 50


def test_split_heads_find_what_one_output_finds(shared: Path) -> None:
    """Two builds of one network, by different exporters and at different sizes, draw sure objects alike."""
    models = shared / "models"
    split = Detector(models / "yolov8n_seg_640_split_heads_int8.tflite", score=0.5, iou_threshold=0.7)
    single = Detector(models / "yolov8n_seg_320_full_integer_quant.tflite", score=0.25, iou_threshold=0.7)
    compared = 0
    for file in ("000000000025.jpg", "000000000036.jpg", "000000000064.jpg"):
        image = photo(shared / "images" / file)
        others = single(image)
        for found in split(image):
            alike = [
                overlap(covered(found.outline, image.shape), covered(other.outline, image.shape))
                for other in others
                if other.label == found.label
            ]
            compared += bool(alike) and max(alike) > 0.75
    assert compared >= 4


def test_ten_outlines_cost_little(shared: Path) -> None:
    """Measured in processor time of the thread, so that a busy machine changes little."""
    name = "yolov8n_seg_640_split_heads_int8.tflite"
    detect = Detector(shared / "models" / name, score=0.25, iou_threshold=0.7)
    image = photo(shared / "images" / "000000000074.jpg")
    geometry = detect.preprocess(image, detect.tensor)
    outputs = [np.array(output) for output in detect.engine.invoke(detect.tensor)]
    costs = []
    for _ in range(20):
        started = time.thread_time()
        found = detect.decoder.decode(outputs, geometry)
        costs.append(time.thread_time() - started)
    assert len(found) >= 7
    assert min(costs) < 0.015, "4 ms on an idle machine"
