"""A frame of every model family as its models give it: to time decoders with, and to show to the daemon."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edged.records import Tensor


@dataclass(frozen=True)
class Usual:
    """What a model of the family gives for a picture with some things in it."""

    size: int
    """Pixels of the input in width and height."""
    outputs: Sequence[Tensor]
    """Real values, without the batch."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    scales: Sequence[tuple[float, int]] = ()
    """Scale and zero point of each output, int8; none: float32."""


def spread(cells: int) -> Tensor:
    """Boxes all over the input: centre x, y, width, height in pixels, ``[cells, 4]``."""
    random = np.random.default_rng(0)
    return np.concatenate((random.uniform(0, 640, (cells, 2)), random.uniform(8, 200, (cells, 2))), axis=1)


def scores(cells: int, classes: int, things: int = 60) -> Tensor:
    """Probabilities near nothing but for some cells around a few things, as a street has them."""
    random = np.random.default_rng(1)
    made = random.uniform(0, 0.05, (cells, classes))
    made[random.choice(cells, things, replace=False), random.integers(0, classes, things)] = 0.8
    return made


def logits(probabilities: Tensor) -> Tensor:
    made: Tensor = np.log(probabilities / (1 - probabilities) + 1e-9)
    return made


def rows(cells: int, *behind: Tensor) -> Tensor:
    """Boxes of YOLO with what stands behind them."""
    return np.concatenate((spread(cells), *behind), axis=1)


def smooth(shape: tuple[int, int, int]) -> Tensor:
    """Hills and valleys as prototypes have them: from one cell to the next little changes."""
    height, width, planes = shape
    coarse = np.random.default_rng(3).normal(0, 1, (height // 20, width // 20, planes))
    return np.dstack(
        [cv2.resize(one, (width, height), interpolation=cv2.INTER_CUBIC) for one in np.moveaxis(coarse, 2, 0)]
    )


def usual() -> dict[str, Usual]:
    """A frame of each family at its usual size."""
    random = np.random.default_rng(2)
    normal = random.normal(0, 1, (8400, 64))
    yolox = np.concatenate((normal[:3549, :4], scores(3549, 1), random.uniform(0, 1, (3549, 80))), axis=1)
    nanodet = np.concatenate((scores(2125, 80), normal[:2125, :32]), axis=1)
    offsets = random.normal(0, 2, (19125, 4))
    face = [random.normal(0, 5, (2304, 16)), logits(scores(2304, 1))]
    fomo = scores(400, 3).reshape(20, 20, 3) * 0.5
    fomo[..., 0] = 1 - fomo[..., 1:].sum(axis=2)
    corners = np.sort(random.uniform(0, 640, (300, 2, 2)), axis=1).reshape(300, 4)
    finished = np.concatenate((corners[:25] / 640, np.zeros((25, 1))), axis=1)
    end2end = np.concatenate((corners, scores(300, 1), random.integers(0, 80, (300, 1))), axis=1)
    return {
        "yolo": Usual(640, [rows(8400, scores(8400, 80)).T]),
        "yolox": Usual(416, [yolox]),
        "nanodet": Usual(320, [nanodet]),
        "yolo-split": Usual(640, [logits(scores(8400, 80)), normal], scales=((0.1, 50), (0.05, 0))),
        "picodet": Usual(320, [scores(2125, 80), normal[:2125, :32]]),
        "ssd-raw": Usual(320, [offsets, scores(19125, 90)], scales=((0.1, 0), (1 / 256, -128))),
        "fomo": Usual(160, [fomo]),
        "blazeface": Usual(192, face),
        "yolo-end2end": Usual(640, [end2end]),
        "yolov5": Usual(640, [rows(25200, scores(25200, 1), random.uniform(0, 1, (25200, 80)))]),
        "yolo-pose": Usual(
            640,
            [rows(8400, scores(8400, 1), np.tile((*spread(1)[0, :2], 0.7), (8400, 17))).T],
            {"task": "pose", "kpt_shape": (17, 3)},
        ),
        "yolo-obb": Usual(640, [rows(8400, scores(8400, 15), normal[:, :1]).T], {"task": "obb"}),
        "yolo-seg": Usual(
            640,
            [rows(8400, scores(8400, 80, 10), normal[:, :32]).T, smooth((160, 160, 32))],
            {"task": "segment"},
        ),
        "classifier": Usual(224, [scores(1, 1001, 1)[0]]),
        "movenet": Usual(192, [random.uniform(0.3, 0.9, (1, 17, 3))]),
        "movenet-multipose": Usual(256, [np.tile((*np.full(51, 0.7), 0.2, 0.2, 0.8, 0.8, 0.7), (6, 1))]),
        "ssd": Usual(300, [finished[:, :4], finished[:, 4], scores(25, 1, 9)[:, 0], np.array(25.0)]),
    }
