"""``edged fleet`` tells how all nodes of a broker are, by what they say themselves."""

from __future__ import annotations

import itertools
import json
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest
import rig
from daemon import EDGED, Daemon, edged, environment, until

from edged.mqtt.one_shot.fleet import CameraView, FleetStates

if TYPE_CHECKING:
    from pathlib import Path


pytest_plugins = ("mqtt_fixtures",)


def views(*messages: tuple[str, object], at: float = 100.0, now: float = 101.0) -> tuple[CameraView, ...]:
    """What is seen at ``now`` after these messages of the time ``at``."""
    states = FleetStates("edged")
    for topic, payload in messages:
        text = payload if isinstance(payload, str) else json.dumps(payload)
        states.take(f"edged/{topic}", text.encode(), at)
    return states.views(now=now, silent_s=30.0)


def state(**changes: Any) -> dict[str, Any]:
    known = {"ts": 50.0, "lifecycle": "running", "model": "yolov8n", "device": "cpu", "version": "1.2"}
    return known | {"degraded": []} | changes


RUNS = (
    ("lab1/availability", "online"),
    ("lab1/state", state()),
    ("lab1/front/status", "online"),
    ("lab1/front/timings", {"ts": 60.0, "fps": 12.5}),
)


def test_a_node_with_one_state_is_read() -> None:
    """As nodes publish it that have one camera."""
    (view,) = views(*RUNS)
    assert view == CameraView("lab1", "front", "ok", "running", 12.5, "yolov8n", "cpu", "1.2", (), 60.0)


def test_each_camera_has_its_own_state_where_it_sends_one() -> None:
    """The state of the node says what holds for all, that of the camera the rest, and wins."""
    node = {"ts": 50.0, "lifecycle": "running", "version": "2.0", "degraded": ["the disk is full"]}
    back, front = views(
        ("lab1/availability", "online"),
        ("lab1/state", node),
        ("lab1/front/state", state(version="2.0", device="edgetpu:usb:0")),
        ("lab1/back/state", state(version="2.0", lifecycle="paused", degraded=["the lens is covered"])),
        ("lab1/front/timings", {"ts": 60.0, "fps": 9}),
        ("lab1/back/timings", {"ts": 60.0, "fps": 0}),
    )
    assert (front.camera, front.device, front.fps) == ("front", "edgetpu:usb:0", 9.0)
    assert front.degraded == ("the disk is full",)
    assert (back.lifecycle, back.degraded) == ("paused", ("the disk is full", "the lens is covered"))
    assert {front.condition, back.condition} == {"degraded"}


def test_who_is_said_to_run_and_says_nothing_is_silent() -> None:
    """A broker that has not noticed yet, or a daemon that hangs."""
    assert [view.condition for view in views(*RUNS, now=131.0)] == ["silent"]
    assert [view.condition for view in views(*RUNS[:3])] == ["silent"]


def test_the_last_will_and_a_stop_are_seen() -> None:
    assert [view.condition for view in views(*RUNS, ("lab1/availability", "offline"))] == ["offline"]
    assert [view.condition for view in views(*RUNS, ("lab1/state", state(lifecycle="stopped")))] == [
        "offline"
    ]


def test_a_lost_camera_is_degraded_even_if_nothing_says_why() -> None:
    (view,) = views(*RUNS, ("lab1/front/status", "offline"))
    assert (view.condition, view.degraded) == ("degraded", ("the camera is lost",))


def test_a_node_that_was_taken_out_of_the_broker_is_gone() -> None:
    assert views(*RUNS, ("lab1/availability", ""), ("lab1/state", "")) == ()


def test_what_is_no_state_is_told_and_harms_nobody_else() -> None:
    told = views(
        *RUNS, ("lab2/availability", "online"), ("lab2/state", "[1]"), ("lab2/a/timings", {"fps": "x"})
    )
    assert [(view.node, view.condition) for view in told] == [("lab1", "ok"), ("lab2", "degraded")]
    assert told[1].degraded == ("edged/lab2/state holds no JSON object",)


def test_a_node_of_which_nothing_was_kept_is_asked_for_by_its_name() -> None:
    """As on RabbitMQ, which gives nothing retained for a wildcard; there may be more of them, so it waits."""
    states = FleetStates("edged")
    assert states.ask() == ()
    states.take("edged/lab1/front/timings", json.dumps(RUNS[-1][1]).encode(), 100.0)
    below = ("availability", "state", "front/state", "front/status")
    assert states.ask() == tuple(f"edged/lab1/{topic}" for topic in below)
    for topic, payload in RUNS[:-1]:
        text = payload if isinstance(payload, str) else json.dumps(payload)
        states.take(f"edged/{topic}", text.encode(), 100.5)
    assert states.ask() == ()
    assert states.waits()
    assert [view.condition for view in states.views(now=101.0, silent_s=30.0)] == ["ok"]


