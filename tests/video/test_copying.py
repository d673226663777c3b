"""EDGED_RECORD=copy: a camera's own packets in segments, with the detections beside them."""

from __future__ import annotations

import itertools
import subprocess
import threading
import time
from fractions import Fraction
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeVar

import av
import pytest
from film import complaints, lines, play, segments
from made import picture, result
from source_clips import make, number_of

from edged.metrics import Meter
from edged.sinks.video import VideoSink
from edged.sources.packets.tap import JpegTap, StreamTap, Tap
from edged.video.archive import Archive
from edged.video.copying import Copier, Timeline
from edged.video.recorder import Events, FolderRecorder
from edged.video.retention import Retention
from edged.video.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edged.records import Result
    from edged.video.segments import Sample

T = TypeVar("T")

FPS = 25


def copying(folder: Path, *, length: float = 2.0, events: Events | None = None) -> VideoSink:
    retention = Retention(folder, budget=None, reserve=0)
    return VideoSink(
        FolderRecorder(folder, retention, length_s=length, events=events),
        meter=Meter(),
        boot_id="b" * 32,
        copies=True,
    )


def taker(sink: VideoSink) -> Copier:
    assert sink.copier is not None
    return sink.copier


def look(sink: VideoSink, number: int, *, seen: bool = False) -> None:
    """What the model says of the newest packet."""
    sink.send(result(number, pts=number / FPS, ts=time.time(), seen=seen, waits=False))


def feed(listener: Copier, *clips: Path, each: Callable[[int], object] = lambda _: None) -> list[bool]:
    """Hand on all packets of clips, each a connection; which of them were keyframes."""
    tap, keys = Tap(), []
    tap.hand_to([listener])
    for clip in clips:
        with av.open(str(clip)) as container:
            through = StreamTap(tap, container.streams.video[0])
            for packet in container.demux(video=0):
                if packet.size:
                    through.packet(packet)
                    keys.append(packet.is_keyframe)
                    each(len(keys) - 1)
            through.end()
    return keys


def numbers(path: Path) -> list[int]:
    """What the pictures of a file show."""
    with av.open(str(path)) as container:
        return [
            number_of(frame.to_ndarray(format="bgr24").astype("uint8")) for frame in container.decode(video=0)
        ]


@pytest.mark.parametrize(
    ("codec", "suffix"), [("libx264", "ts"), ("libx264", "flv"), ("libx265", "ts"), ("mjpeg", "mkv")]
)
def test_every_packet_is_in_a_file_that_begins_with_a_keyframe(
    tmp_path: Path, codec: str, suffix: str
) -> None:
    clip = make(tmp_path / f"clip.{suffix}", frames=110, codec=codec)
    sink = copying(tmp_path / "out")
    sink.open()
    keys = feed(taker(sink), clip, each=lambda number: look(sink, number))
    sink.close()
    assert sink.account() == {"packets": 110, "packets_lost": 0}
    assert len(keys) == 110
    found = segments(tmp_path / "out")
    assert len(found) >= 2
    if codec != "libx265":  # whose groups of pictures are open: the first to be shown need those before
        assert [number for path in found for number in numbers(path)] == list(range(110))
    assert [complaints(path) for path in found] == [""] * len(found)
    packets = 0
    for path in found:
        with av.open(str(path)) as container:
            inside = [packet for packet in container.demux(video=0) if packet.size]
        assert inside[0].is_keyframe
        packets += len(inside)
    assert packets == 110


def test_mjpeg_makes_no_fragment_of_each_picture(tmp_path: Path) -> None:
    """The disk is waited for at every fragment."""
    clip = make(tmp_path / "clip.mkv", frames=100, codec="mjpeg")
    sink = copying(tmp_path / "out", length=60)
    sink.open()
    feed(taker(sink), clip)
    sink.close()
    (path,) = segments(tmp_path / "out")
    assert 3 <= path.read_bytes().count(b"moof") <= 6


def test_a_camera_with_few_keyframes_is_on_the_disk_all_the_same(tmp_path: Path) -> None:
    clip = make(tmp_path / "clip.ts", frames=150, gop=1000)
    sink = copying(tmp_path / "out", length=60)
    sink.open()
    feed(taker(sink), clip)
    path = wait_for(lambda: segments(tmp_path / "out"))[0]
    sink.close()
    assert path.read_bytes().count(b"moof") >= 5
    assert numbers(path) == list(range(150))


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


