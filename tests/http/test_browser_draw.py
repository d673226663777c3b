"""Zones are drawn on the page, and what it gives to copy is what edged reads."""

from __future__ import annotations

import json
import random
import signal
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rig
from browser import Browser, open_browser
from daemon import Daemon
from viewing import serving

from edged.scene.zones import inside
from edged.scene.zones import place as place_of
from edged.settings.loading import load_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytest_plugins = ["mqtt_fixtures"]

DELETE, RIGHT = "\ue017", "\ue014"
CORNER = "#canvas .corner"


def settings(folder: Path, model: Path, clip: Path, **more: str) -> dict[str, str]:
    return {
        "EDGED_SOURCE": str(clip),
        "EDGED_POLICY": "latest",
        "EDGED_LOOP": "true",
        "EDGED_FPS": "8",
        "EDGED_MODEL": str(model),
        "EDGED_HTTP": "127.0.0.1:0",
        "EDGED_LOG_FORMAT": "json",
        "EDGED_OUTPUT": str(folder / "video"),
    } | more


def place(browser: Browser, x: float, y: float) -> tuple[float, float]:
    """Where in the window a place of the picture is, from fractions of it."""
    left, top, width, height = browser.run(
        "const canvas = document.getElementById('canvas'); canvas.scrollIntoView({ block: 'nearest' });"
        "const box = canvas.getBoundingClientRect();"
        "return [box.left, box.top, box.width, box.height];"
    )
    return left + x * width, top + y * height


def corners(browser: Browser) -> list[list[float]]:
    """Those of what is chosen, as fractions of the picture."""
    found: list[list[float]] = browser.run(
        "const size = document.getElementById('canvas').viewBox.baseVal;"
        f"return [...document.querySelectorAll('{CORNER}')].map((corner) => "
        "[corner.cx.baseVal.value / size.width, corner.cy.baseVal.value / size.height]);"
    )
    return found


def assert_near(points: Any, expected: list[tuple[float, float]]) -> None:
    assert len(points) == len(expected)
    for point, wanted in zip(points, expected, strict=True):
        assert point == pytest.approx(wanted, abs=0.01)


def drag_corner(browser: Browser, index: int, x: float, y: float, *, pointer: str = "mouse") -> None:
    start = corners(browser)[index]
    browser.drag(place(browser, *start), place(browser, x, y), pointer=pointer)


def lines(browser: Browser) -> list[str]:
    return browser.text("lines").splitlines()


def open_page(browser: Browser, url: str) -> None:
    browser.go(url)
    browser.wait_for("return document.getElementById('canvas').hasAttribute('viewBox')", seconds=30)
    browser.wait_for("return document.getElementById('picture').naturalWidth > 0")


def test_a_zone_is_drawn_copied_and_in_force_after_a_reload(
    tmp_path: Path, demo_model: Path, demo_clip: Path, mosquitto: rig.Mosquitto
) -> None:
    before = settings(
        tmp_path,
        demo_model,
        demo_clip,
        EDGED_CAMERAS="front,side-door",
        EDGED_MQTT_URL=f"mqtt://127.0.0.1:{mosquitto.port}",
        EDGED_SIDE_DOOR_ZONE_STEP="0.2,0.2 0.4,0.2 0.4,0.9",
    )
    with (
        rig.Subscriber(mosquitto.port) as subscriber,
        Daemon(tmp_path, before, environ={"EDGED_CAMERA": ""}) as daemon,
        open_browser() as browser,
    ):
        daemon.until_told("running", 2)
        url = daemon.until_told("live_view")["url"]
        open_page(browser, f"{url}front/draw")
        assert not lines(browser)
        browser.click("#add-zone")
        browser.write("#name", "Front porch")
        for index, (x, y) in enumerate([(0.02, 0.02), (0.98, 0.03), (0.97, 0.98), (0.03, 0.97)]):
            drag_corner(browser, index, x, y)
        browser.wait_for("return document.getElementById('shapes').textContent.includes('face')", seconds=30)
        browser.click("#copy")
        browser.wait_for("return document.getElementById('copied').textContent === 'Copied.'")
        copied = browser.clipboard()
        assert copied.startswith("EDGED_FRONT_ZONE_FRONT_PORCH=0.0")
        assert "is new" in browser.text("replaced")

        with daemon.env_file.open("a") as env_file:
            env_file.write(copied)
        front, side = load_all(daemon.env_file, {})
        (porch,) = front.zone
        assert porch.name == "front_porch"
        assert_near(porch.points, [(0.02, 0.02), (0.98, 0.03), (0.97, 0.98), (0.03, 0.97)])
        assert [zone.name for zone in side.zone] == ["step"]
        daemon.send(signal.SIGHUP)
        daemon.until_told("reloaded")
        # The page sees by itself that its lines are in force.
        browser.wait_for(
            "return document.getElementById('lines').hidden && document.getElementById('shapes').textContent"
        )
        assert "front_porch" in browser.text("shapes")
        assert browser.text("nothing") == "Nothing is changed yet."

        browser.go(f"{url}front/")
        counted = "return document.getElementById('zones').textContent"
        browser.wait_for(f"{counted}.match(/front_porch.*[12] face/)", seconds=30)
        subscriber.wait_for("edged/lab1/front/zone/front_porch/count/face", timeout=20)
        subscriber.wait_for("edged/lab1/front/zone/front_porch/occupancy", b"ON", timeout=20)
        # What stands in the file now is what the page begins with.
        open_page(browser, f"{url}front/draw")
        assert "front_porch" in browser.text("shapes")
        assert not lines(browser)
        assert browser.console() == []
        assert daemon.stop() == 0


