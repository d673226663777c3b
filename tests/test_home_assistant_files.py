"""What is in deploy/ for Home Assistant and Node-RED fits what edged announces, publishes and obeys."""

from __future__ import annotations

import importlib.util
import json
import re
import stat
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from daemon import ROOT
from rig import state

import edged
from edged import bridge
from edged.contract.topics import Topics
from edged.mqtt.home import controls, diagnostics
from edged.mqtt.home.scene_entities import SceneEntities
from edged.records import Controls
from edged.settings import tables
from edged.settings.loading import load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import ModuleType

HOME = ROOT / "deploy/homeassistant"
APP = ROOT / "deploy/homeassistant-app"
NODERED = ROOT / "deploy/nodered/edged.json"
KNOWN = json.loads((ROOT / "tests/mqtt/home_assistant.json").read_text(encoding="utf-8"))
DEVICE = "front"
OURS = re.compile(
    r"\b(?:binary_sensor|sensor|image|event|switch|number|select|button)\." + DEVICE + r"_[a-z_]+\b"
)


class Input(str):
    """The name behind ``!input`` in a blueprint."""

    __slots__ = ()


class Loader(yaml.SafeLoader):
    """YAML as Home Assistant reads blueprints."""


def _input(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Input:
    return Input(loader.construct_scalar(node))


Loader.add_constructor("!input", _input)


def inputs(content: Any) -> set[str]:
    """Names of all inputs that are used anywhere in it."""
    if isinstance(content, Input):
        return {str(content)}
    if isinstance(content, dict):
        content = list(content.values())
    return set().union(*map(inputs, content)) if isinstance(content, list) else set()


def entity_ids() -> set[str]:
    """As Home Assistant makes them for a device called Front that has a zone, a line and everything else."""
    topics = Topics("edged", "pi", "front")
    scene = SceneEntities(topics, "", {"person": "person"}, tracks=True)
    components = scene.by_label() | scene.of_zone("porch") | scene.of_line("gate")
    components |= diagnostics.camera_health(topics.camera_state) | diagnostics.figures(topics.timings, 30)
    known = state(controls=Controls(recording=True, threshold=0.4, models=("a", "yolov8n")))
    components |= controls.camera_controls(topics.camera_command, topics.camera_state, known)
    components["snapshot"] = {"platform": "image", "name": "Snapshot"}
    return {
        f"{one['platform']}.{DEVICE}_{re.sub('[^a-z0-9]+', '_', one['name'].lower())}"
        for one in components.values()
    }


@pytest.mark.parametrize("path", sorted((HOME / "blueprints").iterdir()), ids=lambda path: str(path.stem))
def test_a_blueprint_uses_what_it_asks_for_and_names_entities_that_there_are(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    content = yaml.load(text, Loader)  # noqa: S506  # a SafeLoader with one more tag
    asked = content["blueprint"].pop("input")
    assert inputs(content) == asked.keys()
    assert content["blueprint"]["domain"] == "automation"
    assert content["triggers"]
    assert content["actions"]
    assert set(OURS.findall(text)) <= entity_ids()
    attributes = set(re.findall(r"to_state\.attributes\.(\w+)", text))
    assert attributes <= {"event_type", "label", "zone", "score", "dwell_s", "duration_s", "event_id"}


@pytest.mark.parametrize("path", [HOME / "dashboard.yaml", ROOT / "docs/home-assistant.md"])
def test_names_of_entities_are_those_that_home_assistant_makes(path: Path) -> None:
    named = set(OURS.findall(path.read_text(encoding="utf-8")))
    assert len(named) > 4
    assert named <= entity_ids()


def test_the_flow_of_node_red_hangs_together_and_hears_what_is_published() -> None:
    nodes = {node["id"]: node for node in json.loads(NODERED.read_text(encoding="utf-8"))}
    for node in nodes.values():
        for wire in (target for output in node.get("wires", ()) for target in output):
            assert wire in nodes
        assert not node["type"].startswith("mqtt ") or node["broker"] in nodes
        # Names that Node-RED has declared in every function.
        reserved = r"(const|let|var)\s+[\[{]?[^=;]*\b(node|flow|msg|context|global|env|RED)\b"
        assert not re.search(reserved, node.get("func", ""))
    heard = {node["topic"] for node in nodes.values() if node["type"] == "mqtt in"}
    any_camera = Topics("edged", "+", "+")
    assert heard <= {any_camera.events, any_camera.best("+"), any_camera.status, "edged/+/state"}
    assert "password" not in NODERED.read_text(encoding="utf-8")


# The app.


@pytest.fixture
def start() -> ModuleType:
    """The program that turns options into an env file."""
    spec = importlib.util.spec_from_file_location("edged_app", APP / "start.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def config() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((APP / "config.yaml").read_text(encoding="utf-8"))
    return content


def test_every_option_of_the_app_is_a_setting_of_a_kind_that_the_supervisor_knows(start: ModuleType) -> None:
    content = config()
    known = {setting.name for setting in tables.declarations()}
    options, schema = content["options"], content["schema"]
    assert options.keys() <= schema.keys()
    assert {f"EDGED_{name.upper()}" for name in schema.keys() - start.OWN} <= known
    # https://developers.home-assistant.io/docs/apps/configuration: what must be set, and kinds of options.
    assert {"name", "version", "slug", "description", "arch"} <= content.keys()
    assert content["version"] == edged.__version__
    assert f"edged:{edged.__version__}" in (APP / "Dockerfile").read_text(encoding="utf-8")
    kind = re.compile(
        r"(str|bool|int|float|password|email|url|port)(\([^)]*\))?\??|match\(.*\)\??|list\(.*\)\??"
    )
    for asked in schema.values():
        assert kind.fullmatch(asked[0] if isinstance(asked, list) else asked), asked
    for name, value in options.items():
        if isinstance(schema[name], str) and schema[name].startswith("match("):
            assert re.match(schema[name][len("match(") : -1], value)


def started(start: ModuleType, folder: Path, options: dict[str, Any]) -> Path:
    """The env file that edged would be given."""
    (folder / "options.json").write_text(json.dumps(options), encoding="utf-8")
    became: list[list[str]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.execv", lambda _, run: became.append(run))
        start.main(folder)
    ((program, *arguments),) = became
    assert (program, arguments[:2]) == ("/usr/bin/edged", ["run", "--env-file"])
    return type(folder)(arguments[2])


def test_the_options_become_an_env_file_that_edged_loads(start: ModuleType, tmp_path: Path) -> None:
    options = config()["options"] | {
        "model": str(tmp_path / "a model.tflite"),
        "mqtt_url": "mqtt://me@broker.lan",
        "mqtt_password": "not # told",
        "score_threshold": 0.55,
        "classes": "",
        "more": ["EDGED_ZONE_PORCH=person@0.1,0.5 0.6,0.5 0.6,1", "EDGED_HA_DISCOVERY=false"],
    }
    env_file = started(start, tmp_path, options)
    settings = load(env_file)
    assert settings.source == "rtsp://user:password@camera.lan/stream"
    assert settings.model == tmp_path / "a model.tflite"
    assert settings.score_threshold == 0.55
    assert settings.classes == ()
    assert settings.commands
    assert not settings.ha_discovery, "what is said in more wins"
    assert [zone.name for zone in settings.zone] == ["porch"]
    assert settings.mqtt_password_file is not None
    assert settings.mqtt_password_file.read_text(encoding="utf-8") == "not # told"
    assert "not # told" not in env_file.read_text(encoding="utf-8")
    for file in (env_file, settings.mqtt_password_file):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_broker_is_the_one_that_the_supervisor_names(
    start: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, supervisor: str
) -> None:
    monkeypatch.setenv("SUPERVISOR_TOKEN", "a-token")
    monkeypatch.setattr(start, "SUPERVISOR", supervisor)
    settings = load(started(start, tmp_path, config()["options"]))
    assert settings.mqtt_url == "mqtt://addons@core-mosquitto:1883"
    assert settings.mqtt_password_file is not None
    assert settings.mqtt_password_file.read_text(encoding="utf-8") == "secret"
    assert settings.ha_discovery


def test_a_value_that_would_end_early_is_refused(start: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="EDGED_NODE must have no quote"):
        started(start, tmp_path, config()["options"] | {"node": "a'\nEDGED_HTTP=0.0.0.0:1"})


@pytest.fixture
def supervisor() -> Iterator[str]:
    """Answers as the Supervisor does, to who has the token."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the library's name
            allowed = self.headers["Authorization"] == "Bearer a-token" and self.path == "/services/mqtt"
            broker = {"host": "core-mosquitto", "port": 1883, "ssl": False, "username": "addons"}
            body = json.dumps({"result": "ok", "data": broker | {"password": "secret"}}).encode()
            self.send_response(200 if allowed else 403)
            self.end_headers()
            self.wfile.write(body if allowed else b"")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = bridge.start("supervisor", server.serve_forever)
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join(5)
