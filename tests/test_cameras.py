"""Several cameras in one daemon: one broker connection, one engine, lives of their own."""

from __future__ import annotations

import json
import re
import signal
import socket
import sys
import time
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

import av
import cameras as servers
import pytest
from daemon import Daemon, Ear, NarrowPipe, edged
from rig import Mosquitto, Subscriber, publish

from edged.contract.topics import Topics

pytest_plugins = ("mqtt_fixtures",)

BASE = "edged/lab1"
HERE = Path(__file__).parent
NO_CAMERA = {"EDGED_CAMERA": ""}
LIVE = "synthetic:?width=64&height=64&fps=20"
AWAY = "rtsp://127.0.0.1:9/nothing"


@pytest.fixture
def settings(demo_model: Path) -> dict[str, str]:
    """Two cameras of the demo's model."""
    return {
        "EDGED_CAMERAS": "front,back",
        "EDGED_SOURCE": LIVE,
        "EDGED_MODEL": str(demo_model),
        "EDGED_STATS_INTERVAL": "1",
        "EDGED_STOP_TIMEOUT": "5",
        "EDGED_OPEN_TIMEOUT": "1",
    }


def with_broker(settings: dict[str, str], mosquitto: Mosquitto, **more: str) -> dict[str, str]:
    return settings | {"EDGED_MQTT_URL": f"mqtt://127.0.0.1:{mosquitto.port}"} | more


def ledgers(daemon: Daemon) -> dict[str, dict[str, Any]]:
    """The account of the frames of every camera, each of which must close."""
    found = {line["camera"]: line for line in daemon.told("ledger")}
    for line in found.values():
        assert line["in_flight"] == 0, line
        assert line["captured"] == line["inferred"] + line["still"] + sum(line["dropped"].values()), line
    return found


def test_two_cameras_share_a_connection_and_an_engine(
    mosquitto: Mosquitto, settings: dict[str, str], tmp_path: Path
) -> None:
    everything = with_broker(settings, mosquitto, EDGED_COMMANDS="true", EDGED_HA_DISCOVERY="true")
    everything["EDGED_BACK_CAMERA_SIZE"] = "64x64"
    with Subscriber(mosquitto.port) as seen, Daemon(tmp_path, everything, environ=NO_CAMERA) as daemon:
        idle = daemon.until_told("setting_without_effect")
        assert (idle["camera"], idle["note"].split()[0]) == ("back", "EDGED_CAMERA_SIZE")
        for camera in ("front", "back"):
            topics = Topics("edged", "lab1", camera)
            seen.wait_for(topics.detections)
            first = json.loads(seen.on(topics.detections)[0])
            assert (first["camera"], first["seq"]) == (camera, 0)
            daemon.until(partial(is_online, seen, topics))
            seen.wait_for(topics.status, b"online")
            assert json.loads(seen.wait_for(topics.timings))["camera"] == camera
        daemon.until(lambda: json_of(seen, f"{BASE}/state").get("camera_online"))
        assert json_of(seen, f"{BASE}/state")["cameras"] == ["back", "front"]

        publish(mosquitto.port, f"{BASE}/front/cmd/pause")
        assert json.loads(seen.wait_for(f"{BASE}/front/cmd/pause/result"))["ok"]
        daemon.until(lambda: json_of(seen, f"{BASE}/front/state")["lifecycle"] == "paused")
        assert json_of(seen, f"{BASE}/back/state")["lifecycle"] == "running"
        daemon.until(lambda: seen.on(f"{BASE}/front/status")[-1] == b"offline")
        assert seen.on(f"{BASE}/back/status")[-1] == b"online"
        daemon.until(lambda: json_of(seen, f"{BASE}/front/timings")["frames"]["dropped"].get("paused"))

        node = json.loads(seen.wait_for("homeassistant/device/edged_lab1/config"))
        assert node["components"]["daemon"]["state_topic"] == f"{BASE}/availability"
        front = json.loads(seen.wait_for("homeassistant/device/edged_lab1--front/config"))
        assert front["device"]["via_device"] == node["device"]["identifiers"][0]

        assert daemon.stop() == 0
        seen.wait_for(f"{BASE}/availability", b"offline")
        seen.wait_for(f"{BASE}/front/status", b"offline")
    assert ledgers(daemon).keys() == {"front", "back"}
    assert ledgers(daemon)["front"]["dropped"]["paused"] > 0
    (account,) = daemon.told("mqtt_delivery")
    assert account["closes"]
    assert len(re.findall("New client connected.*edged-lab1", mosquitto.log)) == 1


