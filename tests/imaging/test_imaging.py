"""Frames into tensors and detections onto frames."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.errors import ConfigError, ModelError
from edged.imaging.drawing import annotate
from edged.imaging.geometry import Geometry, letterbox
from edged.imaging.marks import class_colour
from edged.imaging.tensors import Encoding, Preprocessor, pixel_table
from edged.records import Box, Detection, Keypoint, TensorSpec

if TYPE_CHECKING:
    from edged.records import Image, Tensor

YOLO = Encoding("letterbox", low=0.0, high=1.0, border=114)
SSD = Encoding("stretch", low=-1.0, high=1.0, raw_when_quantised=True)
FACE = Encoding("letterbox", low=-1.0, high=1.0)
YOLOX = Encoding("corner", low=0.0, high=255.0, border=114, order="bgr")
CHANNELS = Encoding("stretch", low=(-2.0, -1.0, 0.0), high=(2.0, 1.0, 3.0), order="bgr")
SIZES = ((1280, 720), (480, 848), (320, 320), (333, 500), (97, 31))
"""Wide, tall, as large as the input, with an odd border, enlarged."""


def spec(
    shape: tuple[int, ...], dtype: str = "float32", *, scale: float = 0.0, zero_point: int = 0
) -> TensorSpec:
    return TensorSpec("input", shape, np.dtype(dtype), scale, zero_point)


def noise(size: tuple[int, int], seed: int = 0) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)


def plainly(image: Image, of: TensorSpec, encoding: Encoding) -> Tensor:
    """The same step by step, as one would write it without a thought for speed."""
    planar, grey = of.shape[3] not in (1, 3), 1 in of.shape[1:]
    target = (of.shape[3], of.shape[2]) if planar else (of.shape[2], of.shape[1])
    height, width = image.shape[:2]
    if encoding.fit == "letterbox":
        scale = min(target[0] / width, target[1] / height)
        inner = round(width * scale), round(height * scale)
        spare = (target[0] - inner[0]) / 2, (target[1] - inner[1]) / 2
        left, right = round(spare[0] - 0.1), round(spare[0] + 0.1)
        top, bottom = round(spare[1] - 0.1), round(spare[1] + 0.1)
        border = (encoding.border,) * 3
        resized = cv2.resize(image, inner) if inner != (width, height) else image
        resized = cv2.copyMakeBorder(resized, top, bottom, left, right, cv2.BORDER_CONSTANT, value=border)
    elif encoding.fit == "corner":
        scale = min(target[0] / width, target[1] / height)
        small = cv2.resize(image, (int(width * scale), int(height * scale)))
        resized = np.full((target[1], target[0], 3), encoding.border, np.uint8)
        resized[: small.shape[0], : small.shape[1]] = small
    else:
        resized = cv2.resize(image, target)
    if grey:
        resized = cv2.cvtColor(cv2.cvtColor(resized, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    pixels = resized[:, :, :: -1 if encoding.order == "rgb" else 1].astype(np.float64)
    if encoding.raw_when_quantised and of.dtype.kind in "iu":
        pixels += np.iinfo(of.dtype).min
    else:
        low, high = np.array(encoding.low), np.array(encoding.high)
        pixels = low + pixels * (high - low) / 255
        if of.quantised:
            limits = np.iinfo(of.dtype)
            pixels = np.clip(np.rint(pixels / of.scale) + of.zero_point, limits.min, limits.max)
    pixels = pixels[:, :, :1] if grey else pixels
    pixels = pixels.transpose(2, 0, 1) if planar else pixels
    return pixels.astype(of.dtype)[np.newaxis]


INPUTS = {
    "int8": spec((1, 320, 320, 3), "int8", scale=1 / 255, zero_point=-128),
    "int8 of odd scale": spec((1, 320, 320, 3), "int8", scale=0.01865844801068306, zero_point=-14),
    "uint8": spec((1, 320, 320, 3), "uint8", scale=1 / 255),
    "float32": spec((1, 320, 320, 3)),
    "float16": spec((1, 320, 320, 3), "float16"),
    "planar float32": spec((1, 3, 320, 320)),
    "planar int8": spec((1, 3, 320, 320), "int8", scale=1 / 255, zero_point=-128),
    "grey int8": spec((1, 96, 96, 1), "int8", scale=1 / 255, zero_point=-128),
    "planar grey": spec((1, 1, 96, 128)),
    "oblong": spec((1, 192, 320, 3), "uint8", scale=1 / 128, zero_point=127),
}


@pytest.mark.parametrize(
    "encoding", [YOLO, SSD, FACE, YOLOX, CHANNELS], ids=["yolo", "ssd", "face", "yolox", "channels"]
)
@pytest.mark.parametrize("of", INPUTS.values(), ids=INPUTS)
def test_writes_what_the_plain_formula_gives(of: TensorSpec, encoding: Encoding) -> None:
    """Every dtype, layout and fit equals resize, border, channels and quantisation done one by one."""
    preprocess = Preprocessor(of, encoding)
    for size in SIZES:
        image = noise(size)
        tensor = preprocess.new_input()
        assert (tensor.shape, tensor.dtype) == (of.shape, of.dtype)
        preprocess(image, tensor)
        np.testing.assert_array_equal(tensor, plainly(image, of, encoding))


def test_borders_are_right_in_every_buffer() -> None:
    """Buffers that take turns, and frames that change their size, never show each other's pixels."""
    of = INPUTS["int8"]
    preprocess = Preprocessor(of, YOLO)
    pool = [preprocess.new_input() for _ in range(3)]
    generator = np.random.default_rng(1)
    for step in range(60):
        image = noise(SIZES[generator.integers(len(SIZES))], step)
        tensor = pool[generator.integers(len(pool))]
        preprocess(image, tensor)
        np.testing.assert_array_equal(tensor, plainly(image, of, YOLO))


