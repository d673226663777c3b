"""The daemon on an Edge TPU that fails in every way: it goes on, tells so, loses no frame and returns."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import time
from collections import Counter
from contextlib import ExitStack, closing
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from coral_daemon import CoralDaemon, frame_ids
from coral_rig import (
    CLASSIFIER,
    CLASSIFIER_TWIN,
    DETECTOR,
    DETECTOR_TWIN,
    build,
    children,
    gone,
)
from daemon import until

from edged import bridge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from coral_rig import Plug

    Start = Callable[..., CoralDaemon]

CLIP = "vtest_pets2009_480x360_10fps_79s.mp4"
EX_UNAVAILABLE, EX_CONFIG = 69, 78


@pytest.fixture
def start(shared: Path, library: Path, plug: Plug, tmp_path: Path) -> Iterator[Start]:
    """Start a daemon with a twin, both of them quick; settings by their names without EDGED_."""
    assert plug.path.exists()
    with ExitStack() as stack:

        def run(**changes: str) -> CoralDaemon:
            # The quick one has a twin beside it, which is found by its name.
            model = DETECTOR if changes.get("MODEL_CPU") == "" else CLASSIFIER
            settings = {
                "SOURCE": "synthetic:?width=320&height=240&fps=30",
                "MODEL": str(shared / "models" / model),
                "MODEL_CPU": str(shared / "models" / CLASSIFIER_TWIN),
                "EDGETPU_LIBRARY": str(library),
                # Only what hangs is to be lost for it, however busy the machine is.
                "INVOKE_TIMEOUT": "10",
                "DEVICE_TIMEOUT": "30",
                **changes,
            }
            given = {f"EDGED_{name}": value for name, value in settings.items() if value}
            return stack.enter_context(CoralDaemon(tmp_path, given))

        yield run


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("error=20", "failed to run the model: fake edgetpu: the device does not obey"),
        ("abort=20", r"gave up \(SIGABRT\) in an invoke \(F driver/usb/usb_driver.cc"),
        ("crash=20", r"crashed \(SIGSEGV\) in an invoke"),
        ("hang=20", "no answer to an invoke within 1 s"),
    ],
)
def test_a_device_that_fails_in_the_middle_is_replaced_and_returns(
    plug: Plug, start: Start, words: str, reason: str
) -> None:
    """Every frame that was taken has its result, and the last ones come from the device again."""
    plug.put(words)
    daemon = start(INVOKE_TIMEOUT="1" if words.startswith("hang") else "10")
    lost = daemon.until_told("device_lost")
    plug.put()
    assert re.search(reason, lost["reason"])
    daemon.until_told("device_back")
    daemon.until_more(10)
    assert daemon.stop() == 0
    assert "predict_failed" not in daemon.ledger()["dropped"]
    assert daemon.all_written()
    assert frame_ids(daemon.lines()) == sorted(frame_ids(daemon.lines()))


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("refuse=1", "fake edgetpu: this device takes nobody"),
        ("refuse=2", "opens no Edge TPU"),
        ("crash=open", r"crashed \(SIGSEGV\) while opening the Edge TPU"),
        ("crash=prepare", r"crashed \(SIGSEGV\) while loading the model"),
        ("open_ms=60000", "took longer than 15 s"),
    ],
)
def test_a_device_that_does_not_open_is_replaced_and_comes_later(
    plug: Plug, start: Start, words: str, reason: str
) -> None:
    """The daemon starts on the twin."""
    plug.put(words)
    # On a busy machine a device that is well takes seconds, too.
    daemon = start(DEVICE_TIMEOUT="15") if words.startswith("open_ms") else start()
    assert re.search(reason, daemon.until_told("device_not_open")["reason"])
    daemon.until_told("running")
    plug.put()
    daemon.until_told("device_back")
    daemon.until_more(10)
    assert daemon.stop() == 0
    assert daemon.all_written()


def test_unplugging_and_plugging_in_again(plug: Plug, start: Start) -> None:
    """The device is tried until it is there again."""
    daemon = start()
    daemon.until_more(10)
    plug.pull()
    daemon.until_told("device_lost")
    daemon.until_told("device_still_lost")
    daemon.until_more(10)
    plug.put()
    daemon.until_told("device_back")
    daemon.until_more(10)
    assert daemon.stop() == 0
    assert daemon.all_written()
    assert len(plug.opened()) == 2


@pytest.mark.parametrize("words", ["error=20", "hang=20"])
def test_two_cameras_share_one_device_and_survive_its_loss(plug: Plug, start: Start, words: str) -> None:
    """It is opened once for both; while it is lost the twin stands in for both."""
    plug.put(words)
    daemon = start(
        CAMERAS="front,back",
        SOURCE="synthetic:?width=320&height=240&fps=10",
        INVOKE_TIMEOUT="2" if words.startswith("hang") else "10",
    )
    daemon.until_told("device_lost")
    plug.put()
    daemon.until_told("device_back")
    before = Counter(line["camera"] for line in daemon.lines())

    def of_both() -> bool:
        more = Counter(line["camera"] for line in daemon.lines()) - before
        return min(more["front"], more["back"]) >= 5

    daemon.until(of_both)
    assert daemon.stop() == 0
    assert len(plug.opened()) == 2
    ledgers = {entry["camera"]: entry for entry in daemon.told("ledger")}
    for camera, entry in ledgers.items():
        lines = [line for line in daemon.lines() if line["camera"] == camera]
        assert entry["in_flight"] == 0
        assert "predict_failed" not in entry["dropped"]
        sent = entry["sinks"]["jsonl"]
        assert sent["sent"] == len(lines)
        assert entry["inferred"] == len(lines) + sent.get("superseded", 0)
        assert frame_ids(lines) == sorted(frame_ids(lines))
    assert ledgers.keys() == {"front", "back"}


@pytest.mark.parametrize(
    ("library", "mend"),
    [
        ("libnowhere.so.1", "Install a libedgetpu built on"),
        ("libc.so.6", "Set EDGED_EDGETPU_LIBRARY to libedgetpu.so.1 or its path"),
        ("too old", "Install a libedgetpu built on"),
    ],
)
def test_a_library_that_cannot_be_used_leaves_the_twin(
    start: Start, tmp_path: Path, library: str, mend: str
) -> None:
    """Absent, another one, or one that would crash."""
    if library == "too old":
        library = str(build(tmp_path, built_on="a4dfb8d1a71385bd6d122e4f27f86dcebb96712d"))
    daemon = start(EDGETPU_LIBRARY=library)
    assert mend in daemon.until_told("device_not_open")["reason"]
    daemon.until_more(10)
    assert daemon.stop() == 0
    assert daemon.all_written()


@pytest.mark.parametrize("words", ["error=20", "abort=20", "crash=20", "hang=20"])
def test_without_a_twin_the_loss_ends_the_run(plug: Plug, start: Start, words: str) -> None:
    """With the exit code that makes systemd start it again, and the frame in flight counted."""
    plug.put(words)
    daemon = start(MODEL_CPU="", INVOKE_TIMEOUT="1" if words.startswith("hang") else "10")
    assert daemon.wait() == EX_UNAVAILABLE
    assert daemon.ledger()["dropped"]["predict_failed"] == 1
    assert "edgetpu" in daemon.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("changes", "code", "reason"),
    [
        ({"EDGETPU_LIBRARY": "libnowhere.so.1"}, EX_UNAVAILABLE, "is not installed"),
        ({"EDGETPU_LIBRARY": "libc.so.6"}, EX_UNAVAILABLE, "is not for the Edge TPU"),
        ({"DEVICE": "edgetpu:usb:4"}, EX_UNAVAILABLE, "opens no Edge TPU"),
        ({"DEVICE": "edgetpu:usb"}, EX_CONFIG, "is no device"),
        ({"WORKERS": "2"}, EX_CONFIG, "serves one worker"),
    ],
)
def test_what_is_wrong_at_the_start_ends_with_its_code(
    start: Start, changes: dict[str, str], code: int, reason: str
) -> None:
    """69 where trying again may help, 78 where it will not."""
    daemon = start(MODEL_CPU="", **changes)
    assert daemon.wait() == code
    assert reason in daemon.stderr


def test_a_clip_has_the_detections_of_whatever_ran_it(shared: Path, plug: Plug, start: Start) -> None:
    """The fake finds nobody, the twin finds people: no frame is missing, and each was really run.

    The fake's outputs are chance, of which one in some hundred frames makes a person.
    """
    plug.put("abort=30")
    daemon = start(
        SOURCE=str(shared / "clips" / CLIP),
        MODEL=str(shared / "models" / DETECTOR),
        MODEL_CPU=str(shared / "models" / DETECTOR_TWIN),
        CLASSES="person",
        # The model makes persons of nothing, with a score of 0.5.
        SCORE_THRESHOLD="0.6",
    )
    daemon.until_told("device_lost")
    plug.pull()
    daemon.until(lambda: len(daemon.lines()) > 60)  # tflite-runtime is slow
    assert daemon.stop() == 0
    lines = daemon.lines()
    assert frame_ids(lines) == list(range(len(lines)))
    assert daemon.ledger()["inferred"] == len(lines)
    # One invoke was spent on opening, the 30th failed: frame 28 is the first that the twin ran.
    assert sum(bool(line["detections"]) for line in lines[:28]) <= 2
    assert all(line["detections"] for line in lines[28:60])


def test_several_devices_keep_the_order_of_the_frames(plug: Plug, start: Start) -> None:
    """With a worker each, also when one of them is lost and comes back."""
    plug.put("usb=3 invoke_ms=30")
    daemon = start(DEVICE="edgetpu:usb:0,edgetpu:usb:1,edgetpu:usb:2", SOURCE="synthetic:?fps=60&live=false")
    daemon.until_more(60)
    assert sorted(plug.opened()) == [f"usb{number} device=usb:{number}" for number in range(3)]
    subprocess.run(["kill", "-9", str(max(children(daemon.process.pid)))], check=True)
    daemon.until_told("device_back")
    daemon.until_more(60)
    assert daemon.stop() == 0
    lines = daemon.lines()
    assert frame_ids(lines) == list(range(len(lines)))
    assert daemon.ledger()["inferred"] == len(lines)
    devices = {"edgetpu:usb:0", "edgetpu:usb:1", "edgetpu:usb:2"}
    assert daemon.told("device_lost")[0]["device"] in devices


def test_a_stop_while_the_device_hangs_is_quick(plug: Plug, start: Start) -> None:
    """No deadline of an invoke holds up the exit, and the child goes, too."""
    plug.put("hang=20")
    # It waits for its lines: on a busy machine none gives way to a newer one.
    source = "synthetic:?width=320&height=240&fps=30&live=false"
    daemon = start(SOURCE=source, MODEL_CPU="", INVOKE_TIMEOUT="90", STOP_TIMEOUT="2")
    daemon.until_told("running")
    daemon.until(lambda: len(daemon.lines()) == 18)
    owners = children(daemon.process.pid)
    assert owners
    started = time.monotonic()
    daemon.stop()
    assert time.monotonic() - started < 30.0
    until(lambda: all(gone(owner) for owner in owners))
    daemon.ledger()


class _Subscriber:
    """mosquitto_sub on the state topic."""

    def __init__(self, port: int, log: Path) -> None:
        self._log = log
        command = ["mosquitto_sub", "-p", str(port), "-t", "edged/lab/#", "-F", "%U %t %p"]
        with log.open("wb") as stream:
            self.process = subprocess.Popen(command, stdout=stream)

    def messages(self, leaf: str) -> list[tuple[float, dict[str, Any]]]:
        """When messages came and what they said."""
        found = []
        for line in self._log.read_text().splitlines():
            at, topic, payload = line.split(" ", 2)
            if topic.endswith(f"/{leaf}"):
                found.append((float(at), json.loads(payload)))
        return found


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[int]:
    """A mosquitto of our own; its port."""
    mosquitto = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    if mosquitto is None:
        pytest.skip("mosquitto is not installed")
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        port = int(probe.getsockname()[1])
    settings = tmp_path / "mosquitto.conf"
    settings.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    process = subprocess.Popen([mosquitto, "-c", str(settings)], stderr=subprocess.DEVNULL)
    try:
        until(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0)
        yield port
    finally:
        process.terminate()
        process.wait()


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # sockets of the probe above
def test_everything_goes_on_while_the_device_takes_5_seconds_to_open(
    plug: Plug, start: Start, broker: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MQTT with a keep-alive of 2 s, a watchdog of 2 s, capture, and the state that tells of it all."""
    address = tmp_path / "notify"
    pings: list[float] = []
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(address))
    manager.settimeout(60.0)

    def listen() -> None:
        while (message := manager.recv(4096)) != b"end":
            if b"WATCHDOG=1" in message:
                pings.append(time.time())

    listener = bridge.start("notify", listen)
    monkeypatch.setenv("NOTIFY_SOCKET", str(address))
    monkeypatch.setenv("WATCHDOG_USEC", "2000000")
    subscriber = _Subscriber(broker, tmp_path / "messages")
    daemon = start(
        MQTT_URL=f"mqtt://127.0.0.1:{broker}",
        MQTT_KEEPALIVE="2",
        NODE="lab",
        CAMERA="yard",
        DEVICE_TIMEOUT="20",
    )
    daemon.until_more(30)
    plug.put("open_ms=5000")
    subprocess.run(["kill", "-9", *map(str, children(daemon.process.pid))], check=True)
    daemon.until_told("device_lost")
    lost = time.time()
    daemon.until_told("device_back")
    back = time.time()
    daemon.until_more(30)
    assert daemon.stop() == 0
    until(lambda: "edged/lab/availability offline" in (tmp_path / "messages").read_text())
    subscriber.process.terminate()
    subscriber.process.wait()
    manager_end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager_end.sendto(b"end", str(address))
    manager_end.close()
    listener.join(5.0)
    manager.close()

    assert back - lost > 5.0  # whoever had waited for it would have been silent for so long
    assert daemon.all_written()
    captured = [line["ts_capture"] for line in daemon.lines() if lost + 0.5 < line["ts_capture"] < back]
    assert max(later - earlier for earlier, later in pairwise(captured)) < 4.0
    assert max(later - earlier for earlier, later in pairwise(pings)) < 4.0
    arrived = [at for at, _ in subscriber.messages("detections") if lost < at < back]
    assert max(later - earlier for earlier, later in pairwise(arrived)) < 4.0
    assert not [entry for entry in daemon.told() if "disconnect" in entry["event"]]

    states = [state for _, state in subscriber.messages("state")]
    told = [
        (state["device"], " ".join(state["degraded"])) for state in states if state["lifecycle"] == "running"
    ]
    assert told[0] == ("edgetpu", "")
    assert ("cpu", next(words for _, words in told if words)) in told
    assert any("edgetpu is lost: its process was killed" in words for _, words in told)
    assert told[-1] == ("edgetpu", "")


