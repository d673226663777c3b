"""Every page in light and dark, on a telephone, by keys and for screen readers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser import Browser, open_browser
from made import START, result
from test_recordings import event
from viewing import REPORT, RUNNING

from edged.http.setup import setup
from edged.http.site import Site
from edged.settings.declared import Settings
from edged.settings.listener import parse
from edged.sinks.http import HttpSink

if TYPE_CHECKING:
    from collections.abc import Iterator

SETUP = setup(Settings(source="synthetic:", model=Path("x.tflite")))
PAGES = ("", "draw", "events", "runs")
READY = {
    "": "return document.getElementById('status').textContent === 'degraded'",
    "draw": "return document.getElementById('canvas').hasAttribute('viewBox')",
    "events": "return document.querySelectorAll('#events button').length === 3",
    "runs": "return document.querySelectorAll('#charts svg').length > 0",
}
CONTROLS = "a, button, input, select, summary, video, [tabindex]"
CONTRAST = """
    const light = (colour) => {
        const linear = (part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
        const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map((part) => linear(part / 255));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = (element) => {
        for (let at = element; at; at = at.parentElement) {
            const colour = getComputedStyle(at).backgroundColor;
            if (!/, 0\\)$/.test(colour)) return colour;
        }
        return "rgb(255, 255, 255)";
    };
    return [...document.querySelectorAll("main *, header *")].filter((element) => element.checkVisibility()
        && !element.disabled && !element.closest("svg, :disabled")
        && [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim())
    ).map((element) => {
        const [one, two] = [light(getComputedStyle(element).color), light(behind(element))];
        return [(Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05), element.textContent.slice(0, 30)];
    }).filter(([ratio]) => ratio < 4.5);
"""
"""Text with less contrast to what is behind it than WCAG 2 (1.4.3) wants."""


@pytest.fixture
def sink() -> Iterator[HttpSink]:
    site = Site(parse("127.0.0.1:0"), token=None)
    opened = HttpSink(site, title="door", setup=SETUP)
    opened.open()
    try:
        opened.state(replace(RUNNING, degraded=("the disk is full. Free some room.",)))
        opened.report(REPORT)
        opened.send(result(0, pts=0.0, ts=START, seen=True))
        opened.tell([event(1, size=64), event(2, size=64), event(3, size=64)])
        yield opened
    finally:
        opened.close()


def open_page(browser: Browser, sink: HttpSink, page: str) -> None:
    browser.go(f"{sink.url}{page}")
    browser.wait_for(READY[page])
    if page == "draw":
        browser.click("#add-zone")


def test_every_page_can_be_read_used_by_finger_and_is_named_for_screen_readers(sink: HttpSink) -> None:
    with open_browser() as browser:
        backs = set()
        for page in PAGES:
            browser.resize(400, 800)
            open_page(browser, sink, page)
            assert browser.run("return document.documentElement.scrollWidth <= window.innerWidth"), page
            assert browser.run("return document.documentElement.lang") == "en"
            small = (
                "const controls = 'a, button, select, summary, input:not([type=checkbox])';"
                "return [...document.querySelectorAll(controls)]"
                ".filter((one) => one.checkVisibility() && !one.closest('.day'))"
                ".filter((one) => one.getBoundingClientRect().height < 24).map((one) => one.outerHTML)"
            )
            assert browser.run(small) == [], page
            assert "" not in browser.names(CONTROLS), page
            for scheme in ("light", "dark"):
                browser.prefer(scheme)
                assert browser.run(CONTRAST) == [], (page, scheme)
                backs.add(browser.run("return getComputedStyle(document.body).backgroundColor"))
        assert len(backs) == 2
        assert browser.console() == []


def test_a_zone_is_drawn_by_keys_alone(sink: HttpSink) -> None:
    """From the top of the page with Tab, Enter, arrows and letters; the focus can always be seen."""
    tab, enter, left, up, shift = "\ue004", "\ue007", "\ue012", "\ue013", "\ue008"
    focused = "return document.activeElement.id || document.activeElement.dataset.key || ''"
    with open_browser() as browser:
        browser.go(f"{sink.url}draw")
        browser.wait_for(READY["draw"])

        def go_to(wanted: str) -> None:
            for _ in range(40):
                browser.type(tab)
                if browser.run(focused) == wanted:
                    outline = browser.run(
                        "const style = getComputedStyle(document.activeElement);"
                        "return style.outlineStyle !== 'none' || style.strokeWidth === '5px'"
                    )
                    assert outline, wanted
                    return
            raise AssertionError(f"Tab does not lead to {wanted}")

        go_to("add-zone")
        browser.type(enter)
        assert browser.run(focused) == "name"
        browser.type("\ue009", "a", "\ue009", *"gate")
        go_to("corner 0")
        browser.type(left, left, up)
        browser.type(shift, left, shift)
        assert browser.text("lines") == "EDGED_ZONE_GATE=0.24,0.395 0.7,0.4 0.7,0.9 0.3,0.9\n"
        go_to("copy")
        browser.type(enter)
        browser.wait_for("return document.getElementById('copied').textContent === 'Copied.'")
        assert browser.clipboard() == browser.text("lines")
        assert browser.console() == []