def test_a_new_buffer_is_not_taken_for_an_old_one() -> None:
    """A buffer that is gone leaves nothing behind that a new one at its address could be mistaken for."""
    of = INPUTS["uint8"]
    preprocess, image = Preprocessor(of, YOLO), noise((1280, 720))
    for _ in range(20):
        tensor = np.full(of.shape, 7, of.dtype)
        preprocess(image, tensor)
        np.testing.assert_array_equal(tensor, plainly(image, of, YOLO))
        del tensor


def test_more_sizes_than_are_remembered() -> None:
    """A folder of pictures, each of its own size, is no problem."""
    preprocess = Preprocessor(INPUTS["uint8"], YOLO)
    tensor = preprocess.new_input()
    for width in [*range(100, 140), 100]:
        image = noise((width, 77))
        assert preprocess(image, tensor) == preprocess.geometry(width, 77)
        np.testing.assert_array_equal(tensor, plainly(image, INPUTS["uint8"], YOLO))


@pytest.mark.parametrize("of", [INPUTS["int8"], INPUTS["float32"], INPUTS["planar float32"]], ids=str)
def test_frames_cost_no_memory(of: TensorSpec) -> None:
    """Once a size is known, a frame allocates no pictures or tensors, only a few small objects."""
    preprocess, image = Preprocessor(of, YOLO), noise((1280, 720))
    tensor = preprocess.new_input()
    preprocess(image, tensor)
    tracemalloc.start()
    for _ in range(5):
        preprocess(image, tensor)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000


def test_a_buffer_of_another_model_is_refused() -> None:
    """A tensor that does not fit is an error, not a picture written beside it."""
    preprocess = Preprocessor(INPUTS["int8"], YOLO)
    for wrong in (np.empty((1, 320, 320, 3), np.uint8), np.empty((1, 640, 640, 3), np.int8)):
        with pytest.raises(ValueError, match=r"the input is int8\[1, 320, 320, 3\]"):
            preprocess(noise((64, 64)), wrong)


