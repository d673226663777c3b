"""Recording only around what is seen."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from film import complaints, lines, play, segments
from made import START, results
from recording import into_folder, record

from edged.video.encoder import CLOCK_HZ, Packet
from edged.video.preroll import PreRoll
from edged.video.recorder import Events
from edged.video.segments import Sample

if TYPE_CHECKING:
    from pathlib import Path

ROLL = Events(pre_roll=2.0, post_roll=3.0)


def spans(folder: Path) -> list[tuple[float, float]]:
    """Media time of the first and the last picture of each segment; all of them play."""
    found = []
    for path in segments(folder):
        beside = lines(path)
        assert len(play(path).times) == len(beside)
        assert complaints(path) == ""
        found.append((beside[0]["pts"], beside[-1]["pts"]))
    return found


def test_nothing_is_recorded_where_nothing_is_seen(tmp_path: Path) -> None:
    record(into_folder(tmp_path, events=ROLL), results(10))
    assert list(tmp_path.iterdir()) == []


def test_an_event_is_recorded_with_what_was_before_and_after(tmp_path: Path) -> None:
    record(into_folder(tmp_path, length=60, events=ROLL), results(20, seen=lambda pts: 8.5 <= pts <= 10))
    ((begin, end),) = spans(tmp_path)
    assert 8.5 - 2 - 1 <= begin <= 8.5 - 2
    assert 10 + 3 <= end <= 10 + 3 + 1
    assert segments(tmp_path)[0].stem == "2026-11-23T03-01-28Z"
    assert int(START + begin) - int(START) == 6


def test_an_event_at_the_very_beginning_has_what_there_is_before_it(tmp_path: Path) -> None:
    record(into_folder(tmp_path, length=60, events=ROLL), results(10, seen=lambda pts: pts == 0.5))
    ((begin, _),) = spans(tmp_path)
    assert begin == 0


def test_what_comes_again_within_the_post_roll_is_the_same_event(tmp_path: Path) -> None:
    seen = {5.0, 7.5, 10.0}
    record(into_folder(tmp_path, length=60, events=ROLL), results(20, seen=lambda pts: pts in seen))
    ((begin, end),) = spans(tmp_path)
    assert begin <= 3
    assert end >= 13


def test_events_one_right_after_the_other_lose_nothing_between_them(tmp_path: Path) -> None:
    # The first is over at 8 and a bit; the second one's pre-roll reaches back into it.
    seen = {5.0, 9.5}
    record(into_folder(tmp_path, length=60, events=ROLL), results(20, seen=lambda pts: pts in seen))
    first, second = spans(tmp_path)
    assert first[1] >= 8
    assert second[0] == pytest.approx(first[1] + 0.05)


def test_long_events_are_cut_into_segments_without_a_gap(tmp_path: Path) -> None:
    record(into_folder(tmp_path, length=4, events=ROLL), results(30, seen=lambda pts: 5 <= pts <= 20))
    found = spans(tmp_path)
    assert len(found) >= 4
    for before, after in itertools.pairwise(found):
        assert after[0] == pytest.approx(before[1] + 0.05)


def test_no_pre_roll_begins_with_the_keyframe_before(tmp_path: Path) -> None:
    record(into_folder(tmp_path, events=Events(0, 0)), results(10, seen=lambda pts: pts == 5.5))
    ((begin, end),) = spans(tmp_path)
    assert 4.5 <= begin <= 5.5 <= end <= 6.5


def samples(count: int, *, size: int = 1000) -> list[Sample]:
    """Ten a second, every tenth a keyframe."""
    return [
        Sample(Packet(bytes(size), n * CLOCK_HZ // 10, n % 10 == 0), START + n / 10, b"", seen=False)
        for n in range(count)
    ]


def test_the_ring_holds_the_time_it_should_and_begins_with_a_keyframe() -> None:
    ring = PreRoll(3.0)
    for sample in samples(1000):
        ring.add(sample)
    kept = ring.take()
    assert kept[0].packet.keyframe
    assert [sample.packet.pts for sample in kept] == [n * CLOCK_HZ // 10 for n in range(960, 1000)]
    assert ring.take() == []


def test_the_ring_is_bounded_in_bytes_too() -> None:
    ring = PreRoll(60.0, most_bytes=50_000)
    for sample in samples(1000):
        ring.add(sample)
        assert ring._bytes <= 60_000  # noqa: SLF001  # the promise is about memory
    kept = ring.take()
    assert kept[0].packet.keyframe
    assert len(kept) <= 60


def test_what_comes_before_a_keyframe_is_not_kept() -> None:
    ring = PreRoll(3.0)
    for sample in samples(15)[1:]:
        ring.add(sample)
    assert [sample.packet.pts for sample in ring.take()] == [n * CLOCK_HZ // 10 for n in range(10, 15)]
