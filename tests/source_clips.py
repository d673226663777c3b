"""Clips made on the spot: each frame shows its number, so that order can be read off the pixels."""

from __future__ import annotations

import gc
import socket
import struct
import subprocess
from contextlib import contextmanager
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edged.records import Image

_BITS = 8
_BLOCK = 16


def numbered(number: int, size: tuple[int, int] = (160, 96)) -> Image:
    """A picture of noise with ``number`` as a row of black and white blocks in its upper left corner."""
    width, height = size
    image = np.random.default_rng(number).integers(60, 120, (height, width, 3), np.uint8)
    for bit in range(_BITS):
        value = 235 if number >> bit & 1 else 20
        image[:_BLOCK, bit * _BLOCK : (bit + 1) * _BLOCK] = value
    return image


def number_of(image: Image) -> int:
    """The number a picture shows."""
    middle = _BLOCK // 2
    return sum((int(image[middle, bit * _BLOCK + middle, 0]) > 128) << bit for bit in range(_BITS))


def make(
    path: Path,
    *,
    frames: int = 50,
    first: int = 0,
    fps: int = 25,
    codec: str = "libx264",
    b_frames: int = 2,
    rotated: bool = False,
    size: tuple[int, int] = (160, 96),
    gop: int = 10,
    options: dict[str, str] | None = None,
    scene_cuts: bool = True,
) -> Path:
    """Encode pictures, numbered from ``first``, into ``path``; its suffix chooses the container.

    x264 takes this noise for many scenes, each with a keyframe of its own, unless it is told otherwise.

    ``rotated`` is for MP4, as phones write it that are held upright: a quarter turn to the left when shown.
    """
    with av.open(str(path), "w", container_options=options or {}) as container:
        stream = container.add_stream(codec, rate=fps)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.thread_count = (
            2  # or it would be another file on a machine with other processors
        )
        stream.codec_context.time_base = Fraction(1, fps)
        stream.codec_context.gop_size = gop
        if codec == "libvpx-vp9":
            stream.options = {"cpu-used": "5"}  # its usual care takes seconds
        if codec == "libx264":
            stream.codec_context.max_b_frames = b_frames
            if not scene_cuts:
                stream.options = {"sc_threshold": "0"}
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(numbered(first + number, size), format="bgr24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    if rotated:
        data = bytearray(path.read_bytes())
        # The track header: 40 bytes behind its name a matrix of 16.16 numbers, here one to the left.
        at = data.index(b"tkhd") + 44
        data[at : at + 36] = struct.pack(">9i", 0, -(1 << 16), 0, 1 << 16, 0, 0, 0, 0, 1 << 30)
        path.write_bytes(data)
    return path


def joined_flv(path: Path, *clips: Path) -> Path:
    """What an RTMP server sends that keeps its viewers while the camera begins anew, several times."""
    header, begin, tags = 13, 0, b""
    for clip in clips:
        data, at, last = clip.read_bytes(), header, 0
        while at < len(data):
            end = at + 11 + int.from_bytes(data[at + 1 : at + 4], "big") + 4
            last = begin + int.from_bytes(data[at + 4 : at + 7], "big")
            tags += data[at : at + 4] + last.to_bytes(3, "big") + data[at + 7 : end]
            at = end
        begin = last + 40
    path.write_bytes(clips[0].read_bytes()[:header] + tags)
    return path


def make_sound(path: Path) -> Path:
    """A file without video."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            "aac" if path.suffix == ".mp4" else "pcm_s16le", rate=16000, layout="mono"
        )
        assert isinstance(stream, av.AudioStream)
        for number in range(10):
            kind = "fltp" if path.suffix == ".mp4" else "s16"
            dtype = np.float32 if kind == "fltp" else np.int16
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), dtype), format=kind, layout="mono")
            frame.sample_rate, frame.pts = 16000, 1024 * number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@contextmanager
def over_udp(clip: Path) -> Iterator[str]:
    """The URL of a camera that sends the packets of a clip as they are, at its pace and for ever."""
    with socket.socket(type=socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"udp://127.0.0.1:{probe.getsockname()[1]}"
    send = [
        "ffmpeg",
        "-v",
        "error",
        "-re",
        "-stream_loop",
        "-1",
        "-i",
        str(clip),
        "-c",
        "copy",
        "-f",
        "mpegts",
    ]
    with subprocess.Popen([*send, f"{url}?pkt_size=1316"], stdin=subprocess.DEVNULL) as sender:
        try:
            yield url
        finally:
            sender.kill()


@contextmanager
def nothing_left_to_the_collector() -> Iterator[None]:
    """Fails if decoders or frames were left in circles: their memory would wait for the collector.

    A decoder of 1080p holds tens of megabytes, and the collector counts it as a handful of objects.
    """
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield
        gc.collect()
        left = {f"{type(thing).__module__}.{type(thing).__name__}" for thing in gc.garbage}
        # Older PyAVs leave the description of pixel formats in circles; that is small.
        ours = {name for name in left if name.startswith(("av.", "edged.")) and ".format." not in name}
        assert not ours, left
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
