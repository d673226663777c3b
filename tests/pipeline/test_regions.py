"""EDGED_REGIONS=auto: crops around what moves and what is known, few of them, and all of it now and then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edged.errors import ConfigError
from edged.imaging.geometry import Region
from edged.model import detector
from edged.pipeline.regions import Attention, crops
from edged.pipeline.seams import merged
from edged.records import Box, Detection, Frame
from edged.scene.motion import Background
from edged.settings.declared import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from edged.records import Image

BASE = Region(0, 0, 1280, 720)
SIZE = (320, 320)
SURFACE = np.random.default_rng(3).integers(60, 200, (45, 80, 1)).repeat(16, 0).repeat(16, 1)


def shows(regions: list[Region], box: Box) -> bool:
    """Whether one of the regions has all of the box."""
    x1, y1, x2, y2 = box
    return any(
        one.box.x1 <= x1 and one.box.y1 <= y1 and x2 <= one.box.x2 and y2 <= one.box.y2 for one in regions
    )


def test_a_small_thing_is_seen_in_its_own_size_and_near_ones_together() -> None:
    one, near, far = Box(600, 300, 620, 340), Box(700, 300, 720, 330), Box(1200, 700, 1210, 715)
    found = crops([one, near, far], BASE, SIZE)
    assert len(found) == 2
    assert {(crop.width, crop.height) for crop in found} == {SIZE}
    assert all(shows(found, box) for box in (one, near, far))


def test_a_large_thing_is_seen_whole() -> None:
    large = Box(300, 100, 700, 500)
    found = crops([large], BASE, SIZE)
    assert shows(found, large)
    assert found[0].width == found[0].height == 560, "with a fifth of it on each side"


@pytest.mark.parametrize("count", [1, 7, 40, 150])
def test_however_many_things_there_are_all_are_seen_in_four_crops(count: int) -> None:
    random = np.random.default_rng(count)
    places = random.uniform((0, 0), (1240, 680), (count, 2)).tolist()
    wanted = [Box(x, y, x + 40, y + 40) for x, y in places]
    found = crops(wanted, BASE, SIZE)
    assert 1 <= len(found) <= 4
    for box in wanted:
        assert shows(found, box)
    assert shows([BASE], Box(*min(found).box[:2], *max(found).box[2:])), "and nothing beyond the frame"


def picture(number: int, *, block: int | None = None) -> Image:
    noise = np.random.default_rng(number).normal(0, 2, SURFACE.shape)
    image = np.clip(SURFACE + noise, 0, 255).astype(np.uint8).repeat(3, 2)
    if block is not None:
        image[400:440, block : block + 24] = 5
    return image


def looks(images: list[Image], tracked: tuple[Box, ...] = ()) -> list[list[Any]]:
    attention = Attention(Background(), watches=True)
    return [
        [*attention.of(Frame(n, image, n / 5, n / 5, n / 5), BASE, SIZE, tracked)]
        for n, image in enumerate(images)
    ]


def test_what_moves_is_looked_at_where_it_is() -> None:
    images = [picture(n, block=800 + 8 * n if n >= 6 else None) for n in range(10)]
    found = looks(images)
    assert found[0][0] is None, "at first all of it"
    assert all(parts == [None] for parts in found[1:5]), "nothing moves: all of it"
    for n in (6, 7, 8):
        assert None not in found[n]
        assert shows(found[n], Box(800 + 8 * n, 400, 824 + 8 * n, 440))


def test_all_of_it_and_the_next_tile_is_looked_at_once_a_second() -> None:
    """A known thing rests: it is looked at in every frame, the rest of the picture now and then."""
    known = Box(100, 100, 120, 130)
    found = looks([picture(0)] * 60, (known,))
    assert [n for n, parts in enumerate(found) if None in parts] == list(range(0, 60, 5))
    assert all(shows([part for part in parts if part], known) for parts in found)
    tiles = {part for parts in found for part in parts if part} - {found[1][0]}
    assert len(tiles) == 12, "another one each time"
    assert max(len(parts) for parts in found) <= Attention(Background(), watches=True).most


def test_a_piece_of_what_nobody_saw_whole_is_left_out() -> None:
    crop = Region(400, 200, 320, 320)
    piece = Detection(0, "car", 0.8, Box(650, 300, 720, 380))
    inside = Detection(0, "car", 0.8, Box(450, 300, 520, 380))
    assert merged([(crop, [piece, inside])], BASE, known=()) == [inside]
    assert merged([(crop, [piece])], BASE, known=()) == []
    assert merged([(crop, [piece])], BASE, known=(Box(660, 300, 740, 380),)) == [piece], "it was whole before"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"track": False}, "EDGED_TRACK is off"),
        ({"tiles": (2, 2)}, "EDGED_TILES are two ways"),
        ({"model": "mobilenet_v1_0.25_128_quant"}, "says what all of it shows"),
    ],
)
def test_what_does_not_go_with_it_is_told(more: dict[str, Any], message: str, shared: Path) -> None:
    name = more.pop("model", "yolov8n_224_full_integer_quant")
    settings = Settings(model=shared / "models" / f"{name}.tflite", source="-", regions="auto", **more)
    with pytest.raises(ConfigError, match=message):
        detector.load(settings)
