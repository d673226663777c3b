"""Planes stay planes until somebody asks, and give then what FFmpeg would have given at once."""

from __future__ import annotations

import threading
from itertools import product
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from planes import encoded, planes_of

from edged.imaging.drawing import annotate
from edged.imaging.marks import class_colour
from edged.imaging.picture import Picture
from edged.imaging.tensors import Encoding, Preprocessor
from edged.pixels import BT601, BT709, Planes, part
from edged.records import Box, Detection, Keypoint, TensorSpec
from edged.scene.motion import Background, Change
from edged.sources.decoding.upright import Upright

if TYPE_CHECKING:
    from edged.records import Image

KINDS = list(product((BT601, BT709), (False, True)))
"""Matrices and ranges."""
FOUND = Detection(0, "person", 0.9, Box(40, 60, 150, 200))


def scene(width: int = 320, height: int = 240) -> Image:
    """Something of every colour, soft as pictures of cameras are."""
    coarse = np.random.default_rng(5).integers(0, 256, (height // 40, width // 40, 3), np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)  # type: ignore[return-value]


def apart(one: Image, other: Image) -> float:
    return float(np.abs(one.astype(int) - other).mean())


@pytest.mark.parametrize(("matrix", "full"), KINDS)
def test_become_the_picture_that_they_were_made_of(matrix: int, full: bool) -> None:  # noqa: FBT001
    image = scene()
    planes = planes_of(image, matrix, full=full)
    assert planes.shape == image.shape
    assert apart(planes.bgr(), image) < 3
    assert planes.bgr() is planes.bgr()
    assert apart(planes.scaled(96, 72), cv2.resize(image, (96, 72))) < 3  # type: ignore[arg-type]
    assert apart(Planes.packed(planes.studio(), matrix=matrix, full_range=False).bgr(), image) < 3


@pytest.mark.parametrize("edges", [(0, 0, 320, 240), (10, 20, 50, 60), (11, 21, 52, 61), (319, 9, 320, 10)])
def test_a_part_is_that_of_the_whole(edges: tuple[int, int, int, int]) -> None:
    planes = planes_of(scene())
    left, top, right, bottom = edges
    np.testing.assert_array_equal(part(planes, *edges), planes.bgr()[top:bottom, left:right])


def test_only_what_can_stay_as_it_is_does() -> None:
    """Hardware's planes are sorted; other colours, odd sides and pictures that are turned become BGR."""
    image, upright = scene(), Upright()
    sorted_out = upright(encoded(image, BT601, full=False, pixel_format="nv12"), 0)
    assert isinstance(sorted_out, Planes)
    assert apart(sorted_out.bgr(), image) < 3
    for frame, rotate, expected in (
        (encoded(image, BT601, full=False), 90, cv2.rotate(image, cv2.ROTATE_90_CLOCKWISE)),
        (encoded(image, BT601, full=False, pixel_format="yuv422p"), 0, image),
        (encoded(image[:, :319], BT601, full=False), 0, image[:, :319]),
    ):
        bare = upright(frame, rotate)
        assert isinstance(bare, np.ndarray)
        assert apart(bare, expected) < 3  # type: ignore[arg-type]


@pytest.mark.parametrize(("matrix", "full"), KINDS)
@pytest.mark.parametrize("detail", ["rgb", "bgr", "planar", "grey", "cropped"])
def test_models_get_what_they_would_get_of_bgr(matrix: int, full: bool, detail: str) -> None:  # noqa: FBT001
    shape = {"planar": (1, 3, 160, 160), "grey": (1, 160, 160, 1)}.get(detail, (1, 160, 160, 3))
    spec = TensorSpec("input", shape, np.dtype(np.int8), 1 / 255, -128)
    encoding = Encoding("letterbox", 0.0, 1.0, border=114, order="bgr" if detail == "bgr" else "rgb")
    planes = planes_of(scene(), matrix, full=full)
    regions = [(11, 21, 201, 101), (10, 20, 200, 100)] if detail == "cropped" else [None]
    for region in regions:
        preprocess = Preprocessor(spec, encoding, region)
        one, other = preprocess.new_input(), preprocess.new_input()
        assert preprocess(planes, one) == preprocess(planes.bgr(), other)
        assert apart(one, other) < 1.5


@pytest.mark.parametrize(("matrix", "full"), KINDS)
def test_drawings_look_as_on_bgr(matrix: int, full: bool) -> None:  # noqa: FBT001
    found = Detection(
        3,
        "person",
        0.9,
        Box(40, 60, 150, 200),
        keypoints=(Keypoint(80, 90, 1.0), Keypoint(100, 150, 1.0)),
        skeleton=((0, 1),),
        outline=((50, 70), (140, 75), (90, 190)),
        path=((0.1, 0.9), (0.3, 0.8)),
    )
    planes = planes_of(np.full((240, 320, 3), 90, np.uint8), matrix, full=full).copy()
    bare = planes.bgr().copy()
    inked = bare.copy()
    annotate(inked, [found])
    expected = planes_of(inked, matrix, full=full).bgr()
    drawn = planes.copy()
    annotate(drawn, [found])
    # What differs are the edges of thin lines, whose colours share their pixels with what is beside them.
    assert apart(drawn.bgr(), expected) < 0.3 * apart(bare, expected)
    assert np.abs(drawn.bgr()[100, 40].astype(int) - class_colour(3)).max() <= 6
    assert apart(drawn.bgr()[210:, 200:], bare[210:, 200:]) == 0


def test_nobody_draws_into_what_a_decoder_still_needs() -> None:
    planes = planes_of(scene())
    before = planes.y.copy()
    with pytest.raises(cv2.error):
        annotate(planes, [FOUND])
    picture = Picture(planes, [FOUND])
    drawn = picture()
    assert drawn is not planes
    assert picture() is drawn
    np.testing.assert_array_equal(planes.y, before)
    assert Picture(planes, ())() is planes


def test_all_who_ask_at_once_get_the_same() -> None:
    planes = planes_of(scene())
    expected = planes.copy().bgr()
    together, got = threading.Barrier(4), []

    def ask() -> None:
        together.wait(10)
        got.append(planes.bgr())

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(got) == 4
    for image in got:
        np.testing.assert_array_equal(image, expected)


@pytest.mark.parametrize(("matrix", "full"), KINDS)
def test_what_moves_is_seen_in_the_luminance(matrix: int, full: bool) -> None:  # noqa: FBT001
    background = Background()
    street = np.full((240, 320, 3), 60, np.uint8)
    street[120:] = 90
    for number in range(5):
        background.look(planes_of(street, matrix, full=full), number / 5)
    assert background.look(planes_of(street, matrix, full=full), 1.0) is Change.NONE
    # The same in BGR is the same picture.
    assert background.look(street, 1.2) is Change.NONE
    street[60:160, 100:140] = 200
    assert background.look(planes_of(street, matrix, full=full), 1.4) is Change.PART
