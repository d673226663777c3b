"""Classes of the whole picture, against the plain interpreter and by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from tensors import WHOLE, decoder, model, spec, store
from test_reference import Detector, photo

from edged.decoders import decoder_class, mismatches
from edged.decoders.classifier import Classifier
from edged.engines import runtime
from edged.errors import ModelError
from edged.imaging.geometry import Geometry
from edged.imaging.tensors import Encoding, Preprocessor

if TYPE_CHECKING:
    from pathlib import Path

LABELS = ("background", "cat", "dog")


@pytest.mark.parametrize(
    "name",
    ["mobilenet_v2_224_inat_bird_quant", "mobilenet_v2_224_imagenet_quant", "mobilenet_v1_0.25_128_quant"],
)
def test_the_top_five_are_those_of_the_plain_interpreter(shared: Path, name: str) -> None:
    """On real photos: same classes, same order but for equal scores, same scores."""
    path = shared / "models" / f"{name}.tflite"
    labels = "inat_bird_labels.txt" if "bird" in name else "imagenet_labels.txt"
    detect = Detector(path, score=0.0, iou_threshold=0.5, labels=shared / "models" / labels)
    plain = runtime.load().interpreter(model_path=str(path))
    plain.allocate_tensors()
    place = plain.get_input_details()[0]
    height, width = place["shape"][1:3]
    names = (shared / "models" / labels).read_text().splitlines()
    photos = sorted((shared / "images").glob("*.jpg"))[:6]
    assert len(photos) == 6
    for file in photos:
        image = photo(file)
        plain.set_tensor(
            place["index"], cv2.cvtColor(cv2.resize(image, (width, height)), cv2.COLOR_BGR2RGB)[np.newaxis]
        )
        plain.invoke()
        scores = plain.get_tensor(plain.get_output_details()[0]["index"])[0] / 256
        found = detect(image)
        assert [one.score for one in found] == pytest.approx(sorted(scores, reverse=True)[:5], abs=1e-3)
        for one in found:
            assert one.score == pytest.approx(scores[one.class_id], abs=1e-3)
            assert one.label == names[one.class_id]
            assert one.box == pytest.approx((0, 0, image.shape[1], image.shape[0]))


@pytest.mark.parametrize("shape", [(1, 3), (1, 1, 1, 3)])
@pytest.mark.parametrize("unit", [1.0, 1 / 255], ids=["float", "quantised"])
def test_probabilities_are_scores(shape: tuple[int, ...], unit: float) -> None:
    """What reaches the threshold is told, best first, with all of what was looked at as its box."""
    output = spec(shape) if unit == 1 else spec(shape, "uint8", scale=unit)
    of = model(output, labels=LABELS)
    assert decoder_class(of) is Classifier
    tensor = store(np.array((0.1, 0.3, 0.6)).reshape(shape), output)
    part = Geometry(1.0, 2.0, 0, 0, 640, 320, left=100, top=50)
    found = decoder(of).decode([tensor], part)
    assert [one.label for one in found] == ["dog", "cat"]
    assert [one.score for one in found] == pytest.approx([0.6, 0.3], abs=0.01)
    assert {one.box for one in found} == {(100, 50, 740, 370)}


def test_logits_become_probabilities() -> None:
    """Values outside 0..1 are made scores by softmax."""
    of = model(spec((1, 3)), labels=LABELS)
    found = decoder(of, score=0.0).decode([np.array([[-2.0, 3.0, 1.0]], np.float32)], WHOLE)
    powers = np.exp([3.0, 1.0, -2.0])
    assert [one.label for one in found] == ["cat", "dog", "background"]
    assert [one.score for one in found] == pytest.approx(powers / powers.sum())


def test_labels_without_the_background_begin_at_class_1() -> None:
    """1000 names of 1001 classes, as everybody has them; other numbers are another model's."""
    named = decoder(model(spec((1, 3)), labels=LABELS[1:]))
    assert named.labels == LABELS
    with pytest.raises(ModelError, match="3 classes, but there are 5 labels"):
        decoder(model(spec((1, 3)), labels=["x"] * 5))


def test_ultralytics_classifiers_look_at_the_middle() -> None:
    """They take 0..1 and a middle part in the proportions of the input, which is the box."""
    of = model(spec((1, 3)), metadata={"task": "classify"}, labels=LABELS, shape=(1, 8, 8, 3))
    looks = decoder(of)
    assert looks.encoding == Encoding("crop", low=0.0, high=1.0)
    preprocess = Preprocessor(of.inputs[0], looks.encoding)
    image = np.zeros((50, 100, 3), np.uint8)
    image[:, 25:75] = 255
    tensor = preprocess.new_input()
    geometry = preprocess(image, tensor)
    assert tensor.min() == tensor.max() == 1.0
    (found,) = looks.decode([np.array([[0, 0, 1]], np.float32)], geometry)
    assert found.box == (25, 0, 75, 50)


@pytest.mark.parametrize(
    ("shape", "seen", "low"),
    [((1, 3, 8, 8), (0.1, 0.2, 0.7), 0.0), ((1, 3, 8, 8), (-2, 3, 1), -1.0), ((1, 8, 8, 3), (0, 0, 1), -1.0)],
    ids=["planes", "logits", "TensorFlow's"],
)
def test_ultralytics_classifiers_are_told_without_metadata(
    shape: tuple[int, ...], seen: tuple[float, ...], low: float
) -> None:
    """Planes in, probabilities out are theirs: PyTorch's others give logits, TensorFlow's have no planes."""
    looks = decoder(model(spec((1, 3)), shape=shape, trial=[np.array([seen], np.float32)]))
    assert (looks.encoding.fit, looks.encoding.low) == ("stretch" if low else "crop", low)


def test_what_is_no_row_of_classes_is_none() -> None:
    """Grids, several outputs and other tasks are told apart."""
    for of in (model(spec((1, 8, 8, 3))), model(spec((1, 3)), spec((1, 3))), model(spec((1, 1)))):
        assert Classifier.mismatch(of) == "it has no single output [1, classes]"
    other = mismatches(model(spec((1, 3)), metadata={"task": "detect"}))
    assert other["classifier"] == "its metadata calls it a 'detect' model"
    assert Classifier.mismatch(model(spec((1, 3)), shape=(1, 40))) == "its input is no colour picture"
