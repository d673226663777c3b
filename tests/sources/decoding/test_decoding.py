"""What is not decoded: whatever is left out, no wrong picture comes out, and everything is counted."""

from __future__ import annotations

import random
import subprocess
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

import av
import pytest

from edged.pixels import bgr
from edged.sources.connection import Damaged, Skipped
from edged.sources.decoding.container import Container
from edged.sources.decoding.skipping import Skipping
from edged.sources.decoding.upright import Upright
from edged.sources.file import FileSource
from edged.sources.pace import Pace
from edged.sources.packets.nal import Headers
from edged.sources.packets.tap import Tap

if TYPE_CHECKING:
    from pathlib import Path

FRAMES = 150
# With as many slices on every machine: by itself the encoder makes one for each processor.
CAMERA = "-c:v libx264 -preset veryfast -tune zerolatency -g 30 -sc_threshold 0 -threads 2"
STREAMS = {
    "a camera": ("ts", CAMERA),
    "a camera in MP4": ("mp4", CAMERA),
    "B-frames": ("ts", "-c:v libx264 -preset medium -g 30"),
    "B-frames in MP4": ("mp4", "-c:v libx264 -preset medium -g 30"),
    "open groups": ("ts", "-c:v libx264 -preset medium -g 30 -x264-params open-gop=1"),
    "intra refresh": ("ts", "-c:v libx264 -preset veryfast -g 30 -x264-params intra-refresh=1"),
    "one keyframe": ("ts", "-c:v libx264 -preset veryfast -tune zerolatency -g 1000"),
    "HEVC": ("ts", "-c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=30:open-gop=0"),
    "open groups of HEVC": ("ts", "-c:v libx265 -preset fast -x265-params log-level=none:keyint=30"),
    "HEVC in MP4": ("mp4", "-c:v libx265 -preset fast -x265-params log-level=none:keyint=30"),
}
Pictures = dict[float, bytes]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every stream, of a picture that moves all over."""
    folder = tmp_path_factory.mktemp("clips")
    made = {}
    for name, (suffix, encoding) in STREAMS.items():
        made[name] = folder / f"{name.replace(' ', '_')}.{suffix}"
        source = f"testsrc2=size=160x120:rate=30:duration={FRAMES / 30}"
        command = ["ffmpeg", "-nostdin", "-v", "error", "-f", "lavfi", "-i", source, *encoding.split()]
        subprocess.run([*command, "-pix_fmt", "yuv420p", str(made[name])], check=True)
    return made


def all_pictures(clip: Path) -> Pictures:
    """Every picture by its time, as a plain decoder has it."""
    with av.open(str(clip)) as container:
        pictures = list(container.decode(video=0))
    return {float(picture.time or 0): bgr(Upright()(picture, 0)).tobytes() for picture in pictures}


def given(
    clip: Path, skipping: Skipping, after: dict[str, object] | None = None, tap: Tap | None = None
) -> Pictures:
    """What a container gives; after each step, and after each picture, ``after`` may say what was found."""
    found: Pictures = {}
    steps = after or {}
    with Container(str(clip), name="the clip", hint="", skipping=skipping, tap=tap) as container:
        while True:
            try:
                if container.grab():
                    assert container.time is not None
                    assert container.time > max(found, default=-1.0), "each once"
                    found[container.time] = bgr(container.pixels()).tobytes()
                    if callable(told := steps.get("picture")):
                        told(container.time)
            except (Skipped, Damaged):
                pass
            except EOFError:
                break
            if callable(told := steps.get("step")):
                told()
    return found


def watching(*, check_s: float = 1000.0) -> tuple[Skipping, Counter[str]]:
    """What a source has that watches packets, and what it counts."""
    skipped: Counter[str] = Counter()
    skipping = Skipping(Pace(None), skipped)
    skipping.watch_packets(check_s)
    return skipping, skipped


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("seed", range(2))
def test_no_wrong_picture_comes_out_whenever_it_rests_and_wakes(
    name: str, seed: int, clips: dict[str, Path]
) -> None:
    skipping, skipped = watching()
    chance = random.Random(seed)  # noqa: S311  # no secret

    def turn() -> None:
        if chance.random() < 0.1:
            skipping.rest(0, quiet=chance.random() < 0.6)

    right = all_pictures(clips[name])
    found = given(clips[name], skipping, {"step": turn})
    assert found == {time: right[time] for time in found}
    assert len(found) < FRAMES
    assert len(found) + skipped["quiet"] <= FRAMES
    assert len(found) + skipped["quiet"] >= FRAMES - 4  # what a flushed decoder held back


@pytest.mark.parametrize("name", ["B-frames", "B-frames in MP4", "a camera"])
def test_frames_that_are_not_due_are_spared_and_the_same_ones_are_given(
    name: str, clips: dict[str, Path]
) -> None:
    with_all = Pace(6)
    due = []
    for time in sorted(all_pictures(clips[name])):
        if with_all.due(time):
            with_all.given(time)
            due.append(time)
    pace, skipped = Pace(6), Counter[str]()
    looked: list[float] = []
    asked: list[float] = []

    def ask(time: float) -> None:
        asked.append(time)
        if pace.due(time):
            pace.given(time)
            looked.append(time)

    found = given(clips[name], Skipping(pace, skipped), {"picture": ask})
    right = all_pictures(clips[name])
    assert looked == due
    assert set(due) <= set(found)
    assert all(found[time] == right[time] for time in found)
    assert len(asked) + skipped["rate"] == FRAMES
    assert (skipped["rate"] > FRAMES / 5) == (name != "a camera")


@pytest.mark.parametrize("name", ["a camera", "a camera in MP4", "HEVC in MP4", "B-frames"])
def test_a_quiet_camera_is_decoded_up_to_each_picture_that_is_due_and_no_wrong_one_comes(
    name: str, clips: dict[str, Path]
) -> None:
    right = all_pictures(clips[name])
    looked: dict[bool, list[float]] = {}
    for quiet in (False, True):
        pace, skipped = Pace(6), Counter[str]()
        skipping = Skipping(pace, skipped)
        skipping.live = True
        given_s = looked[quiet] = []
        asked = 0

        def ask(
            time: float, *, pace: Pace = pace, given_s: list[float] = given_s, skipping: Skipping = skipping
        ) -> None:
            nonlocal asked
            asked += 1
            if pace.due(time):
                pace.given(time)
                given_s.append(time)
                skipping.rest(len(given_s), quiet=quiet)  # noqa: B023  # called within this turn

        found = given(clips[name], skipping, {"picture": ask})
        assert found == {time: right[time] for time in found}
        assert asked + skipped["rate"] == FRAMES
        # HEVC of this encoder has B-frames, too: pictures that come in another order are not waited for.
        assert (asked < FRAMES / 4) == (quiet and name.startswith("a camera"))
    assert looked[True] == looked[False]


@pytest.mark.parametrize("fps", [1.0, 5.0])
def test_what_moves_before_a_quiet_camera_does_not_wait_for_its_turn(tmp_path: Path, fps: float) -> None:
    """Its packet is larger than those of a wall with the noise of a sensor."""
    clip, steps_in = tmp_path / "steps in.ts", 215
    thing = f"drawgrid=w=7:h=5:c=white:enable=gte(n\\,{steps_in})"
    scene = f"color=c=gray:s=320x240:r=30:d=8,noise=alls=5:allf=t,{thing}"
    encoding = [*CAMERA.replace("30", "60").split(), "-crf", "25", "-pix_fmt", "yuv420p"]
    command = ["ffmpeg", "-nostdin", "-v", "error", "-f", "lavfi", "-i", scene, *encoding, str(clip)]
    subprocess.run(command, check=True)
    times = sorted(all_pictures(clip))
    pace, skipped = Pace(fps), Counter[str]()
    skipping = Skipping(pace, skipped)
    skipping.live = True
    looked: list[int] = []
    asked = 0

    def ask(time: float) -> None:
        nonlocal asked
        asked += 1
        if pace.due(time):
            pace.given(time)
            looked.append(times.index(time))
            skipping.rest(len(looked), quiet=True)

    given(clip, skipping, {"picture": ask})
    assert steps_in in looked
    assert asked + skipped["rate"] == len(times)
    # Hardly a false alarm, and over time no more pictures than are wanted.
    assert len([number for number in looked if number < steps_in]) <= steps_in / 30 * fps + 4


def test_what_is_damaged_in_a_burst_is_counted_as_it_is_else(clips: dict[str, Path], tmp_path: Path) -> None:
    data = bytearray(clips["a camera"].read_bytes())
    for at in range(len(data) // 3, len(data) // 3 + 12000, 400):
        data[at] ^= 0xFF
    broken = tmp_path / "broken.ts"
    broken.write_bytes(data)
    counts = []
    for quiet in (False, True):
        pace, skipped = Pace(6), Counter[str]()
        skipping = Skipping(pace, skipped)
        skipping.live = True
        skipping.rest(0, quiet=quiet)
        with Container(str(broken), name="the clip", hint="", skipping=skipping) as container:
            while True:
                try:
                    if container.grab():
                        skipped["whole"] += 1
                        if pace.due(container.time or 0.0):
                            pace.given(container.time or 0.0)
                except Damaged:
                    skipped["corrupt"] += 1
                except Skipped:
                    continue
                except EOFError:
                    break
        counts.append((skipped["corrupt"], skipped["whole"] + skipped["rate"]))
    assert counts[0][0] > 1
    assert counts[0] == counts[1]


def test_a_long_group_of_pictures_is_caught_up_with_before_it_is_too_much(
    clips: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edged.sources.decoding.decoder._MOST_PACKETS", 40)
    skipping, skipped = watching()
    right = all_pictures(clips["one keyframe"])
    found = given(clips["one keyframe"], skipping, {"picture": lambda _: skipping.rest(0, quiet=True)})
    assert found == {time: right[time] for time in found}
    assert max(later - earlier for earlier, later in pairwise(sorted(found))) <= 40 / 30 + 0.01
    assert len(found) + skipped["quiet"] == FRAMES


@pytest.mark.parametrize(("name", "held"), [("a camera", 0), ("HEVC", 4), ("open groups of HEVC", 4)])
def test_a_quiet_file_is_looked_at_now_and_then_and_at_keyframes(
    name: str, held: int, clips: dict[str, Path]
) -> None:
    found = {}
    for check_s in (1000.0, 0.4):
        skipping, skipped = watching(check_s=check_s)
        found[check_s] = given(
            clips[name],
            skipping,
            {"picture": lambda _, skipping=skipping: skipping.rest(0, quiet=True)},
        )
        # What a flushed decoder held back is not counted.
        assert FRAMES - held <= len(found[check_s]) + skipped["quiet"] <= FRAMES
    begun = min(found[1000.0])
    assert [round(time - begun, 2) for time in found[1000.0] if round((time - begun) * 2) % 2 == 0] == [
        *map(float, range(5))
    ]
    assert len(found[0.4]) >= 2 * 5


def test_who_decodes_everything_counts_nothing_as_quiet(clips: dict[str, Path]) -> None:
    """A key that came up later would come up while another thread reads."""
    source = FileSource(str(clips["B-frames"]))
    causes = set(source.skipped)
    source.open()
    assert sum(1 for _ in source.frames()) == FRAMES
    source.close()
    assert set(source.skipped) == causes == {"rate", "corrupt"}


def test_a_file_waits_for_what_was_found_in_its_frames(clips: dict[str, Path]) -> None:
    source = FileSource(str(clips["a camera"]))
    source.skipping.watch_packets(1000.0)
    source.open()
    assert source.properties()["motion"] == "packets"
    times = []
    for frame in source.frames():
        times.append(frame.pts)
        source.rest(frame.frame_id, quiet=frame.pts < 3)
    assert len([time for time in times if time < 3]) < 20
    assert len([time for time in times if time > 3]) > 25
    assert len(times) + source.skipped["quiet"] == FRAMES


def test_a_quiet_scene_with_noise_is_decoded_at_its_keyframes_only_once_its_sizes_are_known(
    tmp_path: Path,
) -> None:
    clip, seconds = tmp_path / "noise.ts", 16
    noise = f"color=c=gray:s=320x240:r=30:d={seconds},noise=alls=5:allf=t"
    encoding = [*CAMERA.split(), "-crf", "25", "-pix_fmt", "yuv420p"]
    command = ["ffmpeg", "-nostdin", "-v", "error", "-f", "lavfi", "-i", noise, *encoding, str(clip)]
    subprocess.run(command, check=True)
    skipping, skipped = watching()
    looks = iter([False, False])  # at first the model looks

    def tell(_: float) -> None:
        skipping.rest(0, quiet=next(looks, True))

    found = given(clip, skipping, {"picture": tell})
    late = [time for time in found if time > min(found) + 6.5]
    assert 9 <= len(late) <= 12
    assert len(found) + skipped["quiet"] == 30 * seconds


class Listener:
    """Counts the packets that it is handed."""

    listens = True

    def __init__(self) -> None:
        self.count = 0

    def packet(self, _packet: object, _form: object) -> None:
        self.count += 1

    def connection_ended(self) -> None:
        """Nothing to do."""


def test_who_records_packets_gets_those_that_are_not_decoded(clips: dict[str, Path]) -> None:
    skipping, skipped = watching()
    listener, tap = Listener(), Tap()
    tap.hand_to([listener])
    found = given(clips["a camera"], skipping, {"picture": lambda _: skipping.rest(0, quiet=True)}, tap)
    assert skipped["quiet"] > len(found)
    assert listener.count == FRAMES


def test_pictures_that_cannot_be_made_after_a_keyframe_are_counted(clips: dict[str, Path]) -> None:
    """Whoever wakes at a keyframe of an open group has no use of what is shown before it."""
    skipping, skipped = watching()
    woken: list[float] = []

    def judge(time: float) -> None:
        at_keyframe = bool(woken) or skipping.resting
        skipping.rest(0, quiet=not at_keyframe and time > 0.5)
        if at_keyframe:
            woken.append(time)

    clip = clips["open groups of HEVC"]
    right = all_pictures(clip)
    found = given(clip, skipping, {"picture": judge})
    assert found == {time: right[time] for time in found}
    lost = [time for time in right if 0.6 < time < woken[0]]
    after = [time for time in right if time > woken[0]]
    assert set(after) <= set(found)
    assert len(lost) <= skipped["quiet"] + 4
    assert FRAMES - 4 <= len(found) + skipped["quiet"] <= FRAMES
    headers = Headers("hevc", None)
    with av.open(str(clip)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    leading = [packet for packet in packets if headers.is_lost(memoryview(packet))]
    keys = [packet for packet in packets if packet.is_keyframe]
    assert leading
    assert not set(map(id, leading)) & set(map(id, keys))
    shown = [float(key.pts or 0) for key in keys]
    assert all(any(0 < key - float(packet.pts or 0) < 30 * 3000 for key in shown) for packet in leading)
