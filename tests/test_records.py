"""Values that travel say what they are in words and numbers that people read."""

from __future__ import annotations

import numpy as np
import pytest

from edged.records import Box, Detection, Frame, Keypoint, TensorSpec


def test_a_followed_detection_is_the_same_but_for_its_track_and_path() -> None:
    found = Detection(
        3,
        "person",
        0.7,
        Box(1, 2, 3, 4),
        keypoints=(Keypoint(5, 6, 0.9),),
        skeleton=((0, 1),),
        outline=((1, 2), (3, 4)),
    )
    followed = found.followed(12, ((0.1, 0.2),))
    assert (found.track, found.path) == (None, ())
    assert (followed.track, followed.path) == (12, ((0.1, 0.2),))
    for name in ("class_id", "label", "score", "box", "keypoints", "skeleton", "outline", "sub_label"):
        assert getattr(followed, name) == getattr(found, name), name


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (
            TensorSpec("in", (1, 320, 320, 3), np.dtype(np.uint8), 1 / 255, 7),
            "uint8[1, 320, 320, 3] (0.00392157, 7)",
        ),
        (TensorSpec("out", (1, 10), np.dtype(np.float32)), "float32[1, 10]"),
    ],
)
def test_a_tensor_is_told_by_its_type_shape_and_scale(spec: TensorSpec, text: str) -> None:
    assert str(spec) == text


def test_a_frame_is_as_large_as_its_pixels() -> None:
    frame = Frame(0, np.zeros((30, 40, 3), np.uint8), 0.0, 0.0, 0.0)
    assert (frame.width, frame.height, frame.image.shape) == (40, 30, (30, 40, 3))
