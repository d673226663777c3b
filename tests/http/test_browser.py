"""The page of a running daemon in headless Chromium."""

from __future__ import annotations

import re
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from browser import open_browser
from daemon import PATIENCE_S, Daemon, until
from made import START, result
from viewing import REPORT, RUNNING, Camera, serving

from edged.http.site import Site
from edged.settings.listener import parse
from edged.sinks.http import HttpSink

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOKEN = "0123456789abcdef"  # noqa: S105  # of nobody

HASH = """
    const canvas = document.createElement("canvas"), picture = document.getElementById("picture");
    canvas.width = picture.naturalWidth; canvas.height = picture.naturalHeight;
    if (!canvas.width) return "";
    const context = canvas.getContext("2d");
    context.drawImage(picture, 0, 0);
    let sum = 0;
    const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
    for (const byte of pixels) sum = (sum * 31 + byte) | 0;
    return String(sum);
"""
"""A number for what the picture on the page shows at the moment."""


@contextmanager
def daemon(folder: Path, model: Path, clip: Path, **settings: str) -> Iterator[str]:
    """A daemon that plays the demo's clip as a camera would; gives the URL of its page."""
    environment = {
        "EDGED_SOURCE": str(clip),
        "EDGED_POLICY": "latest",
        "EDGED_LOOP": "true",
        "EDGED_MODEL": str(model),
        "EDGED_HTTP": "127.0.0.1:0",
        "EDGED_STATS_INTERVAL": "1",
        "EDGED_LOG_FORMAT": "json",
        "EDGED_CAMERA": "door",
        **settings,
    }
    with Daemon(folder, environ=environment) as running:
        running.until_told("running")
        found = re.search(r"http://[^\"]+", running.stderr)
        assert found
        yield found.group()
        assert running.stop(limit_s=PATIENCE_S) == 0


def test_pictures_change_and_numbers_move(tmp_path: Path, demo_model: Path, demo_clip: Path) -> None:
    with daemon(tmp_path, demo_model, demo_clip) as url, open_browser() as browser:
        browser.go(url)
        browser.wait_for("return document.getElementById('status').textContent === 'ok'")
        assert browser.text("title").startswith("door on ")
        seen = {browser.wait_for(HASH)}

        def moves() -> bool:
            seen.add(browser.run(HASH))
            return len(seen) >= 4

        until(moves)

        browser.wait_for("return parseFloat(document.getElementById('fps').textContent) > 5")
        captured = "return document.querySelector('#frames td:last-child').textContent"
        before = int(browser.wait_for(captured))
        browser.wait_for(f"return Number((() => {{ {captured} }})()) > {before}")
        stages = browser.run(
            "return [...document.querySelectorAll('#stages tr')].map((row) => row.firstChild.textContent)"
        )
        assert {"capture", "predict", "total"} <= set(stages)
        browser.wait_for("return document.querySelector('#objects').textContent.includes('face')", seconds=30)
        assert "face" in browser.text("sightings")
        assert "face_detection" in browser.text("model")
        browser.screenshot(tmp_path / "page.png")

        # On a telephone everything stays within the width.
        browser.resize(400, 800)
        assert browser.run("return document.documentElement.scrollWidth <= window.innerWidth")
        # Nothing was refused by the page's own policy, and nothing has failed.
        assert browser.console() == []


def test_the_page_tells_of_a_pause_and_waits_for_no_picture() -> None:
    status = "return document.getElementById('status').textContent"
    picture = "return document.getElementById('picture').getAttribute('src') || ''"
    with serving() as sink, open_browser() as browser:
        sink.state(RUNNING)
        sink.send(result(0, pts=0.0, ts=START, seen=True))
        sink.state(replace(RUNNING, lifecycle="paused"))
        browser.go(sink.url)
        browser.wait_for(f"{status} === 'paused'")
        assert browser.run(picture) == ""
        assert not browser.run("return document.getElementById('paused').hidden")
        assert "person" not in browser.text("objects")

        sink.state(RUNNING)
        browser.wait_for(f"{status} === 'ok'")
        assert "stream.mjpg" in browser.run(picture)
        assert browser.run("return document.getElementById('paused').hidden")
        assert "person" in browser.text("objects")
        assert browser.console() == []


