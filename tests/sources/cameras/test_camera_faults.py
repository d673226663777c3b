"""Cameras that fail in front of the real pipeline: frames come again, and every one is accounted for."""

from __future__ import annotations

from pathlib import Path

import av
import cameras
import pytest
from fault_runs import cycles, freezes_and_kills, goes_on

from edged.metrics import Meter
from edged.settings.declared import Settings
from edged.sinks import Context
from edged.sinks.video import VideoSink


@pytest.mark.parametrize("kind", ["mjpeg", "rtsp"])
def test_frozen_and_killed_camera(kind: str) -> None:
    """The pipeline outlives its camera, twice."""
    outcome = freezes_and_kills(cameras.rtsp() if kind == "rtsp" else cameras.mjpeg())
    assert all(outcome.promises.values()), outcome
    assert outcome.reconnects == 2


def test_thirty_losses() -> None:
    """Thirty connections: back each time, no thread, descriptor or memory more, and the account closes."""
    outcome = cycles(cameras.mjpeg("--frames", "5", "--fps", "50"), 30, backoff_s=0.1)
    assert all(outcome.promises.values()), outcome
    assert outcome.rss_mb < 10


def test_changing_size_reaches_the_video(tmp_path: Path) -> None:
    """A camera that changes its picture size in mid-stream breaks neither detection nor recording."""
    video = tmp_path / "out.mp4"
    settings = Settings(source="http://camera", model=Path("none.tflite"), output=video)
    sink = VideoSink.create(settings, Context(Meter(), None, "boot"))  # type: ignore[arg-type]
    server = cameras.mjpeg("--sizes", "320x240,640x480", "--change", "15", "--fps", "25")
    outcome, sizes = goes_on(server, sink, seconds=2)
    assert all(outcome.promises.values()), outcome
    assert sizes == {(320, 240), (640, 480)}
    with av.open(str(video)) as written:
        assert sum(1 for _ in written.decode(video=0)) >= 40


def test_damage_is_in_the_account_of_the_source() -> None:
    """Damaged pictures are no frames: they are counted by the source and never reach the model."""
    outcome, _ = goes_on(cameras.mjpeg("--corrupt", "4", "--fps", "50"), seconds=1)
    assert all(outcome.promises.values()), outcome
    assert outcome.skipped["corrupt"] >= 10
    assert outcome.reconnects == 0
