"""The file source."""

from __future__ import annotations

import itertools
import math
import struct
import subprocess
import time
from fractions import Fraction
from itertools import islice, pairwise
from shutil import which
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from source_clips import make, make_sound, nothing_left_to_the_collector, number_of, numbered

from edged.errors import SourceError
from edged.settings import loading
from edged.sources.file import FileSource, listed

if TYPE_CHECKING:
    from pathlib import Path

    from edged.records import Frame

CONTAINERS = {
    "mp4": {"options": {"movflags": "+faststart"}},
    "mkv": {},
    "avi": {"codec": "mjpeg"},
}


def played(source: FileSource) -> tuple[list[Frame], SourceError | None]:
    """All frames, and what was raised after the last."""
    source.open()
    frames: list[Frame] = []
    try:
        frames.extend(source.frames())  # extend() keeps what came before the error
    except SourceError as error:
        return frames, error
    finally:
        source.close()
    return frames, None


def test_a_format_that_ffmpeg_does_not_know_is_told(demo_clip: Path, tmp_path: Path) -> None:
    clip = tmp_path / "unknown.mp4"
    clip.write_bytes(demo_clip.read_bytes().replace(b"avc1", b"zzzz"))
    with pytest.raises(SourceError, match="format that FFmpeg does not know"):
        FileSource(str(clip)).open()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("notes.txt", b"Nobody has filmed this.\n" * 40, "is text, of which FFmpeg would draw pictures"),
        ("read.NFO", b"\x1b[31mred\x1b[0m\n" * 40, "is text, of which FFmpeg would draw pictures"),
        ("some.bin", b"XBIN\x1a\x50\x00\x19\x00\x10\x00" + b"A\x07" * 2000, "is text, of which FFmpeg"),
        ("list.txt", b"ffconcat version 1.0\nfile clip.mp4\n", "is a list of files, no video"),
    ],
)
def test_what_nobody_has_filmed_is_no_source(
    demo_clip: Path, tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    """FFmpeg makes pictures of it: a wrong path would be a camera that sees nothing, and says so for ever."""
    (tmp_path / "clip.mp4").write_bytes(demo_clip.read_bytes())
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=words) as refused:
        FileSource(str(tmp_path / name)).open()
    assert name in str(refused.value)
    assert "EDGED_SOURCE" in refused.value.hint


def test_a_percent_sign_in_a_name_is_no_pattern(tmp_path: Path) -> None:
    """FFmpeg would show the pictures that are numbered so, in place of the one of that name."""
    for name, grey in (("s1.tga", 40), ("s%d.tga", 200)):
        head = struct.pack("<BBB5xHHHHBB", 0, 0, 2, 0, 0, 32, 32, 24, 0)
        (tmp_path / name).write_bytes(head + bytes([grey]) * 32 * 32 * 3)
    frames, _ = played(FileSource(str(tmp_path / "s%d.tga")))
    assert [round(float(frame.image.mean())) for frame in frames] == [200]


def in_order(frames: list[Frame]) -> bool:
    """Whether numbers have no gaps and times rise."""
    return [frame.frame_id for frame in frames] == list(range(len(frames))) and all(
        earlier.pts < later.pts for earlier, later in pairwise(frames)
    )


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


@pytest.mark.parametrize(("degrees", "corner"), [(0, (0, 0)), (90, (0, -1)), (180, (-1, -1)), (270, (-1, 0))])
def test_frames_are_turned_clockwise(tmp_path: Path, degrees: int, corner: tuple[int, int]) -> None:
    """EDGED_ROTATE turns clockwise; the upper left corner goes where it should, and the size follows."""
    image = np.zeros((40, 60, 3), np.uint8)
    image[:8, :8] = 255
    cv2.imwrite(str(tmp_path / "image.png"), image)
    source = FileSource(str(tmp_path / "image.png"), rotate=degrees)
    frames, _ = played(source)
    assert frames[0].image[corner].tolist() == [255, 255, 255]
    expected = (60, 40) if degrees in {0, 180} else (40, 60)
    assert (frames[0].width, frames[0].height) == expected
    assert (source.properties()["width"], source.properties()["height"]) == expected


def test_phone_clips_stand_upright(tmp_path: Path) -> None:
    """The display matrix is obeyed, and EDGED_ROTATE comes on top of it."""
    path = str(make(tmp_path / "phone.mp4", frames=3, rotated=True))
    source = FileSource(path)
    frames, _ = played(source)
    assert (frames[1].width, frames[1].height) == (96, 160)
    assert (source.properties()["width"], source.properties()["height"]) == (96, 160)
    assert number_of(cv2.rotate(frames[1].image, cv2.ROTATE_90_CLOCKWISE)) == 1  # type: ignore[arg-type]
    undone, _ = played(FileSource(path, rotate=90))
    assert [number_of(frame.image) for frame in undone] == [0, 1, 2]


