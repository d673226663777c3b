"""A camera's own packets on their way into segments, from clips."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import av
from made import result
from source_clips import number_of

from edged.metrics import Meter
from edged.sinks.video import VideoSink
from edged.sources.packets.tap import StreamTap, Tap
from edged.video.recorder import Events, FolderRecorder
from edged.video.retention import Retention

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edged.records import Result
    from edged.video.copying import Copier
    from edged.video.segments import Sample

FPS = 25


def copying(folder: Path, *, length: float = 2.0, events: Events | None = None) -> VideoSink:
    retention = Retention(folder, budget=None, reserve=0)
    return VideoSink(
        FolderRecorder(folder, retention, length_s=length, events=events),
        meter=Meter(),
        boot_id="b" * 32,
        copies=True,
    )


def taker(sink: VideoSink) -> Copier:
    assert sink.copier is not None
    return sink.copier


def look(sink: VideoSink, number: int, *, seen: bool = False) -> None:
    """What the model says of the newest packet."""
    sink.send(result(number, pts=number / FPS, ts=time.time(), seen=seen, waits=False))


def feed(listener: Copier, *clips: Path, each: Callable[[int], object] = lambda _: None) -> list[bool]:
    """Hand on all packets of clips, each a connection; which of them were keyframes."""
    tap, keys = Tap(), []
    tap.hand_to([listener])
    for clip in clips:
        with av.open(str(clip)) as container:
            through = StreamTap(tap, container.streams.video[0])
            for packet in container.demux(video=0):
                if packet.size:
                    through.packet(packet)
                    keys.append(packet.is_keyframe)
                    each(len(keys) - 1)
            through.end()
    return keys


def numbers(path: Path) -> list[int]:
    """What the pictures of a file show."""
    with av.open(str(path)) as container:
        return [
            number_of(frame.to_ndarray(format="bgr24").astype("uint8")) for frame in container.decode(video=0)
        ]


def late(sink: VideoSink, clip: Path, *, by: int, seen: Callable[[int], bool] = lambda _: False) -> None:
    """All of a connection, each packet looked at, and told of so many packets later."""
    waiting: list[Result] = []

    def each(number: int) -> None:
        waiting.append(result(number, pts=number / FPS, ts=time.time(), seen=seen(number), waits=False))
        if len(waiting) > by:
            sink.send(waiting.pop(0))

    feed(taker(sink), clip, each=each)
    for one in waiting:  # when the camera is gone
        sink.send(one)


class Blocked(FolderRecorder):
    """A disk that stands still until it is let go."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, Retention(folder, budget=None, reserve=0), length_s=60, events=None)
        self.go = threading.Event()

    def take(self, sample: Sample) -> None:
        self.go.wait(30)
        super().take(sample)
