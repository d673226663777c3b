"""The daemon in a process of its own: how it starts, stops, reloads, and what the service manager hears."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest
from daemon import PATIENCE_S, Daemon, Ear, NarrowPipe, until
from rig import Mosquitto, Subscriber, publish

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest_plugins = ("mqtt_fixtures",)

HERE = Path(__file__).parent
BASE = "edged/lab1"
STATE = f"{BASE}/state"
DETECTIONS = f"{BASE}/front/detections"
FOR_EVER = "synthetic:?width=64&height=64&fps=20&live=false"
LIVE = "synthetic:?width=64&height=64&fps=20"
FAST_FILE = "synthetic:?width=64&height=64&fps=0&count={}&live=false"


@pytest.fixture
def settings(demo_model: Path, tmp_path: Path) -> dict[str, str]:
    """A file that never ends, the demo's model, lines to another file."""
    return {
        "EDGED_SOURCE": FOR_EVER,
        "EDGED_MODEL": str(demo_model),
        "EDGED_JSONL": str(tmp_path / "lines.jsonl"),
        "EDGED_THREADS": "1",
        "EDGED_STATS_INTERVAL": "1",
        "EDGED_STOP_TIMEOUT": "5",
    }


@pytest.fixture
def ear(tmp_path: Path) -> Iterator[Ear]:
    """A service manager without a watchdog."""
    with Ear(str(tmp_path / "notify")) as listening:
        yield listening


def lines(folder: Path) -> list[dict[str, Any]]:
    path = folder / "lines.jsonl"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def camera(*options: str) -> subprocess.Popen[str]:
    """A network camera of its own process; its port is its first line."""
    return subprocess.Popen(
        [sys.executable, str(HERE / "sources" / "mjpeg_server.py"), *options],
        stdout=subprocess.PIPE,
        text=True,
    )


def url(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return f"http://127.0.0.1:{int(process.stdout.readline())}/"


# Starting and stopping.


def test_the_end_of_a_file_is_the_end_of_the_daemon_with_every_frame_accounted_for(
    settings: dict[str, str], tmp_path: Path
) -> None:
    with Daemon(tmp_path, settings | {"EDGED_SOURCE": FAST_FILE.format(50)}) as daemon:
        assert daemon.wait() == 0
    ledger = daemon.ledger()
    assert (ledger["captured"], ledger["inferred"], ledger["dropped"]) == (50, 50, {})
    assert [line["frame_id"] for line in lines(tmp_path)] == list(range(50))
    assert "Traceback" not in daemon.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_cleanly_and_it_can_start_again(
    settings: dict[str, str], tmp_path: Path, number: signal.Signals
) -> None:
    for _ in range(2):
        before = len(lines(tmp_path))
        with Daemon(tmp_path, settings) as daemon:
            daemon.until(lambda before=before: len(lines(tmp_path)) >= before + 5)  # type: ignore[misc]
            started = time.monotonic()
            assert daemon.stop(number) == 0
            assert time.monotonic() - started < 5
        ledger = daemon.ledger()
        assert ledger["sinks"]["jsonl"] == {"sent": ledger["inferred"]}
        assert len(lines(tmp_path)) == before + ledger["inferred"]
        assert "Traceback" not in daemon.stderr
    assert len({line["boot_id"] for line in lines(tmp_path)}) == 2


def test_reloads_do_not_disturb_a_stop(settings: dict[str, str], tmp_path: Path) -> None:
    with Daemon(tmp_path, settings) as daemon:
        daemon.until(lambda: lines(tmp_path))
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGHUP):  # a second SIGTERM ends at once
            daemon.send(number)
        assert daemon.wait(10) == 0
    daemon.ledger()


