"""Whether something moves: with a camera's noise, with light that changes, and with things of all speeds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import av
import cv2
import numpy as np
import pytest

from edged.scene.motion import Background, Change
from edged.settings.areas import Area

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edged.records import Image

FPS = 5.0
WIDTH, HEIGHT = 640, 360
RNG = np.random.default_rng(15)
NONE, PART, ALL = Change.NONE, Change.PART, Change.ALL


def _yard() -> Image:
    """Surfaces of all brightnesses with hard edges, some structure, and a shadow."""
    picture = np.full((HEIGHT, WIDTH, 3), 90, np.float32)
    picture[: HEIGHT // 3] = 170
    for left, level in ((40, 20), (200, 120), (380, 60), (500, 235)):
        picture[100:260, left : left + 90] = level
    picture += cv2.resize(RNG.normal(0, 12, (HEIGHT // 6, WIDTH // 6, 3)), (WIDTH, HEIGHT))
    return np.clip(picture, 0, 255).astype(np.uint8)


YARD = _yard()
GRAIN = [RNG.standard_normal(YARD.shape, np.float32) for _ in range(7)]


def shot(picture: Image, *, noise: float = 6.0, light: float = 1.0) -> Image:
    """A picture as a camera gives it: the light times the surface, and noise in every pixel."""
    grain = GRAIN[RNG.integers(len(GRAIN))][:, :: RNG.choice([-1, 1])]
    return np.clip(picture * np.float32(light) + grain * np.float32(noise), 0, 255).astype(np.uint8)


def watch(
    take: Callable[[int], Image], count: int, *, known: Background | None = None, fps: float = FPS
) -> list[Change]:
    """What is found in frames that come at ``fps``, after the first, which is always new."""
    known = known or Background()
    found = [known.look(take(number), number / fps) for number in range(count)]
    assert found[0] is ALL
    return found[1:]


def crossing(number: int, *, speed: float = 60.0, begins: int = 10) -> Image:
    """Somebody 24 pixels wide and 60 tall walks through the yard, ``speed`` pixels a second."""
    picture = YARD.copy()
    if number >= begins:
        x = 20 + round((number - begins) / FPS * speed)
        picture[180:240, x : x + 24] = (70, 40, 150)
    return picture


@pytest.mark.parametrize("noise", [0.0, 3.0, 10.0, 25.0])
def test_noise_is_no_motion(noise: float) -> None:
    assert watch(lambda _: shot(YARD, noise=noise), 60) == [NONE] * 59


@pytest.mark.parametrize("fps", [1.0, 5.0, 15.0])
def test_light_that_drifts_is_no_motion(fps: float) -> None:
    """It becomes half as bright again within 8 s, as when the sun comes out, and darker in the same way."""
    count = round(8 * fps)
    assert set(watch(lambda n: shot(YARD, light=0.6 + 0.3 * n / count), count, fps=fps)) == {NONE}
    assert set(watch(lambda n: shot(YARD, light=0.9 - 0.3 * n / count), count, fps=fps)) == {NONE}


def test_a_switched_light_is_one_change_of_all() -> None:
    """On and off, and no storm behind it."""
    found = watch(lambda n: shot(YARD, light=1.0 if n // 20 % 2 else 0.35), 80)
    assert [n for n, change in enumerate(found, 1) if change is not NONE] == [20, 40, 60]
    assert {found[n - 1] for n in (20, 40, 60)} == {ALL}


def test_more_noise_in_the_dark_is_learned() -> None:
    """The light goes out, and the camera turns up its gain: two seconds later it is quiet."""
    found = watch(lambda n: shot(YARD, light=0.15, noise=25) if n >= 10 else shot(YARD), 60)
    assert found[9] is ALL
    assert found[20:] == [NONE] * 39


@pytest.mark.parametrize("speed", [15.0, 60.0, 200.0])
def test_who_comes_is_noticed_at_once(speed: float) -> None:
    found = watch(lambda n: shot(crossing(n, speed=speed)), 20)
    assert found[:9] == [NONE] * 9
    assert found[9] is PART, "the very first frame"
    assert found.count(PART) >= 9


def test_who_comes_is_noticed_while_the_light_drifts() -> None:
    found = watch(lambda n: shot(crossing(n), light=0.6 + 0.01 * n), 30)
    assert found[9] is PART
    assert found.count(PART) >= 15


def test_what_has_come_to_stay_is_background_after_a_while() -> None:
    """Somebody leaves a box: that is motion for some seconds, not for ever."""
    found = watch(lambda n: shot(crossing(max(n, 10) and min(n, 10))), 60)
    assert found[9] is PART
    assert found[9 + 25 :] == [NONE] * (59 - 34)


def test_a_camera_that_trembles_is_no_motion() -> None:
    """By two pixels of 640, in the wind."""

    def shaken(number: int) -> Image:
        shift = np.array([[1, 0, number % 3 - 1], [0, 1, number // 2 % 5 - 2]], np.float32)
        moved = cv2.warpAffine(YARD, shift, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE)
        return shot(moved, noise=3)  # type: ignore[arg-type]

    assert set(watch(shaken, 60)) == {NONE}


def test_masks_and_what_lies_outside_the_region_do_not_count() -> None:
    """A sign that blinks in a corner: masked it is nothing; a mask for cars only hides no motion."""

    def sign(number: int) -> Image:
        picture = YARD.copy()
        picture[10:40, 20:120] = 255 if number % 2 else 40
        return shot(picture)

    corner = ((0.0, 0.0), (0.4, 0.0), (0.4, 0.15), (0.0, 0.15))
    assert PART in watch(sign, 30)
    assert set(watch(sign, 30, known=Background([Area("sign", corner)]))) == {NONE}
    assert PART in watch(sign, 30, known=Background([Area("sign", corner, frozenset({"car"}))]))
    assert set(watch(sign, 30, known=Background(region=(0, 90, 640, 270)))) == {NONE}
    assert PART in watch(sign, 30, known=Background(region=(700, 400, 100, 100))), "nothing of it is left"
    assert PART in watch(lambda n: shot(crossing(n)), 30, known=Background([Area("sign", corner)]))


def test_another_size_is_another_picture() -> None:
    known = Background()
    assert [known.look(YARD, 0.0), known.look(YARD, 0.2), known.look(YARD[:180], 0.4)] == [ALL, NONE, ALL]
    assert known.look(YARD[:180], 0.6) is NONE


def test_small_and_odd_pictures_are_taken() -> None:
    for size in ((16, 16), (1, 400), (33, 1999)):
        known, picture = Background(), np.zeros((*size, 3), np.uint8)
        assert [known.look(picture, 0.0), known.look(picture, 0.2)] == [ALL, NONE]


def test_real_footage_is_still_just_where_nothing_moves(shared: Path) -> None:
    """A car park from a camera that sways: empty from 0.5 to 4 and from 10.5 to 14 s; cars come between."""
    known, still, last = Background(), [], -1.0
    with av.open(str(shared / "clips" / "car_768x432_h264_30s.mp4")) as clip:
        for frame in clip.decode(video=0):
            assert frame.time is not None
            if frame.time - last < 0.19:
                continue
            last = frame.time
            picture: Image = frame.to_ndarray(format="bgr24")  # type: ignore[assignment]
            if known.look(picture, last) is NONE:
                still.append(last)
    empty = [at for at in still if 0.2 < at < 4.0 or 10.5 < at < 14.0]
    assert len(empty) >= 28, still
    assert not [at for at in still if 5.0 < at < 8.0 or 15.5 < at < 19.0], "cars drive"
