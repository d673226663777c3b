"""Models that end in TFLite_Detection_PostProcess, in every order of outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from tensors import SIZE, WHOLE, decoder, model, spec

from edged.decoders import decoder_class
from edged.decoders.ssd import Ssd
from edged.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edged.decoders import Decoder
    from edged.records import Tensor

TF1 = {
    "boxes": "TFLite_Detection_PostProcess",
    "classes": "TFLite_Detection_PostProcess:1",
    "scores": "TFLite_Detection_PostProcess:2",
    "count": "TFLite_Detection_PostProcess:3",
}
TF2 = {
    "scores": "StatefulPartitionedCall:1",
    "boxes": "StatefulPartitionedCall:3",
    "count": "StatefulPartitionedCall:0",
    "classes": "StatefulPartitionedCall:2",
}
MODEL_MAKER = {name: f"StatefulPartitionedCall:{31 + place}" for place, name in enumerate(TF1)}
SIGNATURE = {name: f"any{place}" for place, name in enumerate(("count", "scores", "classes", "boxes"))}
NAMELESS_TF2 = {name: f"Identity_{place}" for place, name in enumerate(TF2)}


def outputs(*, rows: int = 10) -> dict[str, Tensor]:
    """Three detections, the third below the threshold, the rest of the rows undefined."""
    boxes = np.full((1, rows, 4), np.nan, np.float32)
    boxes[0, :3] = [(0.1, 0.2, 0.5, 0.6), (-0.1, 0.5, 0.25, 1.2), (0, 0, 1, 1)]
    classes, scores = np.full((2, 1, rows), 7e8, np.float32)
    classes[0, :3], scores[0, :3] = (50, 0, 3), (0.9, 0.5, 0.1)
    return {"boxes": boxes, "classes": classes, "scores": scores, "count": np.array([3], np.float32)}


def ssd(names: Mapping[str, str], tensors: Mapping[str, Tensor], labels: tuple[str, ...] = ()) -> Decoder:
    of = model(*(spec(tensors[output].shape, name=name) for output, name in names.items()), labels=labels)
    assert decoder_class(of) is Ssd
    return decoder(of)


@pytest.mark.parametrize(
    "names",
    [TF1, dict(reversed(TF1.items())), TF2, MODEL_MAKER, SIGNATURE, NAMELESS_TF2],
    ids=["TF1", "TF1 reversed", "TF2", "Model Maker", "signature", "TF2 without names"],
)
@pytest.mark.parametrize("rows", [3, 10, 100])
def test_tells_the_outputs_apart(names: Mapping[str, str], rows: int) -> None:
    """Each output is found by name, else by shape and place; undefined rows are left out."""
    tensors = outputs(rows=rows)
    found = ssd(names, tensors).decode([tensors[output] for output in names], WHOLE)
    assert [(detection.class_id, round(detection.score, 3)) for detection in found] == [(50, 0.9), (0, 0.5)]
    assert found[0].box == pytest.approx((0.2 * SIZE, 0.1 * SIZE, 0.6 * SIZE, 0.5 * SIZE), abs=0.01)
    assert found[1].box == pytest.approx((0.5 * SIZE, 0, SIZE, 0.25 * SIZE), abs=0.01)


def test_a_model_of_one_detection_is_one_too() -> None:
    """With a single row, boxes, scores and count still differ in rank."""
    tensors = outputs(rows=3)
    tensors = {
        name: tensor[:, :1] if name != "count" else np.array([1.0]) for name, tensor in tensors.items()
    }
    (found,) = ssd(TF1, tensors).decode(list(tensors.values()), WHOLE)
    assert found.class_id == 50


def test_names_of_tf2_on_outputs_of_another_order() -> None:
    """StatefulPartitionedCall:0 to 3 mean what TF2 means by them only where the shapes agree."""
    tensors = outputs()
    names = {name: f"StatefulPartitionedCall:{place}" for place, name in enumerate(TF1)}
    found = ssd(names, tensors).decode([tensors[output] for output in names], WHOLE)
    assert [detection.class_id for detection in found] == [50, 0]


def test_an_unknown_order_is_refused() -> None:
    """Where neither name nor place tells classes from scores, nothing is guessed."""
    shapes = [(1, 10), (1, 10), (1, 10, 4), (1,)]
    with pytest.raises(ModelError, match="no supported family"):
        decoder_class(model(*map(spec, shapes)))


def test_the_background_is_no_class() -> None:
    """A first line for the background is skipped: class id 0 is the line after it."""
    names = tuple(f"thing {number}" for number in range(90))
    tensors = outputs()
    for labels in (names, ("???", *names), ("background", *names), ("unlabeled", *names)):
        found = ssd(TF1, tensors, labels=labels).decode(list(tensors.values()), WHOLE)
        assert [detection.label for detection in found] == ["thing 50", "thing 0"]


def test_labels_must_fit_the_classes_of_the_operation() -> None:
    """The 80 COCO names on a model with COCO's 90 ids would be wrong without a trace, so they are refused."""
    specs = [spec(tensor.shape, name=TF1[name]) for name, tensor in outputs().items()]
    metadata = {"num_classes": 90}
    for wrong in (80, 91):
        with pytest.raises(ModelError, match=rf"90 classes, .* {wrong} labels"):
            decoder(model(*specs, metadata=metadata, labels=["thing"] * wrong))
    assert len(decoder(model(*specs, metadata=metadata, labels=["thing"] * 90)).labels) == 90
    assert len(decoder(model(*specs, metadata=metadata, labels=["???"] + ["thing"] * 90)).labels) == 90


def test_without_labels_classes_have_numbers() -> None:
    """Every detection has a label, also where nobody named the classes."""
    tensors = outputs()
    found = ssd(TF1, tensors).decode(list(tensors.values()), WHOLE)
    assert [detection.label for detection in found] == ["class_50", "class_0"]


def test_no_count_no_detections() -> None:
    """Scores beyond the count are left over from another frame."""
    tensors = outputs() | {"count": np.array([0], np.float32)}
    assert ssd(TF1, tensors).decode(list(tensors.values()), WHOLE) == []
