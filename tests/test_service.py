"""The daemon in a process of its own: how it starts and how it ends."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from daemon import PATIENCE_S, Daemon, Ear, NarrowPipe
from rig import Mosquitto, Subscriber
from service_parts import BASE, FAST_FILE, camera, faulty, lines, url

if TYPE_CHECKING:
    from pathlib import Path

pytest_plugins = ("mqtt_fixtures", "service_fixtures")


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
        with Daemon(tmp_path, settings | {"EDGED_STOP_TIMEOUT": "60"}) as daemon:
            daemon.until(lambda before=before: len(lines(tmp_path)) >= before + 5)  # type: ignore[misc]
            started = time.monotonic()
            assert daemon.stop(number, limit_s=PATIENCE_S) == 0
            assert time.monotonic() - started < 30
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
        assert daemon.wait() == 0
    daemon.ledger()


def test_a_stop_does_not_wait_for_what_is_being_opened(
    settings: dict[str, str], tmp_path: Path, ear: Ear
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        changed = {"EDGED_SOURCE": f"http://127.0.0.1:{port}/", "EDGED_OPEN_TIMEOUT": "60"}
        with Daemon(tmp_path, settings | changed, environ=ear.environ) as daemon:
            connection, _ = silent.accept()
            daemon.until(lambda: ear.count("EXTEND_TIMEOUT_USEC="))  # systemd is asked for patience
            started = time.monotonic()
            assert daemon.stop(limit_s=PATIENCE_S) == 0
            assert time.monotonic() - started < 30
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
            assert daemon.stop(limit_s=PATIENCE_S) == 0
            assert time.monotonic() - started < 30
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
    assert 0 < len(lines(tmp_path)) <= 10, "what waited for the sink may be lost"
