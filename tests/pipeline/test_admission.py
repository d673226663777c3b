"""What does not move is not inferred: counted as still, told on, and looked at now and then."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest
from daemon import Daemon
from parts import SIZE, Rig, Sink, Source, detector

from edged.contract import payloads
from edged.errors import OutputError
from edged.pipeline.admission import Admission
from edged.pipeline.follow import Follower
from edged.records import Frame
from edged.scene import Scene, SceneRules
from edged.scene.motion import Background

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edged.records import Image

FPS = 5.0
RNG = np.random.default_rng(7)
SURFACE = np.kron(RNG.integers(60, 200, (9, 16, 1)), np.ones((10, 10, 3))).astype(np.float32)


def picture(number: int, *, light: float = 1.0, block: int | None = None) -> Image:
    """A surface with noise; ``block`` is where something stands."""
    del number
    image = SURFACE * np.float32(light) + RNG.normal(0, 2, SURFACE.shape)
    if block is not None:
        image[30:50, block : block + 12] = 10
    return np.clip(image, 0, 255).astype(np.uint8)


def frame(number: int, image: Image, fps: float = FPS) -> Frame:
    return Frame(number, image, 1e9 + number / fps, number / fps, number / fps)


def looks(images: list[Image], *, check_s: float = 10.0, fps: float = FPS) -> list[int]:
    """Numbers of the frames that the model gets."""
    admission = Admission(Background(), check_s=check_s)
    return [n for n, one in enumerate(images) if admission.wants(frame(n, one, fps), anyway=n == 0)]


def test_of_a_still_picture_one_frame_every_check_is_looked_at() -> None:
    """The first one, one more once the camera has settled, then one every four seconds."""
    assert looks([picture(n) for n in range(100)], check_s=4.0) == [0, 5, 25, 45, 65, 85]


def test_what_moves_is_looked_at_and_a_second_longer() -> None:
    images = [picture(n, block=10 + 4 * n if 30 <= n < 37 else None) for n in range(60)]
    found = looks(images, check_s=60.0)
    assert found[:3] == [0, 5, 30], "the very first frame"
    assert found[2:] == [*range(30, found[-1] + 1)], "none left out"
    assert 41 <= found[-1] <= 50


def test_switched_lights_are_looked_at_twice_and_flicker_twice_a_second() -> None:
    switched = [picture(n, light=0.4 if n >= 30 else 1.0) for n in range(60)]
    assert looks(switched, check_s=60.0) == [0, 5, 30, 35]
    flickering = [picture(n, light=1.0 if n % 2 else 0.4) for n in range(100)]
    assert len(looks(flickering, check_s=60.0, fps=10.0)) <= 21


def test_a_clock_that_begins_anew_is_a_new_beginning() -> None:
    admission = Admission(Background(), check_s=10.0)
    times = [*range(20), *range(20)]
    wanted = [admission.wants(frame(n, picture(n), fps=1.0), anyway=False) for n in times]
    assert [n for n, wants in enumerate(wanted) if wants] == [0, 1, 11, 20, 30]


class Yard(Source):
    """Frames of media time in which nothing moves but what walks through from the 60th to the 68th."""

    def frames(self) -> Iterator[Frame]:
        for made in super().frames():
            number = made.frame_id
            image = np.clip(SURFACE[:SIZE, :SIZE] + RNG.normal(0, 2, (SIZE, SIZE, 1)), 0, 255).astype(
                np.uint8
            )
            if 60 <= number < 68:
                image[10:24, 3 * (number - 59) :][:, :7] = 10
            image[0, 0] = (number, 0, 0)  # for the engine
            yield replace(made, pixels=image, pts=number / FPS)


def rig(*sinks: Sink, count: int = 100, follower: Follower | None = None, **hooks: Any) -> Rig:
    """A pipeline in which a frame comes once the one before has its end, so that all is settled by then."""

    def settled(_: int) -> None:
        while made.ledger.counts().in_flight:
            time.sleep(0.001)

    admission = Admission(Background(), check_s=6.0)
    source = Yard(count, before=settled)
    made = Rig(source, detector(**hooks), *sinks, follower=follower, admission=admission)
    return made


def test_still_frames_are_results_without_the_model_and_the_account_closes() -> None:
    sink = Sink()
    counts = rig(sink).go()
    assert sink.ids == list(range(100)), "the recording does not freeze"
    seen = [result.frame.frame_id for result in sink.results if result.inferred]
    assert seen[:4] == [0, 5, 35, 60]
    assert {*range(60, 69)} <= {*seen}
    assert len(seen) <= 22
    assert (counts.captured, counts.inferred, counts.still, counts.dropped) == (
        100,
        len(seen),
        100 - len(seen),
        {},
    )
    last = 0
    for result in sink.results:
        last = result.frame.frame_id if result.inferred else last
        assert [found.class_id for found in result.detections] == [last], "what was seen last is told on"
        assert ("predict" in result.timings_ms) is result.inferred
        assert result.timings_ms["motion"] > 0


def test_the_message_says_whether_the_model_saw_the_frame() -> None:
    sink = Sink()
    rig(sink, count=3).go()
    told = [payloads.detections(result, camera="c", boot_id="b", seq=0, now=0.0) for result in sink.results]
    assert [payload["inferred"] for payload in told] == [True, False, False]


def test_after_an_output_that_is_none_every_frame_is_looked_at_until_one_is_believed() -> None:
    """What was not seen is not told on."""

    def bad(number: int) -> None:
        if 5 <= number < 9:
            raise OutputError("the output is none")

    sink = Sink()
    made = rig(sink, count=20, decode=bad)
    with pytest.raises(OutputError):
        made.go()
    counts = made.closed()
    assert counts.dropped["bad_output"] == 4
    assert [result.frame.frame_id for result in sink.results if result.inferred][:2] == [0, 9]


def test_a_frame_as_still_as_one_that_was_not_believed_is_not_told_as_empty() -> None:
    """It was judged still before the model's output for the frame before it turned out to be none."""

    def bad(number: int) -> None:
        if number == 5:
            assert judged.wait(10)
            raise OutputError("the output is none")

    class Watched(Admission):
        def wants(self, frame: Frame, *, anyway: bool) -> bool:
            wanted = super().wants(frame, anyway=anyway)
            if frame.frame_id == 7:
                judged.set()
            return wanted

    def settled(number: int) -> None:
        while not 5 < number < 8 and made.ledger.counts().in_flight:
            time.sleep(0.001)

    judged, sink = threading.Event(), Sink()
    admission = Watched(Background(), check_s=6.0)
    made = Rig(Yard(20, before=settled), detector(decode=bad), sink, admission=admission)
    with pytest.raises(OutputError):
        made.go()
    counts = made.closed()
    assert counts.dropped["bad_output"] == 3
    assert all(result.detections for result in sink.results), "nothing was seen is not what this means"
    assert counts.results + counts.dropped["bad_output"] == 20


