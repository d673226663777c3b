"""The daemon in a process of its own: what a reload changes, and what it leaves alone."""

from __future__ import annotations

import json
import signal
import time
from typing import TYPE_CHECKING

from daemon import Daemon, Ear, until
from rig import Mosquitto, Subscriber, publish
from service_parts import BASE, FAST_FILE, FOR_EVER, STATE, camera, faulty, lines, url

if TYPE_CHECKING:
    from pathlib import Path

pytest_plugins = ("mqtt_fixtures", "service_fixtures")

DETECTIONS = f"{BASE}/front/detections"


def test_a_reload_puts_model_and_threshold_in_force_between_two_frames(
    settings: dict[str, str], tmp_path: Path, mosquitto: Mosquitto, demo_clip: Path
) -> None:
    settings |= {
        "EDGED_SOURCE": str(demo_clip),
        "EDGED_LOOP": "true",
        "EDGED_MQTT_URL": f"mqtt://127.0.0.1:{mosquitto.port}",
        "EDGED_MQTT_VERSION": "3.1.1",
    }
    other = tmp_path / "other_name.tflite"
    other.symlink_to(settings["EDGED_MODEL"])
    with Subscriber(mosquitto.port) as subscriber, Daemon(tmp_path, settings) as daemon:
        daemon.until(lambda: len(subscriber.on(DETECTIONS)) >= 60)
        first = json.loads(subscriber.wait_for(STATE))["config_hash"]
        daemon.configure(settings | {"EDGED_MODEL": str(other), "EDGED_SCORE_THRESHOLD": "0.999"})
        daemon.send(signal.SIGHUP)
        daemon.until_told("reloaded")
        before = len(subscriber.on(DETECTIONS))
        daemon.until(lambda: len(subscriber.on(DETECTIONS)) >= before + 220)  # one round of the clip
        states = [json.loads(payload) for payload in subscriber.on(STATE)]
        assert daemon.stop() == 0
        until(lambda: subscriber.on(f"{BASE}/availability")[-1] == b"offline")
    assert {state["model"] for state in states} == {"face_detection_full_range_sparse", "other_name"}
    assert states[-1]["model"] == "other_name"
    assert states[-1]["config_hash"] != first
    assert states[-1]["degraded"] == []

    messages = [json.loads(payload) for payload in subscriber.on(DETECTIONS)]
    assert [message["seq"] for message in messages] == list(range(len(messages)))
    assert [message["frame_id"] for message in messages] == list(range(len(messages)))
    models = [message["model"] for message in messages]
    change = models.index("other_name")
    assert set(models[:change]) == {"face_detection_full_range_sparse"}
    assert set(models[change:]) == {"other_name"}
    assert any(message["detections"] for message in messages[:change])
    assert not any(message["detections"] for message in messages[change:]), "no face has such a score"

    ledger = daemon.ledger()
    assert ledger["inferred"] == len(messages) == ledger["sinks"]["mqtt"]["sent"]
    assert ledger["sinks"]["jsonl"]["sent"] == len(lines(tmp_path)) == len(messages)
    connects = [line for line in mosquitto.log.splitlines() if "as edged-lab1" in line]
    assert len(connects) == 1, "the connection was to stay as it was"


def test_a_bad_file_changes_nothing_and_is_told_until_a_good_one_comes(
    settings: dict[str, str], tmp_path: Path, mosquitto: Mosquitto
) -> None:
    settings |= {"EDGED_MQTT_URL": f"mqtt://127.0.0.1:{mosquitto.port}"}

    def degraded() -> list[str]:
        states = subscriber.on(STATE)
        return list(json.loads(states[-1])["degraded"]) if states else []

    with Subscriber(mosquitto.port) as subscriber, Daemon(tmp_path, settings) as daemon:
        daemon.until(lambda: len(subscriber.on(DETECTIONS)) >= 5)
        daemon.until(lambda: json.loads(subscriber.on(STATE)[-1])["camera_online"])
        state = json.loads(subscriber.on(STATE)[-1])
        for wrong, word in (
            ({"EDGED_SCORE_THRESHOLD": "7"}, "EDGED_SCORE_THRESHOLD='7'"),
            ({"EDGED_MODEL": "/nowhere.tflite"}, "/nowhere.tflite"),
            ({"EDGED_SOURCE": "/nowhere.mp4"}, "/nowhere.mp4"),
            ({"EDGED_OUTPUT": "/nowhere/out.mp4"}, "/nowhere/out.mp4"),
        ):
            daemon.configure(settings | wrong)
            daemon.send(signal.SIGHUP)
            daemon.until(lambda word=word: any(word in text for text in degraded()))  # type: ignore[misc]
            assert degraded()[0].startswith("reload refused: ")
        now = json.loads(subscriber.on(STATE)[-1])
        assert {**now, "degraded": [], "ts": 0, "messages": 0} == {**state, "ts": 0, "messages": 0}
        before = len(subscriber.on(DETECTIONS))
        daemon.until(lambda: len(subscriber.on(DETECTIONS)) >= before + 10)

        daemon.configure(settings)
        daemon.send(signal.SIGHUP)
        daemon.until(lambda: degraded() == [])
        assert daemon.stop() == 0
    assert daemon.ledger()["inferred"] == len(lines(tmp_path))
    sequence = [json.loads(payload)["seq"] for payload in subscriber.on(DETECTIONS)]
    assert sequence == list(range(len(sequence)))
    assert "Traceback" not in daemon.stderr


