"""A decoder too slow for its camera: frames stay fresh, no picture is wrong, and all are accounted for."""

from __future__ import annotations

import subprocess
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import av
import cameras
import pytest

from edged.pixels import bgr
from edged.sources.cameras.reader import Deadlines
from edged.sources.connection import Skipped
from edged.sources.decoding.decoder import Decoding
from edged.sources.decoding.hardware import DecoderChoice
from edged.sources.decoding.skipping import Skipping
from edged.sources.decoding.upright import Upright
from edged.sources.pace import Pace
from edged.sources.packets.arrivals import Arrival
from edged.sources.stream import StreamCamera, StreamSource

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edged.records import Frame

FRAMES = 120
STREAMS = {
    "a camera": "-c:v libx264 -preset veryfast -tune zerolatency -g 15 -sc_threshold 0",
    "B-frames": "-c:v libx264 -preset medium -g 15",
    "open groups": "-c:v libx264 -preset medium -g 15 -x264-params open-gop=1",
    "open groups of HEVC": "-c:v libx265 -preset fast -x265-params log-level=none:info=0:keyint=15",
}


class Slow:
    """A decoder that takes its time."""

    def __init__(self, own: Any, choice: SlowChoice) -> None:
        self._own, self._choice = own, choice

    def decode(self, packet: Any) -> Any:
        """Slowly."""
        time.sleep(self._choice.seconds)
        return self._own.decode(packet)

    def flush_buffers(self) -> None:
        """Begin anew."""
        self._own.flush_buffers()


class SlowChoice(DecoderChoice):
    """Has everything decoded slowly."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def context(self, own: Any) -> Any:
        """FFmpeg's own, slowed down."""
        return Slow(own, self)


class Packets:
    """Counts them."""

    listens = True

    def __init__(self) -> None:
        self.count = 0

    def packet(self, packet: Any, form: Any) -> None:
        """One more."""
        del packet, form
        self.count += 1

    def connection_ended(self) -> None:
        """Nothing to do."""


def age(frames: Iterator[Frame]) -> float:
    """How old the next frame is when it is there, seconds."""
    frame = next(frames)
    return time.monotonic() - frame.captured


def test_what_a_slow_decoder_gives_is_fresh_and_the_rest_is_counted() -> None:
    """Of 25 pictures a second it can do 15."""
    choice = SlowChoice(0.065)
    deadlines = Deadlines(8.0, 2.0)
    packets = Packets()
    with cameras.running(cameras.ffmpeg("mpegts")) as server:
        source = StreamSource(
            lambda: StreamCamera(server.url, transport="tcp", deadlines=deadlines, choice=choice),
            deadlines=deadlines,
        )
        source.tap.hand_to([packets])
        try:
            source.open()
            frames = source.frames()
            ages = [age(frames)]
            while not source.degraded:
                assert len(ages) < 100, f"{ages[-1]:.2f} s old, 0.025 s older each time, and nobody says so"
                ages.append(age(frames))
            caught_up = [age(frames) for _ in range(20)]
            # The first keyframe behind what is left out may be an old one already: the next ones are newer.
            while min(caught_up) > 0.5 and len(caught_up) < 200:
                caught_up.append(age(frames))
            ages += caught_up
            problem, choice.seconds = source.degraded, 0.0
            limit = time.monotonic() + 60.0
            while ages[-1] > 0.1:
                assert time.monotonic() < limit, f"{ages[-1]:.2f} s old for a minute, with a quick decoder"
                ages.append(age(frames))
        finally:
            source.close()
    assert max(ages) > 0.5, "it is seen that they grow old"
    assert min(caught_up) < 0.5, "what is left out brings it back to the camera's present"
    assert "does not keep up" in problem
    assert source.skipped["behind"] > 5
    # What came and is in no account is in hand, on both sides of the end.
    assert abs(packets.count - len(ages) - source.skipped.total()) <= 4


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every stream, of a picture that moves all over."""
    folder = tmp_path_factory.mktemp("clips")
    for name, encoding in STREAMS.items():
        source = f"testsrc2=size=160x120:rate=30:duration={FRAMES / 30}"
        command = ["ffmpeg", "-nostdin", "-v", "error", "-f", "lavfi", "-i", source, *encoding.split()]
        subprocess.run([*command, "-pix_fmt", "yuv420p", str(folder / f"{name}.ts")], check=True)
    return {name: folder / f"{name}.ts" for name in STREAMS}


def pixels(pictures: list[av.VideoFrame]) -> dict[int, bytes]:
    """Every picture's, by its time."""
    return {int(picture.pts or 0): bgr(Upright()(picture, 0)).tobytes() for picture in pictures}


@pytest.mark.parametrize("late", [0, 13, 31])
@pytest.mark.parametrize("name", STREAMS)
def test_no_wrong_picture_comes_out_whenever_it_falls_behind(
    name: str, late: int, clips: dict[str, Path]
) -> None:
    """Whatever is left out, what is given is right, and all of it is accounted for."""
    with av.open(str(clips[name])) as container:
        right = pixels(list(container.decode(video=0)))
    skipped = Counter({"behind": 0})
    skipping = Skipping(Pace(None), skipped)
    skipping.live = True
    now = 0.0
    given: list[av.VideoFrame] = []
    with av.open(str(clips[name])) as container:
        stream = container.streams.video[0]
        decoding = Decoding(stream.codec_context, DecoderChoice(), skipping, name=name, clock=lambda: now)
        for packet in container.demux(stream):
            now += 1 / 30
            lag_s = 0.0 if (round(30 * now) + late) % 50 < 8 else 0.7
            with suppress(Skipped):
                given += decoding.pictures(packet, Arrival(lag_s, 0.0))
    found = pixels(given)
    assert found == {time: right[time] for time in found}
    assert len(found) + skipped["behind"] == FRAMES
    assert skipped["behind"] > 5


def test_where_decoding_can_begin_nowhere_nothing_is_left_out(clips: dict[str, Path]) -> None:
    """A stream with one keyframe: without what came before no later picture would be right."""
    clip = clips["a camera"].with_name("one keyframe.ts")
    encoding = "-c:v libx264 -preset veryfast -tune zerolatency -g 1000"
    command = ["ffmpeg", "-nostdin", "-v", "error", "-i", str(clips["a camera"]), *encoding.split()]
    subprocess.run([*command, str(clip)], check=True)
    skipped = Counter({"behind": 0})
    skipping = Skipping(Pace(None), skipped)
    skipping.live = True
    now, given = 0.0, 0
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        decoding = Decoding(stream.codec_context, DecoderChoice(), skipping, name="it", clock=lambda: now)
        for packet in container.demux(stream):
            now += 1 / 30
            given += len(decoding.pictures(packet, Arrival(5.0, 0.0)))
    assert given == FRAMES
    assert not skipped["behind"]


def test_who_waits_for_every_frame_leaves_out_none() -> None:
    """EDGED_POLICY=all, and files."""
    for live, waits in ((True, True), (False, False)):
        skipping = Skipping(Pace(None), Counter(), waits=waits)
        skipping.live = live
        assert not skipping.may_leave_out


def test_it_is_told_for_a_minute() -> None:
    """A decoder that has fallen behind is a trouble, and then it is not any more."""
    now = 0.0
    skipping = Skipping(Pace(None), Counter(), clock=lambda: now)
    assert not skipping.problem
    skipping.fell_behind("the camera")
    assert "EDGED_DETECT_SOURCE" in skipping.problem
    now = 61.0
    assert not skipping.problem
