"""CSI cameras, with a stand-in for the Raspberry Pi's camera program that writes real pictures."""

from __future__ import annotations

import os
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path
from statistics import median
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import pytest
from daemon import until

from edged.backoff import Backoff
from edged.errors import ConfigError, SourceError
from edged.settings.declared import Settings
from edged.sources import create
from edged.sources.cameras.picamera import PicameraCamera
from edged.sources.cameras.reader import Deadlines
from edged.sources.csi import CsiSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edged.records import Frame

FAKE = Path(__file__).parent / "fake_bin"


@pytest.fixture
def fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that says what goes wrong with the stand-in, which is found as ``rpicam-vid``."""
    path = tmp_path / "fault"
    path.write_text("none")
    # Its first line asks for python3; that has to be the one with OpenCV.
    monkeypatch.setenv("PATH", f"{FAKE}:{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("RPICAM_FAULT", str(path))
    return path


@pytest.fixture
def source(fault: Path) -> Iterator[CsiSource]:
    """A small fast camera."""
    del fault
    made = csi()
    yield made
    made.close()
    deadline = time.monotonic() + 60
    while rpicams():
        assert time.monotonic() < deadline, "the camera program was left behind"
        time.sleep(0.02)


def csi(spec: str = "csi:0", **settings: Any) -> CsiSource:
    """As the settings say, but quick to try again."""
    defaults: dict[str, Any] = {
        "camera_size": (128, 96),
        "camera_fps": 50,
        "open_timeout": 60,
        "read_timeout": 60,
    }
    made = create(Settings(source=spec, model=Path("none.tflite"), **(defaults | settings)))
    assert isinstance(made, CsiSource)
    made._backoff = Backoff(0.05, 0.05)  # noqa: SLF001  # not to wait for what is not tested here
    return made


def rpicams() -> list[psutil.Process]:
    """Camera programs that run; what other tests have started is none."""
    return [
        child
        for child in psutil.Process().children()
        if child.status() != psutil.STATUS_ZOMBIE and any("rpicam-vid" in word for word in child.cmdline())
    ]


def take(source: CsiSource, count: int) -> list[Frame]:
    """So many frames."""
    frames = source.frames()
    return [next(frames) for _ in range(count)]


@pytest.mark.parametrize("pixel_format", ["MJPG", "YU12"])
def test_pictures_come_through_the_pipe(fault: Path, pixel_format: str) -> None:
    """Both formats give pictures of the size, rate and colours of the camera."""
    del fault
    source = csi(camera_format=pixel_format)
    source.open()
    assert source.properties() == {
        "kind": "csi", "codec": pixel_format, "fps": 50.0, "width": 128, "height": 96,
    }  # fmt: skip
    begun = time.monotonic()
    frames = take(source, 30)
    assert time.monotonic() - begun > 0.3
    assert median(later.captured - one.captured for one, later in pairwise(frames)) < 0.05
    assert np.allclose(frames[5].image[48, 100], (255, 255, 255), atol=3), "white stays white: full range"
    assert np.allclose(frames[5].image[48, 20], (0, 0, 200), atol=6)
    source.close()


def test_missing_camera_is_told_in_the_programs_own_words(fault: Path, source: CsiSource) -> None:
    """What the camera program says goes into the message."""
    fault.write_text("no-camera")
    with pytest.raises(SourceError, match="no cameras available"):
        source.open()


def test_missing_program_is_told_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the program and without picamera2 the message says what to install."""
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(SourceError, match="apt install"):
        csi().open()


@pytest.mark.parametrize("what", ["die", "freeze"])
def test_program_that_dies_or_freezes_is_started_again(fault: Path, source: CsiSource, what: str) -> None:
    """A camera program that ends, or gives nothing more, is replaced by a new one; the old one is gone."""
    if what == "freeze":
        source._deadlines = Deadlines(60, 0.5)  # noqa: SLF001  # it is long in all other tests
    source.open()
    source._deadlines = Deadlines(10, 60)  # noqa: SLF001  # of those that come after it
    frames = source.frames()
    next(frames)
    fault.write_text(what)

    def mend() -> None:
        until(lambda: source.problem)
        fault.write_text("none")

    mends = threading.Thread(target=mend)
    mends.start()
    begun = time.monotonic()
    while source.reconnects == 0:
        next(frames)
        assert time.monotonic() - begun < 60
    mends.join(60)
    assert source.problem == ""
    assert len(rpicams()) == 1


def test_chatter_does_not_stop_the_pictures(fault: Path, source: CsiSource) -> None:
    """However much the program says, its pipe for messages never fills up."""
    fault.write_text("chatter")
    source.open()
    assert len(take(source, 10)) == 10


def test_cut_picture_is_counted(fault: Path, source: CsiSource) -> None:
    """A picture that breaks off is damaged; the next one is whole."""
    source.open()
    frames = source.frames()
    next(frames)
    fault.write_text("cut")
    for _ in range(20):
        next(frames)
    assert source.skipped["corrupt"] == 1


def test_stop_kills_a_frozen_program(fault: Path, source: CsiSource) -> None:
    """The exit waits neither for the camera nor for its program."""
    source.open()
    fault.write_text("freeze")
    time.sleep(0.1)
    begun = time.monotonic()
    source.stop()
    source.close()
    assert time.monotonic() - begun < 20
    assert not rpicams()


@pytest.mark.parametrize("spec", ["csi:", "csi:a", "csi:-1", "csi:²"])
def test_camera_has_a_number(spec: str) -> None:
    """``csi:`` wants the number of a camera."""
    with pytest.raises(ConfigError, match="csi:0"):
        csi(spec)


@pytest.mark.parametrize(("size", "pixel_format"), [((130, 96), "YU12"), ((128, 96), "YUYV")])
def test_formats_the_program_cannot_give_are_refused(
    fault: Path, size: tuple[int, int], pixel_format: str
) -> None:
    """Raw pictures with padded lines would come out garbled: better refused."""
    del fault
    with pytest.raises(ConfigError):
        csi(camera_size=size, camera_format=pixel_format).open()


class _Picamera2:
    """What is used of picamera2's interface."""

    def __init__(self, number: int) -> None:
        if number > 0:
            raise IndexError("list index out of range")
        self.running = False

    def create_video_configuration(self, **chosen: Any) -> dict[str, Any]:
        return chosen

    def configure(self, chosen: dict[str, Any]) -> None:
        self.size = chosen["main"]["size"]

    def start(self) -> None:
        self.running = True

    def capture_array(self, name: str) -> np.ndarray[Any, np.dtype[np.uint8]]:
        assert self.running
        assert name == "main"
        return np.zeros((self.size[1], self.size[0], 3), np.uint8)

    def close(self) -> None:
        self.running = False


def test_picamera2_is_driven_as_its_manual_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """The calls fit picamera2's interface; only a Raspberry Pi can show more."""
    module = ModuleType("picamera2")
    module.Picamera2 = _Picamera2  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "picamera2", module)
    camera = PicameraCamera(0, size=(64, 48), fps=30)
    camera.open()
    assert camera.grab()
    assert camera.retrieve().shape == (48, 64, 3)
    camera.close()
    missing = PicameraCamera(1, size=(64, 48), fps=30)
    with pytest.raises(SourceError, match="csi:1"):
        missing.open()
    missing.close()
