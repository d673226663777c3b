"""EDGED_OUTPUT as a folder."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from daemon import until
from film import complaints, lines, play, segments
from made import START, result, results
from recording import into_folder, record, video_sink

from edged.settings.declared import Settings
from edged.sinks.video import recorder
from edged.video.segments import own_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edged.records import Result


def test_segments_follow_one_another_without_a_gap(tmp_path: Path) -> None:
    record(into_folder(tmp_path / "new" / "folder", length=2), results(7))
    found = segments(tmp_path / "new" / "folder")
    assert [path.name for path in found] == [
        "2026-11-23T03-01-22Z.mp4",
        "2026-11-23T03-01-24Z.mp4",
        "2026-11-23T03-01-26Z.mp4",
        "2026-11-23T03-01-28Z.mp4",
    ]
    shown = [len(play(path).times) for path in found]
    assert shown == [40, 40, 40, 20]
    assert [complaints(path) for path in found] == [""] * 4


def test_cameras_that_begin_together_end_their_segments_one_after_the_other(tmp_path: Path) -> None:
    """Eight cameras do not all want the disk in one moment; later segments have their full length."""
    names = ("front", "back", "side", "door")
    found = {}
    for name in names:
        settings = Settings(
            source="synthetic:",
            model=Path("x.tflite"),
            cameras=names,
            camera=name,
            output=tmp_path / name,
            segment=8,
        )
        record(video_sink(recorder(settings)), results(17))
        found[name] = [len(play(path).times) / 20 for path in segments(tmp_path / name)]
    assert found == {"front": [8, 8, 1], "back": [6, 8, 3], "side": [4, 8, 5], "door": [2, 8, 7]}


def test_beside_each_lie_the_detections_of_its_pictures(tmp_path: Path) -> None:
    record(into_folder(tmp_path), results(5, seen=lambda pts: pts > 3))
    frame_ids = []
    for path in segments(tmp_path):
        film, beside = play(path), lines(path)
        frame_ids += [line["frame_id"] for line in beside]
        # A line's pts less that of the first one is the picture's place in the file.
        assert [line["pts"] - beside[0]["pts"] for line in beside] == pytest.approx(film.times, abs=1e-4)
        for line in beside:
            assert [item["label"] for item in line["detections"]] == ["person"] * (line["pts"] > 3)
            assert line["ts_capture"] == START + line["pts"]
    assert frame_ids == list(range(100))


def test_a_clock_that_jumps_back_overwrites_nothing(tmp_path: Path) -> None:
    def jumping() -> Iterator[Result]:
        for number in range(100):
            pts = number / 20
            yield result(number, pts=pts, ts=START + pts % 2)

    record(into_folder(tmp_path, length=2), jumping())
    found = segments(tmp_path)
    assert [path.stem for path in found] == [
        "2026-11-23T03-01-22Z",
        "2026-11-23T03-01-22Z_02",
        "2026-11-23T03-01-22Z_03",
    ]
    # In the order of names they are in the order of recording.
    assert [lines(path)[0]["frame_id"] for path in found] == [0, 40, 80]
    assert sum(len(play(path).times) for path in found) == 100


def test_what_others_named_alike_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "2026-11-23T03-01-22Z.mp4").write_bytes(b"theirs")
    (tmp_path / "2026-11-23T03-01-22Z_02.jsonl").write_bytes(b"theirs")
    record(into_folder(tmp_path), results(1))
    assert (tmp_path / "2026-11-23T03-01-22Z.mp4").read_bytes() == b"theirs"
    assert (tmp_path / "2026-11-23T03-01-22Z_02.jsonl").read_bytes() == b"theirs"
    assert len(play(tmp_path / "2026-11-23T03-01-22Z_03.mp4").times) == 20


def test_a_new_size_begins_a_new_segment(tmp_path: Path) -> None:
    def changing() -> Iterator[Result]:
        yield from results(1.5, size=(160, 120))
        yield from results(1.5, size=(320, 180), start=1.5)

    record(into_folder(tmp_path, length=60), changing())
    films = [play(path) for path in segments(tmp_path)]
    assert [(film.width, film.height, len(film.times)) for film in films] == [(160, 120, 30), (320, 180, 30)]


def test_an_unfinished_segment_plays_up_to_its_last_keyframe(tmp_path: Path) -> None:
    sink = into_folder(tmp_path, length=60)
    sink.open()
    for made in results(5.5):
        sink.send(made)
    # The lines are there only after the video that they belong to.
    until(lambda: [*tmp_path.glob("*.jsonl")] and len(lines(segments(tmp_path)[0])) >= 100)
    path = segments(tmp_path)[0]
    assert 100 <= len(play(path).times) < 110
    assert complaints(path) == ""
    sink.close()
    assert len(play(path).times) == 110


def test_without_a_result_the_folder_stays_empty(tmp_path: Path) -> None:
    record(into_folder(tmp_path), [])
    assert list(tmp_path.iterdir()) == []


def test_parts_that_a_crash_left_are_swept_away_and_no_others(tmp_path: Path) -> None:
    old = time.time() - 3600
    stale = [tmp_path / ".2026-11-23T03-01-22Z.mp4.part", tmp_path / ".2026-11-23T03-01-22Z_02.jsonl.part"]
    others = [
        tmp_path / ".2026-11-23T03-01-25Z.mp4.part",
        tmp_path / ".film.mp4.part",
        tmp_path / "2026-11-23T03-01-22Z.mp4.part",
    ]
    for path in stale + others:
        path.write_bytes(b"x")
    for path in [*stale, *others[1:]]:
        os.utime(path, (old, old))
    record(into_folder(tmp_path), [])
    assert sorted(tmp_path.iterdir()) == sorted(others)


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("2026-11-23T03-01-22Z.mp4", True),
        ("2026-11-23T03-01-22Z_02.jsonl", True),
        ("2026-11-23T03-01-22Z_117.mp4", True),
        ("2026-11-23T03-01-22Z_2.mp4", False),
        ("2026-11-23T03-01-22Z.mp4.bak", False),
        ("x2026-11-23T03-01-22Z.mp4", False),
        ("2026-11-23T03-01-22Z.mkv", False),
        ("2026-11-23T03-01-22Z.mp4\n", False),
        ("٢026-11-23T03-01-22Z.mp4", False),
        ("holiday.mp4", False),
    ],
)
def test_edged_knows_its_own_names(name: str, own: bool) -> None:  # noqa: FBT001
    assert (own_name(name) is not None) == own