@pytest.mark.parametrize(
    ("of", "seen"),
    [
        (spec((1, 320, 320, 2)), "float32[1, 320, 320, 2], not one picture"),
        (spec((4, 320, 320, 3)), "float32[4, 320, 320, 3], not one picture"),
        (spec((1, 1001)), "float32[1, 1001], not one picture"),
        (spec((1, 320, 320, 3), "int16", scale=0.1), "as int16"),
        (spec((1, 320, 320, 3), "int64"), "as int64"),
    ],
)
def test_inputs_that_take_no_picture_are_refused(of: TensorSpec, seen: str) -> None:
    """The message shows the input."""
    with pytest.raises(ModelError) as error:
        Preprocessor(of, YOLO)
    assert seen in str(error.value)


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ((1280, 720), (640, 640), (0, 140, 640, 360)),
        ((720, 1280), (640, 640), (140, 0, 360, 640)),
        ((640, 480), (320, 320), (0, 40, 320, 240)),
        (
            (335, 500),
            (640, 640),
            (105, 0, 429, 640),
        ),  # 105.5 to spare on both sides: the odd pixel goes right
        ((500, 335), (640, 640), (0, 105, 640, 429)),
        ((10_000, 1), (640, 640), (0, 319, 640, 1)),  # never thinner than a pixel
    ],
)
def test_letterbox_is_placed_as_in_training(
    source: tuple[int, int], target: tuple[int, int], expected: tuple[int, int, int, int]
) -> None:
    """Left, top, width and height come from the rounding the models were trained with."""
    assert letterbox(source, target) == expected


@given(
    source=st.tuples(st.integers(1, 8000), st.integers(1, 8000)),
    target=st.tuples(st.sampled_from([192, 320, 416, 640]), st.sampled_from([192, 320, 384, 640])),
    encoding=st.sampled_from([YOLO, SSD]),
    corner=st.tuples(*[st.floats(0, 1)] * 4),
)
def test_geometry_inverts(
    source: tuple[int, int], target: tuple[int, int], encoding: Encoding, corner: tuple[float, ...]
) -> None:
    """A box of the frame, put into the input by scale and border, comes back where it was."""
    preprocess = Preprocessor(spec((1, target[1], target[0], 3)), encoding)
    geometry = preprocess.geometry(*source)
    box = np.array(corner) * (source * 2)
    scale = np.array((geometry.scale_x, geometry.scale_y) * 2)
    pad = np.array((geometry.pad_x, geometry.pad_y) * 2)
    inside = box * scale + pad
    assert (inside >= 0).all()
    assert (inside <= np.array(target * 2) + 1e-6).all()
    np.testing.assert_allclose(geometry.to_source(inside[np.newaxis])[0], box, atol=1e-6)


def test_boxes_are_clipped_to_the_frame() -> None:
    """What lies in the border of the letterbox ends at the edge of the frame."""
    geometry = Geometry(0.5, 0.5, 0, 140, 1280, 720)
    boxes = np.array([[-10, 0, 700, 640], [0, 140, 320, 320]], np.float32)
    assert geometry.to_source(boxes).tolist() == [[0, 0, 1280, 720], [0, 0, 640, 360]]
    assert geometry.to_source(boxes[:0]).shape == (0, 4)


@given(
    dtype=st.sampled_from(["int8", "uint8"]),
    scale=st.floats(1e-3, 0.1),
    zero_point=st.integers(-128, 255),
    encoding=st.sampled_from([YOLO, FACE]),
    pixel=st.integers(0, 255),
)
def test_quantises_to_nearest(
    dtype: str, scale: float, zero_point: int, encoding: Encoding, pixel: int
) -> None:
    """No other stored value comes nearer to the real value of a pixel than the one in the table."""
    limits = np.iinfo(dtype)
    zero_point = min(max(zero_point, limits.min), limits.max)
    table = pixel_table(spec((1, 8, 8, 3), dtype, scale=scale, zero_point=zero_point), encoding)
    assert (table.shape, table.dtype) == ((256, 3), np.dtype(dtype))
    low, high = np.array(encoding.low), np.array(encoding.high)
    real = float(low + pixel / 255 * (high - low))
    every = scale * (np.arange(limits.min, limits.max + 1) - zero_point)
    stored = int(table[pixel, 0])
    assert abs(scale * (stored - zero_point) - real) <= np.abs(every - real).min() + 1e-9