def test_nobody_is_asked_for_whose_state_was_kept() -> None:
    """And nobody is waited for, once a camera has sent its timings."""
    states = FleetStates("edged")
    for topic, payload in RUNS:
        text = payload if isinstance(payload, str) else json.dumps(payload)
        states.take(f"edged/{topic}", text.encode(), 100.0)
    assert states.ask() == ()
    assert not states.waits()


def test_a_real_daemon_is_shown_and_missed(
    mosquitto: rig.Mosquitto, demo_model: Path, demo_clip: Path, tmp_path: Path
) -> None:
    """0 while all is well, 1 once it has stopped; as table, as JSON, and watched."""
    url = f"mqtt://127.0.0.1:{mosquitto.port}"
    settings = {
        "EDGED_SOURCE": str(demo_clip),
        "EDGED_LOOP": "true",
        "EDGED_MODEL": str(demo_model),
        "EDGED_POLICY": "latest",
        "EDGED_MQTT_URL": url,
        "EDGED_STATS_INTERVAL": "0.5",
    }
    nobody = edged("fleet", url, "--listen", "0.5")
    assert (nobody.returncode, nobody.stdout) == (1, "nobody has said anything below edged/\n"), nobody.stderr
    with Daemon(tmp_path, settings) as daemon:
        daemon.until_told("mqtt_connected")
        shown = edged("fleet", url, "--listen", "10")
        assert shown.returncode == 0, shown.stdout + shown.stderr
        header, row = shown.stdout.splitlines()
        assert header.split()[:3] == ["node", "camera", "is"]
        assert row.split()[:3] == ["lab1", "front", "ok"]
        # On a machine that stalls, no frame may have fallen into the last half second.
        cameras = iter(lambda: json.loads(edged("fleet", url, "--listen", "10", "--json").stdout), None)
        camera = next(camera for (camera,) in itertools.islice(cameras, 5) if camera["fps"] > 0)
        assert camera["model"] == demo_model.stem
        assert time.time() - camera["heard"] < 10

        with (tmp_path / "watched").open("w") as output:
            command = [*EDGED, "fleet", url, "--watch", "--listen", "5"]
            watch = subprocess.Popen(command, env=environment(), stdout=output, stderr=subprocess.STDOUT)
        try:
            watched = tmp_path / "watched"
            until(lambda: "front   ok" in watched.read_text(), why=watched.read_text)
            assert daemon.stop() == 0
            until(lambda: "front   offline" in watched.read_text(), why=watched.read_text)
            mosquitto.stop()
            mosquitto.start()
            until(lambda: "It is tried again" in watched.read_text(), why=watched.read_text)
            tables = watched.read_text().count("offline")
            until(lambda: watched.read_text().count("offline") > tables, why=watched.read_text)
        finally:
            watch.kill()
            watch.wait(10)
    gone = edged("fleet", url, "--listen", "1")
    assert gone.returncode == 1
    assert "offline" in gone.stdout


def test_a_broker_that_is_not_there_or_no_broker_is_told() -> None:
    absent = edged("fleet", f"mqtt://127.0.0.1:{rig.free_port()}")
    assert absent.returncode == 69
    assert "nothing listens" in absent.stderr
    wrong = edged("fleet", "http://user:secret@broker")
    assert wrong.returncode == 78
    assert "secret" not in wrong.stderr


def test_a_camera_has_its_own_reasons_once_and_not_those_of_another() -> None:
    """The state of a node with several cameras tells those of all, with their names before."""
    node = state(degraded=["the disk is full", "front: the lens is covered", "side: it is lost"])
    front, side, yard = views(
        ("lab1/availability", "online"),
        ("lab1/state", node),
        ("lab1/front/state", state(degraded=["the lens is covered"])),
        ("lab1/yard/state", state()),
        ("lab1/side/status", "offline"),
    )
    assert front.degraded == ("the disk is full", "the lens is covered")
    assert yard.degraded == ("the disk is full",)
    assert side.degraded == ("the disk is full", "side: it is lost"), "its own state was not heard"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("127.0.0.1",), 78, "BROKER='127.0.0.1' is no broker"),
        (("mqtt://127.0.0.1:1",), 69, "correct host and port in BROKER"),
        (("mqtt://ann@127.0.0.1", "--password-file", "/nowhere"), 78, "--password-file='/nowhere'"),
        (("mqtt://127.0.0.1", "--listen", "0"), 2, "'0' is not seconds"),
        (("mqtt://127.0.0.1", "--listen", "soon"), 2, "'soon' is not seconds"),
    ],
)
def test_what_is_wrong_is_told_in_the_words_of_the_command(
    arguments: tuple[str, ...], code: int, words: str
) -> None:
    """It has options and no settings."""
    done = edged("fleet", *arguments)
    assert done.returncode == code
    assert words in done.stderr
    assert "EDGED_" not in done.stderr
    assert "_seconds" not in done.stderr
