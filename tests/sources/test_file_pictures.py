"""Which pictures of a file are played, and how they are turned, shaped and coloured."""

from __future__ import annotations

import math
import struct
import subprocess
from fractions import Fraction
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from played import played, run_ffmpeg
from source_clips import make, number_of

from edged.sources.file import FileSource

if TYPE_CHECKING:
    from pathlib import Path


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
