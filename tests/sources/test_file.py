"""The file source: what it plays, in which order and how fast."""

from __future__ import annotations

import itertools
import struct
import subprocess
import time
from fractions import Fraction
from itertools import islice
from shutil import which
from typing import TYPE_CHECKING

import cv2
import pytest
from loaded import load
from played import in_order, played, run_ffmpeg
from source_clips import make, nothing_left_to_the_collector, number_of, numbered

from edged.sources.file import FileSource, listed

if TYPE_CHECKING:
    from pathlib import Path


def test_a_percent_sign_in_a_name_is_no_pattern(tmp_path: Path) -> None:
    """FFmpeg would show the pictures that are numbered so, in place of the one of that name."""
    for name, grey in (("s1.tga", 40), ("s%d.tga", 200)):
        head = struct.pack("<BBB5xHHHHBB", 0, 0, 2, 0, 0, 32, 32, 24, 0)
        (tmp_path / name).write_bytes(head + bytes([grey]) * 32 * 32 * 3)
    frames, _ = played(FileSource(str(tmp_path / "s%d.tga")))
    assert [round(float(frame.image.mean())) for frame in frames] == [200]


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "ts", "mov", "flv", "webm"])
def test_every_frame_of_a_clip_comes_in_order(tmp_path: Path, suffix: str) -> None:
    """Every frame of a clip comes once, in order, at its time, whatever the container; B-frames included."""
    codec = {"avi": "mjpeg", "webm": "libvpx-vp9"}.get(suffix, "libx264")
    frames, error = played(FileSource(str(make(tmp_path / f"clip.{suffix}", codec=codec))))
    assert error is None
    assert [number_of(frame.image) for frame in frames] == list(range(50))
    assert in_order(frames)
    assert frames[0].pts == 0.0
    assert frames[-1].pts == pytest.approx(49 / 25, abs=0.01)
    assert all(frame.capture_ms > 0 for frame in frames)


def test_real_clips_come_whole(shared: Path) -> None:
    """Every frame comes that ffprobe decodes of real footage, hidden VP9 frames and reordering or not."""
    if which("ffprobe") is None:
        pytest.skip("ffprobe is not installed (package ffmpeg)")
    clips = sorted((shared / "clips").iterdir())
    assert clips
    for clip in clips:
        probe = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-count_frames"]
        show = ["-show_entries", "stream=nb_read_frames", "-of", "csv=p=0", str(clip)]
        expected = int(subprocess.run([*probe, *show], check=True, capture_output=True).stdout.strip(b",\n"))
        source = FileSource(str(clip))
        source.open()
        count, last = 0, -1.0
        for frame in source.frames():
            assert frame.frame_id == count
            assert frame.pts > last, f"{clip.name}: time stands still at frame {count}"
            count, last = count + 1, frame.pts
        assert count == expected, clip.name
        assert source.skipped.total() == 0, clip.name


def test_folder_is_played_in_the_order_of_names(tmp_path: Path) -> None:
    """Clips and images of a folder come in the order of their names, with one count and one clock for all."""
    make(tmp_path / "2.mp4", frames=5)
    make(tmp_path / "10.mkv", frames=5, first=100)
    cv2.imwrite(str(tmp_path / "1.png"), numbered(77))
    (tmp_path / "notes.txt").write_text("not media")
    (tmp_path / ".hidden").write_text("")
    source = FileSource(str(tmp_path))
    frames, error = played(source)
    assert error is None
    assert [number_of(frame.image) for frame in frames] == [77, *range(5), *range(100, 105)]
    assert in_order(frames)
    assert frames[1].pts == pytest.approx(1.0)
    assert source.properties()["files"] == 3


def test_pattern_chooses_files(tmp_path: Path) -> None:
    """A glob takes what fits it, at any depth with ``**``, and no folder."""
    (tmp_path / "a" / "b.mp4").mkdir(parents=True)
    wanted = [make(tmp_path / "a" / "x.mp4", frames=3), make(tmp_path / "z.mp4", frames=3)]
    make(tmp_path / "y.mkv", frames=3)
    assert listed(f"{tmp_path}/**/*.mp4") == wanted


@pytest.mark.parametrize("name", ["a b.mp4", "http:x.mp4", "100%d.mp4", "[x].mp4", "-i.mp4", "ünï.mp4"])
def test_odd_names_are_just_names(tmp_path: Path, name: str) -> None:
    """A file is opened by its name even if FFmpeg or glob would read something else into it."""
    frames, error = played(FileSource(str(make(tmp_path / name, frames=3))))
    assert error is None
    assert len(frames) == 3


def test_loop_goes_on_counting(tmp_path: Path) -> None:
    """A replayed clip goes on with frame numbers and media time."""
    source = FileSource(str(make(tmp_path / "clip.mp4", frames=10)), loop=True)
    source.open()
    frames = list(islice(source.frames(), 25))
    assert [number_of(frame.image) for frame in frames] == [*range(10), *range(10), *range(5)]
    assert in_order(frames)
    assert frames[10].pts == pytest.approx(10 / 25)