def test_the_grid_shows_all_cameras_and_asks_for_no_picture_that_nobody_sees() -> None:
    """A click makes one of them large; only that one is a stream."""
    site = Site(parse("127.0.0.1:0"), token=None, title="farm", several=True)
    names = [f"gate{number}" for number in range(12)]
    sinks = [HttpSink(site, camera=name, title=name, give_back=lambda: None) for name in names]
    for sink in sinks:
        sink.open()
        sink.state(RUNNING)
    sinks[1].state(replace(RUNNING, degraded=("the disk is full.",)))
    asked_for = "return performance.getEntriesByType('resource').map((entry) => entry.name)"
    try:
        with ExitStack() as cameras, open_browser() as browser:
            for sink in sinks:
                cameras.enter_context(Camera(sink, fps=10))
            browser.resize(500, 700)
            browser.go(site.url)
            browser.wait_for("return document.querySelectorAll('#grid li').length === 12")
            first = "return document.querySelector('#grid li').textContent"
            browser.wait_for(f"{first}.includes('1 person')")
            browser.wait_for(f"{first}.includes('nothing there')")
            assert re.search(r"gate0 ok \d+\.\d frames/s", browser.run(first))
            assert "degraded" in browser.run("return document.querySelectorAll('#grid li')[1].textContent")
            assert browser.text("title") == "farm"
            browser.wait_for(f"{asked_for}.filter((name) => name.includes('gate0/snapshot')).length > 2")
            assert not [name for name in browser.run(asked_for) if "stream" in name or "gate11/" in name]
            browser.run("document.querySelector('#grid li:last-child').scrollIntoView()")
            browser.wait_for("return document.querySelector('#grid li:last-child img').naturalWidth > 0")

            browser.click("#grid li:last-child a")
            browser.wait_for("return document.getElementById('picture')?.naturalWidth > 0")
            assert browser.run("return location.pathname") == "/gate11/"
            assert browser.run("return document.getElementById('picture').src").startswith(
                f"{site.url}gate11/stream.mjpg"
            )
            browser.click("nav a")
            browser.wait_for("return document.querySelectorAll('#grid li').length === 12")
            assert browser.console() == []
    finally:
        for sink in sinks:
            sink.close()
        site.close()


def test_how_it_runs_says_first_what_is_wrong_and_what_helps() -> None:
    """Then the hour as charts, and every figure that there is."""
    troubles = "return [...document.querySelectorAll('#troubles li')].map((line) => line.textContent)"
    with serving() as sink, open_browser() as browser:
        sink.state(RUNNING)
        sink.send(result(0, pts=0.0, ts=START, seen=True))
        browser.go(f"{sink.url}runs")
        browser.wait_for(f"{troubles}[0] === 'Nothing: all is well.'")
        sinks = {"video": {"sent": 290, "failed": 5, "packets": 700}, "webhook": {"events_delivered": 3}}
        sink.report(replace(REPORT, sinks=sinks))
        sink.state(replace(RUNNING, degraded=("the output '/x' cannot be written: full. Free some room.",)))
        browser.wait_for(f"{troubles}.length > 1")
        assert browser.run(troubles) == [
            "the output '/x' cannot be written: full. Free some room.",
            "The processor is hot and slows down. Give it a heat sink or a fan, or lower EDGED_FPS.",
        ]
        assert browser.run("return document.querySelector('main h2').textContent") == "What is wrong"
        browser.wait_for("return document.querySelectorAll('#charts svg').length === 3", seconds=20)
        charts = browser.run(
            "return [...document.querySelectorAll('#charts svg')].map((one) => one.ariaLabel)"
        )
        assert re.fullmatch(r"frames a second since .*: 30 now, 30 to 30", charts[0])
        assert re.fullmatch(r"predict since .*: 5\.0 ms now, 5\.0 ms to 5\.0 ms", charts[1])
        stages = browser.run(
            "return [...document.querySelectorAll('#stages tr')].map((line) => line.textContent)"
        )
        assert stages == ["predict5.07.09.011.0", "encode2.03.04.05.0"]
        assert "dropped: a newer one came first14 (4.5 %)" in browser.text("frames")
        fates = browser.text("sinks")
        assert "video: lost, the sink did not take it5" in fates
        assert "video: the camera's packets that were recorded700" in fates
        assert "webhook: events that were delivered3" in fates
        assert "load, last minute0.5" in browser.text("machine")
        assert "a-model" in browser.text("running")
        browser.resize(400, 800)
        assert browser.run("return document.documentElement.scrollWidth <= window.innerWidth")
        assert browser.console() == []


def test_the_page_tells_when_the_daemon_is_gone(tmp_path: Path, demo_model: Path, demo_clip: Path) -> None:
    with open_browser() as browser:
        with daemon(tmp_path, demo_model, demo_clip) as url:
            browser.go(url)
            browser.wait_for("return document.getElementById('status').textContent === 'ok'")
        browser.wait_for("return document.getElementById('status').textContent === 'lost'")
        assert not browser.run("return document.getElementById('problems').hidden")


def test_with_a_token_the_page_works_and_without_it_does_not(
    tmp_path: Path, demo_model: Path, demo_clip: Path
) -> None:
    token = tmp_path / "token"
    token.write_text(f"{TOKEN}\n")
    with (
        daemon(tmp_path, demo_model, demo_clip, EDGED_HTTP_TOKEN_FILE=str(token)) as url,
        open_browser() as browser,
    ):
        browser.go(url)
        assert not browser.run("return document.getElementById('picture')")
        assert [message for message in browser.console() if "401" in message]
        browser.go(url.replace("http://", f"http://me:{TOKEN}@"))
        browser.wait_for("return document.getElementById('status').textContent === 'ok'")
        assert browser.wait_for(HASH)
        # So do the others, with all of their modules.
        for page, there in (
            ("draw", "#canvas[viewBox]"),
            ("events", "#day :last-child"),
            ("runs", "#running td"),
        ):
            browser.go(url.replace("http://", f"http://me:{TOKEN}@") + page)
            browser.wait_for(f"return document.querySelector({there!r})")
        assert browser.console() == []