def is_online(seen: Subscriber, topics: Topics) -> bool:
    """Whether the state of the camera says so."""
    return bool(json_of(seen, topics.camera_state).get("online"))


def json_of(seen: Subscriber, topic: str) -> dict[str, Any]:
    """The last message of a topic; empty before the first."""
    found = seen.on(topic)
    return json.loads(found[-1]) if found else {}


def test_a_camera_that_is_away_begins_as_lost_and_the_other_works(
    mosquitto: Mosquitto, settings: dict[str, str], tmp_path: Path
) -> None:
    """READY comes when that is known, the status names it, and the topic of the camera says why."""
    jsonl = tmp_path / "lines.jsonl"
    everything = with_broker(settings, mosquitto, EDGED_BACK_SOURCE=AWAY, EDGED_JSONL=str(jsonl))
    with (
        Ear(str(tmp_path / "notify")) as ear,
        Subscriber(mosquitto.port) as seen,
        Daemon(tmp_path, everything, environ=NO_CAMERA | ear.environ) as daemon,
    ):
        daemon.until(lambda: "READY=1" in ear.words)
        daemon.until(lambda: "looked for again" in str(json_of(seen, f"{BASE}/back/state").get("degraded")))
        lost = json_of(seen, f"{BASE}/back/state")
        assert not lost["online"]
        assert "Look after the camera and the network" in lost["degraded"][0], "and what to do"
        daemon.until(lambda: any("back: " in word and "127.0.0.1:9" in word for word in ear.words))
        daemon.until(lambda: len(seen.on(f"{BASE}/front/detections")) > 20)
        seen.wait_for(f"{BASE}/back/status", b"offline")
        assert daemon.stop() == 0
    assert ledgers(daemon)["back"]["captured"] == 0
    front = ledgers(daemon)["front"]
    written = front["sinks"]["jsonl"]  # on a busy machine a result may have given way to a newer one
    assert front["inferred"] == sum(written.values())
    assert written["sent"] == len(jsonl.read_text().splitlines()) > 0


def test_all_have_failed_for_good(settings: dict[str, str], tmp_path: Path) -> None:
    """One that fails leaves the others alone; when none is left the daemon ends as it would with one."""
    gone = settings | {"EDGED_FRONT_SOURCE": str(tmp_path / "gone.mp4")}
    with Daemon(tmp_path, gone, environ=NO_CAMERA) as daemon:
        assert "gone.mp4" in daemon.until_told("camera_failed")["error"]
        daemon.until_told("running")
        time.sleep(1)
        assert daemon.stop() == 0
    assert ledgers(daemon).keys() == {"back"}
    with Daemon(tmp_path, gone | {"EDGED_SOURCE": "/nowhere.mp4"}, environ=NO_CAMERA) as daemon:
        assert daemon.wait() == 69


def test_a_camera_that_cannot_open_is_tried_again_until_it_can(
    mosquitto: Mosquitto, settings: dict[str, str], tmp_path: Path
) -> None:
    """A switch of another camera does not depend on it, and a reload tries it at once."""
    lines = tmp_path / "later" / "back.jsonl"
    everything = with_broker(settings, mosquitto, EDGED_BACK_JSONL=str(lines), EDGED_COMMANDS="true")
    with Subscriber(mosquitto.port) as seen, Daemon(tmp_path, everything, environ=NO_CAMERA) as daemon:
        failed = daemon.until_told("camera_failed")
        assert (failed["camera"], str(lines) in failed["error"]) == ("back", True)
        assert 0 < failed["again_in_s"] <= 2
        seen.wait_for(f"{BASE}/front/state")
        publish(mosquitto.port, f"{BASE}/front/cmd/threshold", b'{"value": 0.9}')
        daemon.until(lambda: json_of(seen, f"{BASE}/front/state")["controls"]["threshold"] == 0.9)
        daemon.until(lambda: len(daemon.told("camera_failed")) > 1)
        lines.parent.mkdir()
        daemon.send(signal.SIGHUP)
        daemon.send(signal.SIGHUP)
        daemon.until_told("camera_tried_again")
        daemon.until(lambda: lines.exists() and lines.stat().st_size > 0)
        daemon.until(partial(is_online, seen, Topics("edged", "lab1", "back")))
        assert daemon.stop() == 0
    assert ledgers(daemon).keys() == {"front", "back"}