def test_realtime_keeps_the_pace(tmp_path: Path) -> None:
    """With the policy ``latest`` a clip plays as fast as it was filmed."""
    source = FileSource(str(make(tmp_path / "clip.mp4", frames=15)), realtime=True)
    source.open()
    begun = time.monotonic()
    assert len(list(source.frames())) == 15
    assert 0.5 < time.monotonic() - begun < 2.0


def test_a_limit_on_a_loop_is_frames_a_second_by_the_clock(tmp_path: Path) -> None:
    """Media time runs as fast as frames are taken: 10 a second of it were hundreds."""
    path = make(tmp_path / "clip.mp4", frames=25)
    environ = {"EDGED_SOURCE": str(path), "EDGED_MODEL": "m", "EDGED_LOOP": "true", "EDGED_FPS": "10"}
    source = FileSource.create(loading.load(environ=environ))
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
    assert time.monotonic() - begun < 0.5


@pytest.mark.parametrize("suffix", sorted(CONTAINERS))
def test_cut_clip_gives_all_it_has_and_fails(tmp_path: Path, suffix: str) -> None:
    """A clip cut in the middle gives all frames that are there; then it fails as unavailable (exit 69)."""
    path = make(tmp_path / f"clip.{suffix}", **CONTAINERS[suffix])  # type: ignore[arg-type]  # the table is typed loosely
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    frames, error = played(FileSource(str(path)))
    assert error is not None
    assert error.exit_code == 69
    assert str(path) in str(error)
    assert "cut short" in str(error)
    # Half a group of pictures may hang on what is missing.
    assert [number_of(frame.image) for frame in frames] == list(range(len(frames)))
    assert 20 <= len(frames) < 40


def test_cut_clip_without_its_index_says_so(tmp_path: Path) -> None:
    """A phone's clip has its index at the end: cut, nothing can be decoded, and the message knows why."""
    path = make(tmp_path / "clip.mp4")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(SourceError, match="cut short"):
        FileSource(str(path)).open()


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_cut_image_is_refused(tmp_path: Path, suffix: str) -> None:
    """Half an image is no image, although decoders fill the rest with grey."""
    path = tmp_path / f"image.{suffix}"
    cv2.imwrite(str(path), np.random.default_rng(1).integers(0, 255, (200, 200, 3), np.uint8))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(SourceError, match=path.name):
        FileSource(str(path)).open()


def test_damage_in_the_middle_is_counted_and_skipped(tmp_path: Path) -> None:
    """Damaged pictures are left out and counted; the rest of the clip comes, and the clip does not fail."""
    path = make(tmp_path / "clip.avi", codec="mjpeg")
    data = bytearray(path.read_bytes())
    noise = np.random.default_rng(1)
    for somewhere in (len(data) // 3, len(data) // 2):
        at = data.index(b"\xff\xda", somewhere) + 20  # pixels, not the container's own words
        data[at : at + 100] = noise.bytes(100)
    path.write_bytes(data)
    source = FileSource(str(path))
    frames, error = played(source)
    assert error is None
    assert source.skipped["corrupt"] == 2
    assert len(frames) + source.skipped["corrupt"] == 50
    assert in_order(frames)


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


def test_trimmed_clip_is_no_cut_clip(tmp_path: Path) -> None:
    """An edit list hides frames on purpose: that is no damage."""
    if which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed (package ffmpeg)")
    path, trimmed = make(tmp_path / "clip.mp4"), tmp_path / "trimmed.mp4"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-ss", "0.9", "-i", str(path), "-c", "copy", str(trimmed)], check=True
    )
    frames, error = played(FileSource(str(trimmed)))
    assert error is None
    assert 20 <= len(frames) < 50


def test_one_bad_file_does_not_keep_back_the_others(tmp_path: Path) -> None:
    """Everything good in a folder is played; what was bad is told at the end."""
    make(tmp_path / "a.mp4", frames=5)
    (tmp_path / "b.mp4").write_bytes(b"garbage" * 100)
    make(tmp_path / "c.mp4", frames=5)
    (tmp_path / "d.mp4").write_bytes(b"")
    frames, error = played(FileSource(str(tmp_path)))
    assert len(frames) == 10
    assert in_order(frames)
    assert error is not None
    assert "2 of 4 files" in str(error)
    assert "b.mp4" in str(error)