def test_a_stop_does_not_wait_for_what_is_being_opened(
    settings: dict[str, str], tmp_path: Path, ear: Ear
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        changed = {"EDGED_SOURCE": f"http://127.0.0.1:{port}/", "EDGED_OPEN_TIMEOUT": "60"}
        with Daemon(tmp_path, settings | changed, environ=ear.environ) as daemon:
            connection, _ = silent.accept()
            time.sleep(0.5)
            assert ear.count("EXTEND_TIMEOUT_USEC=") >= 1, "systemd was not asked for patience"
            started = time.monotonic()
            assert daemon.stop() == 0
            assert time.monotonic() - started < 5
            connection.close()
    assert ear.count("READY=1") == 0
    assert not (tmp_path / "lines.jsonl").exists()


def test_a_stop_during_the_start_closes_what_is_open(
    settings: dict[str, str], tmp_path: Path, mosquitto: Mosquitto
) -> None:
    """A pipe that nobody reads makes the opening of the lines wait; by then MQTT is connected."""
    subprocess.run(["mkfifo", str(tmp_path / "fifo")], check=True)
    settings |= {
        "EDGED_JSONL": str(tmp_path / "fifo"),
        "EDGED_MQTT_URL": f"mqtt://127.0.0.1:{mosquitto.port}",
    }
    with Subscriber(mosquitto.port) as subscriber, Daemon(tmp_path, settings) as daemon:
        subscriber.wait_for(f"{BASE}/availability", b"online", timeout=PATIENCE_S)
        assert daemon.stop() == 0
        subscriber.wait_for(f"{BASE}/availability", b"offline")
    assert daemon.told("mqtt_delivery")[-1]["closes"]
    assert "Traceback" not in daemon.stderr


def test_a_camera_that_freezes_does_not_hold_up_the_stop(settings: dict[str, str], tmp_path: Path) -> None:
    with camera() as server:
        changed = {"EDGED_SOURCE": url(server), "EDGED_READ_TIMEOUT": "60"}
        with Daemon(tmp_path, settings | changed) as daemon:
            daemon.until(lambda: len(lines(tmp_path)) >= 5)
            server.send_signal(signal.SIGSTOP)
            time.sleep(1)
            started = time.monotonic()
            assert daemon.stop() == 0
            assert time.monotonic() - started < 10
        server.kill()
    assert daemon.ledger()["captured"] >= 5
    assert "Traceback" not in daemon.stderr


def test_a_sink_that_is_stuck_does_not_hold_up_the_stop_for_longer_than_the_limit(
    settings: dict[str, str], tmp_path: Path
) -> None:
    with NarrowPipe(tmp_path / "fifo") as pipe:
        changed = {"EDGED_JSONL": str(tmp_path / "fifo"), "EDGED_SOURCE": FAST_FILE.format(0)}
        with Daemon(tmp_path, settings | changed | {"EDGED_STOP_TIMEOUT": "2"}) as daemon:
            daemon.until(lambda: pipe.full)
            started = time.monotonic()
            assert daemon.stop() == 0
            assert 2 <= time.monotonic() - started < 12
    assert daemon.told("stop_forced")
    assert daemon.told("threads_stuck")[-1]["threads"] == ["sink-jsonl"]
    assert daemon.told("ledger")[-1]["in_flight"] == 0


class Fifo:
    """A pipe with a reader that does not read until it is asked to."""

    def __init__(self, path: Path) -> None:
        subprocess.run(["mkfifo", str(path)], check=True)
        # Held open for reading, so that opening it for writing does not wait.
        self._reader = subprocess.Popen(
            [sys.executable, "-c", f"import sys; f = open({str(path)!r}); sys.stdin.readline(); f.read()"],
            stdin=subprocess.PIPE,
            text=True,
        )

    def read(self) -> None:
        """Read everything from now on."""
        assert self._reader.stdin is not None
        self._reader.stdin.write("\n")
        self._reader.stdin.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.kill()
        assert self._reader.stdin is not None
        self._reader.stdin.close()
        self._reader.wait(10)


def faulty(fault: str, number: int) -> tuple[str, ...]:
    return (sys.executable, str(HERE / "faulty_daemon.py"), fault, str(number))


def test_a_device_that_fails_ends_the_daemon_with_its_message_and_code(
    settings: dict[str, str], tmp_path: Path
) -> None:
    with Daemon(tmp_path, settings, command=faulty("fail", 10)) as daemon:
        assert daemon.wait() == 69
    assert daemon.stderr.splitlines()[-1] == "edged: the device is gone. Plug it in again."
    assert "Traceback" not in daemon.stderr
    assert daemon.ledger()["dropped"]["predict_failed"] == 1
    assert len(lines(tmp_path)) == 10


def test_a_mistake_in_edged_ends_the_daemon_with_a_trace_and_code_1(
    settings: dict[str, str], tmp_path: Path
) -> None:
    with Daemon(tmp_path, settings, command=faulty("break", 10)) as daemon:
        assert daemon.wait() == 1
    assert "ZeroDivisionError: a mistake in edged" in daemon.stderr
    assert len(lines(tmp_path)) == 10


# Reloading.


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


def test_the_status_says_that_there_is_no_broker(
    settings: dict[str, str], tmp_path: Path, ear: Ear, mosquitto: Mosquitto
) -> None:
    settings |= {"EDGED_MQTT_URL": f"mqtt://127.0.0.1:{mosquitto.port}"}
    absent = f"nothing listens at mqtt://127.0.0.1:{mosquitto.port}"
    mosquitto.stop()
    with Daemon(tmp_path, settings, environ=ear.environ) as daemon:
        daemon.until(lambda: any(absent in word for word in ear.words))
        mosquitto.start()
        with Subscriber(mosquitto.port) as subscriber:
            daemon.until(lambda: subscriber.on(STATE))
            states = [json.loads(payload) for payload in subscriber.on(STATE)]
            assert not any(state["degraded"] for state in states), "who hears it has a broker"
            daemon.until(lambda: absent not in ear.words[-1])
            assert daemon.stop() == 0


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


# What the service manager hears.


def test_ready_comes_with_the_first_frame_and_not_before(
    settings: dict[str, str], tmp_path: Path, ear: Ear
) -> None:
    slow = settings | {"EDGED_SOURCE": "synthetic:?width=64&height=64&fps=0.25"}
    with Daemon(tmp_path, slow, command=faulty("hang", 0), environ=ear.environ) as daemon:
        daemon.until_told("running")
        time.sleep(3)
        assert ear.count("READY=1") == 0, "no frame has come through"
    ear.heard.clear()
    with Daemon(tmp_path, settings, environ=ear.environ) as daemon:
        daemon.until(lambda: ear.count("READY=1"))
        assert lines(tmp_path)
        daemon.until(lambda: ear.count("STATUS=running: "))
        assert daemon.stop() == 0
    until(lambda: ear.count("STOPPING=1"))
    words = ear.words
    assert words.index("READY=1") < words.index("STOPPING=1")
    assert words.count("READY=1") == 1
    assert ear.count("EXTEND_TIMEOUT_USEC=") >= 1
    assert words[0].startswith("EXTEND_TIMEOUT_USEC=")
    assert ear.count("WATCHDOG=1") == 0, "there is none"


def test_a_run_that_is_over_before_anybody_looks_was_ready_all_the_same(
    settings: dict[str, str], tmp_path: Path, ear: Ear
) -> None:
    with Daemon(tmp_path, settings | {"EDGED_SOURCE": FAST_FILE.format(1)}, environ=ear.environ) as daemon:
        assert daemon.wait() == 0
    until(lambda: ear.count("STOPPING=1"))
    words = ear.words
    assert words.index("READY=1") < words.index("STOPPING=1"), "systemd takes silence for a failed start"


def test_the_status_says_how_fast_it_is_and_what_is_wrong(
    settings: dict[str, str], tmp_path: Path, ear: Ear
) -> None:
    with Daemon(tmp_path, settings, environ=ear.environ) as daemon:
        daemon.until(lambda: any("running: 2" in word or "running: 1" in word for word in ear.words))
        daemon.configure({"EDGED_MODEL": "x"})
        daemon.send(signal.SIGHUP)
        daemon.until(lambda: any("reload refused" in word for word in ear.words))
        assert daemon.stop() == 0
    statuses = [word for word in ear.words if word.startswith("STATUS=")]
    assert any("frames/s on cpu" in status for status in statuses)
    assert all("\n" not in status for status in statuses)
    assert statuses[-1].startswith("STATUS=stopping: ")


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


def fed(ear: Ear, seconds: float) -> int:
    """How often the watchdog is fed in so many seconds from now on."""
    before = ear.count("WATCHDOG=1")
    time.sleep(seconds)
    return ear.count("WATCHDOG=1") - before


def until_fed(ear: Ear, daemon: Daemon, times: int = 5) -> None:
    """Until it was fed so often from now on: after two or three meals without work there is a stall."""
    before = ear.count("WATCHDOG=1")
    daemon.until(lambda: ear.count("WATCHDOG=1") >= before + times)


def test_the_watchdog_is_fed_while_frames_flow_and_not_while_a_sink_is_stuck(
    settings: dict[str, str], tmp_path: Path
) -> None:
    changed = {"EDGED_JSONL": str(tmp_path / "fifo"), "EDGED_SOURCE": FAST_FILE.format(0)}
    with (
        Ear(str(tmp_path / "notify"), watchdog_s=2) as ear,
        Fifo(tmp_path / "fifo") as fifo,
        Daemon(tmp_path, settings | changed, environ=ear.environ) as daemon,
    ):
        daemon.until(lambda: ear.count("WATCHDOG=1"))
        # The pipe is full soon; half the limit later it is a stall.
        assert daemon.until_told("stalled")["thread"] == "sink-jsonl"
        assert fed(ear, 2) == 0
        fifo.read()
        until_fed(ear, daemon)
        assert daemon.stop() == 0


def test_the_watchdog_is_not_fed_while_an_inference_hangs(settings: dict[str, str], tmp_path: Path) -> None:
    with (
        Ear(str(tmp_path / "notify"), watchdog_s=2) as ear,
        Daemon(tmp_path, settings, command=faulty("hang", 40), environ=ear.environ) as daemon,
    ):
        daemon.until(lambda: ear.count("READY=1"))
        assert daemon.until_told("stalled")["thread"] == "predict-0"
        assert fed(ear, 2) == 0
        started = time.monotonic()
        assert daemon.stop() == 0, "it can still be asked to go"
        assert time.monotonic() - started < 15
    assert len(lines(tmp_path)) == 40


def test_the_watchdog_is_fed_while_a_camera_is_silent(settings: dict[str, str], tmp_path: Path) -> None:
    with Ear(str(tmp_path / "notify"), watchdog_s=1.5) as ear, camera() as server:
        changed = {"EDGED_SOURCE": url(server), "EDGED_READ_TIMEOUT": "60"}
        with Daemon(tmp_path, settings | changed, environ=ear.environ) as daemon:
            daemon.until(lambda: len(lines(tmp_path)) >= 5)
            server.send_signal(signal.SIGSTOP)
            until_fed(ear, daemon, 1)
            before = len(lines(tmp_path))
            until_fed(ear, daemon)
            assert len(lines(tmp_path)) == before, "it was silent"
            assert daemon.stop() == 0
        server.kill()


def test_the_watchdog_is_fed_while_a_file_waits_for_the_broker(
    settings: dict[str, str], tmp_path: Path, mosquitto: Mosquitto
) -> None:
    settings |= {"EDGED_MQTT_URL": f"mqtt://127.0.0.1:{mosquitto.port}", "EDGED_MQTT_QUEUE": "10"}
    with (
        Ear(str(tmp_path / "notify"), watchdog_s=2) as ear,
        Daemon(tmp_path, settings, environ=ear.environ) as daemon,
    ):
        daemon.until(lambda: ear.count("WATCHDOG=1"))
        mosquitto.freeze()
        until_fed(ear, daemon)  # meanwhile it fills what has room
        before = len(lines(tmp_path))
        until_fed(ear, daemon)
        assert len(lines(tmp_path)) == before, "it waits"
        assert not daemon.told("stalled")
        mosquitto.thaw()
        assert daemon.stop() == 0


def test_the_watchdog_is_fed_in_a_pause(
    settings: dict[str, str], tmp_path: Path, mosquitto: Mosquitto
) -> None:
    settings |= {
        "EDGED_SOURCE": LIVE,
        "EDGED_MQTT_URL": f"mqtt://127.0.0.1:{mosquitto.port}",
        "EDGED_COMMANDS": "true",
    }
    with (
        Ear(str(tmp_path / "notify"), watchdog_s=1.5) as ear,
        Subscriber(mosquitto.port) as subscriber,
        Daemon(tmp_path, settings, environ=ear.environ) as daemon,
    ):
        daemon.until(lambda: len(lines(tmp_path)) >= 5)
        publish(mosquitto.port, f"{BASE}/cmd/pause")
        subscriber.wait_for(f"{BASE}/cmd/pause/result")
        daemon.until(lambda: json.loads(subscriber.on(STATE)[-1])["lifecycle"] == "paused")
        until_fed(ear, daemon, 1)
        before = len(lines(tmp_path))
        until_fed(ear, daemon)
        assert len(lines(tmp_path)) == before
        publish(mosquitto.port, f"{BASE}/cmd/resume")
        daemon.until(lambda: len(lines(tmp_path)) >= before + 5)
        assert daemon.stop() == 0
    assert daemon.ledger()["dropped"]["paused"] > 20


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