@pytest.fixture
def drawing(tmp_path: Path, demo_model: Path, demo_clip: Path) -> Iterator[tuple[Browser, dict[str, str]]]:
    """The page of a camera whose settings have one of everything."""
    before = settings(
        tmp_path,
        demo_model,
        demo_clip,
        EDGED_ZONE_YARD="face,person@0.1,0.5 0.6,0.5 0.6,1 0.1,1 dwell=3",
        EDGED_LINE_GATE="0.2,0.6 0.8,0.6",
        EDGED_MASK_SKY="0,0 1,0 1,0.1",
        EDGED_ROI="0,0,320,240",
        EDGED_AREAS="person:0.00125-0.5",
    )
    with Daemon(tmp_path, before, environ={"EDGED_CAMERA": ""}) as daemon, open_browser() as browser:
        open_page(browser, f"{daemon.until_told('live_view')['url']}draw")
        yield browser, before
        assert browser.console() == []
        assert daemon.stop() == 0


def choose(browser: Browser, number: int) -> None:
    browser.click(f"#shapes li:nth-child({number}) button")


def read(folder: Path, before: dict[str, str], browser: Browser) -> Any:
    """The settings with the lines of the page in the place of those that they stand for."""
    env_file = folder / "new.env"
    after = before | dict(line.split("=", 1) for line in lines(browser))
    for words in browser.run(
        "return [...document.querySelectorAll('#replaced li')].map((line) => line.textContent)"
    ):
        if words.startswith("Take out "):
            name, _, value = words.removeprefix("Take out ").rstrip(".").partition("=")
            assert after.pop(name) == value
    env_file.write_text("".join(f"{name}={value}\n" for name, value in after.items()))
    return load_all(env_file, {})[0]


def test_what_is_there_is_changed_by_mouse_finger_and_keys(
    drawing: tuple[Browser, dict[str, str]], tmp_path: Path
) -> None:
    browser, before = drawing
    assert not lines(browser)
    choose(browser, 1)
    # A corner with a finger, one by keys; one new in the middle of an edge, one removed.
    drag_corner(browser, 0, 0.2, 0.3, pointer="touch")
    browser.press(f"{CORNER}[data-key='corner 2']", RIGHT, RIGHT)
    middle = place(browser, *[sum(values) / 2 for values in zip(*corners(browser)[:2], strict=True)])
    browser.drag(middle, place(browser, 0.5, 0.2))
    assert len(corners(browser)) == 5
    browser.press(f"{CORNER}[data-key='corner 4']", DELETE)
    browser.write("#dwell", "1.5")
    browser.click("#labels label:nth-of-type(2) input")
    yard = read(tmp_path, before, browser).zone[0]
    assert_near(yard.points, [(0.2, 0.3), (0.5, 0.2), (0.6, 0.5), (0.61, 1)])
    assert (yard.labels, yard.dwell_s) == ({"face"}, 1.5)
    assert "EDGED_ZONE_YARD goes in the place of EDGED_ZONE_YARD=face,person@0.1,0.5" in browser.text(
        "replaced"
    )

    choose(browser, 2)
    browser.click("#turn")
    choose(browser, 3)
    browser.write("#name", "heaven")
    choose(browser, 4)
    drag_corner(browser, 1, 0.5, 0.5)
    after = read(tmp_path, before, browser)
    assert after.line[0].points == ((0.8, 0.6), (0.2, 0.6))
    assert [(mask.name, mask.points) for mask in after.mask] == [("heaven", ((0, 0), (1, 0), (1, 0.1)))]
    assert after.areas == (("person", 0.00125, 0.5),)
    width, height = browser.run(
        "const size = document.getElementById('canvas').viewBox.baseVal; return [size.width, size.height];"
    )
    assert after.roi == (0, 0, pytest.approx(width / 2, abs=8), pytest.approx(height / 2, abs=8))
    # What is removed is to be taken out, and what is as it was needs no line.
    choose(browser, 4)
    browser.click("#remove")
    assert read(tmp_path, before, browser).roi is None