def late(sink: VideoSink, clip: Path, *, by: int, seen: Callable[[int], bool] = lambda _: False) -> None:
    """All of a connection, each packet looked at, and told of so many packets later."""
    waiting: list[Result] = []

    def each(number: int) -> None:
        waiting.append(result(number, pts=number / FPS, ts=time.time(), seen=seen(number), waits=False))
        if len(waiting) > by:
            sink.send(waiting.pop(0))

    feed(taker(sink), clip, each=each)
    for one in waiting:  # when the camera is gone
        sink.send(one)


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
    recorder = Blocked(
        tmp_path / "out", Retention(tmp_path / "out", budget=None, reserve=0), length_s=60, events=None
    )
    recorder.go = threading.Event()
    sink = VideoSink(recorder, meter=Meter(), boot_id="b" * 32, copies=True)
    sink.open()
    feed(taker(sink), clips[0], each=lambda number: look(sink, number))
    recorder.go.set()
    wait_for(sink._writer._queue.empty)  # noqa: SLF001  # nothing else tells
    feed(taker(sink), clips[1], each=lambda number: look(sink, 1000 + number))
    sink.close()
    first, last = segments(tmp_path / "out")
    assert [line["frame_id"] for line in lines(first)] == numbers(first)
    assert [line["frame_id"] for line in lines(last)] == list(range(1000, 1050))


def test_another_size_codec_or_connection_begins_another_file(tmp_path: Path) -> None:
    clips = [
        make(tmp_path / "one.ts", frames=30),
        make(tmp_path / "two.ts", frames=30, size=(320, 192)),
        make(tmp_path / "three.ts", frames=30, codec="libx265"),
        make(tmp_path / "four.ts", frames=30, codec="libx265"),
    ]
    sink = copying(tmp_path / "out", length=60)
    sink.open()
    feed(taker(sink), *clips)
    sink.close()
    films = [play(path) for path in segments(tmp_path / "out")]
    assert [(film.codec, film.width, len(film.times)) for film in films] == [
        ("h264", 160, 30),
        ("h264", 320, 30),
        ("hevc", 160, 30),
        ("hevc", 160, 30),
    ]


def test_what_came_is_on_the_disk_as_soon_as_the_camera_is_lost(tmp_path: Path) -> None:
    clip = make(tmp_path / "clip.ts", frames=30)
    sink = copying(tmp_path / "out", length=60)
    sink.open()
    feed(taker(sink), clip)
    wait_for(lambda: [numbers(path) for path in segments(tmp_path / "out")] == [list(range(30))])
    sink.close()


class Blocked(FolderRecorder):
    """A disk that stands still until it is let go."""

    go = threading.Event()

    def take(self, sample: Sample) -> None:
        self.go.wait(30)
        super().take(sample)


def test_a_disk_that_stands_still_holds_no_camera_up(tmp_path: Path) -> None:
    clips = [make(tmp_path / f"{n}.ts", frames=n, b_frames=0) for n in (200, 100)]
    recorder = Blocked(
        tmp_path / "out", Retention(tmp_path / "out", budget=None, reserve=0), length_s=60, events=None
    )
    recorder.go = threading.Event()
    writer = Writer(recorder)
    recorder.open()
    writer.start()
    copier = Copier(writer)
    began = time.monotonic()
    feed(copier, clips[0])
    assert time.monotonic() - began < 5
    assert "does not keep up" in copier.problem
    assert copier.copied + copier.dropped == 200
    assert copier.copied in {150, 151}
    recorder.go.set()
    recorded = copier.copied
    wait_for(writer._queue.empty)  # noqa: SLF001  # nothing else tells
    feed(copier, clips[1])
    assert writer.close(10)
    assert copier.problem == ""
    first, last = (numbers(path) for path in segments(tmp_path / "out"))
    assert first == list(range(recorded)), "no picture is missing before the gap"
    assert last == list(range(100))


def test_a_codec_that_mp4_does_not_take_is_told(tmp_path: Path) -> None:
    clip = make(tmp_path / "clip.mkv", frames=5, codec="mpeg4")
    sink = copying(tmp_path / "out")
    sink.open()
    feed(taker(sink), clip)
    assert sink.problem == "EDGED_RECORD=copy cannot keep mpeg4: it takes h264, hevc, mjpeg"
    assert sink.account() == {"packets": 0, "packets_lost": 5}
    sink.close()


def test_pictures_without_times_go_by_the_clock(tmp_path: Path) -> None:
    from edged.imaging.jpeg import encoded

    sink = copying(tmp_path / "out")
    sink.open()
    tap = Tap()
    tap.hand_to([taker(sink)])
    jpegs = JpegTap(tap)
    for number in range(12):
        jpegs.jpeg(encoded(picture(number), 80))
        time.sleep(0.05)
    sink.close()
    (path,) = segments(tmp_path / "out")
    times = play(path).times
    assert len(times) == 12
    assert all(0.04 < b - a < 0.5 for a, b in itertools.pairwise(times))


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


def wait_for(found: Callable[[], T]) -> T:
    deadline = time.monotonic() + 20
    while not (it := found()):
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)
    return it
