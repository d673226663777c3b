"""EDGED_RECORD=copy: a camera's own packets in segments, every one and as it came."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING

import av
import pytest
from copied import Blocked, copying, feed, look, numbers, taker
from daemon import until
from film import complaints, play, segments
from made import picture
from source_clips import joined_flv, make

from edged.sources.packets.tap import JpegTap, Tap
from edged.video.copying import Copier
from edged.video.writer import Writer

if TYPE_CHECKING:
    from pathlib import Path


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
    until(lambda: segments(tmp_path / "out"))
    (path,) = segments(tmp_path / "out")
    sink.close()
    assert path.read_bytes().count(b"moof") >= 5
    assert numbers(path) == list(range(150))


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


def test_parameter_sets_that_come_beside_the_packets_begin_another_file(tmp_path: Path) -> None:
    """An RTMP server keeps its viewers while the camera begins anew."""
    sizes = [(160, 96), (320, 192)]
    parts = [make(tmp_path / f"{n}.flv", frames=20, size=size) for n, size in enumerate(sizes)]
    sink = copying(tmp_path / "out")
    sink.open()
    feed(taker(sink), joined_flv(tmp_path / "joined.flv", *parts))
    sink.close()
    found = segments(tmp_path / "out")
    assert [complaints(path) for path in found] == ["", ""]
    assert [(play(path).width, play(path).height) for path in found] == sizes
    assert [numbers(path) for path in found] == [list(range(20))] * 2


def test_what_came_is_on_the_disk_as_soon_as_the_camera_is_lost(tmp_path: Path) -> None:
    clip = make(tmp_path / "clip.ts", frames=30)
    sink = copying(tmp_path / "out", length=60)
    sink.open()
    feed(taker(sink), clip)
    until(lambda: [numbers(path) for path in segments(tmp_path / "out")] == [list(range(30))])
    sink.close()


def test_a_disk_that_stands_still_holds_no_camera_up(tmp_path: Path) -> None:
    clips = [make(tmp_path / f"{n}.ts", frames=n, b_frames=0) for n in (200, 100)]
    recorder = Blocked(tmp_path / "out")
    writer = Writer(recorder)
    recorder.open()
    writer.start()
    copier = Copier(writer)
    began = time.monotonic()
    feed(copier, clips[0])
    assert time.monotonic() - began < 20
    assert "does not keep up" in copier.problem
    assert copier.copied + copier.dropped == 200
    assert copier.copied in {150, 151}
    recorder.go.set()
    recorded = copier.copied
    until(writer._queue.empty)  # noqa: SLF001  # nothing else tells
    feed(copier, clips[1])
    assert writer.close(60)
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