def test_what_would_be_left_out_is_shown_while_it_is_dragged(
    drawing: tuple[Browser, dict[str, str]], tmp_path: Path
) -> None:
    browser, before = drawing
    browser.wait_for("return document.querySelector('#limits [data-label=face]')", seconds=30)
    choose(browser, 4)
    browser.click("#remove")

    def slide(number: int, value: float) -> None:
        browser.run(
            "const part = document.querySelector('#limits [data-label=face]'); part.open = true;"
            f"const range = part.querySelectorAll('input')[{number}]; range.value = {value};"
            "range.dispatchEvent(new Event('input', { bubbles: true }));"
        )

    struck = "return document.querySelectorAll('#canvas .struck').length"
    out = "return document.getElementById('left-out').textContent"
    slide(0, 1)
    browser.wait_for(f"{out}.includes('face (score below 1)')", seconds=30)
    browser.wait_for(struck)
    slide(0, 0.5)
    slide(1, 0.9)
    browser.wait_for(f"{out}.includes('face (too small)')", seconds=30)
    assert browser.run("return document.querySelectorAll('#canvas .sample').length") == 1
    after = read(tmp_path, before, browser)
    assert after.scores == (("face", 0.5),)
    assert after.areas == (("face", 0.73, 1.0), ("person", 0.00125, 0.5))
    assert json.dumps(lines(browser)).count("EDGED_AREAS") == 1


def test_what_the_page_writes_and_counts_is_what_edged_reads_and_counts(tmp_path: Path) -> None:
    """The page has grammar and geometry of its own: both are compared with edged's, shape by shape."""
    chance = random.Random(18)  # noqa: S311  # the same shapes every time

    def point() -> list[float]:
        return [chance.random(), chance.choice([0.0, 1.0, chance.random()])]

    labels = ("person", "traffic light", "größe", "a-b.c")
    shapes: list[dict[str, Any]] = [
        {
            "kind": kind,
            "name": f"{kind}{number}",
            "points": [point() for _ in range(2 if kind == "line" else chance.randint(3, 64))],
            "labels": chance.sample(labels, chance.randint(0, 4)),
            "dwell": chance.choice([0, 0.5, 86400, chance.random() * 100]),
        }
        for number in range(30)
        for kind in ("zone", "line", "mask")
    ]
    places = [point() for _ in range(300)]
    box = [10.0, 20.0, 70.5, 90.25]
    limits = {
        "scores": {"person": 1 / 3, "traffic light": 1},
        "areas": {"person": [1e-6, 0.1], "car": [0, 0.5]},
    }
    script = f"""
        const shapes = await import("/shapes.js"), {{ Limits }} = await import("/limits.js");
        const drawn = {json.dumps(shapes)}, places = {json.dumps(places)}, size = {{ w: 641, h: 479 }};
        const region = {{ kind: "roi", points: shapes.regionPoints([13, 7, 600, 400], size) }};
        const settings = [...drawn, region].map((shape) => shapes.setting(shape, "EDGED_", size));
        return {{
            lines: settings.map((one) => `${{one.name}}=${{one.value}}`),
            limits: [...new Limits({json.dumps(limits)}).settings("EDGED_")].map((pair) => pair.join("=")),
            within: drawn.map((shape) => places.map((place) => shapes.inside(place, shape.points))),
            place: shapes.place({box}, size),
        }};
    """
    with serving() as sink, open_browser() as browser:
        browser.go(f"{sink.url}draw")
        found = browser.run(f"return (async () => {{ {script} }})()")
    env_file = tmp_path / "edged.env"
    base = ["EDGED_SOURCE=synthetic:", "EDGED_MODEL=x.tflite"]
    env_file.write_text("\n".join([*base, *found["lines"], *found["limits"], ""]))
    after = load_all(env_file, {})[0]
    areas = {area.name: area for area in (*after.zone, *after.line, *after.mask)}
    for shape in shapes:
        area = areas[shape["name"]]
        assert np.allclose(area.points, shape["points"], atol=6e-5)
        assert area.labels == set(shape["labels"])
        assert area.dwell_s == pytest.approx(shape["dwell"] if shape["kind"] == "zone" else 0, abs=1e-4)
    assert after.roi == (13, 7, 600, 400)
    assert after.scores == (("person", 0.3333), ("traffic light", 1.0))
    assert after.areas == (("car", 0.0, 0.5), ("person", 1e-6, 0.1))
    assert found["within"] == [[inside((x, y), shape["points"]) for x, y in places] for shape in shapes]
    assert tuple(found["place"]) == place_of(box, 641, 479)