def two_models(shared: Path, **changes: str) -> dict[str, str]:
    """Settings of two cameras that want different models, neither with a twin."""
    return {
        "CAMERAS": "front,back",
        "MODEL": "",
        "MODEL_CPU": "",
        "FRONT_MODEL": str(shared / "models" / DETECTOR),
        "BACK_MODEL": str(shared / "models" / CLASSIFIER),
        **changes,
    }


@pytest.mark.parametrize(
    ("devices", "words"),
    [
        ({"DEVICE": "edgetpu"}, "none says which"),
        ({"DEVICE": "edgetpu:usb:0"}, "Edge TPU edgetpu:usb:0, with another EDGED_MODEL."),
        ({"FRONT_DEVICE": "edgetpu:usb:0,edgetpu:usb:1", "BACK_DEVICE": "edgetpu:usb:1"}, "edgetpu:usb:1"),
    ],
)
def test_two_models_on_one_device_are_refused_before_either_opens_it(
    shared: Path, plug: Plug, start: Start, devices: dict[str, str], words: str
) -> None:
    """On a real one whoever comes second takes it from the first, which then takes it back, and so on."""
    plug.put("usb=2")
    daemon = start(**two_models(shared, **devices))
    assert daemon.wait() == EX_CONFIG
    assert words in daemon.stderr
    assert "'front' and 'back'" in daemon.stderr
    assert plug.opened() == []


def test_two_models_on_a_device_each_run_side_by_side(shared: Path, plug: Plug, start: Start) -> None:
    plug.put("usb=2")
    daemon = start(**two_models(shared, FRONT_DEVICE="edgetpu:usb:0", BACK_DEVICE="edgetpu:usb:1"))
    daemon.until_told("running", 2)
    daemon.until(lambda: {line["camera"] for line in daemon.lines()} == {"front", "back"})
    assert daemon.stop() == 0
    assert {line.split()[0] for line in plug.opened()} == {"usb0", "usb1"}
