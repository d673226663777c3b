"""Headless Chromium, driven over WebDriver (W3C): plain JSON over HTTP, which needs no package."""

from __future__ import annotations

import atexit
import base64
import http.client
import json
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_START_S = 30.0
_HOLDING = frozenset("\ue008\ue009\ue00a")
"""Shift, Control, Alt."""
_CONTROL, _RELEASED = "\ue009", "\ue000"
_CLIPBOARD = (
    "const done = arguments[0]; navigator.clipboard.readText().then(done, (error) => done(String(error)));"
)


class Browser:
    """One window."""

    def __init__(self, port: int, session: str) -> None:
        self._port = port
        self._session = session

    def go(self, url: str) -> None:
        """Open a page and wait until it is loaded."""
        self._post("/url", {"url": url})

    def run(self, script: str) -> Any:
        """What a piece of JavaScript returns."""
        return self._post("/execute/sync", {"script": script, "args": []})

    def text(self, element_id: str) -> str:
        """What an element says."""
        return str(self.run(f"return document.getElementById({element_id!r}).textContent"))

    def wait_for(self, script: str, *, seconds: float = 15.0) -> Any:
        """The first result of ``script`` that is true."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if result := self.run(script):
                return result
            time.sleep(0.1)
        raise AssertionError(f"{seconds} s have passed, and this is still not true: {script}")

    def click(self, css: str) -> None:
        """A click with the mouse, as a person's."""
        self._post(f"/element/{self._find(css)}/click", {})

    def write(self, css: str, text: str) -> None:
        """Write into a field, in the place of what stands there."""
        element = self._find(css)
        self._post(f"/element/{element}/value", {"text": f"{_CONTROL}a{_RELEASED}{text}"})

    def press(self, css: str, *keys: str) -> None:
        """Press keys while an element has the focus; those without a letter are WebDriver's private ones."""
        self._post(f"/element/{self._find(css)}/value", {"text": "".join(keys)})

    def drag(self, start: tuple[float, float], end: tuple[float, float], *, pointer: str = "mouse") -> None:
        """Press at one place of the window and let go at another, by mouse or finger (``touch``)."""
        x1, y1, x2, y2 = (round(value) for value in (*start, *end))
        moves = [
            {"type": "pointerMove", "duration": 0, "x": x1, "y": y1},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerMove", "duration": 50, "x": (x1 + x2) // 2, "y": (y1 + y2) // 2},
            {"type": "pointerMove", "duration": 50, "x": x2, "y": y2},
            {"type": "pointerUp", "button": 0},
        ]
        source = {"type": "pointer", "id": pointer, "parameters": {"pointerType": pointer}, "actions": moves}
        self._post("/actions", {"actions": [source]})

    def clipboard(self) -> str:
        """What was copied last."""
        self._post("/permissions", {"descriptor": {"name": "clipboard-read"}, "state": "granted"})
        return str(self._post("/execute/async", {"script": _CLIPBOARD, "args": []}))

    def _find(self, css: str) -> str:
        found = self._post("/element", {"using": "css selector", "value": css})
        return str(next(iter(found.values())))

    def type(self, *keys: str) -> None:
        """Press keys where the focus is; the second press of a key that holds others (Shift) lets it go."""
        held: set[str] = set()
        actions = []
        for key in keys:
            if key in held:
                held.remove(key)
                actions.append({"type": "keyUp", "value": key})
                continue
            actions.append({"type": "keyDown", "value": key})
            if key in _HOLDING:
                held.add(key)
            else:
                actions.append({"type": "keyUp", "value": key})
        self._post("/actions", {"actions": [{"type": "key", "id": "keys", "actions": actions}]})

    def names(self, css: str) -> list[str]:
        """What a screen reader calls the elements that can be seen; empty for one without a name."""
        found = self._post("/elements", {"using": "css selector", "value": css})
        elements = [str(next(iter(one.values()))) for one in found]
        path = f"/session/{self._session}/element"
        return [
            str(_ask(self._port, "GET", f"{path}/{element}/computedlabel"))
            for element in elements
            if _ask(self._port, "GET", f"{path}/{element}/displayed")
        ]

    def prefer(self, scheme: str) -> None:
        """``light`` or ``dark``, as a person has set it for all pages."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.execute("Emulation.setEmulatedMedia", features=features)

    def execute(self, command: str, **parameters: Any) -> dict[str, Any]:
        """A command of the DevTools protocol, and its answer."""
        answer: dict[str, Any] = self._post("/goog/cdp/execute", {"cmd": command, "params": parameters})
        return answer

    def open_window(self) -> None:
        """Another window, without cookies, is meant from now on."""
        self._post("/window", {"handle": self._post("/window/new", {"type": "window"})["handle"]})
        self.execute("Network.clearBrowserCookies")

    def close_window(self) -> None:
        """And with it what its page goes on asking for; the one that was there before is meant."""
        (before, *_) = _ask(self._port, "DELETE", f"/session/{self._session}/window")
        self._post("/window", {"handle": before})

    def resize(self, width: int, height: int) -> None:
        """Another size of the window."""
        self._post("/window/rect", {"width": width, "height": height})

    def screenshot(self, path: Path | None = None) -> bytes:
        """The window as PNG."""
        png = base64.b64decode(_ask(self._port, "GET", f"/session/{self._session}/screenshot"))
        if path is not None:
            path.write_bytes(png)
        return png

    def console(self) -> list[str]:
        """What the page has complained about since the last call."""
        entries = self._post("/se/log", {"type": "browser"})
        return [entry["message"] for entry in entries if entry["level"] == "SEVERE"]

    def _post(self, path: str, content: dict[str, Any]) -> Any:
        return _ask(self._port, "POST", f"/session/{self._session}{path}", content)


@contextmanager
def open_browser() -> Iterator[Browser]:
    """A window of its own in the one Chromium of a run; what others have stored lies at other ports."""
    if shutil.which("chromedriver") is None or shutil.which("chromium") is None:
        pytest.skip("there is no Chromium with its driver (Debian: chromium chromium-driver)")
    chromium = _chromium()
    chromium.open_window()
    try:
        chromium.resize(1280, 800)
        chromium.console()
        yield chromium
    finally:
        chromium.close_window()


@cache
def _chromium() -> Browser:
    """The Chromium without a screen of this run: to start one takes as long as many a test."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    driver = subprocess.Popen(
        ["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    atexit.register(_end, driver, port)
    _wait_until_up(port)
    options = {
        "args": [
            "--headless=new",
            "--no-sandbox",  # tests may run as root
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--window-size=1280,800",
        ]
    }
    wanted = {
        "browserName": "chrome",
        "goog:chromeOptions": options,
        "goog:loggingPrefs": {"browser": "ALL"},
    }
    session = _ask(port, "POST", "/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
    return Browser(port, session)


def _end(driver: subprocess.Popen[bytes], port: int) -> None:
    """The driver takes its Chromium with it."""
    with suppress(OSError):
        _ask(port, "GET", "/shutdown")
    driver.terminate()
    driver.wait(10)


def _wait_until_up(port: int) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        try:
            if _ask(port, "GET", "/status")["ready"]:
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.1)


def _ask(port: int, method: str, path: str, content: dict[str, Any] | None = None) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body=None if content is None else json.dumps(content))
        answer = connection.getresponse()
        value = json.load(answer)["value"]
    finally:
        connection.close()
    if answer.status != http.client.OK:
        raise AssertionError(value["message"])
    return value
