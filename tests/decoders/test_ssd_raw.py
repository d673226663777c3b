"""Offsets from anchors: those of a model's metadata and those of known generators."""

from __future__ import annotations

import json
import math
import zipfile
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from tensors import WHOLE, Found, assert_same, decoder, kept_plainly, model, spec

from edged.decoders import anchor_boxes, decoder_class, mismatches
from edged.decoders.ssd_raw import SsdRaw
from edged.engines.cpu import CpuEngine
from edged.errors import ModelError
from edged.imaging.tensors import Preprocessor
from edged.model import file as modelfile
from edged.model.description import describe

if TYPE_CHECKING:
    from pathlib import Path

    from edged.records import Tensor

ANCHORS = 500


def told(*, exponential: bool = True, sigmoid: bool = True) -> dict[str, Any]:
    """Metadata as Model Maker writes them, with anchors all over the picture."""
    random = np.random.default_rng(3)
    anchors = random.uniform((0.3, 0.3, 0.1, 0.1), (0.6, 0.6, 0.4, 0.4), (ANCHORS, 4))
    return {
        "ssd_anchors": tuple(map(tuple, anchors.tolist())),
        "ssd_scales": (10.0, 9.0, 5.0, 4.0),
        "ssd_exponential": exponential,
        "ssd_sigmoid": sigmoid,
    }


def plainly(
    offsets: Tensor, scores: Tensor, known: dict[str, Any], *, size: int, score: float, first: int = 0
) -> list[Found]:
    """What a loop over all anchors keeps at an overlap of 0.5."""
    found: list[Found] = []
    for (dy, dx, dh, dw), row, (x, y, width, height) in zip(
        offsets.tolist(), scores.tolist(), known["ssd_anchors"], strict=True
    ):
        best = int(np.argmax(row[first:]))
        sure = row[first + best]
        if known["ssd_sigmoid"]:
            sure = 1 / (1 + math.exp(-sure))
        if sure < score:
            continue
        scale_x, scale_y, scale_w, scale_h = known["ssd_scales"]
        w, h = dw / scale_w, dh / scale_h
        if known["ssd_exponential"]:
            w, h = math.exp(w), math.exp(h)
        centre_x, centre_y = x + dx / scale_x * width, y + dy / scale_y * height
        half_w, half_h = w * width / 2, h * height / 2
        corners = (centre_x - half_w, centre_y - half_h, centre_x + half_w, centre_y + half_h)
        found.append(
            (best, sure, (corners[0] * size, corners[1] * size, corners[2] * size, corners[3] * size))
        )
    return kept_plainly(found, 0.5)


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("exponential", [False, True])
@pytest.mark.parametrize("sigmoid", [False, True])
def test_does_what_the_metadata_say(*, sigmoid: bool, exponential: bool, swapped: bool) -> None:
    """Anchors, scales, logarithms and logits are those of the metadata, whatever the order of the outputs."""
    random = np.random.default_rng(5)
    offsets = random.normal((0, 0, 0, 0) if exponential else (0, 0, 5, 5), 1, (ANCHORS, 4))
    scores = random.uniform(0, 1, (ANCHORS, 3))
    if sigmoid:
        scores = np.log(scores / (1 - scores))
    known = told(exponential=exponential, sigmoid=sigmoid)
    tensors = [part[np.newaxis].astype(np.float32) for part in (offsets, scores)]
    if swapped:
        tensors.reverse()
    of = model(*(spec(tensor.shape) for tensor in tensors), metadata=known)
    assert decoder_class(of) is SsdRaw
    expected = plainly(offsets, scores, known, size=640, score=0.9)
    assert len(expected) > 20
    assert_same(decoder(of, score=0.9, iou=0.5).decode(tensors, WHOLE), expected)


def test_the_background_is_no_class() -> None:
    """A first label for the background, or one label too few, makes the first score nobody's."""
    scores = np.full((1, ANCHORS, 3), -9.0, np.float32)
    scores[0, 7] = (5, 2, -1)
    tensors = [np.zeros((1, ANCHORS, 4), np.float32), scores]
    for labels in (("background", "cat", "dog"), ("???", "cat", "dog"), ("cat", "dog")):
        of = model(*(spec(tensor.shape) for tensor in tensors), metadata=told(), labels=labels)
        ours = decoder(of, score=0.5)
        assert ours.labels == ("cat", "dog")
        (found,) = ours.decode(tensors, WHOLE)
        assert (found.label, found.class_id) == ("cat", 0)
        assert found.score == pytest.approx(1 / (1 + math.exp(-2)))
    with pytest.raises(ModelError, match=r"3 classes, .* 5 labels"):
        decoder(model(*(spec(tensor.shape) for tensor in tensors), metadata=told(), labels="abcde"))


