"""Recording only around what is seen."""

from __future__ import annotations

import dataclasses
import itertools
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from film import complaints, lines, play, segments
from loaded import load
from made import START, results
from recording import into_folder, record, video_sink

from edged.errors import ConfigError, SinkError
from edged.metrics import Meter
from edged.records import Box, Event, Presence
from edged.sinks import Context, NoControl
from edged.sinks.video import VideoSink
from edged.video.encoder import CLOCK_HZ, Packet
from edged.video.preroll import PreRoll
from edged.video.recorder import Events, FolderRecorder
from edged.video.retention import Retention
from edged.video.segments import Sample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edged.records import Result

ROLL = Events(pre_roll_s=2.0, post_roll_s=3.0)


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


def with_presence(presence: Callable[[float], Presence], *, detected: bool = True) -> Iterator[Result]:
    """Twenty seconds in which a detector sees something all the time, or never."""
    for result in results(20, seen=lambda _: detected):
        yield dataclasses.replace(result, presence=presence(result.frame.pts))


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (ROLL, [(5, 17)]),
        (Events(2.0, 3.0, labels=frozenset({"person"})), [(5, 13)]),
        (Events(2.0, 3.0, zones=frozenset({"porch"})), [(7, 15)]),
        (Events(2.0, 3.0, labels=frozenset({"cat"}), zones=frozenset({"porch"})), []),
    ],
)
def test_confirmed_objects_of_the_labels_and_zones_that_matter_are_recorded(
    tmp_path: Path, wanted: Events, expected: list[tuple[float, float]]
) -> None:
    """A person from 7 to 10, on the porch from 9 to 12, a cat from 10 to 14; a false box all the time."""

    def there(pts: float) -> Presence:
        counts = {"person": 1} if 7 <= pts < 10 else {"cat": 1} if 10 <= pts < 14 else {}
        return Presence(counts, {"porch": {"person": 1} if 9 <= pts < 12 else {}, "road": {"cat": 1}}, {})

    sink = video_sink(
        FolderRecorder(tmp_path, Retention(tmp_path, budget=None, reserve=0), length_s=60, events=wanted),
        wanted,
    )
    record(sink, with_presence(there))
    found = spans(tmp_path)
    assert len(found) == len(expected)
    for (begin, end), (first, last) in zip(found, expected, strict=True):
        assert first - 1.1 <= begin <= first
        assert last - 0.1 <= end <= last + 1.1


def event(number: int, brightness: int, kind: str = "update") -> Event:
    box = Box(0, 0, 9, 9)
    return Event(
        kind, f"{number:016x}", ("picture",), "", 1, "person", 0.9, 0.9, box, box, 160, 120, START, START,
        None, 1.0, False, (), (), {}, (), (), np.full((30, 20, 3), brightness, np.uint8),
    )  # fmt: skip


def grey(path: Path) -> float:
    """How bright a picture is."""
    image = cv2.imread(str(path))
    assert image is not None
    return float(image.mean())


def test_the_best_picture_of_an_event_lies_beside_its_segment_and_goes_with_it(tmp_path: Path) -> None:
    foreign = tmp_path / "2026-11-23T03-01-22Z.holiday.jpg"
    foreign.write_bytes(b"mine")
    sink = into_folder(tmp_path, length=2, budget=200_000)
    sink.open()
    for number, result in enumerate(results(8, size=(320, 240), noise=True)):
        if number in {2, 10}:
            sink.tell([event(1, 10 * number)])
        if number == 130:
            sink.tell([event(2, 77)])
        sink.send(result)
    sink.close()
    kept = segments(tmp_path)
    pictures = sorted(path for path in tmp_path.glob("*.jpg") if path != foreign)
    assert kept[0].stem != "2026-11-23T03-01-22Z", "the first segment went"
    assert [path.name for path in pictures] == [f"{kept[-1].stem}.{2:016x}.jpg"]
    assert abs(grey(pictures[0]) - 77) < 3
    assert foreign.read_bytes() == b"mine"


def test_the_newest_of_two_pictures_of_one_event_stays(tmp_path: Path) -> None:
    sink = into_folder(tmp_path, length=60)
    sink.open()
    for number, result in enumerate(results(4)):
        if number in {2, 50}:
            sink.tell([event(1, 2 * number)])
        sink.send(result)
    sink.close()
    (picture,) = tmp_path.glob("*.jpg")
    assert picture.name == f"{segments(tmp_path)[0].stem}.{1:016x}.jpg"
    assert abs(grey(picture) - 100) < 3


def test_a_zone_that_there_is_not_is_told(tmp_path: Path) -> None:
    events = {"EDGED_EVENTS": "true", "EDGED_EVENT_ZONES": "Porch, road", "EDGED_ZONE_PORCH": "0,0 1,0 1,1"}
    settings = load(EDGED_OUTPUT=str(tmp_path), **events)
    with pytest.raises(ConfigError, match=r"names 'road'.* Set EDGED_ZONE_ROAD"):
        VideoSink.create(settings, Context(Meter(), NoControl(), "0" * 32))


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
    kept = ring.take()[0]
    assert kept[0].packet.keyframe
    assert [sample.packet.pts for sample in kept] == [n * CLOCK_HZ // 10 for n in range(960, 1000)]
    assert ring.take()[0] == []


def test_the_ring_is_bounded_in_bytes_too() -> None:
    ring = PreRoll(60.0, most_bytes=50_000)
    for sample in samples(1000):
        ring.add(sample)
        assert ring._bytes <= 60_000  # noqa: SLF001  # the promise is about memory
    kept = ring.take()[0]
    assert kept[0].packet.keyframe
    assert len(kept) <= 60


def test_what_comes_before_a_keyframe_is_not_kept() -> None:
    ring = PreRoll(3.0)
    for sample in samples(15)[1:]:
        ring.add(sample)
    assert [sample.packet.pts for sample in ring.take()[0]] == [n * CLOCK_HZ // 10 for n in range(10, 15)]


def test_pictures_of_events_do_not_pile_up_while_the_encoder_fails(tmp_path: Path) -> None:
    recorder = FolderRecorder(tmp_path, Retention(tmp_path, budget=None, reserve=0), length_s=60, events=ROLL)
    sink = video_sink(recorder, codecs=("no_such_encoder",))
    sink.open()
    for number, made in enumerate(results(0.5)):
        sink.tell([event(number, 200)])
        with pytest.raises(SinkError, match="no_such_encoder"):
            sink.send(made)
        assert not sink._pictures  # noqa: SLF001  # nothing else tells
    sink.close()
