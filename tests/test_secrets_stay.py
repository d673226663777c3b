"""No credential of a camera or a broker comes out anywhere: not on the terminal, in the log, in the state, on
the page or in the list of processes."""

from __future__ import annotations

import itertools
import random
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import rig
from daemon import Daemon, edged, until
from rig import Mosquitto, Subscriber
from structlog.testing import capture_logs

from edged import sources
from edged.contract import payloads
from edged.errors import EdgedError
from edged.http.setup import setup
from edged.settings import loading
from edged.settings.broker import parse_url

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest_plugins = ("mqtt_fixtures",)

RESERVED = "@:/?#[]%&=+;,! $'()*\\\"<>^`{|}~"
SCHEMES = ("rtsp", "RTMP", "http", "srt", "mqtt", "mqtts")
FORMS = (
    "{scheme}://{user}:{password}@127.0.0.1:9/live",
    "{scheme}://127.0.0.1:9/live?channel=0&user={user}&password={password}",
    "{scheme}://127.0.0.1:9/user={user}_password={password}_channel=1.sdp",
)
HALVES = ("Hunter", "2Secret")


def credentials(count: int) -> Iterator[tuple[str, str]]:
    """Scheme and URL; every reserved character stands in every place in turn, with others around it."""
    chance = random.Random(15)  # noqa: S311  # the same ones each time
    places = itertools.cycle(itertools.product(SCHEMES, FORMS, RESERVED))
    for (scheme, form, character), _ in zip(places, range(count), strict=False):
        noise = "".join(chance.choices(RESERVED + "xyz", k=4))
        user, password = (f"{HALVES[0]}{character}{noise}{HALVES[1]}" for _ in range(2))
        yield scheme, form.format(scheme=scheme, user=user, password=password)


def clean(text: str) -> bool:
    return not any(half in text for half in HALVES)


def test_two_thousand_credentials_in_six_schemes_do_not_come_out(capfd: pytest.CaptureFixture[str]) -> None:
    """Whatever a daemon says of a source or a broker: refusal, name, log, setup of the page, state."""
    words: list[str] = []
    refused = 0
    with capture_logs() as logs:
        for scheme, url in credentials(2000):
            name = "EDGED_MQTT_URL" if scheme.startswith("mqtt") else "EDGED_SOURCE"
            environ = {"EDGED_SOURCE": "synthetic:", "EDGED_MODEL": "m.tflite", name: url}
            try:
                settings = loading.load(environ=environ)
                words += [str(setup(settings)), settings.fingerprint]
                source = sources.create(settings)
                words += [str(source.properties()) if source.live else "", source.problem]
                if settings.mqtt_url is not None:
                    words.append(str(parse_url(settings.mqtt_url)))
            except EdgedError as error:
                refused += 1
                words.append(str(error))
                words.append(payloads.encode({"degraded": [str(error)]}).decode())
    said = capfd.readouterr()
    for text in (*words, *map(str, logs), said.out, said.err):
        assert clean(text), text
    assert 0 < refused < 2000


@pytest.mark.usefixtures("needs_mosquitto")
def test_a_daemon_says_nothing_of_them_either(mosquitto: Mosquitto, tmp_path: Path, demo_model: Path) -> None:
    """Cameras that are not there, with a broker and a page: all that it says, and its processes."""
    page = f"127.0.0.1:{rig.free_port()}"
    cameras = {
        f"C{number}": url
        for number, (_, url) in enumerate(
            one
            for one in itertools.islice(credentials(2000), 0, None, 97)
            if one[0] in {"rtsp", "RTMP", "http"}
        )
    }
    settings = {
        "EDGED_CAMERAS": ",".join(["ok", *(name.lower() for name in cameras)]),
        "EDGED_OK_SOURCE": "synthetic:?width=64&height=64&fps=10",
        **{
            f"EDGED_{name}_SOURCE": "'" + url.replace("\\", "").replace("'", "") + "'"
            for name, url in cameras.items()
        },
        "EDGED_MODEL": str(demo_model),
        "EDGED_MQTT_URL": str(mosquitto.broker),
        "EDGED_HTTP": page,
        "EDGED_STATS_INTERVAL": "1",
        "EDGED_LOG_FORMAT": "json",
    }
    with (
        Subscriber(mosquitto.port) as subscriber,
        Daemon(tmp_path, settings, environ={"EDGED_CAMERA": ""}) as daemon,
    ):
        daemon.until(lambda: subscriber.on("edged/lab1/state"))
        daemon.until(lambda: len(subscriber.on("edged/lab1/ok/timings")) >= 2)
        pages = []
        for path in ("/", "/cameras.json", "/metrics", "/healthz", "/c0/", "/c0/setup.json", "/c0/live.json"):
            try:
                with urllib.request.urlopen(f"http://{page}{path}", timeout=20) as answer:
                    pages.append(answer.read().decode(errors="replace"))
            except urllib.error.HTTPError as error:  # a camera that gives nothing says so
                pages.append(error.read().decode(errors="replace"))
        assert any("c0" in text for text in pages)
        processes = "".join(
            line.read_text(errors="replace")
            for line in Path("/proc").glob("[0-9]*/cmdline")
            if str(daemon.process.pid) in (line.parent / "stat").read_text().split()[:4]
        )
        checked = edged("check", "--env-file", str(daemon.env_file), settings={"EDGED_CAMERA": ""})
        assert "c1" in checked.stdout
        assert daemon.stop() in {0, 69}
        heard = [message.payload.decode(errors="replace") for message in subscriber.received]
    until(lambda: daemon.stderr)
    for text in (*pages, processes, checked.stdout, checked.stderr, daemon.stderr, daemon.stdout, *heard):
        assert clean(text), text