def test_objects_that_are_new_are_looked_at_whatever_the_pixels_say() -> None:
    """Every look finds another object: until one is settled, frames are looked at."""
    sink = Sink()
    counts = rig(sink, follower=Follower(Scene(SceneRules())), count=50).go()
    assert counts.inferred == 50, "the fake detector names every object anew"


def test_with_tracks_the_daemon_finds_the_same_objects_with_a_third_of_the_looks(
    shared: Path, tmp_path: Path
) -> None:
    """A car park that is empty most of the time, from a camera that sways: a whole run, with and without."""
    lines: dict[str, list[dict[str, Any]]] = {}
    for motion in ("off", "pixels"):
        settings = {
            "EDGED_SOURCE": str(shared / "clips" / "car_768x432_h264_30s.mp4"),
            "EDGED_MODEL": str(shared / "models" / "yolov8n_224_full_integer_quant.tflite"),
            "EDGED_CLASSES": "car,truck",
            "EDGED_FPS": "5",
            "EDGED_MOTION": motion,
            "EDGED_JSONL": str(tmp_path / f"{motion}.jsonl"),
            "EDGED_LOG_FORMAT": "json",
        }
        with Daemon(tmp_path, settings) as daemon:
            assert daemon.wait() == 0
        ledger = daemon.ledger()
        lines[motion] = [json.loads(line) for line in (tmp_path / f"{motion}.jsonl").read_text().splitlines()]
        assert ledger["captured"] - ledger["dropped"].get("rate", 0) == len(lines[motion])
        assert Counter(line["inferred"] for line in lines[motion]) == Counter(
            {True: ledger["inferred"], False: ledger["still"]}
        )
    every, gated = lines["off"], lines["pixels"]
    assert all(line["inferred"] for line in every)
    assert [line["frame_id"] for line in gated] == [line["frame_id"] for line in every]
    empty = [
        n
        for n in range(len(every))
        if any(a <= n / FPS <= b for a, b in ((1, 4), (10.8, 13.4), (21.8, 24.6)))
    ]
    assert sum(gated[n]["inferred"] for n in empty) <= len(empty) / 3
    assert sum(line["inferred"] for line in gated) <= 0.75 * len(every)
    assert tracks(gated) == tracks(every) > 3
    same = [len(one["detections"]) == len(two["detections"]) for one, two in zip(gated, every, strict=True)]
    assert sum(same) >= 0.98 * len(same)


