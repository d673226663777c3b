"""BlazeFace on the demo's clip and on synthetic tensors."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from tensors import WHOLE, decoder, iou, model, spec, store

from edged.decoders import decoder_class
from edged.decoders.blazeface import BlazeFace, anchor_centres
from edged.engines.cpu import CpuEngine
from edged.errors import OutputError
from edged.imaging.geometry import Geometry
from edged.imaging.tensors import Preprocessor
from edged.records import Model

if TYPE_CHECKING:
    from pathlib import Path

    from edged.records import Box, Image

NOBODY, TWO, NEAR = 0, 112, 160
"""Frames of the clip: nobody, two faces at different distances, one near face."""
VARIANTS = ("short_range", "front", "back", "full_range", "full_range_sparse")


@pytest.fixture(scope="module")
def frames(demo_clip: Path) -> dict[int, Image]:
    capture = cv2.VideoCapture(str(demo_clip))
    wanted = {}
    for number in range(NEAR + 1):
        read, image = capture.read()
        assert read
        if number in {NOBODY, TWO, NEAR}:
            wanted[number] = image.astype(np.uint8, copy=False)
    capture.release()
    return wanted


def faces(path: Path, image: Image) -> list[Box]:
    engine = CpuEngine(path)
    of = Model(path.stem, engine.inputs, engine.outputs, labels=("somebody",))
    found = decoder_class(of)(of, score_threshold=0.5, iou_threshold=0.3)
    preprocess = Preprocessor(engine.inputs[0], found.encoding)
    tensor = preprocess.new_input()
    geometry = preprocess(image, tensor)
    detections = found.decode(engine.invoke(tensor), geometry)
    assert {detection.label for detection in detections} <= {"face"}
    return [detection.box for detection in detections]


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_finds_the_near_face(demo_model: Path, frames: dict[int, Image], variant: str) -> None:
    """All five published models find one face in the same place, and none where nobody is."""
    path = demo_model.with_name(f"face_detection_{variant}.tflite")
    (face,) = faces(path, frames[NEAR])
    assert iou(face, (266, 157, 403, 294)) > 0.8
    assert faces(path, frames[NOBODY]) == []


def test_finds_two_faces_once_each(demo_model: Path, frames: dict[int, Image]) -> None:
    """Two people are two detections, however many anchors see each of them."""
    boxes = faces(demo_model, frames[TWO])
    assert len(boxes) == 2
    assert iou(*boxes) == 0


def test_anchors_lie_in_the_middle_of_their_cells() -> None:
    """Short range has 16x16 cells of two anchors and 8x8 of six, full range 48x48 of one, row by row."""
    short, full = anchor_centres(896), anchor_centres(2304)
    assert short.shape == (896, 2)
    assert full.shape == (2304, 2)
    np.testing.assert_allclose(
        short[[0, 1, 2, 32]], [(1 / 32,) * 2] * 2 + [(3 / 32, 1 / 32), (1 / 32, 3 / 32)]
    )
    np.testing.assert_allclose(short[[512, 517, 518]], [(1 / 16,) * 2] * 2 + [(3 / 16, 1 / 16)])
    np.testing.assert_allclose(full[[1, 48]], [(1.5 / 48, 0.5 / 48), (0.5 / 48, 1.5 / 48)])


@pytest.mark.parametrize("swapped", [False, True])
def test_decodes_relative_to_the_anchor(*, swapped: bool) -> None:
    """Centre counts from the anchor and size in input pixels, wherever the outputs lie."""
    boxes = np.zeros((1, 896, 16), np.float32)
    scores = np.full((1, 896, 1), -10.0, np.float32)
    boxes[0, 512 + 6 * 9, :4] = (4, -2, 30, 40)  # cell 1, 1 of 8x8: centre (24, 24) of 128
    scores[0, 512 + 6 * 9, 0] = math.log(0.8 / 0.2)
    specs, outputs = [spec(boxes.shape, name="a"), spec(scores.shape, name="b")], [boxes, scores]
    if swapped:
        specs, outputs = specs[::-1], outputs[::-1]
    of = model(*specs, shape=(1, 128, 128, 3))
    assert decoder_class(of) is BlazeFace
    (face,) = decoder(of, score=0.799).decode(outputs, Geometry(0.5, 0.5, 0, 0, 256, 256))
    assert face.score == pytest.approx(0.8)
    assert face.box == pytest.approx((26, 4, 86, 84))
    assert decoder(of, score=0.801).decode(outputs, WHOLE) == []


def test_decodes_each_grid_by_itself() -> None:
    """Four outputs in any order, a pair of 512 and one of 384 anchors, give what the two joined give."""
    random = np.random.default_rng(2)
    boxes = random.normal(0, 3, (1, 896, 16)).astype(np.float32)
    boxes[..., 2:4] = random.uniform(10, 40, (1, 896, 2))
    scores = random.normal(-3, 2, (1, 896, 1)).astype(np.float32)
    shape = (1, 128, 128, 3)
    joined = decoder(model(spec(boxes.shape), spec(scores.shape), shape=shape), score=0.5, iou=0.3)
    expected = joined.decode([boxes, scores], WHOLE)
    assert len(expected) > 5
    parts = [boxes[:, :512], boxes[:, 512:], scores[:, :512], scores[:, 512:]]
    for order in ((0, 1, 2, 3), (3, 1, 0, 2), (2, 3, 1, 0)):
        tensors = [parts[place] for place in order]
        of = model(*(spec(tensor.shape) for tensor in tensors), shape=shape)
        assert decoder_class(of) is BlazeFace
        assert decoder(of, score=0.5, iou=0.3).decode(tensors, WHOLE) == expected


def test_decodes_quantised_outputs() -> None:
    """An int8 model with a scale of its own for each output gives the same face within a step."""
    box_spec = spec((1, 2304, 16), "int8", scale=0.5, zero_point=3)
    score_spec = spec((1, 2304, 1), "int8", scale=0.125, zero_point=-5)
    boxes, scores = np.zeros(box_spec.shape), np.full(score_spec.shape, -9.0)
    boxes[0, 48 * 20 + 10, :4] = (0.5, 0.5, 30, 40)
    scores[0, 48 * 20 + 10] = 2
    of = model(box_spec, score_spec, shape=(1, 192, 192, 3))
    (face,) = decoder(of).decode([store(boxes, box_spec), store(scores, score_spec)], WHOLE)
    assert face.score == pytest.approx(1 / (1 + math.exp(-2)))
    assert face.box == pytest.approx((42.5 - 15, 82.5 - 20, 42.5 + 15, 82.5 + 20))


@pytest.mark.parametrize("face", [False, True])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("broken", ["scores", "boxes"])
def test_a_number_that_is_none_is_no_face(broken: str, bad: float, *, face: bool) -> None:
    """Neither among the scores nor in a box that is told; in a box that nobody reads it does no harm."""
    boxes, scores = np.zeros((1, 896, 16), np.float32), np.full((1, 896, 1), -10.0, np.float32)
    boxes[0, :, 2:4] = 30
    scores[0, 500] = 2.0 if face else -10.0
    if broken == "scores":
        scores[0, 100] = bad
    else:
        boxes[0, 500, 1] = bad
    blazeface = decoder(model(spec(boxes.shape), spec(scores.shape), shape=(1, 128, 128, 3)))
    if broken == "scores" or face:
        with pytest.raises(OutputError, match="no finite numbers"):
            blazeface.decode([boxes, scores], WHOLE)
    else:
        assert blazeface.decode([boxes, scores], WHOLE) == []


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_takes_the_ends_of_the_threshold(threshold: float) -> None:
    """A threshold of 0 keeps everything and one of 1 nothing; neither is an error."""
    of = model(spec((1, 2304, 16)), spec((1, 2304, 1)), shape=(1, 192, 192, 3))
    boxes = np.zeros((1, 2304, 16), np.float32)
    boxes[0, :, 2:4] = 3
    found = decoder(of, score=threshold).decode([boxes, np.zeros((1, 2304, 1), np.float32)], WHOLE)
    assert bool(found) == (threshold == 0.0)