def test_quantised_ssd_models_get_the_pixels_themselves() -> None:
    """uint8 inputs take pixels as they are and int8 ones less 128, whatever their scale says."""
    for scale, zero_point in ((1 / 128, 128), (1 / 128, 127), (0.0, 0)):
        raw = pixel_table(spec((1, 8, 8, 3), "uint8", scale=scale, zero_point=zero_point), SSD)
        assert raw.T.tolist() == [list(range(256))] * 3
    signed = pixel_table(spec((1, 8, 8, 3), "int8", scale=1 / 128, zero_point=-1), SSD)
    assert signed.T.tolist() == [list(range(-128, 128))] * 3
    real = pixel_table(spec((1, 8, 8, 3)), SSD)
    np.testing.assert_allclose(real[:, 0], (np.arange(256) - 127.5) / 127.5, atol=1e-7)


def detection(class_id: int, *box: float, label: str = "thing", score: float = 0.5) -> Detection:
    return Detection(class_id, label, score, Box(*box))


def touched(image: Image) -> np.ndarray[Any, np.dtype[np.bool_]]:
    coloured: np.ndarray[Any, np.dtype[np.bool_]] = (image != 0).any(axis=2)
    return coloured


@pytest.mark.parametrize(
    "box", [(0, 0, 40, 40), (600, 320, 640, 360), (600, 0, 640, 360), (0, 350, 640, 360)]
)
def test_labels_stay_inside_the_frame(box: tuple[int, ...]) -> None:
    """A label at the edge of the frame is as large as one in the middle: nothing of it is cut off."""

    def label_rows(*corners: int) -> int:
        drawn = np.zeros((360, 640, 3), np.uint8)
        annotate(drawn, [detection(0, *corners, label="a label of some length, longer than its box")])
        return int((touched(drawn).sum(axis=1) > 150).sum())

    assert label_rows(*box) >= label_rows(200, 200, 240, 240) > 10


def test_the_tag_says_what_it_is_more_exactly() -> None:
    bird = detection(0, 200, 150, 400, 300, label="bird")
    drawn = []
    for one in (bird._replace(sub_label="robin"), bird._replace(label="robin"), bird):
        image = np.zeros((360, 640, 3), np.uint8)
        annotate(image, [one])
        drawn.append(image)
    assert np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])


def test_draws_the_box_where_it_is() -> None:
    """The outline runs along the box and leaves the inside and the rest of the frame alone."""
    image = np.zeros((360, 640, 3), np.uint8)
    annotate(image, [detection(5, 200, 150, 400, 300)])
    colour = class_colour(5)
    for x, y in ((200, 200), (399, 200), (300, 299), (390, 150)):
        assert tuple(image[y, x].tolist()) == colour
    assert not touched(image)[160:290, 210:390].any()
    assert not touched(image)[:, 410:].any()
    assert not touched(image)[310:].any()


def test_draws_what_is_known_beyond_the_box() -> None:
    """Visible points are joined as the skeleton says, hidden ones left out, and the outline is closed."""
    image = np.zeros((360, 640, 3), np.uint8)
    points = (Keypoint(250, 200, 0.9), Keypoint(350, 200, 0.6), Keypoint(350, 280, 0.3))
    annotate(
        image,
        [
            detection(5, 200, 150, 400, 300)._replace(
                keypoints=points,
                skeleton=((0, 1), (1, 2)),
                outline=((210, 160), (390, 160), (390, 290)),
            )
        ],
    )
    drawn = touched(image)
    assert drawn[200, 300]
    assert drawn[160, 300]
    assert drawn[225, 300]  # from the last corner back to the first
    assert not drawn[215:250, 345:355].any()


def test_nothing_found_leaves_the_frame_alone() -> None:
    """A frame without detections is the frame itself."""
    image = noise((64, 48))
    before = image.copy()
    annotate(image, [])
    np.testing.assert_array_equal(image, before)


