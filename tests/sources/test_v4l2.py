"""V4L2 cameras that are not there; ``benchmarks/vivid`` has a real one, in a machine of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from edged.errors import SourceError
from edged.settings.declared import Settings
from edged.sources import create
from edged.sources.v4l2 import V4l2Camera, V4l2Source


def test_device_names_choose_this_source() -> None:
    """Both kinds of names the kernel gives to a camera lead here."""
    for spec in ("/dev/video0", "/dev/v4l/by-id/usb-camera-index0"):
        assert isinstance(create(Settings(source=spec, model=Path("none.tflite"))), V4l2Source)


@pytest.mark.parametrize(
    ("device", "problem"),
    [("/dev/video-none", "does not exist"), (__file__, "is no device"), ("/dev/null", "cannot be opened")],
)
def test_what_is_no_camera_is_told_apart(device: str, problem: str) -> None:
    """Missing, no device, no camera: each says so, with something to look after."""
    camera = V4l2Camera(device, size=(640, 480), fps=30, pixel_format="MJPG")
    with pytest.raises(SourceError, match=problem) as caught:
        camera.open()
    camera.close()
    assert device in str(caught.value)
    assert caught.value.hint


def test_start_without_the_camera_fails_as_unavailable() -> None:
    """Exit 69: systemd starts edged again."""
    source = create(Settings(source="/dev/video-none", model=Path("none.tflite")))
    with pytest.raises(SourceError) as caught:
        source.open()
    source.close()
    assert caught.value.exit_code == 69
