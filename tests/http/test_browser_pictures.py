"""The pictures of the page in README.md and docs/page.md are what the page shows.

``EDGED_TESTS_PICTURES=docs/images pytest tests/http/test_browser_pictures.py`` makes them anew. They show
the demo's clip, which belongs to everybody.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from browser import open_browser
from daemon import ROOT
from test_browser import daemon

if TYPE_CHECKING:
    from browser import Browser

COMMITTED = ROOT / "docs/images"
KEPT = os.environ.get("EDGED_TESTS_PICTURES")
"""Where to leave them; read at once, since no test sees a setting of the machine."""
CAMERAS = ("front", "yard", "gate", "hall")
NOW = "[...document.querySelectorAll('#grid .now')]"
FRESH = """for (const one of document.querySelectorAll('#grid img'))
  one.addEventListener('load', () => { one.dataset.fresh = 'yes'; });"""
"""Marks pictures that came later."""
MOST_BYTES = 150_000


def keep(browser: Browser, folder: Path, name: str) -> None:
    """What the window shows, as a small JPEG."""
    shown = cv2.imdecode(np.frombuffer(browser.screenshot(), np.uint8), cv2.IMREAD_COLOR)
    assert shown is not None
    assert cv2.imwrite(str(folder / f"{name}.jpg"), shown, [cv2.IMWRITE_JPEG_QUALITY, 80])


def test_the_pictures_show_what_the_page_does(tmp_path: Path, demo_model: Path, demo_clip: Path) -> None:
    """Four cameras, a zone on one, an event: nothing is complained of, nobody else is asked."""
    folder = Path(KEPT or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "EDGED_CAMERA": "",
        "EDGED_CAMERAS": ",".join(CAMERAS),
        "EDGED_FPS": "5",
        "EDGED_FRONT_ZONE_DOOR": "0.05,0.1 0.6,0.1 0.6,0.95 0.05,0.95",
        "EDGED_GATE_FPS": "2",
        "EDGED_NODE": "pi",
    }
    with daemon(tmp_path, demo_model, demo_clip, **settings) as url, open_browser() as browser:
        browser.resize(900, 1000)
        browser.go(url)
        names = "[...document.querySelectorAll('#grid strong')].map((one) => one.textContent)"
        browser.wait_for(f"return {names}.length === 4")
        assert browser.run(f"return {names}") == sorted(CAMERAS)
        browser.wait_for(f"return {NOW}.every((one) => one.textContent.includes('face'))", seconds=60)
        browser.run(FRESH)
        browser.wait_for("return document.querySelectorAll('#grid img[data-fresh]').length === 4", seconds=60)
        keep(browser, folder, "page")
        browser.click("#grid a")
        browser.wait_for("return location.pathname === '/front/'")
        browser.wait_for("return document.getElementById('picture').naturalWidth")
        browser.resize(1100, 900)
        browser.go(f"{url}front/draw")
        browser.wait_for("return document.querySelectorAll('#shapes li').length === 1")
        browser.wait_for("return document.getElementById('picture').naturalWidth")
        browser.click("#shapes button")
        keep(browser, folder, "draw")
        hosts = "[...new Set(performance.getEntriesByType('resource').map((one) => new URL(one.name).host))]"
        assert json.dumps(browser.run(f"return {hosts}")) == json.dumps([url.split("/")[2]])
        # 503: a machine that is too busy for a frame in five seconds; the page asks again.
        assert [one for one in browser.console() if "503" not in one] == []
    for name in ("page", "draw"):
        committed = COMMITTED / f"{name}.jpg"
        assert committed.stat().st_size < MOST_BYTES
        made, known = (cv2.imread(str(one)) for one in (folder / f"{name}.jpg", committed))
        assert made is not None
        assert known is not None
        assert made.shape == known.shape
