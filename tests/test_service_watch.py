"""The daemon in a process of its own: when it is ready, what its status says, when the watchdog is fed."""

from __future__ import annotations

import json
import signal
import time
from typing import TYPE_CHECKING

from daemon import Daemon, Ear, until
from rig import Mosquitto, Subscriber, publish
from service_parts import BASE, FAST_FILE, STATE, Fifo, camera, faulty, lines, url

if TYPE_CHECKING:
    from pathlib import Path

pytest_plugins = ("mqtt_fixtures", "service_fixtures")

LIVE = "synthetic:?width=64&height=64&fps=20"


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
        assert daemon.until_told("stalled")["thread"].startswith("predict-"), "whichever has that frame"
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
