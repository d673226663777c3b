"""EDGED_RECORD=copy with events only: what is stored of one, and what beside it."""

from __future__ import annotations

import subprocess
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from copied import copying, feed, late, look, numbers, taker
from film import lines, segments
from made import picture
from source_clips import make

from edged.video.recorder import Events

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(("codec", "suffix"), [("libx264", "ts"), ("libx265", "ts"), ("mjpeg", "mkv")])
def test_events_begin_on_the_keyframe_before_their_pre_roll(tmp_path: Path, codec: str, suffix: str) -> None:
    clip = make(tmp_path / f"clip.{suffix}", frames=140, b_frames=0, codec=codec)
    sink = copying(tmp_path / "out", length=60, events=Events(0.6, 0.4))
    sink.open()
    flags = feed(taker(sink), clip, each=lambda number: look(sink, number, seen=number == 55))
    keys = [number for number, key in enumerate(flags) if key]
    sink.close()
    (path,) = segments(tmp_path / "out")
    # Seen in 55, told with 56: 15 pictures before, back to a keyframe, and 10 after, up to the next keyframe.
    begin = max(key for key in keys if key <= 56 - 15)
    end = min(key for key in keys if key > 56 + 10)
    asked = ["ffprobe", "-v", "error", "-show_entries", "packet=flags", "-of", "csv=p=0", str(path)]
    inside = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.split()
    assert [flag[0] == "K" for flag in inside] == flags[begin:end]
    assert inside[0][0] == "K"
    if codec != "libx265":  # of open groups, the first pictures to be shown need those before
        assert numbers(path) == list(range(begin, end))
    assert [line["frame_id"] for line in lines(path) if line["detections"]] == [55]


def test_what_is_found_when_an_event_is_over_is_beside_its_last_pictures(tmp_path: Path) -> None:
    clip = make(tmp_path / "clip.ts", frames=160, b_frames=0)
    sink = copying(tmp_path / "out", length=60, events=Events(0.4, 0.4))
    sink.open()
    late(sink, clip, by=5, seen=lambda number: number in {30, 110})
    sink.close()
    found = segments(tmp_path / "out")
    assert len(found) == 2
    for path in found:
        assert [line["frame_id"] for line in lines(path)] == numbers(path)
        assert any(line["detections"] for line in lines(path))


def test_what_is_seen_when_the_camera_is_gone_already_is_an_event(tmp_path: Path) -> None:
    """Who cuts its cable is in its last pictures."""
    clip = make(tmp_path / "clip.ts", frames=50, b_frames=0)
    sink = copying(tmp_path / "out", length=60, events=Events(0.4, 0.4))
    sink.open()
    late(sink, clip, by=5, seen=lambda number: number == 48)
    sink.close()
    (path,) = segments(tmp_path / "out")
    shown = numbers(path)
    assert shown == list(range(shown[0], 50))
    assert [line["frame_id"] for line in lines(path)] == shown


def test_the_last_picture_of_an_event_that_a_stop_ends_is_stored(tmp_path: Path) -> None:
    clip = make(tmp_path / "clip.ts", frames=30, b_frames=0)
    sink = copying(tmp_path / "out", length=60)
    sink.open()
    feed(taker(sink), clip, each=lambda number: look(sink, number))
    told: Any = SimpleNamespace(event_id="ab" * 8, crop=picture(3))
    sink.tell([told])
    sink.close()
    (path,) = segments(tmp_path / "out")
    assert path.with_suffix(f".{'ab' * 8}.jpg").stat().st_size > 100


def test_a_picture_of_what_is_not_recorded_is_beside_no_segment_of_before(tmp_path: Path) -> None:
    """What a stop ends may be a car, where only persons are recorded, and the last of them left long ago."""
    clip = make(tmp_path / "clip.ts", frames=120, b_frames=0)
    sink = copying(tmp_path / "out", length=60, events=Events(0.4, 0.4))
    sink.open()
    feed(taker(sink), clip, each=lambda number: look(sink, number, seen=number == 30))
    told: Any = SimpleNamespace(event_id="ab" * 8, crop=picture(3))
    sink.tell([told])
    sink.close()
    (path,) = segments(tmp_path / "out")
    assert numbers(path)[-1] < 100, "it was over before"
    assert list((tmp_path / "out").glob("*.jpg")) == []
