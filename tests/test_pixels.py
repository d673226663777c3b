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
from edged.pixels import BT601, BT709, Planes, bgr, fitted, full_luminance, part
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


def by_hand(*, full: bool = True) -> Planes:
    """Eight by six, every value of it another one, in one piece."""
    return Planes.packed(np.arange(72, dtype=np.uint8).reshape(9, 8), matrix=BT601, full_range=full)


def test_planes_lie_one_after_the_other() -> None:
    planes = by_hand()
    assert planes.shape == (6, 8, 3)
    assert (planes.y[5].tolist(), planes.y.shape) == ([*range(40, 48)], (6, 8))
    assert planes.u.tolist() == [[48, 49, 50, 51], [52, 53, 54, 55], [56, 57, 58, 59]]
    assert planes.v.tolist() == [[60, 61, 62, 63], [64, 65, 66, 67], [68, 69, 70, 71]]


@pytest.mark.parametrize(
    ("matrix", "full", "red", "green"),
    [
        (BT601, False, (81, 90, 240), (145, 54, 34)),
        (BT709, False, (63, 102, 240), (173, 42, 26)),
        (BT601, True, (76, 85, 255), (150, 44, 21)),
    ],
)
def test_colours_have_the_levels_of_the_standards(
    matrix: int,
    full: bool,  # noqa: FBT001  # a case
    red: tuple[int, int, int],
    green: tuple[int, int, int],
) -> None:
    planes = Planes.packed(np.zeros((3, 2), np.uint8), matrix=matrix, full_range=full)
    assert planes.levels((0, 0, 255)) == red
    assert planes.levels((0, 255, 0)) == green
    painted = np.array([[red[0]] * 2] * 2 + [[*red[1:]]], np.uint8)
    shown = Planes.packed(painted, matrix=matrix, full_range=full).bgr()
    assert np.abs(shown.astype(int) - (0, 0, 255)).max() <= 2


def test_a_cut_shares_its_memory_and_a_copy_does_not() -> None:
    planes = by_hand(full=False)
    cut, copy = planes.cut(2, 2, 6, 4), planes.copy()
    assert cut.y.tolist() == [[18, 19, 20, 21], [26, 27, 28, 29]]
    assert (cut.u.tolist(), cut.v.tolist()) == ([[53, 54]], [[65, 66]])
    for one in (cut, copy):
        assert (one.matrix, one.full_range) == (BT601, False)
    assert np.shares_memory(cut.y, planes.y)
    assert copy.i420 is not None
    assert copy.i420.tolist() == np.arange(72).reshape(9, 8).tolist()
    copy.i420[:] = 0
    assert copy.y.max() == copy.u.max() == copy.v.max() == 0
    assert planes.y[5, 7] == 47
    assert cut.copy().studio().tolist() == [[18, 19, 20, 21], [26, 27, 28, 29], [53, 54, 65, 66]]


def test_for_video_levels_are_those_of_video_and_stay_where_they_are_so() -> None:
    planes = by_hand(full=False)
    assert planes.studio() is planes.i420
    assert planes.cut(0, 0, 2, 2).studio().tolist() == [[0, 1], [8, 9], [48, 60]]
    levels = np.array([[0, 255], [100, 200], [0, 255]], np.uint8)
    full = Planes.packed(levels, matrix=BT709, full_range=True)
    assert full.studio().tolist() == [[16, 235], [102, 188], [16, 240]]
    assert levels.tolist() == [[0, 255], [100, 200], [0, 255]]
    every = np.tile(np.arange(256, dtype=np.uint8), (3, 1))
    studio = Planes.packed(every, matrix=BT709, full_range=True).studio()
    assert studio[0].tolist() == np.rint(16 + np.arange(256) * 219 / 255).tolist()
    assert studio[2].tolist() == np.rint(128 + (np.arange(256) - 128) * 224 / 255).tolist()


def test_luminance_of_video_is_stretched() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(1, 256)
    stretched = np.rint((np.arange(256) - 16) * 255 / 219).clip(0, 255)
    assert full_luminance(levels)[0].tolist() == stretched.tolist()


def test_a_plane_that_has_the_size_is_itself_and_another_is_made_between_its_pixels() -> None:
    plane = np.array([[0, 0, 100, 100], [0, 0, 100, 100]], np.uint8)
    assert fitted(plane, (4, 2)) is plane
    assert fitted(plane, (2, 1)).tolist() == [[0, 100]]
    assert fitted(plane, (8, 2))[0].tolist() == [0, 0, 0, 25, 75, 100, 100, 100]
    into = np.zeros((1, 2), np.uint8)
    fitted(plane, (2, 1), into)
    assert into.tolist() == [[0, 100]]


def test_bgr_stays_what_it_is_and_its_parts_are_no_copies() -> None:
    image = scene(40, 40)
    assert bgr(image) is image
    cut = part(image, 3, 5, 10, 9)
    assert cut.shape == (4, 7, 3)
    assert np.shares_memory(cut, image)
    planes = by_hand()
    assert bgr(planes) is planes.bgr()
    assert planes.scaled(4, 2).shape == (2, 4, 3)
    grey = Planes.packed(np.full((9, 8), 128, np.uint8), matrix=BT709, full_range=True)
    assert set(grey.scaled(4, 2).ravel().tolist()) == {128}


def test_colours_are_those_of_the_nearest_pixels() -> None:
    """Each colour stands for four pixels, and no two are mixed."""
    packed = np.full((6, 4), 128, np.uint8)
    packed[4:] = [[0, 255, 128, 128], [128] * 4]
    shown = Planes.packed(packed, matrix=BT601, full_range=True).bgr().astype(int)
    for left, top in ((0, 0), (2, 0), (0, 2), (2, 2)):
        assert len(np.unique(shown[top : top + 2, left : left + 2].reshape(4, 3), axis=0)) == 1
    assert shown[0, 0].tolist() == [0, 172, 128]
    assert shown[0, 2].tolist() == [255, 84, 128]
    assert shown[2, 2].tolist() == [128, 128, 128]


@pytest.mark.parametrize(
    "edges", [(0, 0, 320, 240), (10, 20, 50, 60), (11, 21, 52, 61), (10, 20, 51, 61), (319, 9, 320, 10)]
)
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


def test_opencv_works_in_the_thread_that_asks() -> None:
    """Its own threads go on looking for work for a while, on cores that are the model's."""
    assert cv2.getNumThreads() == 1