def test_what_is_wrong_is_said_in_one_sentence_with_a_mend(tmp_path: Path) -> None:
    """Missing, empty, garbage, soundtrack, empty folder, pattern without a match: each names itself."""
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "garbage.mp4").write_bytes(b"garbage" * 1000)
    (tmp_path / "garbage.jpg").write_bytes(b"garbage" * 1000)
    make_sound(tmp_path / "sound.wav")
    make_sound(tmp_path / "sound.mp4")
    (tmp_path / "folder").mkdir()
    expected = {
        "missing.mp4": "does not exist",
        "empty.mp4": "is empty",
        "garbage.mp4": "cannot be opened",
        "garbage.jpg": "no image",
        "sound.wav": "has no video",
        "sound.mp4": "has no video",
        "folder": "has no video or image file",
        "*.xyz": "no file fits the pattern",
    }
    for name, problem in expected.items():
        with pytest.raises(SourceError) as caught:
            FileSource(str(tmp_path / name)).open()
        assert problem in str(caught.value), name
        assert str(tmp_path / name) in str(caught.value)
        assert "EDGED_SOURCE" in caught.value.hint
        assert "\n" not in str(caught.value)


def image_file(path: Path, level: int) -> Path:
    """A noisy picture, so that every block of it has data of its own."""
    noise = np.random.default_rng(level).integers(0, 255, (48, 64, 3), np.uint8)
    cv2.imwrite(str(path), noise)
    return path


def test_a_bad_image_costs_only_itself(tmp_path: Path) -> None:
    """A cut and a lying image among good ones: both are counted, the others come, the run fails."""
    for number in (1, 3, 5):
        image_file(tmp_path / f"{number}.jpg", number)
    (tmp_path / "2.jpg").write_bytes((tmp_path / "1.jpg").read_bytes()[:900])
    (tmp_path / "4.png").write_bytes(b"no image")
    (tmp_path / "._1.jpg").write_bytes(b"hidden")
    source = FileSource(str(tmp_path))
    frames, error = played(source)
    assert len(frames) == 3
    assert error is not None
    assert error.exit_code == 69
    assert source.skipped["corrupt"] == 2


def test_a_loop_begins_again_after_a_bad_image(tmp_path: Path) -> None:
    image_file(tmp_path / "1.jpg", 1)
    (tmp_path / "2.jpg").write_bytes(b"no image")
    source = FileSource(str(tmp_path), loop=True)
    source.open()
    assert len(list(islice(source.frames(), 3))) == 3


@pytest.mark.parametrize("trailer", [b"\0", b"abc", bytes(8), bytes(5000), b"\0\0\0\0mdat" + bytes(40)])
def test_bytes_behind_the_last_box_cut_nothing(tmp_path: Path, trailer: bytes) -> None:
    clip = make(tmp_path / "clip.mp4")
    clip.write_bytes(clip.read_bytes() + trailer)
    frames, error = played(FileSource(str(clip)))
    assert error is None
    assert len(frames) == 50


def test_a_jpeg_that_lacks_only_its_end_marker_is_taken(tmp_path: Path) -> None:
    path = image_file(tmp_path / "a.jpg", 1)
    data = path.read_bytes()
    path.write_bytes(data[:-2])
    assert played(FileSource(str(path)))[1] is None
    path.write_bytes(data[:-40])
    with pytest.raises(SourceError, match="cut short"):
        FileSource(str(path)).open()


def test_a_folder_without_files_and_a_lying_header_are_told(tmp_path: Path) -> None:
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere")
    for spec in (tmp_path, tmp_path / "*.jpg"):
        with pytest.raises(SourceError):
            FileSource(str(spec)).open()
    bmp = tmp_path / "wide.bmp"
    cv2.imwrite(str(bmp), np.zeros((4, 4, 3), np.uint8))
    data = bytearray(bmp.read_bytes())
    data[18:22] = (2_000_000_000).to_bytes(4, "little")
    bmp.write_bytes(data)
    with pytest.raises(SourceError, match="no image"):
        FileSource(str(bmp)).open()


ODD = [(math.cos(turn), math.sin(turn), -math.sin(turn), math.cos(turn)) for turn in (0.02, 0.79, 3.5)]


@pytest.mark.parametrize("matrix", [*ODD, (0.0, 0.0, 0.0, 0.0)])
def test_a_clip_at_an_odd_angle_is_played(tmp_path: Path, matrix: tuple[float, ...]) -> None:
    """A display matrix that is no quarter turn is no reason to give nothing."""
    path = make(tmp_path / "odd.mp4", frames=3)
    a, b, c, d = (round(part * 65536) for part in matrix)
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    frames, error = played(FileSource(str(path)))
    assert (len(frames), error) == (3, None)


