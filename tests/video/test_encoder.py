"""Pictures in, packets out."""

from __future__ import annotations

import json
import shutil
import subprocess
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import cv2
import numpy as np
import pytest
from made import START, picture
from planes import planes_of
from recording import into_file, record

from edged.imaging.picture import Picture
from edged.pixels import BT601, BT709
from edged.records import Frame, Result
from edged.video.encoder import (
    CLOCK_HZ,
    HARDWARE,
    SOFTWARE,
    Encoder,
    EncoderError,
    Packet,
    Packets,
    nal_types,
)

if TYPE_CHECKING:
    from pathlib import Path

    from edged.pixels import Pixels
    from edged.records import Image

SPS, PPS, IDR = 7, 8, 5


def encode(count: int, *, fps: float = 30.0) -> list[Packet]:
    encoder = Encoder(SOFTWARE, 160, 120)
    packets = [packet for number in range(count) for packet in encoder.encode(picture(number), number / fps)]
    return packets + encoder.finish()


def test_every_picture_becomes_one_packet_at_its_time() -> None:
    assert [packet.pts for packet in encode(50, fps=25)] == [number * CLOCK_HZ // 25 for number in range(50)]


@pytest.mark.parametrize("fps", [0.5, 7.0, 30.0, 240.0])
def test_there_is_a_keyframe_at_least_every_second(fps: float) -> None:
    packets = encode(max(8, round(3 * fps)), fps=fps)
    keyframes = [packet.pts / CLOCK_HZ for packet in packets if packet.keyframe]
    assert keyframes[0] == 0
    gaps = np.diff([*keyframes, packets[-1].pts / CLOCK_HZ])
    assert max(gaps) <= max(1.0, 1 / fps) + 1 / fps


def test_a_keyframe_comes_when_it_is_asked_for() -> None:
    encoder = Encoder(SOFTWARE, 160, 120)
    found = [encoder.encode(picture(n), n / 30, keyframe=n == 7)[0].keyframe for n in range(12)]
    assert found == [n in {0, 7} for n in range(12)]


def test_a_file_can_begin_with_any_keyframe() -> None:
    for packet in encode(70):
        assert ({SPS, PPS, IDR} <= nal_types(packet.data)) == packet.keyframe


def test_times_that_stand_still_or_go_back_still_rise() -> None:
    encoder = Encoder(SOFTWARE, 160, 120)
    times = [encoder.encode(picture(n), pts)[0].pts for n, pts in enumerate([0.0, 0.1, 0.1, 0.05, 0.2])]
    assert times == sorted(set(times))
    assert times[-1] == CLOCK_HZ // 5


def test_parameter_sets_that_come_alone_and_once_are_in_every_keyframe() -> None:
    # As V4L2 encoders give them: cut them off libx264's packets.
    whole = encode(70)
    first = whole[0].data
    header = first[: first.index(b"\x00\x00\x01\x65")]
    packets = Packets()
    assert packets.take(header, 0) is None
    joined = [packets.take(packet.data.removeprefix(header), packet.pts) for packet in whole]
    keyframes = [packet for packet in joined if packet and packet.keyframe]
    assert len(keyframes) == 3
    assert all({SPS, PPS, IDR} <= nal_types(packet.data) for packet in keyframes)
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    pictures = [shown for packet in joined if packet for shown in decoder.decode(av.Packet(packet.data))]
    assert len(pictures + decoder.decode(None)) == 70


@pytest.mark.parametrize("size", [(320, 240), (159, 119), (40, 200), (200, 40), (161, 121)])
def test_pictures_of_another_size_are_brought_to_that_of_the_video(size: tuple[int, int]) -> None:
    encoder = Encoder(SOFTWARE, 160, 120)
    packets = encoder.encode(picture(0), 0.0) + encoder.encode(picture(1, size), 0.1)
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    shown = [frame for packet in packets for frame in decoder.decode(av.Packet(packet.data))]
    shown += decoder.decode(None)
    assert {(frame.width, frame.height) for frame in shown} == {(160, 120)}
    # The picture keeps its shape: what is beside it is black.
    pixels = shown[1].to_ndarray(format="bgr24")
    corner = int(pixels[2, 2].mean())
    assert corner == pytest.approx(40 if abs(size[0] / size[1] - 4 / 3) < 0.05 else 0, abs=12)


def test_hardware_encodes_or_says_that_it_is_not_there() -> None:
    try:
        encoder = Encoder(HARDWARE, 640, 480)
    except EncoderError as error:
        told = str(error)
    else:
        told = ""
    if told:
        assert HARDWARE in told
        return
    packets = [made for n in range(60) for made in encoder.encode(picture(n, (640, 480)), n / 30)]
    packets += encoder.finish()
    assert [packet.pts for packet in packets] == [n * CLOCK_HZ // 30 for n in range(60)]
    assert packets[0].keyframe


COLOURS = [(0, 0, 255), (0, 255, 0), (255, 0, 0), (255, 255, 255), (30, 160, 220), (0, 0, 0), (200, 20, 120)]
"""Blue, green, red."""


def shown_by_ffmpeg(path: Path, *options: str) -> Image:
    """The first picture, by the tags of the file, or by what a player takes for granted."""
    command = ["ffmpeg", "-v", "error", "-i", str(path), *options, "-frames:v", "1"]
    raw = subprocess.run([*command, "-f", "image2pipe", "-c:v", "bmp", "-"], check=True, capture_output=True)
    image = cv2.imdecode(np.frombuffer(raw.stdout, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return image  # type: ignore[return-value]  # uint8


@pytest.mark.parametrize(
    ("size", "standard"),
    [
        ((640, 480), "smpte170m"),
        ((720, 576), "smpte170m"),
        ((1280, 720), "bt709"),
        ((1920, 1080), "bt709"),
        ((721, 1281), "bt709"),
    ],
)
@pytest.mark.parametrize("pixel", [Fraction(1), Fraction(16, 11)])
def test_colours_and_pixels_are_tagged_and_as_tagged(
    tmp_path: Path, size: tuple[int, int], standard: str, pixel: Fraction
) -> None:
    """The file says what it means, and means it: any player shows the colours that went in."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed (package ffmpeg)")
    width, height = size
    image = np.zeros((height, width, 3), np.uint8)
    for number, colour in enumerate(COLOURS):
        image[:, number * width // 7 : (number + 1) * width // 7] = colour
    path = tmp_path / "out.mp4"
    frames = [Frame(n, image.copy(), START + n, 0.0, n / 10, 0.0, pixel) for n in range(3)]
    record(into_file(path), [Result(f, "m", (), {}, Picture(f.image, ()), waits=True) for f in frames])
    keys = "color_space,color_primaries,color_transfer,color_range,sample_aspect_ratio"
    probe = ["ffprobe", "-v", "error", "-show_entries", f"stream={keys}", "-of", "json", str(path)]
    said = json.loads(subprocess.run(probe, check=True, capture_output=True).stdout)["streams"][0]
    assert said == {
        "color_space": standard,
        "color_primaries": standard,
        "color_transfer": standard,
        "color_range": "tv",
        "sample_aspect_ratio": f"{pixel.numerator}:{pixel.denominator}",
    }
    shown = shown_by_ffmpeg(path)
    for number, colour in enumerate(COLOURS):
        middle = shown[height // 2, (2 * number + 1) * width // 14].astype(int)
        assert np.abs(middle - colour).max() <= 6, (colour, middle)


@pytest.mark.parametrize("size", [(640, 480), (1280, 720)])
@pytest.mark.parametrize("matrix", [BT601, BT709])
@pytest.mark.parametrize("full", [False, True])
def test_planes_are_recorded_in_their_own_colours(
    tmp_path: Path,
    size: tuple[int, int],
    matrix: int,
    full: bool,  # noqa: FBT001
) -> None:
    """What the camera has encoded is tagged as the camera meant it, whatever its size; no other video is."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed (package ffmpeg)")
    image = np.zeros((size[1], size[0], 3), np.uint8)
    for number, colour in enumerate(COLOURS):
        image[:, number * size[0] // 7 : (number + 1) * size[0] // 7] = colour
    camera = planes_of(image, matrix, full=full)
    other = planes_of(image, BT601 + BT709 - matrix, full=not full)
    path = tmp_path / "out.mp4"
    shots: list[Pixels] = [camera, other, image]
    frames = [Frame(n, pixels, START + n, 0.0, n / 10) for n, pixels in enumerate(shots)]
    record(into_file(path), [Result(f, "m", (), {}, Picture(f.pixels, ()), waits=True) for f in frames])
    probe = ["ffprobe", "-v", "error", "-show_entries", "stream=color_space,color_range", "-of", "csv=p=0"]
    said = subprocess.run([*probe, str(path)], check=True, capture_output=True, text=True).stdout.strip()
    assert said == f"tv,{'bt709' if matrix == BT709 else 'smpte170m'}"
    for second in ("0", "0.1", "0.2"):
        shown = shown_by_ffmpeg(path, "-ss", second)
        for number, colour in enumerate(COLOURS):
            middle = shown[size[1] // 2, (2 * number + 1) * size[0] // 14].astype(int)
            assert np.abs(middle - colour).max() <= 8, (second, colour, middle)


@pytest.mark.parametrize(("height", "as_planes"), [(240, True), (242, True), (242, False), (241, False)])
def test_colours_lie_where_they_belong_in_every_size(height: int, as_planes: bool) -> None:  # noqa: FBT001
    """A red belt on blue: colours that are a few lines off show. PyAV takes a height for a multiple of 4."""
    image = np.full((height, 322, 3), (200, 40, 40), np.uint8)
    image[100:140] = (40, 40, 200)
    encoder = Encoder(SOFTWARE, 322, height + height % 2)
    frame = encoder._converted(planes_of(image, BT601) if as_planes else image)  # noqa: SLF001  # before any loss
    shown = frame.to_ndarray(format="bgr24")
    assert len(shown) == encoder.height
    clear = np.r_[0:98, 102:138, 142:height]  # of the edges, whose colours are shared
    np.testing.assert_allclose(shown[clear, 160], image[clear, 160], atol=8)


def test_a_size_that_cannot_be_encoded_is_told_in_words() -> None:
    with pytest.raises(EncoderError, match="for pictures of 20000x16 pixels: ") as caught:
        Encoder(SOFTWARE, 20000, 16)
    assert "avcodec" not in str(caught.value)
