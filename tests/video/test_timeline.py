"""The times of copied packets: they grow, whatever the camera says."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import pytest

from edged.video.copying import Timeline


def packet(pts: int | None, dts: int | None = None) -> av.Packet[Any]:
    made: av.Packet[Any] = av.Packet(b"x")
    made.time_base = Fraction(1, 1000)
    made.pts, made.dts = pts, pts if dts is None else dts
    return made


@pytest.mark.parametrize(
    ("said", "came", "expected"),
    [
        ([1000, 1040, 1080], [0, 0.04, 0.08], [0, 40, 80]),
        ([1000, 1040, 1080], [0, 3, 3], [0, 40, 80]),  # a stall of the network, then all at once
        ([5000, 1000, 1040], [0, 0.04, 0.08], [0, 40, 80]),  # the camera set its clock back
        ([1000, 90_000_000, 90_000_040], [0, 0.04, 0.08], [0, 40, 80]),  # and far ahead
        ([1000, 9000, 9040], [0, 8, 8.04], [0, 8000, 8040]),  # nothing came for a while
        ([None, None, None], [0, 0.04, 0.08], [0, 40, 80]),  # no times at all
        ([1000, None, 1080], [0, 0.04, 0.08], [0, 40, 80]),
    ],
)
def test_times_grow_whatever_the_camera_says(
    said: list[int | None], came: list[float], expected: list[int]
) -> None:
    times = Timeline()
    given = [
        times.follow(packet(pts), 100 + now, anew=n == 0)
        for n, (pts, now) in enumerate(zip(said, came, strict=True))
    ]
    assert [dts for dts, _ in given] == pytest.approx([90 * ms for ms in expected], abs=3)


def test_times_go_on_in_the_next_connection() -> None:
    times = Timeline()
    times.follow(packet(777_000), 0.0, anew=True)
    assert times.follow(packet(5), 60.0, anew=True)[0] == pytest.approx(60 * 90_000, abs=2)


def test_twice_the_same_time_is_none() -> None:
    times = Timeline()
    given = [times.follow(packet(ms), 0.0, anew=False)[0] for ms in (0, 40, 40, 39, 80)]
    assert given == sorted(set(given))