def is_gone(said: bytes, words: str) -> bool:
    """Whether a state of a camera says that it has stopped, and with these words why."""
    state = json.loads(said)
    return words in str(state["degraded"]) and state["lifecycle"] == "stopped" and not state["online"]


@pytest.mark.parametrize(
    ("fault", "words"), [("fail", "the device is gone"), ("break", "ZeroDivisionError: a mistake")]
)
def test_a_camera_that_breaks_down_is_tried_again_and_the_other_loses_nothing(
    mosquitto: Mosquitto, settings: dict[str, str], tmp_path: Path, fault: str, words: str
) -> None:
    """Its topic says why meanwhile, and its account goes on where it was."""
    everything = with_broker(settings, mosquitto)
    command = (sys.executable, str(HERE / "faulty_daemon.py"), f"{fault}-once", "30")
    with (
        Subscriber(mosquitto.port) as seen,
        Daemon(tmp_path, everything, environ=NO_CAMERA, command=command) as daemon,
    ):
        failed = daemon.until_told("camera_failed")
        assert words in failed["error"]
        topic = f"{BASE}/{failed['camera']}/state"
        daemon.until(lambda: any(is_gone(said, words) for said in seen.on(topic)))
        daemon.until_told("camera_tried_again")
        daemon.until(
            lambda: json_of(seen, topic)["lifecycle"] == "running" and json_of(seen, topic)["online"]
        )
        assert json_of(seen, topic)["degraded"] == []
        assert daemon.stop() == 0
    accounts = ledgers(daemon)
    assert accounts.keys() == {"front", "back"}
    lost = accounts[failed["camera"]]["dropped"]
    # A mistake gives up all that is on its way, and whoever comes first counts the frame.
    assert lost.get("predict_failed", 0) == 1 or (fault == "break" and lost["aborted"] >= 1)
    other = accounts[({"front", "back"} - {failed["camera"]}).pop()]
    assert "predict_failed" not in other["dropped"]


def test_cameras_are_added_removed_and_changed_while_the_others_go_on(
    mosquitto: Mosquitto, settings: dict[str, str], tmp_path: Path
) -> None:
    everything = with_broker(settings, mosquitto)
    with Subscriber(mosquitto.port) as seen, Daemon(tmp_path, everything, environ=NO_CAMERA) as daemon:
        daemon.until(lambda: len(seen.on(f"{BASE}/front/detections")) > 5)
        changed = everything | {"EDGED_CAMERAS": "front,side", "EDGED_SIDE_SCORE_THRESHOLD": "0.9"}
        daemon.configure(changed)
        daemon.send(signal.SIGHUP)
        daemon.until_told("reloaded")
        daemon.until(lambda: seen.on(f"{BASE}/side/detections"))
        seen.wait_for(f"{BASE}/back/status", b"offline")
        daemon.until(lambda: json_of(seen, f"{BASE}/state")["cameras"] == ["front", "side"])

        daemon.configure(changed | {"EDGED_SIDE_FPS": "-1"})
        daemon.send(signal.SIGHUP)
        assert "EDGED_SIDE_FPS='-1'" in daemon.until_told("reload_refused")["error"]
        count = len(seen.on(f"{BASE}/side/detections"))
        daemon.until(lambda: len(seen.on(f"{BASE}/side/detections")) > count + 5)
        assert daemon.stop() == 0
        seqs = [json.loads(payload)["seq"] for payload in seen.on(f"{BASE}/front/detections")]
    assert seqs == list(range(len(seqs)))
    assert ledgers(daemon).keys() == {"front", "back", "side"}
    assert set(ledgers(daemon)["front"]["dropped"]) <= {"superseded", "stopped"}
    assert len(re.findall("New client connected.*edged-lab1", mosquitto.log)) == 1


