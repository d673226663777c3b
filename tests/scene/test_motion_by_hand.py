"""What moves, in small pictures drawn by hand: how faint, how small, where, and how long it is seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edged.pixels import BT601, Planes
from edged.scene.motion import Background, Change
from edged.settings.areas import Area

if TYPE_CHECKING:
    from edged.records import Image

NONE, PART, ALL = Change.NONE, Change.PART, Change.ALL
GROUND, FAINT, BRIGHT = 100, 112, 200
"""Levels. A faint thing differs by 0.087 as a logarithm; 0.05 counts where there is no noise."""
Spot = tuple[int, int, int, int]
"""x1, y1, x2, y2."""


def picture(
    *spots: Spot, level: int = FAINT, width: int = 80, height: int = 60, ground: int = GROUND
) -> Image:
    """Even ground, and spots of one level."""
    image = np.full((height, width, 3), ground, np.uint8)
    for x1, y1, x2, y2 in spots:
        image[y1:y2, x1:x2] = level
    return image


def found(*spots: Spot, known: Background | None = None, **drawn: int) -> list[Spot]:
    """Where something moves once the spots are there."""
    known = known or Background()
    bare = picture(**{name: value for name, value in drawn.items() if name != "level"})
    for now in (0.0, 0.2):
        known.look(bare, now)
    known.look(picture(*spots, **drawn), 0.4)
    return sorted(tuple(round(edge) for edge in box) for box in known.things)  # type: ignore[misc]


def test_the_first_picture_is_all_new_and_the_same_again_is_nothing() -> None:
    known = Background()
    assert known.change is NONE
    assert [known.look(picture(), 5.0), known.look(picture(), 5.2), known.change] == [ALL, NONE, NONE]
    assert known.things == ()


@pytest.mark.parametrize("level", [FAINT, 89])
def test_a_thing_is_where_it_came_be_it_brighter_or_darker(level: int) -> None:
    assert found((30, 20, 40, 34), level=level) == [(30, 20, 40, 34)]
    assert found((10, 20, 18, 34), (50, 8, 56, 20), level=level) == [(10, 20, 18, 34), (50, 8, 56, 20)]


def test_places_are_told_in_pixels_of_the_picture_and_not_of_the_small_one() -> None:
    assert found((200, 100, 240, 160), width=600, height=300) == [(200, 100, 240, 160)]
    assert found((200, 100, 240, 160), width=600, height=160) == [(200, 100, 240, 160)]
    assert found((800, 400, 896, 496), width=1200, height=600) == [(800, 400, 896, 496)]
    assert found((100, 400, 160, 440), width=300, height=600) == [(100, 400, 160, 440)]
    assert found((512, 100, 544, 160), width=603, height=301) == [(515, 100, 547, 161)]
    assert found((100, 490, 120, 510), width=300, height=511, level=BRIGHT) == [(98, 489, 122, 511)]


def test_only_pictures_longer_than_255_pixels_are_made_smaller() -> None:
    small = (100, 20, 105, 22)
    assert found(small, width=255) == [(101, 20, 104, 22)]
    assert found(small, width=256) == []


def test_nothing_smaller_than_six_pixels_moves_and_neighbours_hang_together() -> None:
    """The ends of a faint bar fade, so that of five pixels in a row three are left."""
    assert found((30, 20, 35, 22)) == [(31, 20, 34, 22)]
    assert found((30, 20, 34, 22)) == []
    assert found((30, 20, 34, 22), level=113) == [(30, 20, 34, 22)], "here the ends do not fade enough"
    known = Background()
    assert found((30, 20, 34, 22), (50, 20, 54, 22), known=known) == []
    assert known.change is NONE
    assert found((30, 20, 35, 22), (50, 20, 54, 22)) == [(31, 20, 34, 22)]


def test_what_moved_before_is_not_told_when_nothing_moves_or_all_does() -> None:
    known = Background()
    assert found((30, 20, 40, 34), known=known)
    assert known.look(picture(), 0.6) is NONE
    assert known.things == ()
    assert found((30, 20, 40, 34), known=known)
    assert known.look(picture(width=70), 0.8) is ALL
    assert known.things == ()


def test_a_faint_thing_is_seen_and_a_fainter_one_is_not() -> None:
    assert found((30, 20, 40, 34), level=108)
    assert not found((30, 20, 40, 34), level=106)


def test_what_stays_becomes_background_within_seconds_and_its_going_is_news() -> None:
    """A change of 0.56 fades to a twelfth in 2.4 s, at every frame rate."""
    for fps in (2.0, 10.0):
        known, here = Background(), picture((30, 20, 36, 30), level=BRIGHT)
        found((30, 20, 36, 30), level=BRIGHT, known=known)
        seen = [known.look(here, 0.4 + number / fps) for number in range(1, int(4 * fps))]
        assert 2.0 <= seen.count(PART) / fps <= 2.6
        assert seen == sorted(seen, key=lambda change: change is NONE)
        assert known.look(picture(), 10.0) is PART


def test_where_no_time_passes_or_time_begins_anew_nothing_is_learned() -> None:
    known, here = Background(), picture((30, 20, 36, 30), level=BRIGHT)
    for now in (50.0, 50.2):
        known.look(picture(), now)
    assert {known.look(here, now) for now in [50.2] * 30} == {PART}
    assert {known.look(here, 3.0) for _ in range(30)} == {PART}
    assert [known.look(here, now) for now in (6.0, 6.2)] == [PART, NONE]


def noisy(image: Image, sigma: float, random: np.random.Generator) -> Image:
    return np.clip(image + random.normal(0, sigma, (*image.shape[:2], 1)), 0, 255).astype(np.uint8)


def learned(sigma: float, seconds: float, known: Background, begins: float = 0.0) -> list[Change]:
    """Looks at a picture that is nothing but ground and noise."""
    random = np.random.default_rng(3)
    return [
        known.look(noisy(picture(), sigma, random), begins + number / 5) for number in range(int(5 * seconds))
    ]


def test_noise_is_learned_and_forgotten() -> None:
    """So that it counts for nothing, and what is fainter than it neither."""
    known = Background()
    assert set(learned(6.0, 15.0, known)[50:]) == {NONE}
    bar, wall = (30, 15, 40, 45), (20, 10, 34, 50)
    assert known.look(picture(bar), 15.2) is NONE
    assert known.look(picture(wall, level=140), 15.4) is PART
    learned(0.0, 15.0, known, 15.6)
    assert known.look(picture(bar), 30.8) is PART


def test_a_surprise_does_not_count_as_noise_at_once() -> None:
    known = Background()
    learned(0.0, 2.0, known)
    learned(6.0, 0.4, known, 2.0)
    assert known.look(picture((30, 15, 40, 45)), 2.4) is PART


def test_however_noisy_a_picture_a_change_of_a_sixth_is_seen() -> None:
    known = Background()
    learned(30.0, 20.0, known)
    assert known.look(picture((30, 15, 40, 45), level=135), 20.2) is PART


def surfaces(light: float = 1.0) -> Image:
    """From dark to bright, with hard edges."""
    image = np.repeat(np.repeat(np.array([[10, 60, 150], [200, 20, 90]]), 30, 0), 27, 1)
    return np.repeat(np.clip(image * light, 0, 255).astype(np.uint8)[..., np.newaxis], 3, 2)


@pytest.mark.parametrize("light", [0.87, 0.95, 1.1, 1.16])
def test_light_that_changes_everywhere_is_no_motion(light: float) -> None:
    known = Background()
    assert [known.look(surfaces(), 0.0), known.look(surfaces(light), 0.2)] == [ALL, NONE]


@pytest.mark.parametrize("ground", [20, 100])
def test_light_that_changes_is_taken_away_in_the_dark_as_well(ground: int) -> None:
    known = Background()
    known.look(picture(ground=ground), 0.0)
    assert known.look(picture(ground=round(ground * 1.2)), 0.2) is NONE
    assert known.look(picture((30, 15, 40, 45), ground=ground, level=ground * 2), 0.4) is PART


def test_a_large_thing_does_not_make_its_surroundings_move() -> None:
    assert found((30, 20, 46, 40), level=255, ground=10) == [(29, 19, 47, 41)]
    assert found((30, 20, 46, 40), level=10, ground=250) == [(29, 19, 47, 41)]


def test_in_the_black_a_light_is_a_thing() -> None:
    assert found((30, 20, 40, 34), level=60, ground=0) == [(29, 19, 41, 35)]


def stripes(shift: int, width: int = 6, every: int = 16, level: int = BRIGHT) -> Image:
    return picture(*((x, 0, x + width, 60) for x in range(shift, 80, every)), level=level)


def test_a_camera_may_tremble_by_a_pixel_but_not_by_more() -> None:
    x, y = 30, 20
    for right, down, change in ((1, 0, NONE), (-1, 0, NONE), (0, 1, NONE), (1, -1, NONE), (4, 0, PART)):
        known = Background()
        known.look(picture((x, y, x + 20, y + 20), level=BRIGHT), 0.0)
        shaken = (x + right, y + down, x + right + 20, y + down + 20)
        assert known.look(picture(shaken, level=BRIGHT), 0.2) is change, (right, down)


def test_where_nearly_half_of_the_picture_changes_it_is_another_picture_and_known_at_once() -> None:
    for width, change in ((2, PART), (10, ALL)):
        known = Background()
        known.look(picture(), 0.0)
        assert known.look(stripes(3, width), 0.2) is change
        assert known.look(stripes(3, width), 0.2) is (NONE if change is ALL else PART)


LEFT = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))
UPPER = ((0.0, 0.0), (1.0, 0.0), (1.0, 0.5), (0.0, 0.5))


def test_in_a_mask_and_a_pixel_beside_it_nothing_moves() -> None:
    spots = (5, 5, 15, 15), (5, 40, 15, 50), (60, 5, 70, 15), (60, 40, 70, 50)
    for points, seen in ((LEFT, (2, 3)), (UPPER, (1, 3))):
        assert found(*spots, known=Background([Area("m", points)])) == sorted(spots[n] for n in seen)
    both = [Area("m", LEFT), Area("n", UPPER)]
    assert found(*spots, known=Background(both)) == [spots[3]]
    assert len(found(*spots, known=Background([Area("m", LEFT, frozenset({"person"}))]))) == 4
    assert found((36, 20, 50, 30), known=Background([Area("m", LEFT)])) == [(42, 20, 50, 30)]


def test_what_happens_in_a_mask_changes_no_light_outside_it() -> None:
    known = Background([Area("m", LEFT)])
    known.look(picture(), 0.0)
    assert known.look(picture((0, 0, 38, 60), level=255), 0.2) is NONE


def test_what_part_of_a_picture_moves_is_told_of_what_is_not_masked() -> None:
    known = Background([Area("m", LEFT)])
    known.look(picture(), 0.0)
    right = picture(*((x, 0, x + 8, 60) for x in range(42, 80, 16)), level=BRIGHT)
    assert known.look(right, 0.2) is ALL


def test_only_what_moves_in_the_region_counts() -> None:
    corners = [(x, y, x + 16, y + 16) for x in (208, 336) for y in (108, 156)]
    outside = [(176, 136, 192, 152), (372, 136, 388, 152), (272, 80, 288, 96), (272, 192, 288, 208)]
    known = Background(region=(200, 100, 160, 80))
    assert found(*corners, *outside, known=known, width=600, height=300) == sorted(corners)
    known = Background(region=(200, 100, 160, 80))
    assert found((340, 120, 380, 140), known=known, width=600, height=300) == [(340, 120, 356, 140)]


@pytest.mark.parametrize("region", [(80, 0, 10, 10), (0, 60, 10, 10), (90, 5, 10, 10), (5, 90, 10, 10)])
def test_where_none_of_the_region_is_in_the_picture_all_of_it_counts(region: Spot) -> None:
    assert found((30, 20, 40, 34), known=Background(region=region)) == [(30, 20, 40, 34)]


@pytest.mark.parametrize("size", [(1, 1), (1, 600), (600, 1), (2, 301), (513, 3)])
def test_pictures_of_odd_sizes_are_taken(size: tuple[int, int]) -> None:
    known = Background()
    width, height = size
    assert [known.look(picture(width=width, height=height), now) for now in (0.0, 0.2)] == [ALL, NONE]


@pytest.mark.parametrize("full", [False, True])
def test_of_video_the_luminance_is_looked_at_in_levels_of_pictures(full: bool) -> None:  # noqa: FBT001  # a case
    def planes(image: Image) -> Planes:
        levels = image[..., 0] if full else np.rint(16 + image[..., 0] * (219 / 255)).astype(np.uint8)
        grey = np.full((30, 40), 128, np.uint8)
        return Planes(levels, grey, grey, matrix=BT601, full_range=full)

    known = Background()
    known.look(planes(picture()), 0.0)
    assert known.look(planes(picture((30, 20, 40, 34), level=109)), 0.2) is PART
    assert known.look(planes(picture()), 0.4) is NONE
    assert known.look(picture(), 0.6) is NONE, "the same in BGR"
    assert known.look(planes(picture((30, 20, 40, 34), level=105)), 0.8) is NONE
