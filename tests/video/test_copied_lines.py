"""EDGED_RECORD=copy: the detections beside the pictures that they are of."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING

import av
import pytest
from copied import FPS, Blocked, copying, feed, late, look, numbers, taker
from daemon import until
from film import lines, play, segments
from made import result
from source_clips import make
from structlog.testing import capture_logs

from edged.backoff import Backoff
from edged.metrics import Meter
from edged.sinks.video import VideoSink
from edged.sources.packets.tap import StreamTap, Tap
from edged.video.archive import Archive

if TYPE_CHECKING:
    from pathlib import Path

    from edged.records import Result


def test_a_line_says_where_its_picture_is(tmp_path: Path) -> None:
    """The pictures come out of order, and every third is looked at."""
    clip = make(tmp_path / "clip.ts", frames=100)
    sink = copying(tmp_path / "out", length=1.6)
    sink.open()
    asked: list[float] = []

    def each(number: int) -> None:
        if number % 3 == 0:
            asked.append(time.time())
            look(sink, number)

    feed(taker(sink), clip, each=each)
    sink.close()
    found = segments(tmp_path / "out")
    assert len(found) == 3
    ids = []
    for path in found:
        times = play(path).times
        for line in lines(path):
            ids.append(line["frame_id"])
            begun = path != found[0] or line["at"] >= times[0]  # no decoder gives a picture before that
            assert not begun or min(abs(line["at"] - shown) for shown in times) < 0.002
    assert ids == list(range(0, 100, 3)), "each once"
    archive = Archive(tmp_path / "out")
    line = lines(found[-1])[2]
    name, after_s = archive.find(line["ts_capture"]) or ("", 0.0)
    assert name == found[-1].name
    assert after_s == pytest.approx(line["at"])


def test_more_results_than_packets_are_all_kept_and_those_without_video_are_not(tmp_path: Path) -> None:
    """As of a small stream that is looked at while the large one is slower, or is not there."""
    clip = make(tmp_path / "clip.ts", frames=20, b_frames=0)
    sink = copying(tmp_path / "out", length=60)
    sink.open()
    count = itertools.count()
    for _ in range(3):
        look(sink, 1000 + next(count), seen=True)
    begun = next(count)

    def twice(_: int) -> None:
        look(sink, next(count))
        look(sink, next(count))

    feed(taker(sink), clip, each=twice)
    last = next(count)
    look(sink, 1000 + last, seen=True)
    feed(taker(sink), clip)
    sink.close()
    first, second = segments(tmp_path / "out")
    kept = [line["frame_id"] for line in lines(first)]
    assert kept == list(range(begun + 1, last)), "those of the last packet, too, that none follows"
    assert [line["at"] for line in lines(first)][::2] == [line["at"] for line in lines(first)][1::2]
    assert not second.with_suffix(".jsonl").exists()


@pytest.mark.parametrize("by", [1, 7])
def test_what_is_found_when_the_next_file_has_begun_or_the_camera_is_gone_is_beside_its_picture(
    tmp_path: Path, by: int
) -> None:
    clip = make(tmp_path / "clip.ts", frames=110, b_frames=0)
    sink = copying(tmp_path / "out")
    sink.open()
    late(sink, clip, by=by)
    sink.close()
    found = segments(tmp_path / "out")
    assert len(found) >= 2
    for path in found:
        assert [line["frame_id"] for line in lines(path)] == numbers(path)
        assert [line["at"] for line in lines(path)] == pytest.approx(play(path).times, abs=0.002)


def test_another_camera_has_no_line_beside_the_pictures_of_the_one_before(tmp_path: Path) -> None:
    """After a reload its first pictures may be looked at before any packet of it is handed on."""
    clip = make(tmp_path / "clip.ts", frames=30, b_frames=0)
    sink, tap = copying(tmp_path / "out", length=60), Tap()
    sink.open()
    tap.hand_to([taker(sink)])
    with av.open(str(clip)) as container:
        through = StreamTap(tap, container.streams.video[0])
        for number, packet in enumerate(container.demux(video=0)):
            if packet.size:
                through.packet(packet)
                look(sink, number)
        tap.hand_to([])
        look(sink, 1000)
        through.end()
    sink.close()
    (path,) = segments(tmp_path / "out")
    assert [line["frame_id"] for line in lines(path)] == list(range(30))


def test_a_line_of_a_picture_that_the_disk_has_not_taken_is_beside_no_other(tmp_path: Path) -> None:
    clips = [make(tmp_path / f"{n}.ts", frames=n, b_frames=0) for n in (200, 50)]
    recorder = Blocked(tmp_path / "out")
    sink = VideoSink(recorder, meter=Meter(), boot_id="b" * 32, copies=True)
    sink.open()
    feed(taker(sink), clips[0], each=lambda number: look(sink, number))
    recorder.go.set()
    until(sink._writer._queue.empty)  # noqa: SLF001  # nothing else tells
    feed(taker(sink), clips[1], each=lambda number: look(sink, 1000 + number))
    sink.close()
    first, last = segments(tmp_path / "out")
    assert [line["frame_id"] for line in lines(first)] == numbers(first)
    assert [line["frame_id"] for line in lines(last)] == list(range(1000, 1050))


def test_lines_that_cannot_be_stored_beside_the_last_segment_keep_no_other_from_being_recorded(
    tmp_path: Path,
) -> None:
    """The disk is well, and one file on it is not: somebody has made a folder of it."""
    clip = make(tmp_path / "clip.ts", frames=30, b_frames=0)
    sink = copying(tmp_path / "out", length=60)
    sink._writer._backoff = Backoff(0.01, 0.01)  # noqa: SLF001  # it is a second otherwise
    sink.open()
    found: list[Result] = []
    feed(
        taker(sink),
        clip,
        each=lambda number: found.append(result(number, pts=number / FPS, ts=time.time(), waits=False)),
    )
    until(lambda: segments(tmp_path / "out"))
    segments(tmp_path / "out")[0].with_suffix(".jsonl").mkdir()
    with capture_logs() as logs:
        sink.send(found[-1])
        until(lambda: [line["event"] for line in logs] == ["detections_not_stored"])
    until(lambda: not sink.problem)
    feed(taker(sink), clip)
    sink.close()
    assert [numbers(path) for path in segments(tmp_path / "out")] == [list(range(30))] * 2