def test_known_generators_need_no_metadata() -> None:
    """SSD at 300x300 and EfficientDet-Lite are known by the number of their anchors; scores are logits."""
    for size, count, classes, first, scales in (
        (300, 1917, 91, 1, (10.0, 10.0, 5.0, 5.0)),
        (320, 19206, 90, 0, (1.0, 1.0, 1.0, 1.0)),
    ):
        known = anchor_boxes.known((size, size), count)
        assert known is not None
        assert known[1] == scales
        tensors = [np.zeros((1, count, 4), np.float32), np.full((1, count, classes), -9, np.float32)]
        tensors[1][0, count // 2, first + 16] = 2
        of = model(*(spec(part.shape) for part in tensors), shape=(1, size, size, 3), trial=tensors)
        assert decoder_class(of) is SsdRaw
        ours = decoder(of, score=0.5)
        assert len(ours.labels) == 90
        (found,) = ours.decode(tensors, WHOLE)
        assert found.class_id == 16
        x, y, width, height = known[0][count // 2] * size
        whole = np.array((x - width / 2, y - height / 2, x + width / 2, y + height / 2))
        assert found.box == pytest.approx(np.clip(whole, 0, 640), abs=0.01)
    nobodys = model(spec((1, 1234, 4)), spec((1, 1234, 9)))
    assert "neither in its metadata" in str(mismatches(nobodys)["ssd-raw"])


def test_anchors_of_tensorflow_s_ssd() -> None:
    """Three shapes a cell in the first layer, six in the others: sizes by the rule of the paper."""
    anchors, _ = anchor_boxes.known((300, 300), 1917) or (np.empty(0), ())
    np.testing.assert_allclose(anchors[0], (0.5 / 19, 0.5 / 19, 0.1, 0.1), atol=1e-6)
    np.testing.assert_allclose(
        anchors[1], (0.5 / 19, 0.5 / 19, 0.2 * math.sqrt(2), 0.2 / math.sqrt(2)), atol=1e-6
    )
    np.testing.assert_allclose(anchors[19 * 19 * 3], (0.05, 0.05, 0.35, 0.35), atol=1e-6)
    np.testing.assert_allclose(anchors[-1], (0.5, 0.5, *[math.sqrt(0.95)] * 2), atol=1e-6)


@pytest.mark.parametrize("name", ["modelmaker_320_uint8_raw_anchors", "coco_ssd_mobilenet_v1_1.0_quant_300"])
def test_what_is_zipped_to_a_model_replaces_nothing_of_its_graph(
    shared: Path, tmp_path: Path, name: str
) -> None:
    """Another description may lie beside the graph; the graph is what runs."""
    plain, path = shared / "models" / f"{name}.tflite", tmp_path / "model.tflite"
    path.write_bytes(plain.read_bytes())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(
            "metadata.json",
            json.dumps({"ssd_anchors": "x", "ssd_more": 1, "num_classes": "x", "task": "detect"}),
        )
    assert modelfile.read(path).metadata == {**modelfile.read(plain).metadata, "task": "detect"} | (
        {"num_classes": "x"} if name.startswith("modelmaker") else {}
    )


def test_a_model_of_model_maker_gives_what_a_plain_way_gives(shared: Path) -> None:
    """Anchors come out of the file, and are those that the generator makes of the size of the input."""
    path = shared / "models" / "modelmaker_320_uint8_raw_anchors.tflite"
    content = modelfile.read(path)
    assert content.labels == ("background", "basket", "target")
    generated, scales = anchor_boxes.known((320, 320), 19125) or (np.empty(0), ())
    assert scales == content.metadata["ssd_scales"]
    np.testing.assert_allclose(np.array(content.metadata["ssd_anchors"]), generated, atol=1e-6)
    engine = CpuEngine(path, threads=2)
    of = describe(content, engine.inputs, engine.outputs, engine.invoke)
    assert [family for family, reason in mismatches(of).items() if reason is None] == ["ssd-raw"]
    ours = decoder(of, score=0.4, iou=0.5)
    assert ours.labels == ("basket", "target")
    preprocess = Preprocessor(of.inputs[0], ours.encoding)
    tensor = preprocess.new_input()
    compared = 0
    for file in ("000000000009.jpg", "000000000036.jpg", "000000000081.jpg"):
        image = cv2.imread(str(shared / "images" / file))
        assert image is not None
        small = cv2.cvtColor(cv2.resize(image, (320, 320)), cv2.COLOR_BGR2RGB)
        offsets, scores = [
            (output[0].astype(np.float64) - of_one.zero_point) * of_one.scale
            for output, of_one in zip(engine.invoke(small[np.newaxis]), of.outputs, strict=True)
        ]
        expected = plainly(offsets, scores, dict(content.metadata), size=320, score=0.4, first=1)
        geometry = preprocess(image.astype(np.uint8, copy=False), tensor)
        found = ours.decode(engine.invoke(tensor), geometry)
        # Coarse scores are often equal, and of equal ones any may come first.
        assert sorted(round(one.score, 3) for one in found) == sorted(
            round(score, 3) for _, score, _ in expected
        )
        for class_id, score, box in expected:
            scale = (image.shape[1] / 320, image.shape[0] / 320) * 2
            corners = [min(max(0, c), 320) * s for c, s in zip(box, scale, strict=True)]
            assert any(
                one.class_id == class_id
                and abs(one.score - score) < 1e-3
                and one.box == pytest.approx(corners, abs=0.5)
                for one in found
            )
            compared += 1
    assert compared >= 5