def test_the_best_score_lies_on_top() -> None:
    """Where boxes overlap, the better one is seen, in whatever order they come."""
    worse, better = detection(1, 10, 60, 110, 110, score=0.4), detection(2, 10, 60, 110, 110, score=0.9)
    for order in ([worse, better], [better, worse]):
        image = np.zeros((120, 120, 3), np.uint8)
        annotate(image, order)
        assert tuple(image[100, 10].tolist()) == class_colour(2)


def test_tags_of_one_box_lie_below_each_other() -> None:
    """Several classes of one place are all to be read."""

    def rows(*found: Detection) -> int:
        image = np.zeros((360, 640, 3), np.uint8)
        annotate(image, found)
        return int((touched(image).sum(axis=1) > 60).sum())

    first, second = (detection(number, 100, 100, 540, 300, score=0.9 - number / 10) for number in range(2))
    tag = rows(first) - 4
    assert rows(first, second) >= rows(first) + tag // 2


def test_classes_have_colours_of_their_own() -> None:
    """No two of the 90 COCO classes share a colour."""
    assert len({class_colour(class_id) for class_id in range(90)}) == 90


@pytest.mark.parametrize("encoding", [YOLO, SSD])
def test_a_region_is_looked_at_as_if_it_were_the_frame(encoding: Encoding) -> None:
    """The input holds the region and nothing else, and boxes come back in pixels of the whole frame."""
    of = INPUTS["uint8"]
    frame = noise((400, 300))
    whole, part = np.zeros(of.shape, of.dtype), np.zeros(of.shape, of.dtype)
    alone = Preprocessor(of, encoding)(np.ascontiguousarray(frame[40:240, 50:350]), whole)
    cropped = Preprocessor(of, encoding, (50, 40, 300, 200))(frame, part)
    assert np.array_equal(whole, part)
    boxes = np.array([[3.0, 5.0, 20.0, 25.0], [-9.0, -9.0, 900.0, 900.0]])
    assert np.allclose(cropped.to_source(boxes), alone.to_source(boxes) + np.array((50, 40, 50, 40)))


def test_of_a_frame_outside_the_region_all_is_looked_at() -> None:
    """Before the run such a size is refused; in mid-run no frame is lost for it, and it is told."""
    of = INPUTS["uint8"]
    preprocess = Preprocessor(of, YOLO, (500, 0, 10, 10))
    problem = "EDGED_ROI begins at 500,0, outside the frame of 400x300"
    with pytest.raises(ConfigError, match=problem):
        preprocess.check(400, 300)
    small, cropped, whole = (np.zeros(of.shape, of.dtype) for _ in range(3))
    assert preprocess(noise((400, 300)), small) == Preprocessor(of, YOLO)(noise((400, 300)), whole)
    assert preprocess.problem == problem
    assert np.array_equal(small, whole)
    preprocess.check(640, 480)
    assert preprocess(noise((640, 480)), cropped).left == 500
    assert preprocess.problem == ""


def test_the_way_of_an_object_is_drawn_in_its_colour_and_a_place_alone_is_none() -> None:
    image = np.zeros((200, 400, 3), np.uint8)
    walked = detection(0, 300, 20, 340, 100)._replace(track=7, path=((0.1, 0.9), (0.1, 0.5)))
    stood = detection(0, 300, 120, 340, 180)._replace(track=8, path=((0.2, 0.9),))
    annotate(image, [walked, stood])
    assert image[150, 40].tolist() == list(class_colour(7)), "from its first place to the second"
    assert image[100, 180].tolist() == list(class_colour(7)), "and to where it stands now"
    assert not (image[110:, :290] == class_colour(8)).all(axis=2).any()


def test_whole_numbers_take_pixels_as_they_are() -> None:
    """MoveNet's original input."""
    preprocess = Preprocessor(spec((1, 64, 64, 3), "int32"), YOLO)
    image, tensor = noise((64, 64)), preprocess.new_input()
    preprocess(image, tensor)
    np.testing.assert_array_equal(tensor[0], image[..., ::-1])