def test_real_cameras_get_other_names_and_models_while_another_loses_no_frame(
    mosquitto: Mosquitto, settings: dict[str, str], demo_model: Path, tmp_path: Path
) -> None:
    """Every frame that is taken is a result, also that of the moment; only a newer one takes its place."""
    other = demo_model.with_name("face_detection_short_range.tflite")
    with servers.running(servers.mjpeg("--fps", "5", "--sizes", "64x64")) as server:
        everything = with_broker(
            settings, mosquitto, EDGED_CAMERAS="front,back,side", EDGED_SOURCE=server.url
        )
        with Subscriber(mosquitto.port) as seen, Daemon(tmp_path, everything, environ=NO_CAMERA) as daemon:
            daemon.until(
                lambda: all(seen.on(f"{BASE}/{camera}/detections") for camera in ("front", "back", "side"))
            )
            daemon.configure(
                everything | {"EDGED_CAMERAS": "front,rear,side", "EDGED_SIDE_MODEL": str(other)}
            )
            daemon.send(signal.SIGHUP)
            daemon.until(lambda: seen.on(f"{BASE}/back/status")[-1] == b"offline")
            daemon.until(lambda: seen.on(f"{BASE}/rear/detections"))
            daemon.until(lambda: json_of(seen, f"{BASE}/side/state")["model"] == other.stem)
            assert json_of(seen, f"{BASE}/front/state")["model"] == demo_model.stem
            count = len(seen.on(f"{BASE}/side/detections"))
            daemon.until(lambda: len(seen.on(f"{BASE}/side/detections")) > count + 2)
            assert daemon.stop() == 0
            told = {name: seen.on(f"{BASE}/{name}/detections") for name in ("front", "side")}
    accounts = ledgers(daemon)
    assert accounts.keys() == {"front", "back", "rear", "side"}
    for camera, payloads in told.items():
        assert set(accounts[camera]["dropped"]) <= {"superseded", "stopped"}, accounts[camera]
        messages = [json.loads(payload) for payload in payloads]
        assert [message["seq"] for message in messages] == list(range(len(messages))), "none is missing"
        assert sorted({message["frame_id"] for message in messages}) == [one["frame_id"] for one in messages]


def test_every_camera_has_a_folder_in_the_output(settings: dict[str, str], tmp_path: Path) -> None:
    files = settings | {
        "EDGED_SOURCE": "synthetic:?width=64&height=64&fps=0&count=40&live=false",
        "EDGED_OUTPUT": str(tmp_path / "out"),
        "EDGED_JSONL": str(tmp_path / "lines.jsonl"),
    }
    with Daemon(tmp_path, files, environ=NO_CAMERA) as daemon:
        assert daemon.wait() == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"front", "back"}
    assert all(any(folder.glob("*.mp4")) for folder in (tmp_path / "out").iterdir())
    lines = [json.loads(line) for line in (tmp_path / "lines.jsonl").read_text().splitlines()]
    assert sorted(line["camera"] for line in lines) == ["back"] * 40 + ["front"] * 40
    assert {line["inferred"] for line in ledgers(daemon).values()} == {40}


def test_a_second_signal_ends_at_once(settings: dict[str, str], tmp_path: Path) -> None:
    stuck = settings | {"EDGED_STOP_TIMEOUT": "60", "EDGED_JSONL": str(tmp_path / "pipe")}

    with NarrowPipe(tmp_path / "pipe") as pipe, Daemon(tmp_path, stuck, environ=NO_CAMERA) as daemon:
        daemon.until(lambda: pipe.full)
        time.sleep(2)  # by then a line waits that does not fit
        daemon.send(signal.SIGTERM)
        time.sleep(2)
        assert daemon.process.poll() is None
        started = time.monotonic()
        daemon.send(signal.SIGTERM)
        assert daemon.wait() in {0, 73}
        assert time.monotonic() - started < 30


