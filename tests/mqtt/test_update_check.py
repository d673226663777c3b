"""A newer version is told where somebody has said whom to ask; what goes wrong with that is no trouble."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest
import rig
from announced import KNOWN, open_sink, rendered
from rig import TOPICS, Subscriber, free_port

from edged import bridge
from edged.errors import ConfigError
from edged.mqtt.update_check import read
from edged.settings import loading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rig import Mosquitto

pytest_plugins = ("mqtt_fixtures",)

GOOD = b'{"version": "99.1.0", "url": "https://example.org/notes", "more": 1}'


@contextmanager
def answering(content: bytes, status: int = 200) -> Iterator[tuple[str, list[str]]]:
    """A server that gives this to all; its URL, and whom it has heard."""
    heard = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the name is the library's
            heard.append(self.headers["User-Agent"] + self.headers["Authorization"])
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        bridge.start("answering", server.serve_forever)
        try:
            yield f"http://user:secret@127.0.0.1:{server.server_port}/newest?key=secret", heard
        finally:
            server.shutdown()


def state(subscriber: Subscriber) -> dict[str, Any]:
    """The newest state."""
    newest: dict[str, Any] = json.loads((subscriber.on(TOPICS.state) or [b"{}"])[-1])
    return newest


def test_the_newest_version_is_told_and_asked_for_once(mosquitto: Mosquitto, boot_id: str) -> None:
    """Home Assistant's update entity reads it from the state, which fits the schema."""
    config = "homeassistant/device/edged_lab1/config"
    with answering(GOOD) as (url, heard), Subscriber(mosquitto.port) as subscriber:
        sink = open_sink(mosquitto, boot_id, update_url=url)
        sink.state(rig.state())
        assert rig.until(lambda: "newest" in state(subscriber))
        found = state(subscriber)
        component = json.loads(subscriber.wait_for(config))["components"]["update"]
        sink.report(rig.report())
        sink.close()
        assert len(heard) == 1
        assert heard[0].startswith("edged/")
        assert heard[0].endswith("Basic dXNlcjpzZWNyZXQ=")
    assert found["newest"] == {"version": "99.1.0", "url": "https://example.org/notes", "problem": ""}
    rig.validator("state").validate(found)
    assert component.keys() - {"platform"} <= set(KNOWN["platforms"]["update"])
    assert json.loads(rendered(component["value_template"], json.dumps(found).encode())) == {
        "installed_version": "0.1.0",
        "latest_version": "99.1.0",
        "release_url": "https://example.org/notes",
    }
    bare = {name: value for name, value in found.items() if name != "newest"}
    assert json.loads(rendered(component["value_template"], json.dumps(bare).encode())) == {
        "installed_version": "0.1.0"
    }


def test_who_is_asked_next_does_not_get_the_password(mosquitto: Mosquitto, boot_id: str) -> None:
    """A redirection may lead to anybody."""
    heard: list[str | None] = []

    class Redirect(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the name is the library's
            heard.append(self.headers["Authorization"])
            there = self.path == "/there"
            self.send_response(200 if there else 302)
            self.send_header("Location", f"http://localhost:{self.server.server_port}/there")  # type: ignore[attr-defined]
            self.end_headers()
            self.wfile.write(GOOD if there else b"")

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Redirect) as server, Subscriber(mosquitto.port) as subscriber:
        bridge.start("answering", server.serve_forever)
        sink = open_sink(mosquitto, boot_id, update_url=f"http://user:secret@127.0.0.1:{server.server_port}/")
        sink.state(rig.state())
        assert rig.until(lambda: "newest" in state(subscriber))
        sink.close()
        server.shutdown()
    assert state(subscriber)["newest"]["version"] == "99.1.0"
    assert heard == ["Basic dXNlcjpzZWNyZXQ=", None]


@pytest.mark.parametrize(
    ("content", "status"), [(b"", 404), (b"no", 200), (b'{"version": 3}', 200), (b"[" * 70_000, 200)]
)
def test_an_answer_that_names_no_version_stands_in_the_state_only(
    mosquitto: Mosquitto, boot_id: str, content: bytes, status: int
) -> None:
    with answering(content, status) as (url, _), Subscriber(mosquitto.port) as subscriber:
        sink = open_sink(mosquitto, boot_id, update_url=url)
        sink.state(rig.state())
        assert rig.until(lambda: "newest" in state(subscriber))
        found = state(subscriber)
        sink.close()
    assert found["newest"]["version"] is None
    assert found["newest"]["problem"].startswith("http://127.0.0.1")
    assert "secret" not in json.dumps(found)
    assert found["degraded"] == []


def test_nobody_who_answers_holds_up_nothing(mosquitto: Mosquitto, boot_id: str) -> None:
    url = f"http://127.0.0.1:{free_port()}/"
    sink = open_sink(mosquitto, boot_id, update_url=url, stop_timeout_s=60.0)
    sink.state(rig.state())
    began = time.monotonic()
    sink.close()
    assert time.monotonic() - began < 20
    assert rig.until(lambda: "newer" not in {thread.name for thread in threading.enumerate()})


def test_without_the_setting_nobody_is_asked(mosquitto: Mosquitto, boot_id: str) -> None:
    with Subscriber(mosquitto.port) as subscriber:
        sink = open_sink(mosquitto, boot_id)
        sink.state(rig.state())
        subscriber.wait_for(TOPICS.state)
        assert "newer" not in {thread.name for thread in threading.enumerate()}
        config = json.loads(subscriber.wait_for("homeassistant/device/edged_lab1/config"))
        assert "update" not in config["components"]
        assert "newest" not in state(subscriber)
        sink.close()


@pytest.mark.parametrize("url", ["javascript:alert(1)", "http://", "https://h/" + "a" * 300, 5])
def test_a_link_that_is_none_is_left_out(url: object) -> None:
    assert read(json.dumps({"version": "2", "url": url}).encode())["url"] is None


def test_a_wrong_address_is_refused_and_not_repeated() -> None:
    environ = {
        "EDGED_SOURCE": "synthetic:",
        "EDGED_MODEL": "m.tflite",
        "EDGED_UPDATE_URL": "ftp://u:pass@h/x",
    }
    with pytest.raises(ConfigError, match="EDGED_UPDATE_URL") as told:
        loading.load(None, environ)
    assert "pass" not in str(told.value)
