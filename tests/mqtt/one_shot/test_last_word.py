"""A daemon that does not start leaves its reason in the retained state, whoever looks there later."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from daemon import Daemon, Ear, edged
from rig import Mosquitto, Subscriber, free_port, publish

from edged.mqtt.one_shot import last_word

if TYPE_CHECKING:
    from pathlib import Path

pytest_plugins = ("mqtt_fixtures",)


@pytest.fixture
def settings(demo_model: Path, tmp_path: Path) -> dict[str, str]:
    """A camera that is not there."""
    return {
        "EDGED_MODEL": str(demo_model),
        "EDGED_SOURCE": "/dev/video99",
        "EDGED_NODE": "lab1",
        "EDGED_CAMERA": "front",
        "EDGED_JSONL": str(tmp_path / "lines.jsonl"),
    }


def test_a_camera_that_is_missing_at_the_start_is_in_the_state(
    settings: dict[str, str], mosquitto: Mosquitto
) -> None:
    """And nothing says that the node is online."""
    settings["EDGED_MQTT_URL"] = f"mqtt://127.0.0.1:{mosquitto.port}"
    done = edged("run", settings=settings)
    assert done.returncode == 69, done.stderr
    assert "/dev/video99" in done.stderr
    with Subscriber(mosquitto.port, "edged/#") as subscriber:  # which looks at the schema, too
        state = json.loads(subscriber.wait_for("edged/lab1/state"))
        assert [message.topic for message in subscriber.received] == ["edged/lab1/state"]
    assert state["lifecycle"] == "stopped"
    assert state["camera_online"] is False
    assert state["cameras"] == ["front"]
    [reason] = state["degraded"]
    assert "/dev/video99" in reason
    assert "edged devices" in reason


@pytest.mark.parametrize("host", ["127.0.0.1", "a..b"])
def test_without_a_broker_the_reason_is_the_camera_all_the_same(settings: dict[str, str], host: str) -> None:
    """The second one can be the name of no host."""
    settings["EDGED_MQTT_URL"] = f"mqtt://{host}:{free_port()}"
    done = edged("run", settings=settings)
    assert done.returncode == 69
    assert "mqtt_last_word_lost" in done.stderr
    assert "/dev/video99" in done.stderr.rstrip().splitlines()[-1]


def test_a_daemon_of_this_name_that_runs_keeps_its_state(
    settings: dict[str, str], mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """A second one that fails beside it has no word; its log says why."""
    settings["EDGED_MQTT_URL"] = f"mqtt://127.0.0.1:{mosquitto.port}"
    works = settings | {"EDGED_SOURCE": "synthetic:?width=64&height=64&fps=5", "EDGED_STATS_INTERVAL": "600"}
    with Daemon(tmp_path, works) as daemon:
        with Subscriber(mosquitto.port) as subscriber:
            subscriber.wait_for("edged/lab1/availability", b"online")
            daemon.until(lambda: b'"running"' in b"".join(subscriber.on("edged/lab1/state")))
        done = edged("run", settings=settings)
        assert done.returncode == 69
        assert "mqtt_last_word_kept_back" in done.stderr
        with Subscriber(mosquitto.port) as subscriber:
            state = json.loads(subscriber.wait_for("edged/lab1/state"))
        assert state["lifecycle"] == "running"
        assert daemon.stop() == 0
    assert len(daemon.told("mqtt_connected")) == 1


def test_who_is_not_started_again_waits_until_the_one_that_lost_its_power_is_known_to_be_gone(
    settings: dict[str, str], mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """systemd starts no daemon again whose model is not there; the broker says ``offline`` only later."""
    settings["EDGED_MQTT_URL"] = f"mqtt://127.0.0.1:{mosquitto.port}"
    settings["EDGED_MODEL"] = str(tmp_path / "gone.tflite")
    publish(mosquitto.port, "edged/lab1/availability", b"online", "-r")
    with (
        Ear(str(tmp_path / "notify")) as ear,
        Subscriber(mosquitto.port) as subscriber,
        Daemon(tmp_path, settings, environ=ear.environ) as daemon,
    ):
        daemon.until(lambda: "Sending PUBLISH to edged-lab1-start" in mosquitto.log)
        assert subscriber.on("edged/lab1/state") == []
        publish(mosquitto.port, "edged/lab1/availability", b"offline", "-r")
        assert daemon.wait() == 78
        state = json.loads(subscriber.wait_for("edged/lab1/state"))
    assert "gone.tflite" in state["degraded"][0]


def test_nobody_waits_for_hours_because_the_keepalive_is_long() -> None:
    """A keepalive may be 18 hours; who has mended the settings by then wants the exit code before."""
    assert [last_word.patience_s(keepalive_s) for keepalive_s in (15, 60, 65535)] == [27.5, 95.0, 120.0]
