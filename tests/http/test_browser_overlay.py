"""What Chromium draws over a camera's own video, and what the page says until there is some."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

import av
import pytest
from browser import open_browser
from made import result
from source_clips import make
from viewing import RUNNING, serving

from edged import bridge
from edged.http import handlers
from edged.imaging.marks import class_colour
from edged.records import Box, Detection, Keypoint
from edged.sources.packets.tap import StreamTap, Tap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edged.records import Result
    from edged.sinks.http import HttpSink

PLAYS = "return !document.getElementById('own').hidden && document.getElementById('video').currentTime > 0.2"
SHAPES = """
    return [...document.querySelectorAll("#found .found, #found circle")].map((one) => [
        one.tagName,
        one.getAttribute("d") || "",
        getComputedStyle(one)[one.tagName === "circle" ? "fill" : "stroke"],
    ]);
"""
FOUND = (
    Detection(
        0,
        "person",
        0.9,
        Box(20, 40, 60, 90),
        7,
        keypoints=(Keypoint(30, 50, 0.9), Keypoint(40, 60, 0.8), Keypoint(50, 70, 0.1)),
        skeleton=((0, 1), (1, 2)),
    ),
    Detection(1, "bird", 0.8, Box(100, 2, 140, 42), 8, path=((0.1, 0.5), (0.5, 0.5)), sub_label="robin"),
    Detection(2, "ship", 0.7, Box(80, 60, 120, 90), outline=((80, 75), (100, 60), (120, 75), (100, 90))),
)


class Camera:
    """Sends a clip once, in its own time, and what was found in every fifth picture, so many pictures later.

    ``found`` says what that is, of the picture's number.
    """

    def __init__(
        self,
        sink: HttpSink,
        clip: Path,
        *,
        found: Callable[[int], tuple[Detection, ...]] = lambda _: FOUND,
        later: int = 0,
    ) -> None:
        self._sink = sink
        self._clip = clip
        self._found = found
        self._later = later
        self.over = threading.Event()
        self.well = threading.Event()
        """While it is not set nothing comes; all of that comes at once then."""
        self.well.set()

    def run(self) -> None:
        relay, tap = self._sink.listener, Tap()
        assert relay is not None
        tap.hand_to([relay])
        with av.open(str(self._clip)) as container:
            through = StreamTap(tap, container.streams.video[0])
            waiting: deque[Result] = deque()
            due = time.monotonic()
            for number, packet in enumerate(one for one in container.demux(video=0) if one.size):
                through.packet(packet)
                made = result(number, pts=number / 25, ts=time.time(), size=(160, 96), waits=False)
                waiting.append(replace(made, detections=self._found(number)))
                if len(waiting) > self._later and (one := waiting.popleft()).frame.frame_id % 5 == 0:
                    self._sink.send(one)
                due += 0.04
                if self.over.wait(max(0.0, due - time.monotonic())):
                    break
                self.well.wait()


@pytest.fixture
def sink() -> Iterator[HttpSink]:
    with serving(has_video=True) as opened:
        opened.state(RUNNING)
        yield opened


def css(colour: tuple[int, int, int]) -> str:
    blue, green, red = colour
    return f"rgb({red}, {green}, {blue})"


def test_a_late_keyframe_is_waited_for_and_all_that_is_known_is_drawn(
    sink: HttpSink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handlers, "_KEYFRAME_S", 0.5)
    clip = make(tmp_path / "clip.ts", frames=400, gop=25, b_frames=0, scene_cuts=False)
    camera = Camera(sink, clip)
    with open_browser() as browser:
        browser.go(sink.url)
        browser.wait_for("return !document.getElementById('why').hidden")
        assert "keyframe" in browser.text("why")
        thread = bridge.start("camera", camera.run)
        try:
            browser.wait_for(PLAYS, seconds=10)
            assert browser.run("return document.getElementById('why').hidden")
            browser.wait_for(f"return (() => {{{SHAPES}}})().length === 8")
            shapes = browser.run(SHAPES)
            words = browser.run(
                "return [...document.querySelectorAll('#found text')].map((one) => one.textContent)"
            )
            inside = browser.run(
                "const stage = document.getElementById('found').getBoundingClientRect();"
                "return [...document.querySelectorAll('#found text')].every((one) => {"
                "  const { left, top, right } = one.getBoundingClientRect();"
                "  return left >= stage.left && top >= stage.top - 1 && right <= stage.right + 1; })"
            )
            browser.screenshot(tmp_path / "overlay.png")
        finally:
            camera.over.set()
            thread.join(10)
        assert browser.console() == []
    person, bird, ship = (css(class_colour(number)) for number in (7, 8, 2))
    assert shapes == [
        ["path", "M16,48L80,48L120,42", bird],
        ["rect", "", ship],
        ["path", "M80,75L100,60L120,75L100,90Z", ship],
        ["rect", "", bird],
        ["rect", "", person],
        ["path", "M30,50L40,60", person],
        ["circle", "", person],
        ["circle", "", person],
    ]
    assert words == ["ship 0.70", "robin 0.80", "person 0.90"]
    assert inside


SHOWN = """
    window.late = [];
    const video = document.getElementById("video");
    let [frame, before] = [video.currentTime, video.currentTime];
    const next = () => {
        [before, frame] = [frame, video.currentTime];
        requestAnimationFrame(next);
    };
    next();
    new MutationObserver(() => {
        const box = document.querySelector("#found rect.found");
        if (!box) return;
        const late = video.currentTime - Number(box.getAttribute("x")) / 25;
        window.late.push([late, video.currentTime - Math.min(before, frame)]);
    }).observe(document.getElementById("found"), { childList: true });
"""
"""How late each box was drawn, and since when a browser could have drawn it: a busy one draws seldom."""
IN_TIME = """
    const last = window.late.slice(-8).map(([late, passed]) => Math.abs(late - Math.round(late)) - passed);
    return last.length === 8 && Math.max(...last) < 0.1;
"""


def test_a_box_is_drawn_when_its_picture_is_shown_however_late_it_is_found(
    sink: HttpSink, tmp_path: Path
) -> None:
    """By a slow decoder and model: 22 pictures are 0.9 s, and the page asks four times a second."""
    clip = make(tmp_path / "clip.ts", frames=1000, gop=25, b_frames=0, scene_cuts=False)

    def numbered(number: int) -> tuple[Detection, ...]:
        return (Detection(0, "person", 0.9, Box(number, 40, number + 10, 90), 7),)

    camera = Camera(sink, clip, found=numbered, later=22)
    with open_browser() as browser:
        browser.go(sink.url)
        thread = bridge.start("camera", camera.run)
        try:
            browser.wait_for(PLAYS, seconds=15)
            browser.run(SHOWN)
            # The video plays slower until it is so far behind. It begins with a keyframe, one a second.
            browser.wait_for(IN_TIME, seconds=30)
            late = [late for late, _ in browser.run("return window.late")]

            # When the network has stood still it leaves out what was missed, and is as far behind as before.
            camera.well.clear()
            browser.wait_for("return document.getElementById('video').readyState < 3")
            camera.over.wait(2.5)
            camera.well.set()
            browser.wait_for("return document.getElementById('video').readyState > 2")
            browser.run("window.late = []")
            browser.wait_for("return window.late.length >= 8")
            browser.run("window.late = window.late.slice(0, 8)")
            assert browser.run(IN_TIME), browser.run("return window.late")
        finally:
            camera.over.set()
            camera.well.set()
            thread.join(10)
    began = round(late[-1])
    assert min(late) - began > -0.05, "and never before"