def test_decoders_are_freed_with_their_files(tmp_path: Path) -> None:
    """A loop or a folder of thousands of clips does not grow: each decoder goes when its file is through."""
    path = make(tmp_path / "clip.mp4", frames=10)
    cut = tmp_path / "cut.avi"
    cut.write_bytes(make(tmp_path / "whole.avi", codec="mjpeg").read_bytes()[:40_000])
    with nothing_left_to_the_collector():
        assert len(played(FileSource(str(path)))[0]) == 10
        assert played(FileSource(str(cut)))[1] is not None


def test_rate_limit_skips_evenly_and_counts(tmp_path: Path) -> None:
    """EDGED_FPS leaves frames out by media time, evenly, and counts every one."""
    source = FileSource(str(make(tmp_path / "clip.mp4", frames=100)), fps=5)
    frames, _ = played(source)
    assert [number_of(frame.image) for frame in frames] == list(range(0, 100, 5))
    assert source.skipped["rate"] == 80
    assert in_order(frames)


def test_rate_limit_spares_images(tmp_path: Path) -> None:
    """Images have no rate: all of them count."""
    for number in range(4):
        cv2.imwrite(str(tmp_path / f"{number}.png"), numbered(number))
    frames, _ = played(FileSource(str(tmp_path), fps=0.1))
    assert len(frames) == 4


def test_realtime_keeps_the_pace(tmp_path: Path) -> None:
    """With the policy ``latest`` a clip plays as fast as it was filmed."""
    source = FileSource(str(make(tmp_path / "clip.mp4", frames=15)), realtime=True)
    source.open()
    begun = time.monotonic()
    late = [frame.captured - begun - frame.pts for frame in source.frames()]
    assert len(late) == 15
    assert min(late) > -0.001, "none comes before its time"
    assert min(late[-5:]) < 0.25, "and a pause of the machine is made up for"


def test_a_limit_on_a_loop_is_frames_a_second_by_the_clock(tmp_path: Path) -> None:
    """Media time runs as fast as frames are taken: 10 a second of it were hundreds."""
    path = make(tmp_path / "clip.mp4", frames=25)
    source = FileSource.create(load(EDGED_SOURCE=str(path), EDGED_LOOP="true", EDGED_FPS="10"))
    source.open()
    begun = time.monotonic()
    count = sum(1 for _ in itertools.islice(source.frames(), 15))
    source.close()
    assert count == 15
    assert time.monotonic() - begun > 1.2


def test_stop_ends_a_clip_that_waits(tmp_path: Path) -> None:
    """A stop ends the frames at once, even while a frame is not due yet."""
    source = FileSource(str(make(tmp_path / "slow.mp4", frames=5, fps=1)), realtime=True)
    source.open()
    begun = time.monotonic()
    for _ in source.frames():
        source.stop()
    assert time.monotonic() - begun < 0.9, "the next one would be due after a second"


def test_joined_recordings_never_turn_time_back(tmp_path: Path) -> None:
    """Where one recording follows the other in one file, and timestamps begin anew, media time goes on."""
    one = make(tmp_path / "one.ts", frames=20).read_bytes()
    two = make(tmp_path / "two.ts", frames=20).read_bytes()
    joined = tmp_path / "joined.ts"
    joined.write_bytes(one + two)
    frames, error = played(FileSource(str(joined)))
    assert error is None
    assert len(frames) >= 38
    assert in_order(frames)
    assert frames[-1].pts < 3.0


@pytest.mark.parametrize("rate", ["15", "25", "30000/1001", "50"])
@pytest.mark.parametrize(
    ("suffix", "codec"), [("h264", "libx264"), ("hevc", "libx265"), ("m2v", "mpeg2video")]
)
def test_a_bare_stream_plays_at_the_rate_that_its_header_says(
    tmp_path: Path, suffix: str, codec: str, rate: str
) -> None:
    if codec == "mpeg2video" and rate == "15":
        rate = "24"  # it has a table of rates
    path = tmp_path / f"bare.{suffix}"
    source = [
        "-f",
        "lavfi",
        "-i",
        f"testsrc=size=160x96:rate={rate}",
        "-frames:v",
        "20",
        "-pix_fmt",
        "yuv420p",
    ]
    quiet = ["-x265-params", "log-level=none"] if codec == "libx265" else []
    run_ffmpeg(*source, "-c:v", codec, *quiet, str(path))
    show = ["ffprobe", "-v", "error", "-show_entries", "stream=r_frame_rate", "-of", "csv=p=0", str(path)]
    probed = subprocess.run(show, check=True, capture_output=True).stdout.split(b",")[0].decode()
    assert Fraction(probed.strip()) == Fraction(rate)
    clip = FileSource(str(path))
    frames, error = played(clip)
    assert error is None
    assert len(frames) == 20
    assert frames[-1].pts == pytest.approx(float(19 / Fraction(rate)), abs=0.001)
    assert clip.properties()["fps"] == pytest.approx(float(Fraction(rate)), abs=0.001)