def pattern(size: str, *, colour: str = "red") -> list[str]:
    return ["-f", "lavfi", "-i", f"color={colour}:size={size}:duration=0.4:rate=5"]


def run_ffmpeg(*arguments: str) -> bytes:
    if which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed (package ffmpeg)")
    return subprocess.run(["ffmpeg", "-v", "error", *arguments], check=True, capture_output=True).stdout


@pytest.mark.parametrize("default", [None, 0, 1, 2])
@pytest.mark.parametrize("sizes", [("160x96", "320x192", "64x64"), ("320x192", "320x192", "640x96")])
def test_of_several_streams_that_is_played_which_ffmpeg_picks(
    tmp_path: Path, sizes: tuple[str, ...], default: int | None
) -> None:
    """The default one, else the largest, else the first."""
    path = tmp_path / "several.mkv"
    colours = ("red", "lime", "blue")
    inputs = [word for pair in zip(sizes, colours, strict=True) for word in pattern(pair[0], colour=pair[1])]
    marks = [word for i in range(3) for word in (f"-disposition:v:{i}", "default" if i == default else "0")]
    run_ffmpeg(*inputs, "-map", "0", "-map", "1", "-map", "2", "-c:v", "mjpeg", *marks, str(path))
    picked = run_ffmpeg("-i", str(path), "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "bgr24", "-")
    frames, error = played(FileSource(str(path)))
    assert error is None
    image = frames[0].image
    assert len(picked) == image.size
    assert np.argmax(image[40, 40]) == np.argmax(np.frombuffer(picked, np.uint8).reshape(image.shape)[40, 40])


def test_a_cover_picture_is_not_the_video(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "cover.jpg"), np.zeros((600, 800, 3), np.uint8))
    make(tmp_path / "clip.mp4", frames=5)
    both = ["-i", str(tmp_path / "cover.jpg"), "-i", str(tmp_path / "clip.mp4"), "-map", "0", "-map", "1"]
    run_ffmpeg(*both, "-c", "copy", "-disposition:v:0", "attached_pic", str(tmp_path / "both.mp4"))
    frames, error = played(FileSource(str(tmp_path / "both.mp4")))
    assert (len(frames), frames[0].width, error) == (5, 160, None)


def test_public_file_with_a_preview_first(shared: Path) -> None:
    frames, _ = played(FileSource(str(shared / "faults" / "two_video_streams.mkv")))
    probe = ["ffmpeg", "-v", "error", "-i", str(shared / "faults" / "two_video_streams.mkv")]
    raw = subprocess.run(
        [*probe, "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "bgr24", "-"],
        check=True,
        capture_output=True,
    ).stdout
    assert len(raw) == frames[0].image.size


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


@pytest.mark.parametrize("rotate", [0, 90])
@pytest.mark.parametrize("rotated", [False, True])
def test_pixels_keep_their_shape(tmp_path: Path, rotated: bool, rotate: int) -> None:  # noqa: FBT001
    """16:11 lying on their side are 11:16."""
    path = make(tmp_path / "clip.mp4", frames=2, rotated=rotated)
    wide = tmp_path / "wide.mp4"
    run_ffmpeg(
        "-noautorotate",
        "-i",
        str(path),
        "-c",
        "copy",
        "-bsf:v",
        "h264_metadata=sample_aspect_ratio=16/11",
        str(wide),
    )
    frames, _ = played(FileSource(str(wide), rotate=rotate))
    assert frames[0].pixel == (Fraction(16, 11) if (rotate == 90) == rotated else Fraction(11, 16))


@pytest.mark.parametrize("tag", ["bt709", "smpte170m", "bt2020nc", "unknown"])
@pytest.mark.parametrize("span", ["tv", "pc"])
def test_colours_are_read_as_tagged(tmp_path: Path, tag: str, span: str) -> None:
    path = tmp_path / "tagged.mkv"
    picture = [
        "-f",
        "lavfi",
        "-i",
        "rgbtestsrc=size=320x180:duration=0.2",
        "-vf",
        f"scale=out_range={span},format=yuv420p",
    ]
    run_ffmpeg(*picture, "-c:v", "libx264", "-qp", "5", "-colorspace", tag, "-color_range", span, str(path))
    expected = np.frombuffer(
        run_ffmpeg("-i", str(path), "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "bgr24", "-"), np.uint8
    )
    frames, _ = played(FileSource(str(path)))
    # FFmpeg's converter rounds down, by up to three levels.
    assert np.abs(frames[0].image.astype(int).ravel() - expected).max() <= 3
