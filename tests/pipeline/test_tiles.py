"""Several looks a frame through the whole pipeline: in order, counted as frames, and nothing twice."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from daemon import Daemon, edged
from loaded import load
from parts import FakeDecoder, FakeEngine, Rig, Sink, Source
from waiting import until

from edged.engines.pool import EnginePool, Guest, Turns
from edged.errors import ConfigError, DeviceError
from edged.imaging.tensors import Preprocessor
from edged.model import detector
from edged.model.detector import Detector
from edged.pipeline.admission import Admission
from edged.pipeline.regions import Tiles
from edged.records import Box, Detection, Frame, Model
from edged.scene.motion import Background
from edged.settings.declared import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from edged.imaging.geometry import Geometry
    from edged.records import Tensor

WIDTH, HEIGHT = 192, 96
BLOCKS = ((10, 10, 4, 4), (70, 40, 4, 6), (100, 20, 60, 60), (180, 88, 12, 8))
"""Left, top, width, height: small, in the overlap of tiles, larger than these, and at the edge."""


class Looking(FakeEngine):
    """Gives back what it was given; ``before`` gets the number of the look."""

    def __init__(self, before: Callable[[int], None] = lambda _: None) -> None:
        super().__init__()
        self._hook = before
        self.looks = 0

    def invoke(self, tensor: Tensor) -> Sequence[Tensor]:
        self.looks += 1
        self._hook(self.looks)
        return [tensor.copy()]


class Bright(FakeDecoder):
    """Finds what is bright, if it is larger than a pixel of the input."""

    def decode(self, outputs: Sequence[Tensor], geometry: Geometry) -> list[Detection]:
        seen = (outputs[0][0, :, :, 0] > 128).astype(np.uint8)
        _, _, stats, _ = cv2.connectedComponentsWithStats(seen)
        blocks = [(x, y, x + w, y + h) for x, y, w, h, area in stats[1:].tolist() if area >= 4]
        corners = geometry.to_source(np.array(blocks, np.float64).reshape(-1, 4)).tolist()
        return [Detection(0, "block", 0.9, Box(*box)) for box in corners]


class Blocks(Source):
    """Frames in which bright blocks stand; the number of the frame is how many there are, and round again."""

    def frames(self) -> Iterator[Frame]:
        for made in super().frames():
            image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
            for x, y, w, h in BLOCKS[: made.frame_id % (len(BLOCKS) + 1)]:
                image[y : y + h, x : x + w] = 255
            yield replace(made, pixels=image)


def rig(*engines: FakeEngine, admission: Admission, count: int = 15, live: bool = False) -> Rig:
    decoder: Any = Bright()
    model = Model("blocks", FakeEngine.inputs, FakeEngine.outputs)
    preprocess = Preprocessor(FakeEngine.inputs[0], FakeDecoder.encoding)
    finds = Detector(model, EnginePool(engines), preprocess, decoder, frozenset())
    return Rig(Blocks(count, live=live, fps=50.0 if live else 0.0), finds, Sink(), admission=admission)


@pytest.mark.parametrize("workers", [1, 2])
def test_every_block_is_found_once_where_it_is(workers: int) -> None:
    engines = [Looking() for _ in range(workers)]
    made = rig(*engines, admission=Admission(regions=Tiles(3, 2)))
    counts = made.go()
    assert (counts.captured, counts.inferred) == (15, 15), "frames, not looks"
    assert sum(engine.looks for engine in engines) == 15 * 7
    assert made.sinks[0].ids == list(range(15))
    for result in made.sinks[0].results:
        there = sorted(BLOCKS[: result.frame.frame_id % (len(BLOCKS) + 1)])
        found = sorted(
            (x1, y1, x2 - x1, y2 - y1) for x1, y1, x2, y2 in (one.box for one in result.detections)
        )
        assert len(found) == len(there), (result.frame.frame_id, found)
        for mine, theirs in zip(found, there, strict=True):
            assert np.allclose(mine, theirs, atol=7), "to a pixel of the coarsest look"
        assert result.timings_ms["predict"] > 0
        assert result.timings_ms["queue"] >= 0


def test_without_tiles_small_blocks_are_not_found() -> None:
    made = rig(Looking(), admission=Admission())
    made.go()
    assert max(len(result.detections) for result in made.sinks[0].results) < len(BLOCKS)


def test_looks_at_one_frame_run_side_by_side() -> None:
    """Each engine waits until the other has a look at the same frame, too."""
    together = threading.Barrier(2, timeout=20)

    def meet(look: int) -> None:
        if look == 1:
            together.wait()

    made = rig(Looking(meet), Looking(meet), admission=Admission(regions=Tiles(2, 1)), count=1)
    assert made.go().inferred == 1


def test_a_live_source_gets_its_tiles_and_the_account_closes() -> None:
    made = rig(Looking(), admission=Admission(regions=Tiles(3, 2)), live=True)
    counts = made.go()
    assert counts.captured == 15
    assert counts.inferred + sum(counts.dropped.values()) == 15


def test_still_frames_take_no_look() -> None:
    engine = Looking()
    made = rig(engine, admission=Admission(Background(), check_s=60.0, regions=Tiles(2, 1)), count=8)
    counts = made.go()
    assert engine.looks == 3 * counts.inferred
    assert counts.inferred + counts.still == 8


def test_a_look_that_fails_ends_its_frame_and_is_counted_once() -> None:
    def fail(look: int) -> None:
        if look == 7 * 4 + 3:
            raise DeviceError("the engine is gone")

    made = rig(Looking(fail), admission=Admission(regions=Tiles(3, 2)))
    with pytest.raises(DeviceError):
        made.go()
    counts = made.closed()
    assert counts.inferred == 4
    assert counts.dropped["predict_failed"] >= 1
    assert made.sinks[0].ids == list(range(4))


def test_an_abort_in_the_middle_of_a_frame_gives_back_its_turn() -> None:
    """The engine hangs at the third look while the fourth waits for a tensor."""
    held, reached = threading.Event(), threading.Event()

    def hang(look: int) -> None:
        if look == 3:
            reached.set()
            held.wait(20)

    made = rig(Looking(hang), admission=Admission(regions=Tiles(3, 2)))

    async def abort(pipeline: Any) -> None:
        await until(reached.is_set)
        pipeline.abort()
        held.set()

    counts = made.go(abort)
    assert counts.inferred == 0
    turns = made._detector.pool.turns  # noqa: SLF001  # nobody else can tell
    assert turns._free == 2, "all turns are back"  # noqa: SLF001


def test_who_needs_more_invokes_has_fewer_turns() -> None:
    turns, tiled, plain = Turns(1), Guest(), Guest()
    taken = []
    for _ in range(8):
        guest = min((tiled, plain), key=lambda one: one.due)
        assert turns.take(guest)
        if guest is tiled:
            turns.charge(guest, 7)
        taken.append(guest is tiled)
        turns.give_back()
    assert sum(taken) == 1 + (not taken[0])


def test_a_daemon_with_tiles_finds_more_in_photos_and_check_says_what_it_costs(
    shared: Path, tmp_path: Path
) -> None:
    settings = {
        "EDGED_SOURCE": str(shared / "images" / "0000000000[0-4]*.jpg"),
        "EDGED_MODEL": str(shared / "models" / "yolov8n_224_full_integer_quant.tflite"),
        "EDGED_TRACK": "false",
        "EDGED_LOG_FORMAT": "json",
    }
    found = {}
    for tiles in ("", "2x2"):
        lines = tmp_path / f"lines{tiles}.jsonl"
        more = {"EDGED_JSONL": str(lines)} | ({"EDGED_TILES": tiles} if tiles else {})
        with Daemon(tmp_path, settings | more) as daemon:
            assert daemon.wait() == 0
        told = [json.loads(line) for line in lines.read_text().splitlines()]
        assert daemon.ledger()["inferred"] == len(told) > 0
        found[tiles] = sum(len(line["detections"]) for line in told)
    assert found["2x2"] > found[""]
    check = edged("check", settings=settings | {"EDGED_TILES": "2x2"})
    assert check.returncode == 0
    assert "5 invokes a frame" in check.stdout


def test_tiles_of_a_classifier_are_an_error(shared: Path) -> None:
    model = shared / "models" / "mobilenet_v1_0.25_128_quant.tflite"
    with pytest.raises(ConfigError, match="EDGED_TILES"):
        detector.load(Settings(model=model, source="-", tiles=(2, 2)))


@pytest.mark.parametrize("value", ["3", "1x1", "0x4", "3x-2", "5x5", "axb"])
def test_wrong_tiles_are_told_with_what_to_write(value: str) -> None:
    with pytest.raises(ConfigError, match=f"EDGED_TILES='{value}': not columns x rows like 3x2"):
        load(EDGED_TILES=value)
