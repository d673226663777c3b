"""Files that are cut, damaged or no video: all that is there comes, and what is wrong is told."""

from __future__ import annotations

import subprocess
from itertools import islice
from shutil import which
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from played import image_file, in_order, played
from source_clips import make, make_sound, number_of

from edged.errors import ConfigError, SourceError
from edged.settings.loading import load
from edged.sources import create, looked_at, named
from edged.sources.file import FileSource

if TYPE_CHECKING:
    from pathlib import Path

    from edged.errors import EdgedError


CONTAINERS = {
    "mp4": {"options": {"movflags": "+faststart"}},
    "mkv": {},
    "avi": {"codec": "mjpeg"},
}


def test_a_format_that_ffmpeg_does_not_know_is_told(demo_clip: Path, tmp_path: Path) -> None:
    clip = tmp_path / "unknown.mp4"
    clip.write_bytes(demo_clip.read_bytes().replace(b"avc1", b"zzzz"))
    with pytest.raises(SourceError, match="format that FFmpeg does not know"):
        FileSource(str(clip)).open()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("notes.txt", b"Nobody has filmed this.\n" * 40, "is text, and no video"),
        ("read.NFO", b"\x1b[31mred\x1b[0m\n" * 40, "is text, of which FFmpeg would draw pictures"),
        ("some.bin", b"XBIN\x1a\x50\x00\x19\x00\x10\x00" + b"A\x07" * 2000, "is text, of which FFmpeg"),
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
    assert "Set EDGED_SOURCE to a video" in refused.value.hint


def test_a_list_of_files_is_played(demo_clip: Path, tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(demo_clip.read_bytes())
    (tmp_path / "list.ffconcat").write_text("ffconcat version 1.0\nfile clip.mp4\nfile clip.mp4\n")
    once, _ = played(FileSource(str(tmp_path / "clip.mp4")))
    frames, _ = played(FileSource(str(tmp_path / "list.ffconcat")))
    assert len(frames) == 2 * len(once)
    assert in_order(frames)


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
    (tmp_path / "garbage.mp4").write_bytes(b"\x00\xff\x17" * 1000)
    (tmp_path / "notes.mp4").write_text("mind the gap: ä\n" * 100)
    (tmp_path / "garbage.jpg").write_bytes(b"garbage" * 1000)
    make_sound(tmp_path / "sound.wav")
    make_sound(tmp_path / "sound.mp4")
    (tmp_path / "folder").mkdir()
    expected = {
        "missing.mp4": "does not exist",
        "empty.mp4": "is empty",
        "garbage.mp4": "cannot be opened",
        "notes.mp4": "is text, and no video",
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
        assert "Set EDGED_SOURCE to a video" in caught.value.hint
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("wrong", "kind"), [("nowhere.mp4", SourceError), ("csi:front", ConfigError)])
def test_what_is_wrong_with_the_stream_that_is_looked_at_is_told_of_its_own_setting(
    wrong: str, kind: type[EdgedError]
) -> None:
    settings = looked_at(
        load(None, {"EDGED_SOURCE": "rtsp://h/", "EDGED_DETECT_SOURCE": wrong, "EDGED_MODEL": "m"})
    )
    with pytest.raises(kind, match=wrong) as told, named(settings):
        create(settings).open()
    assert "EDGED_DETECT_SOURCE" in str(told.value)
    assert "EDGED_SOURCE" not in str(told.value)


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null"])
def test_a_device_that_is_no_camera_is_told_to_be_one(device: str) -> None:
    with pytest.raises(
        SourceError, match=f"'{device}' is a device, and no camera. Set EDGED_SOURCE to a video"
    ):
        FileSource(device).open()


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
