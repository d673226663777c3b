"""What the tests of the live view share: one that is served, a camera before it, and who looks."""

from __future__ import annotations

import http.client
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Self

import cv2
import numpy as np
from made import START, result

from edged import bridge
from edged.contract import event_messages
from edged.http.site import Site
from edged.metrics import FrameCounts, StageStats
from edged.records import Report, Result, State
from edged.settings.listener import parse
from edged.sinks.http import HttpSink

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edged.pixels import Pixels
    from edged.records import Image
    from edged.video.archive import Archive

TOKEN = "0123456789abcdef"  # noqa: S105  # of nobody
told = partial(event_messages.told, camera="door", boot_id="")

RUNNING = State(
    lifecycle="running",
    device="cpu",
    runtime="a-runtime 1.0",
    model="a-model",
    version="0.1.0",
    config_hash="abc",
    camera_online=True,
    source={"kind": "synthetic", "width": 160, "height": 120},
)
REPORT = Report(
    interval_s=10.0,
    fps=29.5,
    stages={"predict": StageStats(295, 5.0, 7.0, 9.0, 11.0), "encode": StageStats(295, 2.0, 3.0, 4.0, 5.0)},
    frames=FrameCounts(captured=310, inferred=295, dropped={"superseded": 14}, in_flight=1),
    reconnects=3,
    sinks={"video": {"sent": 290, "failed": 5}},
    host={"load_1min": 0.5, "throttled": True},
)


@contextmanager
def serving(
    address: str = "127.0.0.1:0",
    token: str | None = None,
    *,
    has_video: bool = False,
    archive: Archive | None = None,
) -> Iterator[HttpSink]:
    """A live view that is open."""
    sink = HttpSink(
        Site(parse(address), token=token), title="front door", has_video=has_video, archive=archive
    )
    sink.open()
    try:
        yield sink
    finally:
        sink.close()


def port(sink: HttpSink) -> int:
    return int(sink.url.rstrip("/").rpartition(":")[2])


def get(
    sink: HttpSink, path: str, *, host: str = "127.0.0.1", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body."""
    connection = http.client.HTTPConnection(host, port(sink), timeout=60)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, {name.title(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


class Camera:
    """Feeds a sink with results from a thread of its own, and counts the pictures that were drawn."""

    def __init__(
        self, sink: HttpSink, *, fps: float = 50, size: tuple[int, int] = (160, 120), noise: bool = False
    ) -> None:
        self.drawn = 0
        self.sent = 0
        self._sink = sink
        self._pause_s = 1 / fps
        self._size = size
        self._noise = noise
        self._going = True
        self._ended = False

    def __enter__(self) -> Self:
        bridge.start("camera", self._run)
        return self

    def __exit__(self, *_: object) -> None:
        self._going = False
        while not self._ended:
            time.sleep(0.01)

    def _run(self) -> None:
        while self._going:
            self._sink.send(self._result())
            self.sent += 1
            time.sleep(self._pause_s)
        self._ended = True

    def _result(self) -> Result:
        made = result(
            self.sent,
            pts=self.sent / 50,
            ts=START + self.sent / 50,
            size=self._size,
            seen=self.sent % 40 < 20,
            noise=self._noise,
        )

        def picture() -> Pixels:
            self.drawn += 1
            return made.picture()

        return Result(made.frame, made.model, made.detections, made.timings_ms, picture, waits=False)


class Viewer:
    """Reads the stream picture by picture."""

    def __init__(self, sink: HttpSink) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port(sink), timeout=60)
        self.connection.request("GET", "/stream.mjpg")
        self.answer = self.connection.getresponse()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.answer.close()
        self.connection.close()

    def picture(self) -> Image:
        """The next picture."""
        length = 0
        while (line := self.answer.readline()) != b"\r\n" or not length:
            assert line
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        jpeg = self.answer.read(length)
        image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        assert image is not None
        return image  # type: ignore[return-value]  # uint8 as decoded
