"""YOLO models with raw output, in every layout and unit they are exported with."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tensors import SIZE, WHOLE, decoder, model, spec, store

from edged import registry
from edged.decoders import decoder_class
from edged.decoders.yolo import Yolo
from edged.decoders.yolo_end2end import YoloEnd2End
from edged.decoders.yolo_pose import YoloPose
from edged.decoders.yolov5 import Yolov5
from edged.errors import ModelError, OutputError
from edged.imaging.geometry import Geometry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edged.records import Detection, Tensor

ANCHORS, CLASSES = 8400, 80
SCENE = (
    # Anchor, class, score, centre x, centre y, width, height in input pixels.
    (5000, 2, 0.90, 320.0, 200.0, 100.0, 50.0),
    (5001, 2, 0.80, 322.0, 200.0, 100.0, 50.0),  # the same car, seen by the next anchor
    (5002, 7, 0.70, 320.0, 200.0, 100.0, 50.0),  # in the same place, but of another class
    (8399, 0, 0.60, 600.0, 600.0, 60.0, 70.0),
    (17, 3, 0.20, 100.0, 100.0, 60.0, 70.0),  # below the threshold
)
FOUND = (
    # Class, score, corners.
    (2, 0.90, (270, 175, 370, 225)),
    (7, 0.70, (270, 175, 370, 225)),
    (0, 0.60, (570, 565, 630, 635)),
)


def scene(*, unit: float = 1.0) -> tuple[Tensor, Tensor]:
    """Boxes ``[1, 4, anchors]`` and scores ``[1, classes, anchors]`` of the scene, nothing elsewhere."""
    spread = np.linspace(4, SIZE - 4, ANCHORS)
    boxes = np.stack([spread, spread, np.full(ANCHORS, 16.0), np.full(ANCHORS, 16.0)])
    scores = np.zeros((CLASSES, ANCHORS))
    for anchor, class_id, score, *box in SCENE:
        boxes[:, anchor] = box
        scores[class_id, anchor] = score
    return (boxes * unit)[np.newaxis], scores[np.newaxis]


def check(found: Sequence[Detection], *, pixels: float = 0.01, score: float = 1e-3) -> None:
    assert [detection.class_id for detection in found] == [class_id for class_id, *_ in FOUND]
    for detection, (class_id, expected, box) in zip(found, FOUND, strict=True):
        assert detection.label == f"class_{class_id}"
        assert detection.score == pytest.approx(expected, abs=score)
        assert detection.box == pytest.approx(box, abs=pixels)


@pytest.mark.parametrize("unit", [1 / SIZE, 1.0], ids=["normalised", "pixels"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_decodes_one_float_output(unit: float, dtype: str) -> None:
    """One output [1, 4 + classes, anchors], whether boxes are normalised or in pixels."""
    output = spec((1, 4 + CLASSES, ANCHORS), dtype)
    of = model(output)
    assert decoder_class(of) is Yolo
    tensor = store(np.concatenate(scene(unit=unit), axis=1), output)
    check(decoder(of).decode([tensor], WHOLE), pixels=0.01 if dtype == "float32" else 1.0)


@pytest.mark.parametrize(("dtype", "zero_point"), [("int8", -128), ("uint8", 0), ("int8", -114)])
def test_decodes_one_quantised_output(dtype: str, zero_point: int) -> None:
    """Boxes and scores that share a scale come out within half a step, whatever the zero point."""
    step = 1.1 / 255 if zero_point == -114 else 1 / 255
    output = spec((1, 4 + CLASSES, ANCHORS), dtype, scale=step, zero_point=zero_point)
    tensor = store(np.concatenate(scene(unit=1 / SIZE), axis=1), output)
    check(decoder(model(output)).decode([tensor], WHOLE), pixels=step * SIZE, score=step)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("scores_first", [False, True])
@pytest.mark.parametrize("unit", [1 / SIZE, 1.0], ids=["normalised", "pixels"])
def test_decodes_boxes_and_scores_apart(*, transposed: bool, scores_first: bool, unit: float) -> None:
    """Two outputs with a scale each, in any order and either layout."""
    boxes, scores = scene(unit=unit)
    if transposed:
        boxes, scores = boxes.transpose(0, 2, 1), scores.transpose(0, 2, 1)
    outputs = [
        (spec(boxes.shape, "int8", scale=SIZE * unit / 255, zero_point=-128), boxes),
        (spec(scores.shape, "uint8", scale=1 / 255, zero_point=0), scores),
    ]
    if scores_first:
        outputs.reverse()
    of = model(*(output for output, _ in outputs))
    tensors = [store(real, output) for output, real in outputs]
    check(decoder(of).decode(tensors, WHOLE), pixels=SIZE / 255, score=1 / 255)


def test_an_object_in_the_corner_does_not_look_normalised() -> None:
    """A single box of two pixels in the upper left corner is two pixels wide, not twice the input."""
    boxes, scores = scene()
    scores[:] = 0
    boxes[0, :, 0], scores[0, 1, 0] = (1, 1, 2, 2), 0.9
    output = spec((1, 4 + CLASSES, ANCHORS))
    tensor = store(np.concatenate((boxes, scores), axis=1), output)
    (found,) = decoder(model(output)).decode([tensor], WHOLE)
    assert found.box == pytest.approx((0, 0, 2, 2))


def test_takes_planar_inputs_and_oblong_ones() -> None:
    """Anchors are counted from the input, be it NCHW or not square."""
    for shape, anchors in (((1, 3, 640, 640), 8400), ((1, 384, 640, 3), 5040), ((1, 3, 96, 160), 315)):
        assert decoder_class(model(spec((1, 84, anchors)), shape=shape)) is Yolo
        assert decoder_class(model(spec((1, 3 * anchors, 85)), shape=shape)) is Yolov5


def test_counts_anchors_of_other_pyramids() -> None:
    """Models for large pictures (P6), for small things (P2) and tiny ones have other strides."""
    for anchors in (8400 + 100, 8400 + 160 * 160, 40 * 40 + 20 * 20):
        assert decoder_class(model(spec((1, 6, anchors)))) is Yolo


def test_nothing_found_is_an_empty_list() -> None:
    """A picture without anything is no error and no detection."""
    for output in (
        spec((1, 84, ANCHORS)),
        spec((1, 84, ANCHORS), "int8", scale=1 / 255, zero_point=-128),
        spec((1, 25200, 85)),
        spec((1, 300, 6)),
    ):
        empty = store(np.zeros(output.shape), output)
        assert decoder(model(output)).decode([empty], WHOLE) == []


def test_a_threshold_out_of_reach_finds_nothing() -> None:
    """An output that cannot store so high a score gives nothing instead of everything."""
    output = spec((1, 84, ANCHORS), "int8", scale=0.001, zero_point=-128)
    full = np.full(output.shape, 127, np.int8)
    assert decoder(model(output), score=0.5).decode([full], WHOLE) == []


def test_not_a_number_is_not_a_detection() -> None:
    """A model that overflowed gives no boxes out of thin air, and does not pass for one that saw nothing."""
    for output in (spec((1, 84, ANCHORS)), spec((1, 25200, 85)), spec((1, 300, 6))):
        broken = np.full(output.shape, np.nan, np.float32)
        with pytest.raises(OutputError, match="no finite numbers"):
            decoder(model(output)).decode([broken], WHOLE)


def test_yolov5_multiplies_objectness() -> None:
    """The score of a YOLOv5 box is objectness times class score, and both must hold up."""
    output = spec((1, 25200, 85))
    tensor = np.zeros(output.shape, np.float32)
    tensor[0, :, 0] = np.linspace(0, 1, 25200)
    tensor[0, 100, :5], tensor[0, 100, 5 + 16] = (0.5, 0.25, 0.5, 0.25, 0.8), 0.5
    tensor[0, 200, :5], tensor[0, 200, 5 + 17] = (0.5, 0.5, 0.1, 0.1, 0.3), 0.5  # 0.15
    tensor[0, 300, :5], tensor[0, 300, 5 + 18] = (0.5, 0.5, 0.1, 0.1, 0.1), 1.0  # 0.1
    of = model(output)
    assert decoder_class(of) is Yolov5
    (found,) = decoder(of).decode([tensor], WHOLE)
    assert found.class_id == 16
    assert found.score == pytest.approx(0.4)
    assert found.box == pytest.approx((160, 80, 480, 240))


def test_yolov5_quantised_equals_float() -> None:
    """A quantised YOLOv5 gives the same boxes within a step."""
    real = np.zeros((1, 25200, 85))
    real[0, :, 0] = np.linspace(0, 1, 25200)
    real[0, 7, :5], real[0, 7, 5 + 3] = (0.5, 0.5, 0.25, 0.5, 0.9), 0.8
    output = spec(real.shape, "uint8", scale=1 / 255, zero_point=0)
    (found,) = decoder(model(output)).decode([store(real, output)], WHOLE)
    assert found.score == pytest.approx(0.72, abs=0.01)
    assert found.box == pytest.approx((240, 160, 400, 480), abs=4)


@pytest.mark.parametrize("unit", [1 / SIZE, 1.0], ids=["normalised", "pixels"])
def test_end_to_end_rows_are_detections(unit: float) -> None:
    """Rows of YOLOv10 and YOLO26 come out as they are, best first, the padding left out."""
    output = spec((1, 300, 6))
    tensor = np.zeros(output.shape, np.float32)
    tensor[0, :3] = [
        (10, 20, 110, 220, 0.5, 1),
        (12, 20, 110, 220, 0.9, 1),  # overlapping rows are the model's own choice
        (600, 600, 650, 660, 0.7, 79),
    ]
    tensor[0, :, :4] *= unit
    of = model(output)
    assert decoder_class(of) is YoloEnd2End
    found = decoder(of).decode([tensor], WHOLE)
    assert [(detection.class_id, round(detection.score, 2)) for detection in found] == [
        (1, 0.9),
        (79, 0.7),
        (1, 0.5),
    ]
    assert found[0].box == pytest.approx((12, 20, 110, 220), abs=0.01)
    assert found[1].box == pytest.approx((600, 600, 640, 640), abs=0.01)


def test_six_columns_may_be_raw_all_the_same() -> None:
    """A YOLOv5 of one class has six columns too: the number of rows tells it from finished detections."""
    assert decoder_class(model(spec((1, 25200, 6)))) is Yolov5
    assert decoder_class(model(spec((1, 6, 8400)))) is Yolo
    assert decoder_class(model(spec((1, 100, 6)))) is YoloEnd2End


@pytest.mark.parametrize("task", ["pose", "segment", "classify", "depth"])
def test_other_tasks_are_not_boxes(task: str) -> None:
    """A model whose metadata name another task is refused, whatever its shapes look like."""
    for output in (spec((1, 84, ANCHORS)), spec((1, 300, 6)), spec((1, 25200, 85))):
        with pytest.raises(ModelError, match=f"calls it a '{task}' model"):
            decoder_class(model(output, metadata={"task": task}))


def test_a_pose_without_metadata_is_no_detector_of_52_classes() -> None:
    """4 + 1 + 17 * 3 rows are box, person and points; with 52 names for them they are 52 classes."""
    poses = spec((1, 56, ANCHORS))
    for labels in ((), ("person",)):
        assert decoder_class(model(poses, labels=labels)) is YoloPose
    assert decoder_class(model(poses, labels=["card"] * 52)) is Yolo
    hands = spec((1, 4 + 1 + 21 * 3, ANCHORS))
    assert decoder_class(model(hands, labels=["hand"])) is YoloPose


@pytest.mark.parametrize(
    "outputs",
    [
        [(1, 8400, 111)],  # one row a cell, of which nothing else is known
        [(1, 36, 8400), (1, 160, 160, 32)],  # weights of prototypes, but no class
        [(1, 1, 1)],
        [(2, 84, 8400)],
        [(1, 84, 8400), (1, 84, 8400)],
        [(1, 4, 8400), (1, 80, 2100)],
        [],
    ],
)
def test_unsupported_models_list_what_was_seen(outputs: list[tuple[int, ...]]) -> None:
    """The message shows the tensors of the model and what speaks against each family."""
    with pytest.raises(ModelError) as error:
        decoder_class(model(*map(spec, outputs)))
    for shape in outputs:
        assert f"float32{list(shape)}" in str(error.value)
    assert "float32[1, 640, 640, 3]" in str(error.value)
    for family in registry.DECODERS:
        assert f"{family}: it" in str(error.value)


def test_labels_must_fit() -> None:
    """More labels or fewer than classes are refused with both numbers; none at all become class_<id>."""
    for output, others in ((spec((1, 84, ANCHORS)), 79), (spec((1, 25200, 85)), 90)):
        with pytest.raises(ModelError, match=rf"80 classes, .* {others} labels.*EDGED_LABELS"):
            decoder(model(output, labels=["thing"] * others))
        assert decoder(model(output)).labels == tuple(f"class_{number}" for number in range(80))


def test_labels_that_do_not_fit_are_told_with_their_file() -> None:
    """Whoever gave the wrong labels file reads its name."""
    of = replace(model(spec((1, 84, ANCHORS)), labels=["thing"] * 90), labels_from="/etc/edged/labels.txt")
    with pytest.raises(ModelError, match=r"90 labels in /etc/edged/labels\.txt\. "):
        decoder(of)


def test_gaps_in_labels_get_a_name() -> None:
    """A class without a name of its own is called by its number."""
    labels = ("person", "", "car")
    assert decoder(model(spec((1, 7, ANCHORS)), labels=labels)).labels == ("person", "class_1", "car")
    assert decoder(model(spec((1, 300, 6)), labels=labels)).labels == ("person", "class_1", "car")


def test_a_transformer_gives_centre_and_size() -> None:
    """RT-DETR's rows look like those of YOLO26; its metadata tell, and that the picture is stretched."""
    tensor = np.zeros((1, 300, 6), np.float32)
    tensor[0, 0] = (0.5, 0.25, 0.1, 0.2, 0.9, 1)
    ours = decoder(model(spec(tensor.shape), metadata={"task": "detect", "head": "RTDETRDecoder"}))
    (found,) = ours.decode([tensor], WHOLE)
    assert found.box == pytest.approx((288, 96, 352, 224), abs=0.01)
    assert ours.encoding.fit == "stretch"
    assert decoder(model(spec(tensor.shape))).encoding.fit == "letterbox"


def test_suppression_inside_is_told_by_the_arguments_of_the_export() -> None:
    """A small input whose finished rows are as many as its cells, and that shows nothing in a run."""
    tensor = np.zeros((1, 189, 6), np.float32)
    metadata = {"task": "detect", "end2end": False, "args": {"nms": True}}
    of = model(spec(tensor.shape), shape=(1, 96, 96, 3), metadata=metadata, trial=[tensor])
    assert decoder_class(of) is YoloEnd2End


def test_maps_back_through_the_letterbox() -> None:
    """Boxes in the border or beyond are cut at the edge of the frame, those outside of it vanish."""
    wide = decoder(model(spec((1, 300, 6))))
    tensor = np.zeros((1, 300, 6), np.float32)
    tensor[0, :2] = [(0, 0, 320, 640, 0.9, 0), (0, 0, 640, 100, 0.8, 0)]
    frame = Geometry(0.5, 0.5, 0, 140, 1280, 720)
    (found,) = wide.decode([tensor], frame)
    assert found.box == (0, 0, 640, 720)
