"""Nothing retained outlives its name: cameras, nodes and prefixes that a reload or a restart replaces."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import pytest
import rig
from daemon import EDGED, Daemon, edged
from rig import PERSON, TOPICS, Mosquitto, Subscriber, publish

from edged.contract.topics import Topics
from edged.metrics import Meter
from edged.mqtt.retained.names import Memory, Names

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

pytest_plugins = ("mqtt_fixtures",)
pytestmark = pytest.mark.usefixtures("needs_mosquitto")

OLD = Topics("edged", "lab1", "old")
DEVICE = "homeassistant/device/edged_lab1/config"


def retained(port: int) -> dict[str, bytes]:
    """Everything that the broker remembers."""
    with Subscriber(port) as listener:
        publish(port, "probe/end", b"1")
        listener.wait_for("probe/end")
        return {message.topic: message.payload for message in list(listener.received) if message.retained}


def leave(port: int, values: dict[str, bytes]) -> None:
    for topic, payload in values.items():
        publish(port, topic, payload, "-r")


def of_camera(topics: Topics) -> dict[str, bytes]:
    """What a camera that has crashed may have left."""
    return {
        topics.status: b"online",
        topics.count("person"): b"2",
        topics.best("person"): b"\xff\xd8",
        topics.snapshot: b"\xff\xd8",
        topics.zone_occupancy("porch"): b"ON",
        topics.zone_count("porch", "person"): b"1",
        topics.line_total("gate", "in", "person"): b"7",
    }


def start(broker: Mosquitto, boot_id: str, version: str = "5", **options: Any) -> Any:
    sink = rig.sink(rig.access(broker.broker, version=version), meter=Meter(), boot_id=boot_id, **options)
    sink.open()
    sink.state(rig.state())
    return sink


def settled(sink: Any) -> bool:
    def quiet() -> bool:
        account = sink.delivery()
        return bool(account.acknowledged > 0 and account.queued + account.in_flight == 0)

    return rig.until(quiet)


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_a_start_clears_a_camera_that_has_another_name_now(
    mosquitto: Mosquitto, boot_id: str, version: str
) -> None:
    its_device = "homeassistant/device/edged_lab1--old/config"
    leave(mosquitto.port, {**of_camera(OLD), its_device: b"{}", "edged/lab2/old/status": b"online"})
    sink = start(mosquitto, boot_id, version, named=lambda: {"front"}, discovery=True)
    assert settled(sink)
    found = retained(mosquitto.port)
    sink.close()
    assert not [topic for topic in found if topic.startswith(f"{OLD.base}/old/")]
    assert its_device not in found
    assert found["edged/lab2/old/status"] == b"online", "another node is left alone"
    assert found[TOPICS.status] == b"online"


def test_a_camera_that_is_not_there_yet_is_offline_and_keeps_its_totals(
    mosquitto: Mosquitto, boot_id: str
) -> None:
    back = Topics("edged", "lab1", "back")
    leave(mosquitto.port, of_camera(back))
    with Subscriber(mosquitto.port) as listener:
        sink = start(mosquitto, boot_id, named=lambda: {"front", "back"}, several=True)
        listener.wait_for(TOPICS.availability, b"online")
        order = [(message.topic, message.payload) for message in listener.received]
        online = order.index((TOPICS.availability, b"online"))
        assert order.index((back.status, b"offline")) < online
        assert order.index((back.count("person"), b"0")) < online
    found = retained(mosquitto.port)
    sink.close()
    assert found[back.zone_occupancy("porch")] == b"OFF"
    assert found[back.zone_count("porch", "person")] == b"0"
    assert found[back.line_total("gate", "in", "person")] == b"7"
    assert found[back.snapshot] == b"\xff\xd8"


def test_without_the_names_of_the_cameras_nothing_is_judged(mosquitto: Mosquitto, boot_id: str) -> None:
    leave(mosquitto.port, of_camera(OLD))
    sink = start(mosquitto, boot_id)
    assert settled(sink)
    sink.close()
    assert of_camera(OLD).items() <= retained(mosquitto.port).items()


@pytest.mark.parametrize("there", ["offline", "online"])
def test_a_start_clears_a_node_that_has_another_name_now(
    mosquitto: Mosquitto, boot_id: str, tmp_path: Path, there: str
) -> None:
    """Unless somebody else is called so now."""
    former = Topics("home", "pi", "yard")
    left = {
        **of_camera(former),
        former.availability: there.encode(),
        former.state: b"{}",
        "homeassistant/device/edged_pi/config": b"{}",
        "homeassistant/device/edged_pi--yard/config": b"{}",
    }
    leave(mosquitto.port, {**left, "homeassistant/device/edged_pi2/config": b"{}"})
    memory = Memory(tmp_path / "names.json")
    memory.write([Names("home", "pi", "homeassistant", ("yard",))])
    sink = start(mosquitto, boot_id, named=lambda: {"front"}, memory=memory, discovery=True)
    assert settled(sink)
    assert rig.until(lambda: [names.node for names in memory.read()] == ["lab1"])
    found = retained(mosquitto.port)
    sink.close()
    pictures = {topic for topic in left if topic.endswith("/best/person")}
    assert (found.keys() & left.keys()) - pictures == (left.keys() - pictures if there == "online" else set())
    assert "homeassistant/device/edged_pi2/config" in found
    assert DEVICE in found


def test_names_that_cannot_be_read_or_kept_cost_nothing_else(
    mosquitto: Mosquitto, boot_id: str, tmp_path: Path
) -> None:
    path = tmp_path / "names.json"
    path.write_text('[{"prefix": 7}]')
    (tmp_path / "names.new").mkdir()
    sink = start(mosquitto, boot_id, named=lambda: {"front"}, memory=Memory(path))
    sink.send(rig.result(0, PERSON))
    assert settled(sink)
    sink.close()
    assert retained(mosquitto.port)[TOPICS.status] == b"online"


def bases(topics: Iterable[str]) -> set[str]:
    """Nodes, cameras and devices that anything is retained of."""
    levels = [topic.split("/") for topic in topics]
    return {
        "/".join(parts if parts[-1] == "config" else parts[: 3 if len(parts) > 3 else 2]) for parts in levels
    }


def test_every_name_that_a_reload_replaces_is_cleared(
    mosquitto: Mosquitto, tmp_path: Path, demo_model: Path, demo_clip: Path
) -> None:
    settings = {
        "EDGED_SOURCE": str(demo_clip),
        "EDGED_LOOP": "true",
        "EDGED_MODEL": str(demo_model),
        "EDGED_MQTT_URL": str(mosquitto.broker),
        "EDGED_HA_DISCOVERY": "true",
        "EDGED_HA_PREFIX": "homeassistant",
        "EDGED_MQTT_PREFIX": "edged",
        "EDGED_NODE": "lab1",
        "EDGED_CAMERA": "front",
        "EDGED_SNAPSHOT_INTERVAL": "1",
        "EDGED_SPOOL": str(tmp_path / "spool"),
        "EDGED_STATS_INTERVAL": "2",
        "EDGED_LOG_FORMAT": "json",
    }
    command = ("env", "-u", "EDGED_NODE", "-u", "EDGED_CAMERA", *EDGED, "run")

    def after(change: dict[str, str]) -> set[str]:
        settings.update(change)
        base = f"{settings['EDGED_MQTT_PREFIX']}/{settings['EDGED_NODE']}"
        wanted = f"{base}/{settings['EDGED_CAMERA']}/snapshot"
        found: dict[str, bytes] = {}

        def there() -> bool:
            found.clear()
            found.update(retained(mosquitto.port))
            device = f"{settings['EDGED_HA_PREFIX']}/device/edged_{settings['EDGED_NODE']}/config"
            return wanted in found and device in found and found.get(f"{base}/availability") == b"online"

        daemon.until(there)
        return bases(found)

    with Daemon(tmp_path, settings, command=command) as daemon:
        daemon.until_told("mqtt_connected")
        assert after({}) == {"edged/lab1", "edged/lab1/front", DEVICE}
        steps = [
            ({"EDGED_CAMERA": "porch"}, {"edged/lab1", "edged/lab1/porch", DEVICE}),
            (
                {"EDGED_NODE": "lab9"},
                {"edged/lab9", "edged/lab9/porch", "homeassistant/device/edged_lab9/config"},
            ),
            (
                {"EDGED_MQTT_PREFIX": "home", "EDGED_HA_PREFIX": "ha"},
                {"home/lab9", "home/lab9/porch", "ha/device/edged_lab9/config"},
            ),
        ]
        for count, (change, expected) in enumerate(steps, 1):
            daemon.configure({**settings, **change})
            daemon.send(signal.SIGHUP)
            daemon.until_told("reloaded", count)
            assert after(change) == expected
        daemon.process.kill()
        daemon.wait()
    # The same by a restart, after a crash.
    settings |= {"EDGED_NODE": "lab1", "EDGED_CAMERA": "front", "EDGED_HA_PREFIX": "homeassistant"}
    with Daemon(tmp_path, settings, command=command) as daemon:
        assert after({}) == {"home/lab1", "home/lab1/front", DEVICE}
        busy = edged("forget", "--env-file", str(daemon.env_file), settings=settings)
        assert busy.returncode == 1
        assert "is online" in busy.stderr
        assert daemon.stop() == 0
    publish(mosquitto.port, "home/lab2/availability", b"offline", "-r")
    gone = edged("forget", "--env-file", str(daemon.env_file), settings=settings)
    assert gone.returncode == 0, gone.stderr
    assert "topics of the node lab1 below home/ cleared" in gone.stdout
    assert retained(mosquitto.port) == {"home/lab2/availability": b"offline"}


def test_forget_takes_back_what_a_former_name_has_left(mosquitto: Mosquitto) -> None:
    former = Topics("edged", "old-pi", "yard")
    device = json.dumps({"device": {"identifiers": ["edged_old-pi--yard"]}}).encode()
    leave(
        mosquitto.port,
        {
            **of_camera(former),
            former.availability: b"offline",
            "homeassistant/device/edged_old-pi--yard/config": device,
            "homeassistant/device/edged_old-pi-2/config": b"{}",
        },
    )
    publish(mosquitto.port, former.snapshot, b"\xff\xd8" + bytes(300_000), "-r")  # more than is taken in
    settings = {"EDGED_MQTT_URL": str(mosquitto.broker), "EDGED_MODEL": "m", "EDGED_SOURCE": "s"}
    done = edged("forget", "--node", "old-pi", settings=settings)
    assert done.returncode == 0, done.stderr
    assert retained(mosquitto.port) == {"homeassistant/device/edged_old-pi-2/config": b"{}"}
    again = edged("forget", "--node", "old-pi", settings=settings)
    assert (again.returncode, again.stdout) == (1, "")
    assert "nothing retained of the node old-pi" in again.stderr
    nowhere = edged("forget", settings={"EDGED_MODEL": "m", "EDGED_SOURCE": "s"})
    assert (nowhere.returncode, "EDGED_MQTT_URL is not set" in nowhere.stderr) == (78, True)