def test_a_reload_that_fails_by_a_mistake_of_ours_leaves_what_works_alone(
    settings: dict[str, str], tmp_path: Path, ear: Ear
) -> None:
    never = 10**6
    with Daemon(tmp_path, settings, command=faulty("reload", never), environ=ear.environ) as daemon:
        daemon.until(lambda: lines(tmp_path))
        daemon.configure(settings | {"EDGED_SCORE_THRESHOLD": "0.9"})
        daemon.send(signal.SIGHUP)
        assert "ZeroDivisionError" in daemon.until_told("reload_failed")["exception"]
        daemon.until(lambda: any("reload failed: ZeroDivisionError" in word for word in ear.words))
        before = len(lines(tmp_path))
        daemon.until(lambda: len(lines(tmp_path)) >= before + 5)
        assert daemon.stop() == 0
    daemon.ledger()


def test_a_reload_of_the_broker_settings_moves_to_the_new_connection_without_a_gap(
    settings: dict[str, str], tmp_path: Path, mosquitto: Mosquitto
) -> None:
    settings |= {"EDGED_MQTT_URL": f"mqtt://127.0.0.1:{mosquitto.port}"}
    with Subscriber(mosquitto.port) as subscriber, Daemon(tmp_path, settings) as daemon:
        daemon.until(lambda: len(subscriber.on(DETECTIONS)) >= 5)
        daemon.configure(settings | {"EDGED_MQTT_QUEUE": "500"})
        daemon.send(signal.SIGHUP)
        daemon.until_told("reloaded")
        before = len(subscriber.on(DETECTIONS))
        daemon.until(lambda: len(subscriber.on(DETECTIONS)) >= before + 20)
        until(lambda: subscriber.on(f"{BASE}/availability")[-1] == b"online")
        time.sleep(1)
        assert subscriber.on(f"{BASE}/availability")[-1] == b"online", "what is retained is what is true"
        assert daemon.stop() == 0
        until(lambda: subscriber.on(f"{BASE}/availability")[-1] == b"offline")
    frames = [json.loads(payload)["frame_id"] for payload in subscriber.on(DETECTIONS)]
    assert sorted(set(frames)) == [line["frame_id"] for line in lines(tmp_path)], "no frame went untold"


def test_a_reload_of_another_source_goes_on_with_one_account(
    settings: dict[str, str], tmp_path: Path
) -> None:
    with Daemon(tmp_path, settings) as daemon:
        daemon.until(lambda: len(lines(tmp_path)) >= 5)
        daemon.configure(settings | {"EDGED_SOURCE": FAST_FILE.format(30).replace("64", "96")})
        daemon.send(signal.SIGHUP)
        assert daemon.wait() == 0, "the new source has an end"
    sizes = [line["image"]["w"] for line in lines(tmp_path)]
    assert sizes[-30:] == [96] * 30
    assert set(sizes[:-30]) == {64}
    assert daemon.ledger()["inferred"] == len(sizes)


def test_without_an_env_file_a_reload_is_refused(settings: dict[str, str], tmp_path: Path) -> None:
    with Daemon(tmp_path, environ=settings) as daemon:
        daemon.until(lambda: lines(tmp_path))
        daemon.send(signal.SIGHUP)
        assert "there is no env file" in daemon.until_told("reload_refused")["error"]
        assert daemon.stop() == 0


