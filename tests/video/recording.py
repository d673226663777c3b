"""Video sinks with everything behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edged.metrics import Meter
from edged.sinks.video import VideoSink
from edged.video.recorder import Events, FileRecorder, FolderRecorder
from edged.video.retention import Retention

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from edged.records import Result
    from edged.video.recorder import Recorder

ANY = Events(0.0, 0.0)
"""Whatever is seen matters."""


def video_sink(
    recorder: Recorder, events: Events = ANY, *, codecs: tuple[str, ...] = ("libx264",)
) -> VideoSink:
    """A sink that is not yet open."""
    return VideoSink(
        recorder,
        meter=Meter(),
        boot_id="b" * 32,
        codecs=codecs,
        stop_timeout_s=10.0,
        forgiving=True,
        events=events,
    )


def into_file(path: Path) -> VideoSink:
    """A sink that writes one file."""
    return video_sink(FileRecorder(path))


def into_folder(
    folder: Path,
    *,
    length: float = 2.0,
    budget: int | None = None,
    reserve: int = 0,
    events: Events | None = None,
) -> VideoSink:
    """A sink that writes segments."""
    retention = Retention(folder, budget=budget, reserve=reserve)
    return video_sink(FolderRecorder(folder, retention, length_s=length, events=events))


def record(sink: VideoSink, results: Iterable[Result]) -> None:
    """All of a sink's life."""
    sink.open()
    try:
        for result in results:
            sink.send(result)
    finally:
        sink.close()
