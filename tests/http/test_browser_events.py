"""An event appears on the page with its picture, and a click plays the recording at its second."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

from browser import open_browser
from daemon import Daemon
from made import START, result
from test_recordings import event
from viewing import RUNNING, serving

if TYPE_CHECKING:
    from pathlib import Path

SHOWN = "return document.querySelectorAll('#events li').length"
PLAYED = "return document.getElementById('video').currentTime"


def asked(url: str) -> Any:
    with urlopen(url, timeout=10) as answer:  # noqa: S310  # our own
        return json.load(answer)


def test_an_event_has_a_picture_and_plays_from_its_second(
    tmp_path: Path, demo_model: Path, demo_clip: Path
) -> None:
    settings = {
        "EDGED_CAMERAS": "front,back",
        "EDGED_SOURCE": str(demo_clip),
        "EDGED_BACK_SOURCE": "synthetic:?width=64&height=48&fps=5",
        "EDGED_POLICY": "latest",
        "EDGED_LOOP": "true",
        "EDGED_FPS": "8",
        "EDGED_MODEL": str(demo_model),
        "EDGED_HTTP": "127.0.0.1:0",
        "EDGED_LOG_FORMAT": "json",
        "EDGED_FRONT_OUTPUT": str(tmp_path / "video" / "front"),
        "EDGED_FRONT_ZONE_LEFT": "0,0 0.5,0 0.5,1 0,1",
        "EDGED_FRONT_ZONE_NOBODY": "0,0 0.01,0 0.01,0.01",
    }
    with Daemon(tmp_path, settings, environ={"EDGED_CAMERA": ""}) as daemon, open_browser() as browser:
        url = daemon.until_told("live_view")["url"]
        browser.go(f"{url}events")
        browser.wait_for(SHOWN, seconds=40)
        browser.wait_for("return document.querySelector('#events img').naturalWidth > 20")
        assert "front: face" in browser.text("events")
        assert browser.run("return document.querySelectorAll('#day button').length") >= 1

        def choose(name: str, value: str) -> int:
            browser.wait_for(
                f"return [...document.getElementById('{name}').options].some((o) => o.value === '{value}')"
            )
            browser.run(
                f"const choice = document.getElementById('{name}'); choice.value = '{value}';"
                "choice.dispatchEvent(new Event('change'));"
            )
            return int(browser.run(SHOWN))

        browser.wait_for("return document.getElementById('events').textContent.includes('left')", seconds=40)
        assert choose("zone", "left") >= 1
        assert choose("camera", "back") == 0
        assert "None of the newest" in browser.text("nothing")
        assert choose("camera", "front") >= 1

        # The oldest one of the zone is stored by now, or will be in a second.
        wanted = min(
            (one for one in asked(f"{url}events.json")["events"] if "left" in one["entered_zones"]),
            key=lambda one: one["start_time"],
        )
        moment = f"{url}front/moment.json?at={wanted['start_time']}"
        daemon.until(lambda: asked(moment)["video"])
        found = asked(moment)
        browser.click("#events li:last-child button")
        at_s = max(0.0, found["after_s"] - 1)
        browser.wait_for(f"{PLAYED} > {at_s + 0.3}")
        assert browser.run(PLAYED) < at_s + 10
        assert browser.run("return document.getElementById('video').currentSrc").endswith(found["video"])
        assert browser.run("return document.getElementById('video').error") is None
        browser.click("#close")
        # Nothing was asked of another host, and nothing was refused or has failed.
        asked_for = browser.run("return performance.getEntriesByType('resource').map((entry) => entry.name)")
        assert asked_for
        assert all(address.startswith(url) for address in asked_for)
        assert browser.console() == []
        # The page of one camera has its events only.
        browser.go(f"{url}back/events")
        browser.wait_for("return document.getElementById('title').textContent === 'Events'")
        assert browser.run(SHOWN) == 0
        assert browser.console() == []
        assert daemon.stop() == 0


def test_the_pages_say_what_a_second_model_says() -> None:
    with serving() as sink, open_browser() as browser:
        sink.state(RUNNING)
        seen = result(0, pts=0.0, ts=START, seen=True)
        named = [found._replace(sub_label="robin", sub_score=0.8) for found in seen.detections]
        sink.send(replace(seen, detections=tuple(named)))
        sink.tell([replace(event(1), sub_label="robin", sub_score=0.8), event(2)])
        browser.go(sink.url)
        browser.wait_for("return document.getElementById('objects').textContent.includes('person (robin)')")
        browser.go(f"{sink.url}events")
        browser.wait_for(f"{SHOWN} === 2")
        assert "person (robin)" in browser.text("events")
        assert "car (" not in browser.text("events")
        assert browser.console() == []
