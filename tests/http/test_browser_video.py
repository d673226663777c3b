"""A camera's own video on the page of a running daemon, played by Chromium."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import cameras
import pytest
from browser import Browser, open_browser
from test_browser import daemon

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PLAYS = """
    const video = document.getElementById("video");
    return !document.getElementById("own").hidden && video.currentTime > 0.5 ? video.currentTime : 0;
"""
PICTURES = "return document.getElementById('picture').getAttribute('src') || ''"
PIXELS = """
    const canvas = document.createElement("canvas"), video = document.getElementById("video");
    canvas.width = video.videoWidth; canvas.height = video.videoHeight;
    const context = canvas.getContext("2d");
    context.drawImage(video, 0, 0);
    const bytes = context.getImageData(0, 0, canvas.width, canvas.height).data;
    let [white, black, sum] = [0, 0, 0];
    for (let at = 0; at < bytes.length; at += 4) {
        white += bytes[at] > 230; black += bytes[at] < 25; sum = (sum * 31 + bytes[at]) | 0;
    }
    return [canvas.width, canvas.height, white, black, sum];
"""
"""Size of what plays, how many of its pixels are white and black, and a number for all of them."""
BALL = 3.14159 * 20**2
"""Pixels of the ball of GStreamer's test pattern."""


@contextmanager
def faces(clip: Path) -> Iterator[str]:
    """The demo's clip as a camera sends it, over and over; gives its URL."""
    port = cameras.free_port()
    url = f"tcp://127.0.0.1:{port}"
    command = ["ffmpeg", "-v", "error", "-re", "-stream_loop", "-1", "-i", str(clip), "-c", "copy"]
    server = subprocess.Popen([*command, "-f", "mpegts", f"{url}?listen=1"], stdin=subprocess.DEVNULL)
    try:
        assert cameras.listening(port)
        yield url
    finally:
        server.kill()
        server.wait()


@pytest.fixture(scope="module")
def ball() -> Iterator[cameras.Server]:
    with cameras.running(cameras.rtsp("--fps", "10")) as server:
        yield server


@pytest.fixture(scope="module")
def url(
    ball: cameras.Server, tmp_path_factory: pytest.TempPathFactory, demo_model: Path, demo_clip: Path
) -> Iterator[str]:
    """Three cameras: a ball and faces as H.264, and one that has Motion JPEG only."""
    folder = tmp_path_factory.mktemp("daemon")
    jpeg = cameras.rtsp("--fps", "5", "--codec", "jpeg")
    with faces(demo_clip) as crowd, cameras.running(jpeg):
        sources = {"BALL": ball.url, "FACES": crowd, "JPEG": jpeg.url}
        settings = {f"EDGED_{name}_SOURCE": source for name, source in sources.items()}
        settings |= {"EDGED_CAMERAS": "ball,faces,jpeg", "EDGED_FPS": "4", "EDGED_LOOP": "false"}
        settings["EDGED_CAMERA"] = ""  # the other's
        with daemon(folder, demo_model, demo_clip, **settings) as url:
            yield url


@pytest.fixture(scope="module")
def window() -> Iterator[Browser]:
    with open_browser() as browser:
        yield browser


@pytest.fixture
def browser(window: Browser) -> Iterator[Browser]:
    """Without a complaint at the end."""
    window.resize(1280, 800)
    yield window
    assert window.console() == []


def test_the_camera_s_own_video_plays_and_the_viewer_may_choose(url: str, browser: Browser) -> None:
    browser.go(f"{url}ball/")
    first = browser.wait_for(PLAYS, seconds=30)
    assert browser.run(PICTURES) == "", "nobody draws pictures meanwhile"
    width, height, white, black, moment = browser.run(PIXELS)
    assert (width, height) == (320, 240)
    assert 0.7 * BALL < white < 1.3 * BALL
    assert white + black > 0.95 * width * height
    browser.wait_for(f"return (() => {{{PIXELS}}})()[4] !== {moment}")
    assert browser.wait_for(f"const now = (() => {{{PLAYS}}})(); return now > {first} + 1 && now")

    # By keys, on a telephone.
    browser.resize(400, 800)
    assert browser.run("return document.documentElement.scrollWidth <= window.innerWidth")
    assert browser.names("#choice button") == ["Camera's own video", "Pictures edged looked at"]
    browser.press("#choose-pictures", "\ue007")
    browser.wait_for("return document.getElementById('picture').naturalWidth > 0")
    assert not browser.run(PLAYS)
    assert browser.run("return document.getElementById('choose-pictures').ariaPressed") == "true"
    browser.go(f"{url}ball/")  # it remembers
    browser.wait_for("return document.getElementById('status').textContent === 'ok'")
    assert "stream.mjpg" in browser.run(PICTURES)
    assert not browser.run("return document.getElementById('video').hasAttribute('src')")
    browser.press("#choose-video", "\ue007")
    browser.wait_for(PLAYS, seconds=30)
    browser.run("localStorage.clear()")


def test_a_picture_that_the_browser_cannot_take_is_not_the_end(url: str, browser: Browser) -> None:
    browser.go(f"{url}ball/")
    browser.wait_for(PLAYS, seconds=30)
    browser.run("""
        const own = SourceBuffer.prototype.appendBuffer;
        SourceBuffer.prototype.appendBuffer = () => {
            SourceBuffer.prototype.appendBuffer = own;
            throw new DOMException("damaged", "InvalidStateError");
        };
    """)
    browser.wait_for("return document.getElementById('own').hidden")
    browser.press("#choose-pictures", "\ue007")
    browser.press("#choose-video", "\ue007")
    browser.wait_for(PLAYS, seconds=30)
    browser.run("localStorage.clear()")


def test_boxes_are_drawn_over_the_video(url: str, browser: Browser, tmp_path: Path) -> None:
    """They follow the faces; each lies within the picture, and is called by its label."""
    boxes = """
        const stage = document.getElementById("video").getBoundingClientRect();
        return [...document.querySelectorAll("#found rect.found")].map((one) => {
            const { left, top, right, bottom } = one.getBoundingClientRect();
            return [left - stage.left, top - stage.top, stage.right - right, stage.bottom - bottom];
        });
    """
    browser.go(f"{url}faces/")
    browser.wait_for(PLAYS, seconds=30)
    browser.wait_for("return document.querySelector('#found text')?.textContent.startsWith('face 0.')")
    first = browser.wait_for(f"const all = (() => {{{boxes}}})(); return all.length && all")
    browser.screenshot(tmp_path / "boxes.png")
    assert all(edge > -5 for box in first for edge in box)
    assert browser.wait_for(
        f"const all = (() => {{{boxes}}})(); return all.length && String(all) !== {str(first)!r} && all"
    )


def test_what_is_no_h264_is_shown_as_pictures(url: str, browser: Browser) -> None:
    browser.go(f"{url}jpeg/")
    browser.wait_for(
        "return performance.getEntriesByType('resource').some((one) => one.name.endsWith('stream.mp4'))"
    )
    browser.wait_for("return document.getElementById('picture').naturalWidth > 0")
    assert not browser.run(PLAYS)
    assert browser.run("return document.getElementById('choice').hidden")


def test_a_camera_that_is_lost_and_found_plays_again(
    url: str, browser: Browser, ball: cameras.Server
) -> None:
    browser.go(f"{url}ball/")
    browser.wait_for(PLAYS, seconds=30)
    ball.kill()
    browser.wait_for("return document.getElementById('own').hidden")
    ball.start()
    browser.wait_for(PLAYS, seconds=120)  # if it was away for long, the page asks again after a minute
