"""Classifiers of the whole picture: MobileNet, EfficientNet, Ultralytics' cls models, Teachable Machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edged.decoders import anchors, boxes, trial_run
from edged.decoders.labels import class_names
from edged.decoders.quantised import real, require_finite
from edged.imaging.geometry import CHANNELS, input_size
from edged.imaging.tensors import Encoding

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from edged.imaging.geometry import Geometry
    from edged.records import Detection, Model, Tensor

_MOST = 5
"""Classes of one picture at most."""
_LEAST_CLASSES = 2
_ROUNDING = 0.01
_STRETCHED = Encoding("stretch", low=-1.0, high=1.0, raw_when_quantised=True)
_CROPPED = Encoding("crop", low=0.0, high=1.0)


class Classifier:
    """What the picture shows: up to five classes, each with the box of all that was looked at.

    One output ``[1, classes]`` or ``[1, 1, 1, classes]``, float32 or quantised: probabilities, or logits
    where a value lies outside 0..1, of which softmax makes probabilities. Classes have names as the model has
    them, ``background`` included; a label file without the background of a model that has it (1000 names of
    1001 classes, as of ImageNet) is taken from class 1 on.

    The input is the whole picture, stretched, RGB: [-1, 1] as float, pixels as they are when quantised, as
    TensorFlow's models have it. Ultralytics' models take 0..1 and the middle of the picture in the
    proportions of the input; their metadata tell them, or that they give probabilities for a picture of
    planes: PyTorch's others leave softmax to whoever asks.

    Source: pycoral, adapters/classify.py and examples/classify_image.py; Ultralytics documentation, "Image
    Classification", and its ``classify_transforms``.
    """

    task = "classify"

    @classmethod
    def mismatch(cls, model: Model) -> str | None:
        """Asks for a single row of classes, and for one colour picture."""
        shape = model.outputs[0].shape if len(model.outputs) == 1 else ()
        if not shape or shape[-1] < _LEAST_CLASSES or any(size != 1 for size in shape[:-1]):
            return "it has no single output [1, classes]"
        return None if anchors.anchors(model) else "its input is no colour picture"

    def __init__(self, model: Model, *, score_threshold: float, iou_threshold: float) -> None:
        del iou_threshold
        self.encoding = _CROPPED if _is_of_ultralytics(model) else _STRETCHED
        self._spec = model.outputs[0]
        self._threshold = score_threshold
        self._whole = np.array((0, 0, *input_size(model.inputs[0])), np.float32)
        classes = self._spec.shape[-1]
        labels = model.labels
        if len(labels) == classes - 1 and not model.labels_numbered:
            labels = ("background", *labels)
        self.labels = class_names(model, classes, labels)

    def decode(self, outputs: Sequence[Tensor], geometry: Geometry) -> list[Detection]:
        """The classes that reach the threshold, best score first, each with the box of what was looked at."""
        require_finite(outputs[0])
        scores = probabilities(real(outputs[0].reshape(-1), self._spec))
        best = np.argsort(-scores, kind="stable")[:_MOST]
        best = best[scores[best] >= self._threshold]
        places = np.tile(self._whole, (len(best), 1))
        return boxes.detections(places, scores[best], best, self.labels, geometry)


def _is_of_ultralytics(model: Model) -> bool:
    if "task" in model.metadata:
        return bool(model.metadata["task"] == Classifier.task)
    planar = model.inputs[0].shape[-1] not in CHANNELS
    return planar and not model.inputs[0].quantised and trial_run.is_probability(model, 0) is True


def probabilities(values: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.floating[Any]]:
    """Scores 0..1 of what a classifier gives: as they are, or their softmax where they are none."""
    if values.min() >= -_ROUNDING and values.max() <= 1 + _ROUNDING:
        return values.clip(0, 1)
    powers: npt.NDArray[np.floating[Any]] = np.exp(values - values.max())
    powers /= powers.sum()
    return powers