def test_eight_cameras_stop_in_time_though_two_of_them_hang(
    mosquitto: Mosquitto, settings: dict[str, str], tmp_path: Path
) -> None:
    """One freezes in the middle, one never answers a greeting; all segments are whole."""
    names = [f"c{number}" for number in range(1, 9)]
    out = tmp_path / "out"
    with ExitStack() as stack:
        pictures = stack.enter_context(servers.running(servers.mjpeg("--fps", "5", "--sizes", "64x64")))
        streams = [stack.enter_context(servers.running(servers.ffmpeg("mpegts"))) for _ in range(4)]
        # The kernel takes calls, and nobody answers.
        mute = stack.enter_context(closing(socket.create_server(("127.0.0.1", 0))))
        address = f"127.0.0.1:{mute.getsockname()[1]}"
        everything = with_broker(
            settings,
            mosquitto,
            EDGED_CAMERAS=",".join(names),
            EDGED_SOURCE=pictures.url,
            EDGED_FPS="5",
            **{f"EDGED_C{number}_SOURCE": one.url for number, one in enumerate(streams, 4)},
            EDGED_C8_SOURCE=f"rtsp://{address}/stream",
            EDGED_OPEN_TIMEOUT="60",
            EDGED_READ_TIMEOUT="60",
            EDGED_OUTPUT=str(out),
            EDGED_DISK_FREE_GB="0",
        )
        with Subscriber(mosquitto.port) as seen, Daemon(tmp_path, everything, environ=NO_CAMERA) as daemon:
            daemon.until(lambda: len(list(out.glob("*/*.mp4"))) == 7)
            streams[-1].freeze()
            time.sleep(1)
            started = time.monotonic()
            assert daemon.stop() == 0
            assert time.monotonic() - started < 2 * float(settings["EDGED_STOP_TIMEOUT"])
            seen.wait_for(f"{BASE}/availability", b"offline")
    (account,) = daemon.told("mqtt_delivery")
    assert account["closes"]
    assert account["queued"] == account["in_flight"] == 0, "offline, the last message, was acknowledged"
    accounts = ledgers(daemon)
    assert accounts.keys() == set(names)
    assert list(out.glob("*/*.part")) == []
    for camera in names[:7]:
        (film,) = (out / camera).glob("*.mp4")
        with av.open(str(film)) as container:
            shown = sum(1 for _ in container.decode(video=0))
        (beside,) = (out / camera).glob("*.jsonl")
        assert shown == len(beside.read_text().splitlines()) > 0
        assert shown == accounts[camera]["sinks"]["video"]["sent"]


def test_check_has_a_part_a_camera(settings: dict[str, str], tmp_path: Path) -> None:
    """The broker and the page, which they share, are looked at once."""
    wrong = (
        settings | NO_CAMERA | {"EDGED_BACK_SOURCE": str(tmp_path / "gone.mp4"), "EDGED_HTTP": "127.0.0.1:0"}
    )
    done = edged("check", settings=wrong)
    assert done.returncode == 69, done.stderr
    lines = [line.partition(":")[0] for line in done.stdout.splitlines()]
    assert {"ok    front settings", "ok    front model", "ok    back model", "ok    front source"} <= set(
        lines
    )
    assert "WRONG back source" in lines
    assert sum(line.endswith("http") for line in lines) == 1


def test_the_cameras_stay_within_one_budget_of_the_disk(settings: dict[str, str], tmp_path: Path) -> None:
    """What all segments may take is divided, however much each camera would record.

    Ten frames a second make a segment of about 17 kB, so that three of them fit into a camera's half.
    """
    files = settings | {
        "EDGED_SOURCE": "synthetic:?width=320&height=240&fps=10&count=80&live=false",
        "EDGED_OUTPUT": str(tmp_path / "out"),
        "EDGED_SEGMENT": "1",
        "EDGED_OUTPUT_MAX_GB": "0.0001",
        "EDGED_DISK_FREE_GB": "0",
    }
    with Daemon(tmp_path, files, environ=NO_CAMERA) as daemon:
        assert daemon.wait() == 0
    taken = {
        folder.name: sum(file.stat().st_size for file in folder.iterdir())
        for folder in (tmp_path / "out").iterdir()
    }
    assert max(taken.values()) <= 50_000
    assert min(taken.values()) > 15_000
