"""No credential of a camera or a broker comes out anywhere: not on the terminal, in the log, in the state, on
the page or in the list of processes."""

from __future__ import annotations

import itertools
import random
import signal
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
import rig
from daemon import Daemon, edged
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


WORKING = ("rtsp", "rtsps", "RTMP", "rtmps", "http", "https", "tcp", "udp")
"""What a camera may be reached by."""


def cameras(turn: int) -> dict[str, str]:
    """Eight that are not there, one for each scheme, with other credentials in each turn."""
    every = [url.partition("://")[2] for scheme, url in credentials(2000) if scheme == "rtsp"]
    mine = itertools.islice(itertools.cycle(every), 97 * turn, None, 11)
    return {
        # Quoted as an env file wants it.
        f"EDGED_C{number}_SOURCE": "'" + f"{scheme}://{url}".replace("\\", "").replace("'", "") + "'"
        for number, (scheme, url) in enumerate(zip(WORKING, mine, strict=False))
    }


def everybody(port: int) -> dict[str, str]:
    """The broker, which takes any user, and a webhook and a source of versions, which are not there."""
    user, password = (quote(f"{HALVES[0]}{RESERVED}{which}{HALVES[1]}", safe="") for which in "ab")
    key = f"/{HALVES[0]}/x{HALVES[1]}?key={password}"
    return {
        "EDGED_MQTT_URL": f"mqtt://{user}:{password}@127.0.0.1:{port}",
        "EDGED_WEBHOOK_URL": f"https://{user}:{password}@127.0.0.1:9{key}",
        "EDGED_UPDATE_URL": f"http://{user}:{password}@127.0.0.1:9{key}",
    }


def refused(count: int) -> dict[str, str]:
    """What no daemon takes: passwords as they are typed, in every URL that is read with the settings."""
    wrong = itertools.islice(credentials(2000), count)
    typed = [url.replace("\\", "").replace("'", "") + "\u00a0" for _, url in wrong]
    return {
        "EDGED_CAMERAS": ",".join(f"c{number}" for number in range(count)),
        "EDGED_MQTT_URL": f"'{typed[0]}'",
        "EDGED_UPDATE_URL": f"'{typed[1]}'",
        **{f"EDGED_C{number}_SOURCE": f"'{url}'" for number, url in enumerate(typed)},
        **{f"EDGED_C{number}_WEBHOOK_URL": f"'{url}'" for number, url in enumerate(typed)},
    }


def pages(address: str) -> Iterator[str]:
    """What the web server answers, refusals too."""
    ours = ("/", "/cameras.json", "/metrics", "/healthz")
    for path in (*ours, *(f"/c{number}/{name}" for number in (0, 7) for name in ("setup.json", "live.json"))):
        try:
            with urllib.request.urlopen(f"http://{address}{path}", timeout=20) as answer:
                yield answer.read().decode(errors="replace")
        except urllib.error.HTTPError as error:  # a camera that gives nothing says so
            yield error.read().decode(errors="replace")


def processes(above: int) -> Iterator[str]:
    """Command lines and names of a process, of its threads, and of all below it."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            if above in {int(stat.parent.name), parent}:
                files = (stat.parent / "cmdline", *stat.parent.glob("task/*/comm"))
                yield " ".join(file.read_text(errors="replace") for file in files)
                if parent == above:
                    yield from processes(int(stat.parent.name))
        except (FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            pass


@pytest.mark.usefixtures("needs_mosquitto")
def test_a_daemon_says_nothing_of_them_either(
    mosquitto: Mosquitto, tmp_path: Path, demo_clip: Path, demo_model: Path
) -> None:
    """Cameras of eight schemes that are not there and a webhook that fails, through reloads."""
    page = f"127.0.0.1:{rig.free_port()}"
    settings = {
        "EDGED_CAMERAS": ",".join(["ok", *(f"c{number}" for number in range(8))]),
        "EDGED_OK_SOURCE": str(demo_clip),
        "EDGED_LOOP": "true",
        "EDGED_FPS": "10",
        "EDGED_OPEN_TIMEOUT": "1",
        "EDGED_MODEL": str(demo_model),
        "EDGED_DEVICE": "cpu",
        "EDGED_HTTP": page,
        "EDGED_HA_DISCOVERY": "true",
        "EDGED_JSONL": str(tmp_path / "lines.jsonl"),
        "EDGED_EVENTS_JSONL": str(tmp_path / "events.jsonl"),
        "EDGED_SPOOL": str(tmp_path / "spool"),
        "EDGED_STATS_INTERVAL": "1",
        "EDGED_LOG_FORMAT": "json",
        "EDGED_LOG_LEVEL": "debug",
    } | everybody(mosquitto.port)
    said: list[str] = []
    with (
        Subscriber(mosquitto.port) as subscriber,
        Daemon(tmp_path, settings | cameras(0), environ={"EDGED_CAMERA": ""}) as daemon,
    ):
        daemon.until(lambda: len(daemon.told("source_lost")) >= 8)  # all of them
        daemon.until_told("webhook_fails")
        for turn, (name, url) in enumerate(cameras(1).items(), 1):  # a camera that is away holds a reload up
            daemon.configure(settings | cameras(0) | {name: url})
            daemon.send(signal.SIGHUP)
            daemon.until_told("reload_refused", turn)
        said += [*pages(page), *processes(daemon.process.pid)]
        daemon.configure(refused(100))
        daemon.send(signal.SIGHUP)
        assert "EDGED_C99_WEBHOOK_URL" in daemon.until_told("reload_refused", 9)["error"]
        daemon.until(lambda: any(b"reload refused" in one for one in subscriber.on("edged/lab1/state")))
        said += pages(page)
        assert daemon.stop() == 0
        said += [f"{one.topic} {one.payload.decode(errors='replace')}" for one in subscriber.received]
    assert any("127.0.0.1:9" in one for one in said)
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path != daemon.env_file]
    said += [path.read_text(errors="replace") for path in files if path.parent != mosquitto.folder]
    for text in said:
        assert clean(text), text


@pytest.mark.parametrize("command", ["run", "check", "bench", "env"])
def test_no_command_says_anything_of_them(command: str, tmp_path: Path, demo_model: Path) -> None:
    """What is refused, 200 URLs at once, and what is taken and cannot be reached."""
    for name, settings in (("refused", refused(200)), ("taken", cameras(5) | everybody(9))):
        if command == "run" and name == "taken":  # as above
            continue
        env_file = tmp_path / f"{name}.env"
        several = {"EDGED_CAMERAS": "c0,c1,c2,c3,c4,c5,c6,c7", "EDGED_MODEL": str(demo_model)} | settings
        env_file.write_text("".join(f"{key}={value}\n" for key, value in several.items()), encoding="utf-8")
        options = [] if command == "env" else ["--env-file", str(env_file)]
        environ = {key: value.strip("'") for key, value in several.items()} if command == "env" else {}
        ended = edged(command, *options, settings=environ | {"EDGED_CAMERA": ""})
        assert ended.returncode != 0 or command == "env"
        assert len(ended.stdout + ended.stderr) > 100  # it has said something
        assert clean(ended.stdout + ended.stderr), ended.stdout + ended.stderr