def test_a_reload_switches_the_gate_on_and_off_while_a_live_source_goes_on(
    demo_model: Path, tmp_path: Path
) -> None:
    """A quiet clip with a sensor's noise, played as by a camera: video and lines go on at the same rate."""
    quiet_clip(tmp_path / "quiet.mp4")
    settings = {
        "EDGED_SOURCE": str(tmp_path / "quiet.mp4"),
        "EDGED_LOOP": "true",
        "EDGED_POLICY": "latest",
        "EDGED_MODEL": str(demo_model),
        "EDGED_OUTPUT": str(tmp_path / "video"),
        "EDGED_JSONL": str(tmp_path / "lines.jsonl"),
        "EDGED_LOG_FORMAT": "json",
    }
    with Daemon(tmp_path, settings) as daemon:
        daemon.until(lambda: len(written(tmp_path)) >= 10)
        assert all(line["inferred"] for line in written(tmp_path))
        daemon.configure(settings | {"EDGED_MOTION": "pixels"})
        daemon.send(signal.SIGHUP)
        daemon.until(lambda: sum(not line["inferred"] for line in written(tmp_path)) >= 20)
        daemon.configure(settings)
        daemon.send(signal.SIGHUP)
        daemon.until_told("reloaded", 2)
        before = len(written(tmp_path))
        daemon.until(lambda: len(written(tmp_path)) >= before + 5)
        assert daemon.stop() == 0
    ledger = daemon.ledger()
    assert Counter(line["inferred"] for line in written(tmp_path)) == Counter(
        {True: ledger["inferred"], False: ledger["still"]}
    )
    assert ledger["still"] >= 20
    assert written(tmp_path)[-1]["inferred"], "switched off again"
    assert frames_of(tmp_path / "video") == len(written(tmp_path)) - sum(
        count for fate, count in ledger["sinks"]["video"].items() if fate != "sent"
    )


def quiet_clip(target: Path) -> None:
    """Four seconds at 10 frames/s."""
    with av.open(str(target), "w") as clip:
        video = clip.add_stream("libx264", rate=10)
        assert isinstance(video, av.VideoStream)
        video.width, video.height, video.pix_fmt = 160, 90, "yuv420p"
        for number in range(40):
            clip.mux(video.encode(av.VideoFrame.from_ndarray(picture(number), format="bgr24")))
        clip.mux(video.encode(None))


def written(folder: Path) -> list[dict[str, Any]]:
    """Lines that are whole."""
    path = folder / "lines.jsonl"
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def frames_of(folder: Path) -> int:
    """Pictures in all segments."""
    count = 0
    for path in folder.glob("*.mp4"):
        with av.open(str(path)) as video:
            count += sum(1 for _ in video.decode(video=0))
    return count


def tracks(lines: list[dict[str, Any]]) -> int:
    """How many objects have a number."""
    return len({found["track"] for line in lines for found in line["detections"]} - {None})
