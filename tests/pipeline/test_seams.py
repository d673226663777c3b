"""Several looks at one frame make one list: no object twice, none in halves, no neighbour lost."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from edged.imaging.geometry import Region
from edged.pipeline.regions import OVERLAP, grid
from edged.pipeline.seams import merged
from edged.records import Box, Detection, Keypoint

BASE = Region(0, 0, 1000, 500)
LEFT, RIGHT = Region(0, 0, 550, 500), Region(450, 0, 550, 500)


def found(*box: float, score: float = 0.5, label: str = "person", **more: object) -> Detection:
    return Detection(0, label, score, Box(*box), **more)  # type: ignore[arg-type]


def boxes(detections: list[Detection]) -> list[tuple[int, ...]]:
    return sorted(tuple(round(edge) for edge in one.box) for one in detections)


def test_an_object_in_the_overlap_is_found_once_by_the_better_look() -> None:
    both = merged(
        [
            (LEFT, [found(480, 100, 520, 200, score=0.6)]),
            (RIGHT, [found(483, 102, 523, 203, score=0.8)]),
        ],
        BASE,
    )
    assert both == [found(483, 102, 523, 203, score=0.8)]


def test_two_ends_of_one_object_become_one_and_two_objects_in_the_overlap_stay_two() -> None:
    halves = merged(
        [
            (LEFT, [found(300, 100, 550, 200, score=0.4)]),
            (RIGHT, [found(450, 104, 700, 203, score=0.9)]),
        ],
        BASE,
    )
    assert halves == [found(300, 100, 700, 203, score=0.9)]
    # Each ends at its seam; neither goes on where the other begins.
    two = merged([(LEFT, [found(510, 0, 550, 90)]), (RIGHT, [found(450, 0, 490, 90)])], BASE)
    assert len(two) == 2
    above = merged([(LEFT, [found(300, 0, 550, 90)]), (RIGHT, [found(450, 80, 700, 190)])], BASE)
    assert len(above) == 2, "one stands above the other"


def test_four_quarters_become_one() -> None:
    tiles = grid(BASE, 2, 2)
    thing = Box(300, 100, 800, 450)
    quarters = []
    for tile in tiles:
        x1, y1, x2, y2 = tile.box
        cut = (max(x1, thing.x1), max(y1, thing.y1), min(x2, thing.x2), min(y2, thing.y2))
        quarters.append((tile, [found(*cut)]))
    assert boxes(merged(quarters, BASE)) == [tuple(round(edge) for edge in thing)]


def test_a_piece_gives_way_to_the_whole_and_lends_it_its_score() -> None:
    whole, piece = found(300, 100, 700, 400, score=0.45), found(300, 100, 549, 400, score=0.9)
    assert merged([(BASE, [whole]), (LEFT, [piece])], BASE) == [found(300, 100, 700, 400, score=0.9)]
    assert len(merged([(BASE, [whole]), (LEFT, [found(*piece.box, label="dog")])], BASE)) == 2
    small = found(400, 150, 440, 300)
    assert len(merged([(BASE, [whole]), (LEFT, [small])], BASE)) == 2, "it ends at no seam: it stands before"


def test_boxes_of_one_look_are_left_to_its_decoder() -> None:
    pair = [found(100, 100, 200, 200), found(110, 100, 210, 200)]
    assert len(merged([(LEFT, pair), (RIGHT, [])], BASE)) == 2


def test_the_edge_of_the_frame_is_no_seam() -> None:
    both = merged([(LEFT, [found(0, 100, 40, 500)]), (RIGHT, [found(960, 100, 1000, 500)])], BASE)
    assert len(both) == 2


def test_poses_and_outlines_are_put_together_too() -> None:
    ends = merged(
        [
            (
                LEFT,
                [
                    found(
                        300, 100, 550, 200,
                        keypoints=(Keypoint(310, 150, 0.9), Keypoint(549, 150, 0.1)),
                        outline=((300, 100), (550, 100), (550, 200), (300, 200)),
                    )
                ],
            ),
            (
                RIGHT,
                [
                    found(
                        450, 100, 700, 200,
                        keypoints=(Keypoint(451, 150, 0.2), Keypoint(690, 150, 0.8)),
                        outline=((450, 100), (700, 100), (700, 200), (450, 200)),
                    )
                ],
            ),
        ],
        BASE,
    )  # fmt: skip
    assert len(ends) == 1
    assert ends[0].keypoints == (Keypoint(310, 150, 0.9), Keypoint(690, 150, 0.8))
    assert sorted(ends[0].outline) == [(300, 100), (300, 200), (700, 100), (700, 200)]


def test_oriented_boxes_side_by_side_stay_two() -> None:
    """Two ships at a pier, across: what encloses them overlaps, they do not."""
    one = ((460, 100), (480, 100), (540, 160), (520, 160))
    other = ((485, 100), (505, 100), (565, 160), (545, 160))
    looks = [
        (BASE, [found(460, 100, 540, 160, outline=one)]),
        (RIGHT, [found(485, 100, 565, 160, outline=other)]),
    ]
    assert len(merged(looks, BASE, exact=True)) == 2
    assert len(merged(looks, BASE)) == 1


def ship(left: float, top: float, length: float, **more: Any) -> Detection:
    """Turned by a quarter of its length, 20 wide; its box ends where the tile does, its outline does not."""
    outline = ((left, top), (left + length, top + length / 4), (left + length - 5, top + length / 4 + 20))
    corners = (*outline, (left - 5, top + 20))
    most = more.pop("most", BASE.box)
    enclosing = (left - 5, top, left + length, top + length / 4 + 20)
    ends = (max, max, min, min)
    return found(
        *(end(a, b) for end, a, b in zip(ends, enclosing, most, strict=True)), outline=corners, **more
    )


def test_an_oriented_box_that_is_put_together_is_one_and_takes_nothing_from_its_neighbour() -> None:
    long = [(LEFT, [ship(230, 140, 360, most=LEFT.box)]), (RIGHT, [ship(350, 173, 360, most=RIGHT.box)])]
    alone = merged(long, BASE, exact=True)
    assert [len(one.outline) for one in alone] == [4]
    beside = ship(260, 220, 410, score=0.9)
    assert len(merged([(BASE, [beside]), *long], BASE, exact=True)) == 2


@pytest.mark.parametrize(("columns", "rows"), [(3, 2), (2, 1), (1, 4), (4, 4)])
@pytest.mark.parametrize("base", [Region(0, 0, 1920, 1080), Region(11, 7, 641, 359)])
def test_tiles_cover_all_of_it_and_overlap(columns: int, rows: int, base: Region) -> None:
    tiles = grid(base, columns, rows)
    assert len(tiles) == columns * rows
    assert len({(tile.width, tile.height) for tile in tiles}) == 1
    assert min(tile.left for tile in tiles) == base.left
    assert min(tile.top for tile in tiles) == base.top
    assert max(tile.box.x2 for tile in tiles) == base.box.x2
    assert max(tile.box.y2 for tile in tiles) == base.box.y2
    for one, other in itertools.pairwise(tiles):
        if one.top == other.top:
            assert one.box.x2 - other.left >= (OVERLAP - 0.03) * one.width