def test_reloads_in_quick_succession_lose_nothing(settings: dict[str, str], tmp_path: Path) -> None:
    settings |= {"EDGED_SOURCE": "synthetic:?width=64&height=64&fps=100&count=400&live=false"}
    with Daemon(tmp_path, settings) as daemon:
        daemon.until(lambda: len(lines(tmp_path)) >= 20)
        for number in range(12):
            daemon.configure(settings | {"EDGED_SCORE_THRESHOLD": f"0.{number + 20}"})
            daemon.send(signal.SIGHUP)
            time.sleep(0.15)
        assert daemon.wait() == 0
    assert len(daemon.told("reloaded")) >= 3
    ledger = daemon.ledger()
    assert (ledger["inferred"], ledger["dropped"]) == (400, {})
    assert [line["frame_id"] for line in lines(tmp_path)] == list(range(400))


def test_a_reload_changes_what_is_logged(settings: dict[str, str], tmp_path: Path) -> None:
    with Daemon(tmp_path, settings | {"EDGED_LOG_LEVEL": "error"}) as daemon:
        daemon.until(lambda: lines(tmp_path))
        daemon.configure(settings | {"EDGED_LOG_LEVEL": "info"})
        daemon.send(signal.SIGHUP)
        daemon.until_told("reloaded")
        assert not daemon.told("running"), "it was not told before"
        assert daemon.stop() == 0
    daemon.ledger()


def test_a_camera_whose_frames_no_longer_have_the_region_is_still_looked_at(
    settings: dict[str, str], tmp_path: Path, ear: Ear
) -> None:
    with camera("--sizes", "640x480,320x240", "--change", "25", "--fps", "25") as server:
        watched = settings | {"EDGED_SOURCE": url(server), "EDGED_ROI": "400,0,100,100"}
        with Daemon(tmp_path, watched, environ=ear.environ) as daemon:
            daemon.until(lambda: any("EDGED_ROI begins at 400,0, outside" in word for word in ear.words))
            daemon.until(lambda: {line["image"]["w"] for line in lines(tmp_path)} == {640, 320})
            assert daemon.stop() == 0
        server.kill()
    assert set(daemon.ledger()["dropped"]) <= {"superseded", "stopped"}


def test_a_reload_is_told_from_beginning_to_end(settings: dict[str, str], tmp_path: Path, ear: Ear) -> None:
    with Daemon(tmp_path, settings, environ=ear.environ) as daemon:
        daemon.until(lambda: ear.count("READY=1"))
        daemon.configure(settings | {"EDGED_SCORE_THRESHOLD": "0.7"})
        before = time.monotonic_ns() // 1000
        daemon.send(signal.SIGHUP)
        daemon.until(lambda: ear.count("READY=1") == 2)
        words = [word for word in ear.words if word.startswith(("READY", "RELOADING"))]
        assert words[0] == words[2] == "READY=1"
        asked, clock = words[1].splitlines()
        assert asked == "RELOADING=1"
        assert int(clock.removeprefix("MONOTONIC_USEC=")) >= before
        assert daemon.stop() == 0


def test_a_reload_keeps_the_pause(settings: dict[str, str], tmp_path: Path, mosquitto: Mosquitto) -> None:
    settings |= {"EDGED_MQTT_URL": f"mqtt://127.0.0.1:{mosquitto.port}", "EDGED_COMMANDS": "true"}
    with Subscriber(mosquitto.port) as subscriber, Daemon(tmp_path, settings) as daemon:
        daemon.until(lambda: len(lines(tmp_path)) >= 5)
        publish(mosquitto.port, f"{BASE}/cmd/pause")
        daemon.until(lambda: json.loads(subscriber.on(STATE)[-1])["lifecycle"] == "paused")
        time.sleep(0.5)
        before = len(lines(tmp_path))
        daemon.configure(settings | {"EDGED_SOURCE": FOR_EVER.replace("64", "96")})
        daemon.send(signal.SIGHUP)
        daemon.until_told("reloaded")
        time.sleep(1)
        assert len(lines(tmp_path)) == before, "another source was no command to go on"
        publish(mosquitto.port, f"{BASE}/cmd/resume")
        daemon.until(lambda: len(lines(tmp_path)) >= before + 5)
        assert lines(tmp_path)[-1]["image"]["w"] == 96
        assert daemon.stop() == 0
